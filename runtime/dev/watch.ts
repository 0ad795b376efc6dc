/**
 * Watches the files of a project: every folder but those that hold packages, history and output.
 *
 * Folders are watched one by one: `fs.watch` in recursive mode would also watch all of node_modules on Linux, file by
 * file. A change counts only if the contents differ from those seen last, so that a build which writes the same again
 * does not start another build.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Cancel, Time } from '../time.ts';

export interface WatchOptions {
  /** Absolute. */
  readonly folder: string;
  /** Files that changed, appeared or vanished, absolute paths; called some moments after the last change. */
  readonly onChange: (paths: readonly string[]) => void;
  /**
   * Only files that match one of these count, relative to `folder`: `**` any folders, `*` and `?` within a name,
   * `{a,b}`. Default: all.
   */
  readonly only?: readonly string[];
  readonly time: Time;
}

const IGNORED_FOLDERS = new Set([
  'node_modules',
  'cdk.out',
  'cdktf.out',
  'coverage',
  '__pycache__',
  'venv',
  'bower_components',
]);
/** What editors and systems write beside the files that count. */
const IGNORED_FILES = /(~|\.sw[a-z]|\.tmp|\.log|\.tsbuildinfo|^4913)$/;
/** Editors write a file in several steps, and tools write several files, milliseconds. */
const QUIET_MS = 60;
/** Larger files are not looked into: that they were written counts as a change, bytes. */
const LARGEST_COMPARED = 5_000_000;

export class ProjectWatcher {
  readonly #options: WatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  /** Of these only the files are watched, not the folders in them. */
  readonly #flat = new Set<string>();
  /** Of the files that changed before. */
  readonly #digests = new Map<string, string>();
  readonly #changed = new Set<string>();
  readonly #only: readonly RegExp[];
  #cancel: Cancel = () => {};

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#only = (options.only ?? []).map(globPattern);
    this.#add(options.folder, false);
  }

  /** Watches other folders, absolute, as well. */
  follow(folders: readonly string[]): void {
    for (const folder of folders) this.#add(folder, false);
  }

  /** Watches the files of other folders, absolute, but not the folders in them. */
  followFiles(folders: readonly string[]): void {
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#watch(folder, true);
  }

  close(): void {
    this.#cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  /** Watches a folder and those below it. `report`: it is new, so what it holds is, too. */
  #add(folder: string, report: boolean): void {
    if (this.#watchers.has(folder) && !this.#flat.has(folder)) return;
    this.#drop(folder);
    if (!this.#watch(folder, false)) return;
    let entries: { readonly name: string; isDirectory(): boolean }[];
    try {
      entries = readdirSync(folder, { withFileTypes: true });
    } catch {
      // The folder vanished again: there is nothing to watch.
      this.#drop(folder);
      return;
    }
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (isWatched(entry.name)) this.#add(path, report);
      } else if (report) {
        this.#seen(path);
      }
    }
  }

  /** `flat`: without the folders in it. False: it vanished, or may not be read. */
  #watch(folder: string, flat: boolean): boolean {
    try {
      const watcher = watch(folder, (_, name) => {
        if (name !== null) this.#seen(join(folder, name));
      });
      watcher.on('error', () => this.#drop(folder));
      this.#watchers.set(folder, watcher);
      if (flat) this.#flat.add(folder);
      return true;
    } catch {
      return false;
    }
  }

  #drop(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
    this.#flat.delete(folder);
  }

  #counts(path: string): boolean {
    if (this.#only.length === 0) return true;
    const named = relative(this.#options.folder, path).replaceAll('\\', '/');
    return this.#only.some((pattern) => pattern.test(named));
  }

  #seen(path: string): void {
    const name = basename(path);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats?.isDirectory()) {
      if (isWatched(name) && !this.#flat.has(dirname(path))) this.#add(path, true);
      return;
    }
    if (stats === undefined && this.#watchers.has(path)) this.#drop(path);
    if (IGNORED_FILES.test(name) || !this.#counts(path)) return;
    const digest = digestOf(path);
    if (this.#digests.get(path) === digest) return;
    this.#digests.set(path, digest);
    this.#changed.add(path);
    this.#cancel();
    this.#cancel = this.#options.time.after(QUIET_MS, () => {
      const paths = [...this.#changed].sort();
      this.#changed.clear();
      this.#options.onChange(paths);
    });
  }
}

/** Hidden folders hold settings, caches and output; none holds sources. */
function isWatched(folder: string): boolean {
  return !folder.startsWith('.') && !IGNORED_FOLDERS.has(folder);
}

const GLOB_TOKEN = /\*\*\/|\*\*|\*|\?|\{[^{}]*\}|[^*?{}]+|[{}]/g;

/** A glob as a regular expression for paths with slashes. */
function globPattern(glob: string): RegExp {
  const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const parts = (glob.replace(/^\.\//, '').match(GLOB_TOKEN) ?? []).map((token) => {
    if (token === '**/') return '(?:.*/)?';
    if (token === '**') return '.*';
    if (token === '*') return '[^/]*';
    if (token === '?') return '[^/]';
    if (!/^\{.*\}$/.test(token)) return literal(token);
    return `(?:${token.slice(1, -1).split(',').map(literal).join('|')})`;
  });
  return new RegExp(`^${parts.join('')}$`);
}

/** Stands for the contents of a file. */
function digestOf(path: string): string {
  try {
    const stats = statSync(path);
    if (stats.size > LARGEST_COMPARED) return `${stats.size} ${stats.mtimeMs}`;
    return createHash('sha1').update(readFileSync(path)).digest('base64');
  } catch {
    return 'gone';
  }
}
