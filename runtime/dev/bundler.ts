/**
 * Bundles handlers with esbuild, one bundler for each function: TypeScript as it lies in its folder, and what a
 * synthesis of the CDK bundled before, with the options of its construct.
 *
 * What esbuild read and parsed is kept from one bundle to the next, so that an edit costs as much as the edited file.
 * Bundles are made in memory and written into a folder of their own each time: processes of the one before may still
 * be loading it.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BuildContext, BuildOptions, Message } from 'esbuild';
import { inputFiles, isFresh, readCdkBundle } from './cdk-bundle.ts';
import type { CodeLocation } from './template/model.ts';

type Esbuild = typeof import('esbuild');

/** The sources cannot be bundled; the message is esbuild's, with file, line and column. */
class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** What is to be bundled, and how. */
export interface BundleOrder {
  readonly options: BuildOptions;
  /** Name of the bundle. */
  readonly file: string;
  /** Relative paths of `options` begin there, absolute; default: nothing is relative. */
  readonly cwd?: string;
}

export interface Bundle {
  /** Absolute. */
  readonly file: string;
  /** The files that it was made of, absolute. */
  readonly inputs: ReadonlySet<string>;
}

/** A bundle of a synthesis, or one that takes its place. */
interface SynthesizedCode {
  /** Where the function runs. */
  readonly folder: string;
  readonly inputs: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

export class Bundler {
  readonly #home: string;
  /** Of the last order; another order needs another. */
  #kept: { readonly key: string; readonly esbuild: Esbuild; readonly context: BuildContext } | undefined;

  #synthesized: SynthesizedCode | undefined;

  /** `home`: the folder below which all folders are to which it bundles. */
  constructor(home: string) {
    this.#home = home;
  }

  /** Bundles into `folder`, a child of its home. Errors: `BundleError`. */
  async bundle(order: BundleOrder, folder: string): Promise<Bundle> {
    const cwd = order.cwd ?? this.#home;
    // A sibling of all folders to which it bundles: what source maps say of the way to the sources is right in each.
    const build = join(this.#home, 'build');
    const { esbuild, context } = await this.#contextFor({
      ...order.options,
      outfile: join(build, order.file),
      absWorkingDir: cwd,
      bundle: true,
      write: false,
      metafile: true,
      sourcemap: 'linked',
      logLevel: 'silent',
    });
    try {
      const { outputFiles = [], metafile } = await context.rebuild();
      for (const { path, contents } of outputFiles) {
        const file = join(folder, relative(build, path));
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, contents);
      }
      return { file: join(folder, order.file), inputs: inputFiles(Object.keys(metafile?.inputs ?? {}), cwd) };
    } catch (error) {
      // esbuild rejects with a BuildFailure, whose `errors` it formats itself; anything else has no such member.
      const { errors } = error as { readonly errors?: Message[] };
      const placed = errors?.map((message) => ({ ...message, location: absolute(message.location, cwd) }));
      const lines = placed === undefined ? [String(error)] : await esbuild.formatMessages(placed, { kind: 'error' });
      throw new BundleError(lines.join('\n').trim(), { cause: error });
    }
  }

  /**
   * The code of an asset that `NodejsFunction` bundled: the asset itself as long as it is what its sources say, else a
   * folder like it with a new bundle. `undefined`: it is no such asset. Errors: `BundleError`.
   */
  async again(asset: string, folder: string, changed: boolean): Promise<SynthesizedCode | undefined> {
    const made = readCdkBundle(asset);
    if (made === undefined) return undefined;
    if (!changed && isFresh(made)) return { folder: asset, inputs: made.inputs };
    const { inputs } = await this.bundle({ options: made.options, file: made.file, cwd: made.cwd }, folder);
    // What hooks and installations put beside the bundle.
    const own = new Set([...made.notes, ...(await readdir(folder))]);
    for (const entry of await readdir(asset, { withFileTypes: true })) {
      if (own.has(entry.name)) continue;
      const [from, to] = [join(asset, entry.name), join(folder, entry.name)];
      if (entry.isDirectory()) await symlink(from, to, 'junction');
      else await copyFile(from, to);
    }
    return { folder, inputs };
  }

  /** The files that a synthesis made the code of, absolute; none if it is not made by one. */
  synthesizedInputs(code: CodeLocation): ReadonlySet<string> {
    if (code.kind !== 'folder') return NONE;
    if (this.#synthesized?.folder !== code.path) {
      this.#synthesized = { folder: code.path, inputs: readCdkBundle(code.path)?.inputs ?? NONE };
    }
    return this.#synthesized.inputs;
  }

  async close(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.context.dispose();
  }

  async #contextFor(options: BuildOptions): Promise<{ readonly esbuild: Esbuild; readonly context: BuildContext }> {
    const key = JSON.stringify(options);
    if (this.#kept?.key === key) return this.#kept;
    await this.close();
    const esbuild = await esbuildOf(options.absWorkingDir ?? this.#home);
    try {
      this.#kept = { key, esbuild, context: await esbuild.context(options) };
    } catch (error) {
      throw new BundleError(error instanceof Error ? error.message : String(error), { cause: error });
    }
    return this.#kept;
  }
}

function absolute(location: Message['location'], cwd: string): Message['location'] {
  return location === null ? null : { ...location, file: resolve(cwd, location.file) };
}

/** The esbuild of a project, else that of this package. Loaded late: only functions that are bundled need it. */
async function esbuildOf(folder: string): Promise<Esbuild> {
  try {
    const file = createRequire(join(folder, '_')).resolve('esbuild');
    const { default: own }: { readonly default: Esbuild } = await import(pathToFileURL(file).href);
    // Versions before 0.17 keep nothing from one bundle to the next.
    if (typeof own.context === 'function') return own;
  } catch {
    // The project has none, or none for this machine.
  }
  return import('esbuild');
}

/*
 * A handler in TypeScript, as Node would run it if it could.
 */

/** Packages that AWS's Node runtimes bring along, and files of layers by their path there. */
const PROVIDED = ['@aws-sdk/*', '@smithy/*', '/opt/*'];

/** CommonJS packages inside an ES module still call `require`. */
const REQUIRE_FOR_MODULES = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url);',
].join('\n');

/** `layers`: folders of the packages that layers bring. */
export function handlerOrder(entry: string, layers: readonly string[]): BundleOrder {
  const isModule = isEcmaScriptModule(entry);
  return {
    file: isModule ? 'handler.mjs' : 'handler.cjs',
    cwd: dirname(entry),
    options: {
      entryPoints: [entry],
      platform: 'node',
      target: `node${process.versions.node}`,
      format: isModule ? 'esm' : 'cjs',
      mainFields: isModule ? ['module', 'main'] : ['main', 'module'],
      external: PROVIDED,
      nodePaths: [...layers],
      ...(isModule ? { banner: { js: REQUIRE_FOR_MODULES } } : {}),
    },
  };
}

/** As Node and TypeScript decide: by the extension, else by the nearest package.json. */
function isEcmaScriptModule(file: string): boolean {
  const extension = extname(file);
  if (extension === '.mts') return true;
  if (extension === '.cts') return false;
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) {
      // Only one member is looked at, and compared with a text.
      const { type } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly type?: unknown };
      return type === 'module';
    }
    if (folder === dirname(folder)) return false;
  }
}
