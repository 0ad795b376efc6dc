/**
 * Functions that are container images, run by Docker or Podman. The image speaks to the Runtime API by itself: the base
 * images of AWS start their own client for it as soon as they are told an address, and others must bring one along.
 *
 * The container shares the network of this machine, because the Runtime API and the server listen on its loopback
 * addresses. On macOS and Windows, Docker Desktop has to be told to allow that ("Enable host networking").
 *
 * @module
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { programOnPath } from './platform.ts';
import type { CodeLocation, ImageBuild, TemplateFunction } from './template/model.ts';
import { IN_CONTAINERS, type Program } from './toolchains.ts';

type Image = Extract<CodeLocation, { readonly kind: 'image' }>;
type Environment = Readonly<Record<string, string | undefined>>;

/** In the order in which they are looked for. */
const ENGINES = ['docker', 'podman'];

/** Variables that mean something on this machine and nothing, or something else, in an image. */
const OF_THIS_MACHINE =
  /^(PATH|HOME|USERPROFILE|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|(LOCAL)?APPDATA|PROGRAM.*|TMPDIR|TEMP|TMP|LANG|LC_.*|NODE_PATH|PYTHONPATH|LD_LIBRARY_PATH|LAMBDA_TASK_ROOT|LAMBDA_RUNTIME_DIR|_HANDLER|NODE_EXTRA_CA_CERTS|SSL_CERT_.*)$/;

/** A build failed; the message is what the engine printed. */
class ImageError extends Error {
  override readonly name = 'ImageError';
}

/** Why the image of a function cannot be run on a machine with this `PATH`; `undefined`: it can. */
export function imageUnusable({ from }: Image, path: string): string | undefined {
  if (engineOn(path) === undefined) {
    return `it is a container image, and there is no docker or podman on the PATH; install one, or ${IN_CONTAINERS}`;
  }
  if (typeof from === 'string') return undefined;
  const file = join(from.context, from.dockerfile);
  return existsSync(file) ? undefined : `its image is built by ${file}, where nothing is`;
}

/**
 * The program that runs the image: built now, if it is one to build. `environment`: that of the function;
 * `bootstrap`: the program of this package that looks after a container. Errors: `ImageError`.
 */
export async function containerProgram(
  fn: TemplateFunction,
  { from }: Image,
  environment: Environment,
  inherited: Environment,
  bootstrap: string,
): Promise<Program> {
  const engine = engineOn(inherited['PATH'] ?? '') ?? 'docker';
  const name = typeof from === 'string' ? from : await built(engine, fn.name, from, inherited);
  const { entryPoint = [], command = [], workingDirectory } = fn.image ?? {};
  const [entry, ...rest] = entryPoint;
  const variables = [...Object.keys(environment), 'AWS_LAMBDA_RUNTIME_API'].filter((key) => !OF_THIS_MACHINE.test(key));
  return {
    command: process.execPath,
    args: [
      bootstrap,
      engine,
      '--network',
      'host',
      `--memory=${fn.memoryMegabytes}m`,
      // Names alone: values come from the environment of the engine's client, and stay out of the list of processes.
      ...variables.flatMap((key) => ['--env', key]),
      ...(workingDirectory === undefined ? [] : ['--workdir', workingDirectory]),
      ...(entry === undefined ? [] : ['--entrypoint', entry]),
      name,
      ...rest,
      ...command,
    ],
  };
}

function engineOn(path: string): string | undefined {
  return ENGINES.find((name) => programOnPath(name, path) !== undefined);
}

/** Builds an image and returns its name, one per function. */
async function built(engine: string, fn: string, build: ImageBuild, environment: Environment): Promise<string> {
  const { context, dockerfile, target, args } = build;
  const name = `karin-dev/${fn.toLowerCase()}`;
  const options = [
    ['--tag', name],
    ['--file', join(context, dockerfile)],
    target === undefined ? [] : ['--target', target],
    ...Object.entries(args).map(([key, value]) => ['--build-arg', `${key}=${value}`]),
  ].flat();
  try {
    await promisify(execFile)(engine, ['build', ...options, context], { env: { ...environment } });
  } catch (error) {
    // What a process that failed left: texts, as no encoding is asked for.
    const { stderr = '' } = error instanceof Error && 'stderr' in error ? error : {};
    throw new ImageError(`'${engine} build' failed for ${fn}:\n${String(stderr).trim()}`, { cause: error });
  }
  return name;
}
