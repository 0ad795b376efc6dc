/**
 * How a synthesis of the CDK bundled a handler: the note that `bootstrap/cdk-bundles.cjs` left in the folder of the
 * asset, as options with which esbuild does the same again.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { BuildOptions } from 'esbuild';
import * as z from 'zod/mini';

/** Both are written by the bootstrap, which shares no code with anything. */
const NOTE = 'karin-bundle.json';

const Note = z.object({ cwd: z.string(), flags: z.array(z.string()), outfile: z.string(), metafile: z.string() });
const Metafile = z.object({ inputs: z.record(z.string(), z.unknown()) });

/** A bundle of `NodejsFunction`. */
export interface CdkBundle {
  /** As the construct has them; without what says where the bundle goes. */
  readonly options: BuildOptions;
  /** Where esbuild ran: its relative paths begin there, and the project's own esbuild is found from there. */
  readonly cwd: string;
  /** The name of the bundle in the asset, `index.js` or `index.mjs`. */
  readonly file: string;
  /** What else the bundling wrote into the asset for itself. */
  readonly notes: readonly string[];
  /** The files that it was made of, absolute; empty: nobody knows. */
  readonly inputs: ReadonlySet<string>;
  /** Begin of the bundling, epoch milliseconds. */
  readonly madeAt: number;
}

/** Whether a folder of an asset tells how it was bundled. */
export function isCdkBundle(folder: string): boolean {
  return statSync(join(folder, NOTE), { throwIfNoEntry: false }) !== undefined;
}

/** The bundle in a folder of an asset; `undefined`: it is none, or its options are not understood. */
export function readCdkBundle(folder: string): CdkBundle | undefined {
  const note = parsed(Note, join(folder, NOTE));
  const options = note === undefined ? undefined : optionsOf(note.flags);
  if (note === undefined || options === undefined) return undefined;
  const metafile = parsed(Metafile, join(folder, note.metafile));
  return {
    options,
    cwd: note.cwd,
    file: note.outfile,
    notes: [NOTE, note.metafile],
    inputs: inputFiles(Object.keys(metafile?.inputs ?? {}), note.cwd),
    madeAt: statSync(join(folder, NOTE)).mtimeMs,
  };
}

/** Absolute paths of the inputs that a metafile names; those of plugins, which are no files, stay as they are. */
export function inputFiles(names: readonly string[], cwd: string): ReadonlySet<string> {
  return new Set(names.map((name) => resolve(cwd, name)));
}

/**
 * Whether the sources are as they were when the bundle was made. By the time at which a file became what it is: one
 * that was moved to its place keeps the time of its writing.
 */
export function isFresh({ inputs, madeAt }: CdkBundle): boolean {
  return (
    inputs.size > 0 &&
    [...inputs].every((file) => {
      const stats = statSync(file, { throwIfNoEntry: false });
      return stats !== undefined && stats.ctimeMs < madeAt;
    })
  );
}

/** An app in another language shares no file with handlers that esbuild bundles. */
const OTHER_LANGUAGE =
  /^(\S*[\\/])?(py|python[\d.]*|poetry|uv|pipenv|mvnw?|gradlew?|java|dotnet|go)(\.(exe|cmd|bat))?\s/i;

/**
 * The files that a CDK app imports, packages aside, absolute. `command`: what synthesizes it, in `folder`. `undefined`:
 * they cannot be told.
 */
export async function appSources(command: string, folder: string): Promise<ReadonlySet<string> | undefined> {
  if (OTHER_LANGUAGE.test(command)) return new Set();
  const entry = command
    .split(/\s+/)
    .map((word) => resolve(folder, word.replace(/^(['"])(.*)\1$/, '$2')))
    .find((path) => /\.[cm]?[jt]sx?$/.test(path) && existsSync(path));
  if (entry === undefined) return undefined;
  const { build } = await import('esbuild');
  try {
    const { metafile } = await build({
      entryPoints: [entry],
      absWorkingDir: folder,
      bundle: true,
      write: false,
      metafile: true,
      outdir: folder,
      packages: 'external',
      platform: 'node',
      logLevel: 'silent',
      loader: { '.node': 'empty' },
    });
    return inputFiles(Object.keys(metafile.inputs), folder);
  } catch {
    // Its developer is at work on it, or it imports what esbuild does not know.
    return undefined;
  }
}

function parsed<T>(schema: z.ZodMiniType<T>, file: string): T | undefined {
  try {
    const result = schema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
    return result.success ? result.data : undefined;
  } catch {
    // There is none, or esbuild never came to write it.
    return undefined;
  }
}

/*
 * Flags of the esbuild command as options of its JavaScript API. They have the same names but for their case.
 *
 * Source: https://esbuild.github.io/api/
 */

/** `--name:value`, as often as there are values. */
const LISTED = new Set(['external', 'inject', 'drop', 'pure']);
/** `--name=one,two`. */
const SEPARATED = new Set(['mainFields', 'resolveExtensions', 'conditions', 'dropLabels', 'target']);
/** `--name:key=value`. */
const KEYED = new Set(['define', 'loader', 'alias', 'banner', 'footer', 'outExtension', 'supported', 'logOverride']);
/** What is only for the command, or is decided here. */
const LEFT_OUT = new Set(['bundle', 'logLevel', 'color', 'logLimit', 'watch', 'analyze', 'allowOverwrite']);

/** `undefined`: a flag has a form that is not known. */
function optionsOf(flags: readonly string[]): BuildOptions | undefined {
  const options: Record<string, unknown> = {};
  const entryPoints: string[] = [];
  for (const flag of flags) {
    const match = /^--([a-z-]+)(?:([:=])(.*))?$/s.exec(flag);
    if (match === null) {
      if (flag.startsWith('-')) return undefined;
      entryPoints.push(flag);
      continue;
    }
    const [, dashed = '', sign, value = ''] = match;
    const name = dashed.replace(/-./g, (pair) => pair.slice(1).toUpperCase());
    if (LEFT_OUT.has(name)) continue;
    if (sign === ':') {
      if (LISTED.has(name)) options[name] = [...[options[name] ?? []].flat(), value];
      else if (KEYED.has(name)) options[name] = { ...Object(options[name]), ...keyed(value, name === 'supported') };
      else return undefined;
    } else {
      options[name] = SEPARATED.has(name) ? value.split(',') : sign === '=' ? scalar(value) : true;
    }
  }
  return entryPoints.length === 1 ? { ...options, entryPoints } : undefined;
}

function keyed(pair: string, isSwitch: boolean): Readonly<Record<string, string | boolean>> {
  const at = pair.indexOf('=');
  const value = pair.slice(at + 1);
  return { [pair.slice(0, at)]: isSwitch ? value === 'true' : value };
}

function scalar(value: string): string | boolean | number {
  if (value === 'true' || value === 'false') return value === 'true';
  return /^\d+$/.test(value) ? Number(value) : value;
}
