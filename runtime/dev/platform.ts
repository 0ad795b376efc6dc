/**
 * What differs between Linux, macOS and Windows: where programs are found, what they are called, how a process ends
 * with all that it started, and which paths are below a folder.
 *
 * Each takes the platform as an argument, by default that of this machine, so that all of them are tried on every
 * machine. What else is assumed of a system stands in `docs/guides/windows-and-macos.md`.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import nodePath, { type PlatformPath, posix, win32 } from 'node:path';

/** Paths as the platform writes them. */
function pathsOf(platform: NodeJS.Platform): PlatformPath {
  return platform === 'win32' ? win32 : posix;
}

/** The first program of this name on a PATH, which is a list as the platform writes it. */
export function programOnPath(
  name: string,
  path: string,
  platform = process.platform,
  isProgram = isExecutable,
): string | undefined {
  const paths = pathsOf(platform);
  return (
    path
      .split(paths.delimiter)
      // Windows takes a folder in quotes.
      .map((folder) =>
        paths.join(platform === 'win32' ? folder.replaceAll('"', '') : folder, executable(name, platform)),
      )
      .find(isProgram)
  );
}

/** The file name of a program that is started without a shell: scripts (`.cmd`) cannot be, on Windows. */
export function executable(name: string, platform = process.platform): string {
  return platform === 'win32' ? `${name}.exe` : name;
}

/** Whether `file` is a file that may be run. */
export function isExecutable(file: string): boolean {
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return false;
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** How Python 3 is started; `undefined`: it is not on the PATH. */
export function pythonOn(
  path: string,
  platform = process.platform,
  isProgram = isExecutable,
): { readonly command: string; readonly args: readonly string[] } | undefined {
  // Windows: the launcher knows which version is which; a file `python3.exe` is mostly one that opens the Store.
  const ways = platform === 'win32' ? [['py', '-3'], ['python']] : [['python3']];
  return ways
    .map(([command = '', ...args]) => ({ command, args }))
    .find(({ command }) => programOnPath(command, path, platform, isProgram) !== undefined);
}

/** Whether a program made for Lambda, by its first bytes, cannot run on this platform. */
export function isForeignProgram(start: Uint8Array, platform = process.platform): boolean {
  const text = Buffer.from(start).toString('latin1');
  if (text.startsWith('\u007fELF')) return platform !== 'linux';
  return platform === 'win32' && text.startsWith('#!');
}

/** Whether a path is below a folder; both absolute. Windows does not tell capitals apart, nor its two separators. */
export function isBelow(folder: string, path: string, paths: PlatformPath = nodePath): boolean {
  const way = paths.relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith('../') && !way.startsWith('..\\') && !paths.isAbsolute(way);
}

/** A process, as far as its end is looked at. */
export interface Ending {
  readonly pid?: number | undefined;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
}

/** What ends processes. */
export interface Ender {
  readonly platform: NodeJS.Platform;
  kill(pid: number, signal: NodeJS.Signals): void;
  /** Runs a program to its end, whatever that is. */
  run(program: string, args: readonly string[]): void;
}

const SYSTEM: Ender = {
  platform: process.platform,
  kill: (pid, signal) => void process.kill(pid, signal),
  run: (program, args) => void spawnSync(program, args, { stdio: 'ignore', windowsHide: true }),
};

/**
 * Ends a process at once, with everything that it started. Does nothing without an id (the process never started) and
 * where nothing is left to end.
 *
 * Elsewhere than on Windows it must lead a process group, whose number stays taken as long as anything of the group
 * lives. Windows has no groups: the children of a process that is still there are found by it, those of one that ended
 * by itself are not, and its number may already be another's.
 */
export function endTree({ pid, exitCode, signalCode }: Ending, system: Ender = SYSTEM): void {
  if (pid === undefined) return;
  if (system.platform === 'win32') {
    if (exitCode === null && signalCode === null) system.run('taskkill', ['/PID', String(pid), '/T', '/F']);
    return;
  }
  try {
    system.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Nothing is left to end (ESRCH), or nothing that is not ending already (EPERM, as macOS says it).
    if (!(error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'))) throw error;
  }
}
