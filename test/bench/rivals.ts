/**
 * Other servers that speak the SQS API, for the figures that compare: how each is had, started and stopped.
 *
 * They are installed when they are first needed, by the package manager of their language, into a folder that outlives
 * the run (`KARIN_BENCH_RIVALS`, by default below the user's cache). One that cannot be had on this machine is named as
 * skipped with the reason, never left out in silence.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A rival that runs, on a port of 127.0.0.1. */
export interface RunningRival {
  readonly name: string;
  /** Where it keeps its messages, and what it leaves out beside Karin, for the reader of the figures. */
  readonly what: string;
  readonly port: number;
  close(): Promise<void>;
}

interface Rival {
  readonly name: string;
  readonly what: string;
  /** Installs into `folder` whatever is missing there. Errors: `Error` with the last words of the package manager. */
  install(folder: string): void;
  /** The command that serves on `port`. `folder` is the one that `install` filled. */
  command(folder: string, port: number): readonly [string, ...string[]];
}

/** An installation that does not end in this time is given up: the machine has no way to that package registry. */
const INSTALL_MS = 300_000;
const START_MS = 60_000;

const ELASTICMQ_POM = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>bench</groupId><artifactId>bench</artifactId><version>1</version>
<dependencies><dependency><groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId>
<version>1.6.14</version></dependency></dependencies></project>
`;

const RIVALS: readonly Rival[] = [
  {
    name: 'fauxqs',
    what: 'TypeScript, in memory, no credentials',
    install: (folder) => {
      if (existsSync(join(folder, 'node_modules/fauxqs'))) return;
      run(folder, ['npm', 'install', '--no-save', '--prefix', folder, '--no-audit', '--no-fund', 'fauxqs@1.9.2']);
    },
    command: (folder, port) => [
      'env',
      `FAUXQS_PORT=${port}`,
      'FAUXQS_HOST=127.0.0.1',
      'FAUXQS_LOGGER=false',
      process.execPath,
      join(folder, 'node_modules/fauxqs/dist/cli.js'),
    ],
  },
  {
    name: 'goaws',
    what: 'Go, in memory, no credentials',
    install: (folder) => {
      if (existsSync(join(folder, 'cmd'))) return;
      run(folder, ['env', `GOBIN=${folder}`, 'go', 'install', 'github.com/Admiral-Piett/goaws/app/cmd@v0.5.4']);
    },
    command: (folder, port) => {
      const config = join(folder, `goaws-${port}.yaml`);
      const text = `Local:\n  Host: localhost\n  Port: ${port}\n  Region: us-east-1\n  AccountId: "000000000000"\n`;
      writeFileSync(config, text);
      return [join(folder, 'cmd'), '-config', config];
    },
  },
  {
    name: 'ElasticMQ',
    what: 'Scala on the JVM, in memory, no credentials',
    install: (folder) => {
      if (existsSync(join(folder, 'lib'))) return;
      writeFileSync(join(folder, 'pom.xml'), ELASTICMQ_POM);
      run(folder, ['mvn', '-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib']);
    },
    command: (folder, port) => {
      const config = join(folder, `elasticmq-${port}.conf`);
      const text = `include classpath("application.conf")
node-address { protocol = http, host = localhost, port = ${port}, context-path = "" }
rest-sqs { enabled = true, bind-port = ${port}, bind-hostname = "127.0.0.1", sqs-limits = strict }
rest-stats { enabled = false }
`;
      writeFileSync(config, text);
      return ['java', `-Dconfig.file=${config}`, '-cp', join(folder, 'lib/*'), 'org.elasticmq.server.Main'];
    },
  },
  {
    name: 'ministack',
    what: 'Python, in memory, no credentials',
    install: (folder) => installPython(folder, 'ministack', 'ministack'),
    command: (folder, port) => ['env', `GATEWAY_PORT=${port}`, 'LOG_LEVEL=ERROR', join(folder, 'bin/ministack')],
  },
  {
    name: 'moto',
    what: 'Python, in memory, no credentials',
    install: (folder) => installPython(folder, 'moto_server', 'moto[server]'),
    command: (folder, port) => [join(folder, 'bin/moto_server'), '-H', '127.0.0.1', '-p', String(port)],
  },
];

/** The name of each rival, whether it can be had here or not. */
export const RIVAL_NAMES: readonly string[] = RIVALS.map((rival) => rival.name);

/** Starts one rival, or says why it cannot be had on this machine. */
export async function startRival(name: string): Promise<RunningRival | { readonly skipped: string }> {
  const rival = RIVALS.find((one) => one.name === name);
  if (rival === undefined) throw new Error(`there is no rival ${name}`);
  const root = process.env['KARIN_BENCH_RIVALS'] ?? join(homedir(), '.cache/karin-bench');
  const folder = join(root, rival.name.toLowerCase());
  try {
    mkdirSync(folder, { recursive: true });
    rival.install(folder);
    const port = await freePort();
    const [program, ...args] = rival.command(folder, port);
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    await serves(child, port);
    return { name: rival.name, what: rival.what, port, close: () => ended(child) };
  } catch (error) {
    return { skipped: error instanceof Error ? error.message : String(error) };
  }
}

function installPython(folder: string, program: string, requirement: string): void {
  if (existsSync(join(folder, 'bin', program))) return;
  run(folder, ['python3', '-m', 'venv', folder]);
  run(folder, [join(folder, 'bin/pip'), 'install', '-q', requirement]);
}

function run(folder: string, [program, ...args]: readonly [string, ...string[]]): void {
  const { status, error, stderr, stdout } = spawnSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    timeout: INSTALL_MS,
  });
  if (error !== undefined) throw new Error(`${program}: ${error.message}`);
  if (status === 0) return;
  const lines = `${stdout}${stderr}`.trim().split('\n');
  throw new Error(`${program} ended with ${status}: ${lines.at(-1) ?? ''}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** Waits until the process answers HTTP on `port`. */
async function serves(child: ChildProcess, port: number): Promise<void> {
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    words = `${words}${chunk.toString()}`.slice(-2_000);
  });
  let failure: string | undefined;
  child.once('error', (error) => {
    failure = error.message;
  });
  const end = performance.now() + START_MS;
  for (;;) {
    if (child.exitCode !== null) failure ??= `ended with ${child.exitCode}: ${words.trim().split('\n').at(-1) ?? ''}`;
    if (failure !== undefined) throw new Error(failure);
    const answered = await fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
    if (answered) return;
    if (performance.now() > end) {
      await ended(child);
      throw new Error(`did not serve within ${START_MS / 1000} s: ${words.trim().split('\n').at(-1) ?? ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Ends the process and what it started. */
function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resolve();
    child.once('exit', () => resolve());
    process.kill(-child.pid, 'SIGKILL');
  });
}
