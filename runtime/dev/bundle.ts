/**
 * From a function of a template to a process that can be started: its code unpacked, its handler found, TypeScript
 * bundled.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildOptions } from 'esbuild';
import { containerProgram, imageUnusable } from './containers.ts';
import { functionEnvironment, nodePackages, type SharedEnvironment } from './function-environment.ts';
import type { CodeLocation, TemplateFunction } from './template/model.ts';
import { IN_CONTAINERS, isExecutable, programOnPath, toolchainOf } from './toolchains.ts';
import { unzip } from './unzip.ts';
import type { Launch } from './worker.ts';

/** TypeScript first: where both lie side by side, the JavaScript is what an earlier build left. */
const NODE_SOURCES = ['.ts', '.mts', '.cts', '.tsx'];
const NODE_FILES = [...NODE_SOURCES, '.js', '.mjs', '.cjs'];

type Family = 'node' | 'python' | 'provided';

/** What is true of a durable function on every machine. */
const DURABLE = `it is a durable function (DurableConfig), and its checkpoints are kept by Lambda itself; ${IN_CONTAINERS}`;

/** Why this machine cannot run the function, as a sentence for its developer; `undefined`: it can. */
export function unusable(fn: TemplateFunction, path: string = process.env['PATH'] ?? ''): string | undefined {
  const reason = whyUnusable(fn, path);
  return reason === undefined ? undefined : `the function ${fn.name} cannot be run on this machine: ${reason}`;
}

function whyUnusable(fn: TemplateFunction, path: string): string | undefined {
  const { code, runtime } = fn;
  if (code.kind === 'absent') return code.reason;
  if (fn.durable === true) return DURABLE;
  if (code.kind === 'image') return imageUnusable(code, path);
  if (runtime === undefined) return 'it has no runtime';
  const family = familyOf(runtime);
  const toolchain = toolchainOf(fn, code.kind === 'folder' ? code.path : undefined, path);
  if (family === undefined && toolchain === undefined) {
    return `its runtime is ${runtime}, which is not known here; ${IN_CONTAINERS}`;
  }
  if (family === undefined && code.kind === 'inline') {
    return `its runtime is ${runtime}, and code in the template itself is for nodejs* and python* only`;
  }
  const missing = toolchain?.missing(fn, path);
  if (missing !== undefined) return `its runtime is ${runtime}, and ${missing}`;
  if (family === 'python' && programOnPath('python3', path) === undefined) {
    return `its runtime is ${runtime}, and there is no python3 on the PATH`;
  }
  if (code.kind !== 'folder' || code.packaged !== undefined || runsFrom(fn, code.path, path)) return undefined;
  if (toolchain !== undefined) return toolchain.absent(fn, code.path);
  return family === 'provided'
    ? `there is no executable file 'bootstrap' in ${code.path}; is it yet to be built?`
    : `there is no file for its handler '${fn.handler}' in ${code.path}; is it yet to be built?`;
}

/** Whether the folder has what the function is run by. */
function runsFrom(fn: TemplateFunction, folder: string, path: string): boolean {
  return toolchainOf(fn, folder, path)?.has(fn, folder) ?? handlerFile(fn, folder) !== undefined;
}

/** Prepares the function; `folder` is its own place for what has to be made. Errors: those of what it is made by. */
export async function prepareLaunch(fn: TemplateFunction, shared: SharedEnvironment, folder: string): Promise<Launch> {
  if (fn.durable === true) throw new Error(DURABLE);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const path = shared.inherited['PATH'] ?? '';
  const taskRoot = fn.code.kind === 'image' ? folder : await codeFolder(fn, fn.code, join(folder, 'code'), path);
  const layers = await Promise.all(
    fn.layers.map((layer, index) => codeFolder(fn, layer, join(folder, `layer-${index}`), path)),
  );
  const environment = functionEnvironment(fn, shared, taskRoot, layers);
  const handler = handlerFile(fn, taskRoot);
  const launch = { cwd: taskRoot, timeoutSeconds: fn.timeoutSeconds };
  const { inherited } = shared;
  if (fn.code.kind === 'image') {
    const program = await containerProgram(fn, fn.code, environment, inherited, bootstrapFile('container.mjs'));
    return { ...launch, ...program, environment };
  }
  const toolchain = toolchainOf(fn, fn.code.kind === 'folder' ? taskRoot : undefined, path);
  if (toolchain !== undefined) {
    const cache = shared.cacheFolder;
    const build = { fn, taskRoot, layers, folder, cache, inherited, bootstrap: bootstrapFile };
    const program = await toolchain.program(build);
    return { ...launch, ...program, environment: { ...environment, ...program.environment } };
  }
  switch (familyOf(fn.runtime ?? '')) {
    case 'node': {
      const isSource = NODE_SOURCES.some((extension) => handler?.endsWith(extension));
      const file =
        handler !== undefined && isSource
          ? await bundleHandler(
              handler,
              folder,
              layers.flatMap((layer) => nodePackages(layer, fn.runtime)),
            )
          : handler;
      return {
        ...launch,
        command: process.execPath,
        args: ['--enable-source-maps', `--max-old-space-size=${fn.memoryMegabytes}`, bootstrapFile('node.mjs')],
        environment: { ...environment, KARIN_HANDLER_FILE: file ?? '' },
      };
    }
    case 'python':
      return { ...launch, command: 'python3', args: [bootstrapFile('python.py')], environment };
    default:
      return { ...launch, command: join(taskRoot, 'bootstrap'), args: [], environment };
  }
}

/**
 * The program of this package that runs handlers of a language; in the published package it lies beside the folder of
 * this code.
 */
function bootstrapFile(name: string): string {
  const places = ['./bootstrap/', '../bootstrap/'].map((folder) =>
    fileURLToPath(new URL(folder + name, import.meta.url)),
  );
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error(`karin is not installed completely: ${name} is missing`);
  return found;
}

function familyOf(runtime: string): Family | undefined {
  if (runtime.startsWith('nodejs')) return 'node';
  if (runtime.startsWith('python3')) return 'python';
  return runtime.startsWith('provided') ? 'provided' : undefined;
}

/** The folder with the code, made if it is packed. */
async function codeFolder(fn: TemplateFunction, code: CodeLocation, made: string, path: string): Promise<string> {
  switch (code.kind) {
    case 'folder':
      if (code.packaged === undefined || runsFrom(fn, code.path, path)) return code.path;
      if (statSync(code.packaged).isDirectory()) return code.packaged;
      await unzip(code.packaged, made);
      return made;
    case 'zip':
      await unzip(code.path, made);
      return made;
    case 'image':
      throw new Error(`a layer of ${fn.name} is a container image`);
    case 'inline': {
      await mkdir(made, { recursive: true });
      const extension = familyOf(fn.runtime ?? '') === 'python' ? 'py' : 'js';
      await writeFile(join(made, `index.${extension}`), code.text);
      return made;
    }
    case 'absent':
      throw new Error(`the code of ${fn.name} is not on this machine: ${code.reason}`);
  }
}

/** The file that holds the handler; `undefined`: there is none. */
function handlerFile(fn: TemplateFunction, folder: string): string | undefined {
  const base = join(folder, fn.handler.replace(/^(.*?)(\.[^/]*)$/, '$1'));
  switch (familyOf(fn.runtime ?? '')) {
    case 'node':
      return NODE_FILES.map((extension) => base + extension).find((file) => existsSync(file));
    case 'python': {
      const module = join(folder, fn.handler.replace(/\.[^.]*$/, '').replaceAll('.', '/'));
      return [`${module}.py`, join(module, '__init__.py')].find((file) => existsSync(file));
    }
    default:
      return isExecutable(join(folder, 'bootstrap')) ? join(folder, 'bootstrap') : undefined;
  }
}

/*
 * TypeScript handlers, bundled for Node with esbuild.
 */

/** The sources cannot be bundled; the message is esbuild's, with file, line and column. */
class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** Packages that AWS's Node runtimes bring along. */
const PROVIDED = ['@aws-sdk/*', '@smithy/*'];

/** CommonJS packages inside an ES module still call `require`. */
const REQUIRE_FOR_MODULES = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url);',
].join('\n');

/**
 * Bundles `entry` into `folder` and returns the file. `layers`: folders of the packages that layers bring. Errors:
 * `BundleError`.
 */
async function bundleHandler(entry: string, folder: string, layers: readonly string[] = []): Promise<string> {
  // Loaded here, because only functions in TypeScript need it.
  const { build, formatMessages } = await import('esbuild');
  const isModule = isEcmaScriptModule(entry);
  const outfile = join(folder, isModule ? 'handler.mjs' : 'handler.cjs');
  const options: BuildOptions = {
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: `node${process.versions.node}`,
    format: isModule ? 'esm' : 'cjs',
    mainFields: isModule ? ['module', 'main'] : ['main', 'module'],
    external: PROVIDED,
    nodePaths: [...layers],
    sourcemap: 'linked',
    logLevel: 'silent',
    ...(isModule ? { banner: { js: REQUIRE_FOR_MODULES } } : {}),
  };
  try {
    await build(options);
  } catch (error) {
    // esbuild rejects with a BuildFailure, whose `errors` it formats itself; anything else has no such member.
    const { errors } = error as { readonly errors?: Parameters<typeof formatMessages>[0] };
    const lines = errors === undefined ? [String(error)] : await formatMessages(errors, { kind: 'error' });
    throw new BundleError(`${entry} cannot be bundled:\n${lines.join('\n').trim()}`, { cause: error });
  }
  return outfile;
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
