/**
 * From a function of a template to a process that can be started: its code unpacked, its handler found, TypeScript
 * bundled.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { bootstrapFile } from './bootstrap-file.ts';
import { type Bundler, handlerOrder } from './bundler.ts';
import { containerProgram, imageUnusable } from './containers.ts';
import { functionEnvironment, nodePackages, type SharedEnvironment } from './function-environment.ts';
import { isExecutable, isForeignProgram, pythonOn } from './platform.ts';
import type { CodeLocation, TemplateFunction } from './template/model.ts';
import { IN_CONTAINERS, toolchainOf } from './toolchains.ts';
import { unzip } from './unzip.ts';
import type { Launch } from './worker.ts';

/** TypeScript first: where both lie side by side, the JavaScript is what an earlier build left. */
const NODE_SOURCES = ['.ts', '.mts', '.cts', '.tsx'];
const NODE_FILES = [...NODE_SOURCES, '.js', '.mjs', '.cjs'];

type Family = 'node' | 'python' | 'provided';

/** What is looked for. */
const PYTHON = process.platform === 'win32' ? 'Python 3 (py or python)' : 'python3';
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
  if (family === 'python' && pythonOn(path) === undefined) {
    return `its runtime is ${runtime}, and there is no ${PYTHON} on the PATH`;
  }
  if (code.kind === 'folder' && family === 'provided' && toolchain === undefined && isForeign(code.path)) {
    return `its bootstrap is a program for Linux, which this machine cannot run; ${IN_CONTAINERS}`;
  }
  if (code.kind !== 'folder' || code.packaged !== undefined || runsFrom(fn, code.path, path)) return undefined;
  if (toolchain !== undefined) return toolchain.absent(fn, code.path);
  return family === 'provided'
    ? `there is no executable file 'bootstrap' in ${code.path}; is it yet to be built?`
    : `there is no file for its handler '${fn.handler}' in ${code.path}; is it yet to be built?`;
}

/** Whether the `bootstrap` of a folder is made for another system than this one. */
function isForeign(folder: string): boolean {
  const file = join(folder, 'bootstrap');
  return isExecutable(file) && isForeignProgram(readFileSync(file).subarray(0, 4));
}

/** Whether the folder has what the function is run by. */
function runsFrom(fn: TemplateFunction, folder: string, path: string): boolean {
  return toolchainOf(fn, folder, path)?.has(fn, folder) ?? handlerFile(fn, folder) !== undefined;
}

/** What a function is prepared with. */
export interface Preparing {
  readonly shared: SharedEnvironment;
  /** A new folder for what has to be made, which nobody else has. */
  readonly folder: string;
  /** That of the function, which remembers what it bundled before. */
  readonly bundler: Bundler;
  /** The code changed since it was read: a bundle that a synthesis made is old. */
  readonly changed: boolean;
  /** Tells the developer what takes its time. */
  readonly say: (line: string) => void;
}

/** Prepares the function. Errors: those of what it is made by. */
export async function prepareLaunch(fn: TemplateFunction, preparing: Preparing): Promise<Launch> {
  if (fn.durable === true) throw new Error(DURABLE);
  const { shared, folder, bundler, say } = preparing;
  await mkdir(folder, { recursive: true });
  const path = shared.inherited['PATH'] ?? '';
  const synthesized =
    fn.code.kind === 'folder' ? await bundler.again(fn.code.path, folder, preparing.changed) : undefined;
  const taskRoot =
    synthesized?.folder ??
    (fn.code.kind === 'image' ? folder : await codeFolder(fn, fn.code, join(folder, 'code'), path));
  const layers = await Promise.all(
    fn.layers.map((layer, index) => codeFolder(fn, layer, join(folder, `layer-${index}`), path)),
  );
  const environment = functionEnvironment(fn, shared, taskRoot, [...layers, ...builtBeside(fn, taskRoot)]);
  const handler = handlerFile(fn, taskRoot);
  const launch = {
    cwd: taskRoot,
    timeoutSeconds: fn.timeoutSeconds,
    ...(synthesized === undefined ? {} : { inputs: synthesized.inputs }),
  };
  const { inherited } = shared;
  if (fn.code.kind === 'image') {
    const program = await containerProgram(fn, fn.code, {
      environment,
      inherited,
      bootstrap: bootstrapFile('container.mjs'),
      say,
    });
    return { ...launch, ...program, environment };
  }
  const toolchain = toolchainOf(fn, fn.code.kind === 'folder' ? taskRoot : undefined, path);
  if (toolchain !== undefined) {
    const cache = shared.cacheFolder;
    const build = { fn, taskRoot, layers, folder, cache, inherited, bootstrap: bootstrapFile, say };
    const program = await toolchain.program(build);
    return { ...launch, ...program, environment: { ...environment, ...program.environment } };
  }
  switch (familyOf(fn.runtime ?? '')) {
    case 'node': {
      const isSource = NODE_SOURCES.some((extension) => handler?.endsWith(extension));
      const packages = layers.flatMap((layer) => nodePackages(layer, fn.runtime));
      const bundle =
        handler !== undefined && isSource ? await bundler.bundle(handlerOrder(handler, packages), folder) : undefined;
      return {
        ...launch,
        ...(bundle === undefined ? {} : { inputs: bundle.inputs }),
        command: process.execPath,
        args: ['--enable-source-maps', `--max-old-space-size=${fn.memoryMegabytes}`, bootstrapFile('node.mjs')],
        environment: {
          ...environment,
          KARIN_HANDLER_FILE: bundle?.file ?? handler ?? '',
          KARIN_LAYERS: layers.join(delimiter),
        },
      };
    }
    case 'python': {
      const { command, args } = pythonOn(path) ?? { command: 'python3', args: [] };
      return { ...launch, command, args: [...args, bootstrapFile('python.py')], environment };
    }
    default:
      return { ...launch, command: join(taskRoot, 'bootstrap'), args: [], environment };
  }
}

/** What a build put beside the sources of a Python function, for the packages that it fetched. */
function builtBeside({ code, runtime = '' }: TemplateFunction, taskRoot: string): readonly string[] {
  if (familyOf(runtime) !== 'python' || code.kind !== 'folder' || code.packaged === undefined) return [];
  return taskRoot === code.path && statSync(code.packaged).isDirectory() ? [code.packaged] : [];
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
