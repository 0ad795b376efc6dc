/**
 * Functions that are container images, run by Docker or Podman. The image speaks to the Runtime API by itself: the base
 * images of AWS start their own client for it as soon as they are told an address, and others must bring one along.
 *
 * The container shares the network of this machine, because the Runtime API and the server listen on its loopback
 * addresses. On macOS and Windows, Docker Desktop has to be told to allow that ("Enable host networking").
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { programOnPath } from './platform.ts';
import type { CodeLocation, ImageBuild, TemplateFunction } from './template/model.ts';
import { IN_CONTAINERS, type Program, runTool } from './toolchains.ts';

type Image = Extract<CodeLocation, { readonly kind: 'image' }>;
type Environment = Readonly<Record<string, string | undefined>>;

/** In the order in which they are looked for. */
const ENGINES = ['docker', 'podman'];

/** Variables that mean something on this machine and nothing, or something else, in an image. */
const OF_THIS_MACHINE =
  /^(PATH|HOME|USERPROFILE|SYSTEMROOT|SYSTEMDRIVE|WINDIR|COMSPEC|PATHEXT|(LOCAL)?APPDATA|PROGRAM.*|TMPDIR|TEMP|TMP|LANG|LC_.*|NODE_PATH|PYTHONPATH|LD_LIBRARY_PATH|LAMBDA_TASK_ROOT|LAMBDA_RUNTIME_DIR|_HANDLER|NODE_EXTRA_CA_CERTS|SSL_CERT_.*)$/;

/** What running an image takes beside it. */
interface Surroundings {
  /** That of the function. */
  readonly environment: Environment;
  /** That of this process, which the engine gets whole: it looks for its own settings in it. */
  readonly inherited: Environment;
  /** The program of this package that looks after a container. */
  readonly bootstrap: string;
  /** Tells the developer what takes its time. */
  readonly say: (line: string) => void;
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
 * The program that runs the image, which is built, or pulled where the engine does not have it yet. Errors:
 * `ToolchainError`.
 */
export async function containerProgram(
  fn: TemplateFunction,
  { from }: Image,
  { environment, inherited, bootstrap, say }: Surroundings,
): Promise<Program> {
  const engine = engineOn(inherited['PATH'] ?? '') ?? 'docker';
  const run = (args: readonly string[], cwd: string): Promise<string> => runTool(engine, args, cwd, inherited);
  const name = typeof from === 'string' ? from : `karin-dev/${fn.name.toLowerCase()}`;
  if (typeof from !== 'string') {
    say(`building its image: ${engine} build`);
    await run(buildArguments(name, from), from.context);
  } else if (!(await has(run, name))) {
    // Not left to the engine's `run`, which would be killed for a start that takes long.
    say(`fetching its image: ${engine} pull ${name}`);
    await run(['pull', name], '.');
  }
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

async function has(run: (args: readonly string[], cwd: string) => Promise<string>, image: string): Promise<boolean> {
  return run(['image', 'inspect', image], '.').then(
    () => true,
    () => false,
  );
}

function buildArguments(name: string, { context, dockerfile, target, args }: ImageBuild): readonly string[] {
  return [
    'build',
    '--tag',
    name,
    '--file',
    join(context, dockerfile),
    ...(target === undefined ? [] : ['--target', target]),
    ...Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    context,
  ];
}
