/**
 * Writes zip files, as deployment packages are.
 *
 * @module
 */
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly text: string;
  /** Permission bits; default 644. */
  readonly mode?: number;
  /** Stored as it is; default: deflated. */
  readonly stored?: boolean;
}

const VERSION = 20;
const MADE_ON_UNIX = 3 << 8;

export function zip(entries: readonly ZipEntry[], comment = ''): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, text, mode = 0o644, stored = false } of entries) {
    const contents = Buffer.from(text);
    const packed = stored ? contents : deflateRawSync(contents);
    const nameBytes = Buffer.from(name);
    // What both headers have in common, from the method to the length of the name.
    const common = Buffer.alloc(20);
    common.writeUInt16LE(stored ? 0 : 8, 0);
    common.writeUInt32LE(crc32(contents), 6);
    common.writeUInt32LE(packed.length, 10);
    common.writeUInt32LE(contents.length, 14);
    common.writeUInt16LE(nameBytes.length, 18);
    const local = Buffer.alloc(8);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(VERSION, 4);
    const localEnd = Buffer.alloc(2);
    locals.push(local, common, localEnd, nameBytes, packed);
    const head = Buffer.alloc(10);
    head.writeUInt32LE(0x02014b50, 0);
    head.writeUInt16LE(MADE_ON_UNIX | VERSION, 4);
    head.writeUInt16LE(VERSION, 6);
    const tail = Buffer.alloc(16);
    tail.writeUInt32LE(((0o100000 | mode) << 16) >>> 0, 8);
    tail.writeUInt32LE(offset, 12);
    directory.push(head, common, tail, nameBytes);
    offset += local.length + common.length + localEnd.length + nameBytes.length + packed.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(Buffer.byteLength(comment), 20);
  return Buffer.concat([...locals, central, end, Buffer.from(comment)]);
}
