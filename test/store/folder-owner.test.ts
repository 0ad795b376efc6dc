import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../runtime/log.ts';
import { ownFolder } from '../../runtime/store/folder-owner.ts';
import { systemTime, type Time } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';

let directory: string;
const log = createLog({ level: 'silent' });
const own = (time: Time = systemTime, signal?: AbortSignal) =>
  ownFolder({ directory, time, log, ...(signal === undefined ? {} : { signal }) });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'karin-owner-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the owner of a folder', () => {
  it('is exactly one of many who want it at once, and another when it gives it back', async () => {
    for (let round = 0; round < 20; round += 1) {
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => own()));
      const owners = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(owners).toHaveLength(1);
      for (const result of results) {
        if (result.status === 'rejected') expect(String(result.reason)).toMatch(/owns this folder|about to own/);
      }
      await expect(own()).rejects.toThrow('another server owns this folder');
      owners[0]?.release();
      expect(readdirSync(directory)).toEqual([]);
    }
  });

  it('takes over from the dead, and removes what they left', async () => {
    const dead = createServer().listen(join(directory, 'under-way.sock'));
    await once(dead, 'listening');
    // The socket of a process that was killed: a name in the folder that leads to nobody.
    linkSync(join(directory, 'under-way.sock'), join(directory, 'owner-0123456789abcdef.sock'));
    dead.close();
    await once(dead, 'close');
    expect(readdirSync(directory)).toEqual(['owner-0123456789abcdef.sock']);
    const owner = await own();
    expect(readdirSync(directory)).not.toContain('owner-0123456789abcdef.sock');
    owner.release();
  });

  it('may be one that does not answer: then nobody else takes the folder', async () => {
    const stopped = createServer().listen(join(directory, 'owner-0123456789abcdef.sock'));
    await once(stopped, 'listening');
    const time = new ManualTime();
    const owner = own(time);
    const refused = expect(owner).rejects.toThrow(
      'a process that does not answer owns it (owner-0123456789abcdef.sock)',
    );
    await once(stopped, 'connection');
    await time.advance(5_000);
    await refused;
    stopped.close();
  });

  it('is not waited for any longer when the start is given up', async () => {
    const stopped = createServer().listen(join(directory, 'owner-0123456789abcdef.sock'));
    await once(stopped, 'listening');
    const giveUp = new AbortController();
    const refused = expect(own(new ManualTime(), giveUp.signal)).rejects.toThrow('enough');
    await once(stopped, 'connection');
    giveUp.abort(new Error('enough'));
    await refused;
    expect(readdirSync(directory)).toEqual(['owner-0123456789abcdef.sock']);
    stopped.close();
  });

  it.runIf(process.platform === 'linux')('is found by a path of any length', async () => {
    directory = join(directory, 'a-long-name-of-a-folder'.repeat(5));
    mkdirSync(directory);
    const owner = await own();
    await expect(own()).rejects.toThrow('another server owns this folder');
    owner.release();
    directory = join(directory, '..');
  });
});
