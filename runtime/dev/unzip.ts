/**
 * Unpacks zip files, as deployment packages are: stored or deflated, below 4 GB.
 *
 * Source of the format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
 *
 * @module
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { isBelow } from './platform.ts';

/** The file is no zip file, or uses what deployment packages never do; the message names it. */
class UnzipError extends Error {
  override readonly name = 'UnzipError';
}

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER_BYTES = 30;
const END_RECORD_BYTES = 22;
/** The comment at the end of a zip file is at most this long, bytes. */
const LONGEST_COMMENT = 65_535;
const STORED = 0;
const DEFLATED = 8;

/** Unpacks `file` into `folder`, which is made if it is not there; keeps which files may be executed. */
export async function unzip(file: string, folder: string): Promise<void> {
  const zip = await readFile(file);
  const from = Math.max(0, zip.length - END_RECORD_BYTES - LONGEST_COMMENT);
  let end = zip.length - END_RECORD_BYTES;
  while (end >= from && zip.readUInt32LE(end) !== END_OF_DIRECTORY) end -= 1;
  if (end < from) throw new UnzipError(`${file} is no zip file`);
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  for (let index = 0; index < count; index += 1) {
    if (zip.readUInt32LE(at) !== DIRECTORY_ENTRY) throw new UnzipError(`${file} is damaged`);
    const nameBytes = zip.readUInt16LE(at + 28);
    const entry = {
      method: zip.readUInt16LE(at + 10),
      size: zip.readUInt32LE(at + 20),
      mode: zip.readUInt16LE(at + 40) & 0o777,
      extraBytes: zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32),
      header: zip.readUInt32LE(at + 42),
      name: zip.toString('utf8', at + 46, at + 46 + nameBytes),
    };
    at += 46 + nameBytes + entry.extraBytes;
    if (entry.name.endsWith('/')) continue;
    const target = join(folder, entry.name);
    if (!isBelow(folder, target)) throw new UnzipError(`${file} would write outside its folder: ${entry.name}`);
    const start =
      entry.header + LOCAL_HEADER_BYTES + zip.readUInt16LE(entry.header + 26) + zip.readUInt16LE(entry.header + 28);
    const packed = zip.subarray(start, start + entry.size);
    if (entry.method !== STORED && entry.method !== DEFLATED) {
      throw new UnzipError(
        `${file} packs ${entry.name} by method ${entry.method}, which is neither stored nor deflated`,
      );
    }
    await mkdir(dirname(target), { recursive: true });
    const contents = entry.method === STORED ? packed : inflateRawSync(packed);
    await writeFile(target, contents, { mode: entry.mode === 0 ? 0o644 : entry.mode });
  }
}
