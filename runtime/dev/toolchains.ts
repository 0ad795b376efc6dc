/**
 * Runtimes that take a toolchain of this machine: Java, Ruby and .NET run what was built, Go and Rust are built here
 * from their sources, so that an edit needs no build command. Each says exactly what is missing, and what mends it.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { executable, isExecutable, programOnPath } from './platform.ts';
import type { TemplateFunction } from './template/model.ts';

/** What running one function may need to know. */
interface Build {
  readonly fn: TemplateFunction;
  /** Where its code is, unpacked. */
  readonly taskRoot: string;
  /** Folders of its layers. */
  readonly layers: readonly string[];
  /** A folder of this version of the function, for what has to be made. */
  readonly folder: string;
  /** A folder that outlives versions, for what compilers keep between two builds. */
  readonly cache: string;
  /** The environment of this process, which compilers get whole: they look for caches, proxies and keys in it. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
  /** The program of this package with this name that runs handlers. */
  readonly bootstrap: (name: string) => string;
  /** Tells the developer what takes its time. */
  readonly say: (line: string) => void;
}

/** A program to start, and what it adds to the environment that every function has. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Toolchain {
  /** Whether `folder` holds what this toolchain makes the handler of. */
  has(fn: TemplateFunction, folder: string): boolean;
  /** What is missing on a machine with this `PATH`, whatever the code; `undefined`: nothing. */
  missing(fn: TemplateFunction, path: string): string | undefined;
  /** What a folder lacks where `has` is false, with the command that mends it. */
  absent(fn: TemplateFunction, folder: string): string;
  /** Builds if need be. Errors: `ToolchainError`. */
  program(build: Build): Promise<Program>;
}

/** A build failed; the message is the compiler's. */
class ToolchainError extends Error {
  override readonly name = 'ToolchainError';
}

/** The ways to run what cannot be run here: AWS's own tool runs any function in a container. */
export const IN_CONTAINERS =
  "let AWS SAM run it in a container: 'sam build && sam local start-lambda' beside " +
  "'karin dev --lambda-endpoint http://127.0.0.1:3001'";

/**
 * The toolchain of a function; `undefined`: it needs none, or nobody here knows its runtime. `folder`: its sources, if
 * they are here; a program that was built is run as it is where the machine has no compiler.
 */
export function toolchainOf(fn: TemplateFunction, folder: string | undefined, path: string): Toolchain | undefined {
  const { runtime = '' } = fn;
  if (runtime.startsWith('java')) return JAVA;
  if (runtime.startsWith('ruby')) return RUBY;
  if (runtime.startsWith('dotnet')) return DOTNET;
  if (!runtime.startsWith('provided') || folder === undefined) return undefined;
  const compiler = [GO, CARGO].find((toolchain) => toolchain.has(fn, folder));
  const isBuilt = isExecutable(join(folder, 'bootstrap'));
  return compiler === undefined || (isBuilt && compiler.missing(fn, path) !== undefined) ? undefined : compiler;
}

const RIC = 'aws-lambda-java-runtime-interface-client';
/** The client and the two packages that it is made of. */
const RIC_PACKAGES = [RIC, 'aws-lambda-java-core', 'aws-lambda-java-serialization'];

/**
 * Java by AWS's own runtime interface client, as Lambda itself does it: from the artifact, if that brings it along, or
 * from the local Maven repository.
 */
const JAVA: Toolchain = {
  has: (fn, folder) =>
    existsSync(join(folder, `${fn.handler.split('::')[0]?.replaceAll('.', '/')}.class`)) || jarsIn(folder).length > 0,
  missing(_, path) {
    if (programOnPath('java', path) === undefined) return 'there is no java on the PATH; install a JDK';
    if (process.platform === 'linux') return undefined;
    return `the runtime interface client of AWS for Java is made for Linux only; ${IN_CONTAINERS}`;
  },
  absent: (fn, folder) =>
    `there is no class ${fn.handler.split('::')[0]} in ${folder}: build it with 'sam build', or with 'mvn package' ` +
    'where the code of the function is the jar',
  async program({ fn, taskRoot, layers, inherited }) {
    const own = [taskRoot, ...jarsIn(taskRoot), ...layers.map((layer) => join(layer, 'java', 'lib', '*'))];
    return {
      command: 'java',
      args: [
        // As AWS has it: quick to start, and with the reflection that its serialization takes.
        '-XX:TieredStopAtLevel=1',
        '-XX:+UseSerialGC',
        '--add-opens=java.base/java.util=ALL-UNNAMED',
        `-Xmx${fn.memoryMegabytes}m`,
        '-cp',
        [...own, ...clientJars(taskRoot, inherited)].join(delimiter),
        'com.amazonaws.services.lambda.runtime.api.client.AWSLambda',
        fn.handler,
      ],
    };
  },
};

/** Jars of the client beside those of the artifact. Errors: `ToolchainError` with the command that gets them. */
function clientJars(taskRoot: string, inherited: Build['inherited']): readonly string[] {
  const bundled =
    existsSync(join(taskRoot, 'com/amazonaws/services/lambda/runtime/api/client/AWSLambda.class')) ||
    jarsIn(taskRoot).some((jar) => jar.includes(RIC));
  if (bundled) return [];
  const home = inherited['HOME'] ?? inherited['USERPROFILE'] ?? '';
  const found = RIC_PACKAGES.flatMap((name) => {
    const folder = join(home, '.m2', 'repository', 'com', 'amazonaws', name);
    const [newest] = namesIn(folder)
      .sort((one, other) => other.localeCompare(one, 'en', { numeric: true }))
      .map((version) => join(folder, version, `${name}-${version}.jar`))
      .filter((jar) => existsSync(jar));
    return newest ?? [];
  });
  if (found.length === RIC_PACKAGES.length) return found;
  throw new ToolchainError(
    "Lambda's runtime interface client for Java is neither in the artifact nor in the local Maven repository; get it " +
      `with: mvn dependency:get -Dartifact=com.amazonaws:${RIC}:LATEST`,
  );
}

/** The jars in the folder `lib`, where builds put dependencies. */
function jarsIn(folder: string): readonly string[] {
  return namesIn(join(folder, 'lib'))
    .filter((name) => name.endsWith('.jar'))
    .map((name) => join(folder, 'lib', name));
}

const RUBY: Toolchain = {
  has: (fn, folder) => existsSync(join(folder, `${rubyFile(fn)}.rb`)),
  missing: (_, path) =>
    programOnPath('ruby', path) === undefined ? 'there is no ruby on the PATH; install Ruby' : undefined,
  absent: (fn, folder) => `there is no file for its handler '${fn.handler}' in ${folder}`,
  async program({ taskRoot, layers, bootstrap }) {
    const gems = [join(taskRoot, 'vendor', 'bundle', 'ruby'), ...layers.map((layer) => join(layer, 'ruby', 'gems'))];
    const paths = gems.flatMap((folder) => namesIn(folder).map((version) => join(folder, version)));
    return {
      command: 'ruby',
      args: [bootstrap('ruby.rb')],
      environment: {
        RUBYLIB: [taskRoot, ...layers.map((layer) => join(layer, 'ruby', 'lib'))].join(delimiter),
        // An empty element stands for the gems of the machine.
        ...(paths.length === 0 ? {} : { GEM_PATH: [...paths, ''].join(delimiter) }),
      },
    };
  },
};

/** The file of a handler `folder/file.method` or `file.Module::Class.method`. */
function rubyFile({ handler }: TemplateFunction): string {
  return handler.replace(/\.[^/]*$/, '');
}

/**
 * .NET as far as a program speaks to Lambda by itself: an executable assembly. A handler that is a method of a library
 * is loaded by a host that AWS does not hand out.
 */
const DOTNET: Toolchain = {
  has: (fn, folder) => existsSync(join(folder, `${assemblyOf(fn)}.dll`)),
  missing(fn, path) {
    if (fn.handler.includes('::')) {
      return (
        `its handler ${fn.handler} is a method of a library, which a host inside Lambda loads; make the assembly a ` +
        `program that starts itself by LambdaBootstrapBuilder (Handler: ${assemblyOf(fn)}), or ${IN_CONTAINERS}`
      );
    }
    return programOnPath('dotnet', path) === undefined
      ? 'there is no dotnet on the PATH; install the .NET SDK (https://dot.net)'
      : undefined;
  },
  absent: (fn, folder) =>
    `there is no ${assemblyOf(fn)}.dll in ${folder}: build it with 'dotnet publish -c Release', or with 'sam build'`,
  async program({ fn, taskRoot }) {
    return { command: 'dotnet', args: [join(taskRoot, `${assemblyOf(fn)}.dll`)] };
  },
};

function assemblyOf({ handler }: TemplateFunction): string {
  return handler.split('::')[0] ?? '';
}

const GO: Toolchain = {
  has: (_, folder) =>
    existsSync(join(folder, 'go.mod')) &&
    namesIn(folder).some(
      (name) => name.endsWith('.go') && /^package main\b/m.test(readFileSync(join(folder, name), 'utf8')),
    ),
  missing: (_, path) =>
    programOnPath('go', path) === undefined
      ? "its sources are in Go, and there is no go on the PATH; install Go, or build it: 'GOOS=linux go build -o bootstrap .'"
      : undefined,
  absent: (_, folder) => `there is no main package of Go in ${folder}`,
  async program({ taskRoot, folder, inherited, say }) {
    const bootstrap = join(folder, executable('bootstrap'));
    say('building it: go build');
    // The tag leaves out the way in which Lambda called Go before it had the Runtime API.
    await runTool('go', ['build', '-tags', 'lambda.norpc', '-o', bootstrap, '.'], taskRoot, inherited);
    return { command: bootstrap, args: [] };
  },
};

const CARGO: Toolchain = {
  has: (_, folder) => existsSync(join(folder, 'Cargo.toml')),
  missing: (_, path) =>
    programOnPath('cargo', path) === undefined
      ? "its sources are in Rust, and there is no cargo on the PATH; install Rust (https://rustup.rs), or build it: 'cargo lambda build --release'"
      : undefined,
  absent: (_, folder) => `there is no Cargo.toml in ${folder}`,
  async program({ fn, taskRoot, folder, cache, inherited, say }) {
    const only = fn.cargoBinary === undefined ? [] : ['--bin', fn.cargoBinary];
    const target = join(cache, 'cargo');
    const args = ['build', '--message-format', 'json-render-diagnostics', '--target-dir', target, ...only];
    say('building it: cargo build');
    const printed = await runTool('cargo', args, taskRoot, inherited);
    const programs = printed.split('\n').flatMap((line) => /"executable":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1] ?? []);
    const [made, ...others] = programs.map((text) => String(JSON.parse(`"${text}"`)));
    if (made !== undefined && others.length === 0) {
      const command = join(folder, executable('bootstrap'));
      // The next build writes where this one did, while processes of this one still run.
      await copyFile(made, command);
      return { command, args: [] };
    }
    throw new ToolchainError(
      made === undefined
        ? `the package in ${taskRoot} makes no program`
        : `the package in ${taskRoot} makes several programs; name that of the function in its Metadata (BuildProperties: { Binary: ... })`,
    );
  },
};

/** More output than this of a compiler is not kept, bytes. */
const LARGEST_OUTPUT = 64 * 1024 * 1024;

/** Runs a tool to its end and returns what it printed. Errors: `ToolchainError`, with what it said. */
export function runTool(
  command: string,
  args: readonly string[],
  cwd: string,
  environment: Build['inherited'],
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env: { ...environment }, maxBuffer: LARGEST_OUTPUT }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const text = stderr.trim() === '' ? error.message : stderr.trim();
        reject(new ToolchainError(`'${command} ${args[0]}' failed in ${cwd}:\n${text}`));
      }
    });
  });
}

/** The names in a folder; none where there is no folder. */
function namesIn(folder: string): string[] {
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(folder) : [];
}
