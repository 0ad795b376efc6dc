import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unzip } from '../../runtime/dev/unzip.ts';
import { zip } from './zip.ts';

describe('unpacking deployment packages', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'karin-unzip-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const unpack = async (bytes: Uint8Array): Promise<(name: string) => string> => {
    writeFileSync(join(folder, 'code.zip'), bytes);
    await unzip(join(folder, 'code.zip'), join(folder, 'code'));
    return (name) => readFileSync(join(folder, 'code', name), 'utf8');
  };

  it('restores files, folders and what may be executed', async () => {
    const read = await unpack(
      zip(
        [
          { name: 'index.js', text: 'exports.handler = 1;\n'.repeat(100) },
          { name: 'deep/er/', text: '' },
          { name: 'deep/er/däta.txt', text: 'stored', stored: true },
          { name: 'bootstrap', text: '#!/bin/sh\n', mode: 0o755 },
        ],
        'a comment at the end',
      ),
    );
    expect(read('index.js')).toBe('exports.handler = 1;\n'.repeat(100));
    expect(read('deep/er/däta.txt')).toBe('stored');
    expect(statSync(join(folder, 'code', 'bootstrap')).mode & 0o777).toBe(0o755);
    expect(statSync(join(folder, 'code', 'index.js')).mode & 0o111).toBe(0);
  });

  it('writes nothing outside its folder', async () => {
    await expect(unpack(zip([{ name: '../outside.js', text: 'x' }]))).rejects.toThrow(
      /would write outside its folder: \.\.\/outside\.js/,
    );
  });

  it('says what is no zip file', async () => {
    await expect(unpack(Buffer.from('not a zip file, whatever its name says'))).rejects.toMatchObject({
      name: 'UnzipError',
      message: expect.stringContaining('is no zip file'),
    });
  });
});
