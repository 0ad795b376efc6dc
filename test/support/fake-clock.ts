/**
 * A wall clock that a test sets while processes run by it: libfaketime, preloaded into them. Their monotonic clock
 * stays the real one, as it does when the clock of a machine is set.
 *
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LIBRARY = 'faketime/libfaketimeMT.so.1';
const HOW_TO = `The tests of clocks that jump preload ${LIBRARY} and did not find it: sudo apt-get install libfaketime`;

export class FakeClock {
  /** What makes a process run by it. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #directory: string;

  private constructor(library: string, directory: string) {
    this.#directory = directory;
    this.environment = {
      // Redis's allocator asks for the time before the library can tell it, so that of libc stands before it.
      LD_PRELOAD: `${library}:libc.so.6`,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      // Seconds after which the file is read again: a jump reaches the process within so long.
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** One that shows the real time. Errors: `Error` that says what to install. */
  static async start(): Promise<FakeClock> {
    const library = fakeClockLibrary();
    if (library === undefined) throw new Error(HOW_TO);
    const clock = new FakeClock(library, await mkdtemp(join(tmpdir(), 'karin-clock-')));
    await clock.set(0);
    return clock;
  }

  /** From now on it is so many seconds ahead of the real one; negative: behind it. */
  async set(aheadSeconds: number): Promise<void> {
    const written = `${this.#file}.new`;
    await writeFile(written, `${aheadSeconds < 0 ? '' : '+'}${aheadSeconds}\n`);
    // A reader finds the old text or the new one, never half of it.
    await rename(written, this.#file);
  }

  async stop(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #file(): string {
    return join(this.#directory, 'ahead');
  }
}

/** Where distributions put the library, some of them in a folder named after the machine. */
export function fakeClockLibrary(): string | undefined {
  const roots = ['/usr/lib', '/usr/lib64', '/usr/local/lib'].filter((root) => existsSync(root));
  return roots
    .flatMap((root) => [root, ...readdirSync(root, { withFileTypes: true }).flatMap((entry) => join(root, entry.name))])
    .map((folder) => join(folder, LIBRARY))
    .find((path) => existsSync(path));
}
