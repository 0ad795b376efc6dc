/**
 * A folder for what one run of `karin dev` makes. Another run in the same project, be it at the same time, has another;
 * what runs left that did not come to their end is removed by the next one.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createLog } from '../log.ts';
import { ConfigError } from '../settings.ts';
import { type FolderOwner, ownFolder } from '../store/folder-owner.ts';
import type { Time } from '../time.ts';

const RUN = /^run-[0-9a-f]{8}$/;

/** Whether a path lies in the folder of a run. */
export function isMadeByRun(path: string): boolean {
  return /[\\/]\.karin[\\/]run-[0-9a-f]{8}[\\/]/.test(path);
}

/** A name that no other run has. */
export function runName(): string {
  return `run-${randomBytes(4).toString('hex')}`;
}

export interface RunFolder {
  /** Removes the folder. */
  release(): Promise<void>;
}

/**
 * Makes `folder`, named by `runName`, and removes those beside it whose runs are over: a run owns its folder while it
 * lives. A folder that nobody ever owned is being made just now, and is left alone. Where no socket can be made in a
 * folder nobody knows who lives, and all are left alone.
 */
export async function ownRunFolder(
  folder: string,
  time: Time,
  own: (directory: string) => Promise<FolderOwner> = (directory) => ownFolder({ directory, time, log: SILENT }),
): Promise<RunFolder> {
  await mkdir(folder, { recursive: true });
  // Windows has no sockets in folders, and other systems none where the path is long: nobody is asked there.
  const owner = await own(folder).catch((error: unknown) => {
    if (error instanceof ConfigError) return undefined;
    throw error;
  });
  const home = dirname(folder);
  const others = (await readdir(home)).filter((name) => RUN.test(name) && name !== basename(folder));
  if (owner?.locked) await Promise.all(others.map((name) => removeIfOver(join(home, name), own)));
  return {
    release: async () => {
      // In this order: a folder without a trace of an owner would be left alone for ever.
      await remove(folder);
      owner?.release();
    },
  };
}

async function removeIfOver(folder: string, own: (folder: string) => Promise<FolderOwner>): Promise<void> {
  let owner: FolderOwner;
  try {
    if (!(await readdir(folder)).some((name) => name.startsWith('owner-'))) return;
    owner = await own(folder);
  } catch {
    // Its run is alive, or another one is removing it.
    return;
  }
  await remove(folder);
  owner.release();
}

/** What cannot be removed now is tried again by the next run. */
function remove(folder: string): Promise<void> {
  // Windows removes no file that a process which is ending still has open.
  return rm(folder, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
}

/** Nobody else's data is in danger here. */
const SILENT = createLog({ level: 'silent', write: () => {} });
