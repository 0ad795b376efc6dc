/** The built server as a child process, exactly as the image runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface ServerProcess {
  readonly port: number;
  readonly pid: number;
  /** Milliseconds from spawn until the server said it was ready. */
  readonly startedInMs: number;
  /** Resident memory now, MB (2^20 bytes), as the kernel counts it. */
  residentMb(): number;
  /** The most it ever was. */
  highestResidentMb(): number;
  /** Processor time that it took so far, of all its threads. */
  cpuSeconds(): number;
  /** Sends a question over the channel of a script that has one and resolves with its answer. */
  ask(): Promise<unknown>;
  stop(): Promise<void>;
}

/**
 * What the image sets for the process itself. It decides how much memory the server keeps, so without it another server
 * would be measured.
 */
function imageEnvironment(): Record<string, string> {
  const image = readFileSync('runtime/Dockerfile', 'utf8');
  const found = [...image.matchAll(/^.*\b(NODE_OPTIONS|MALLOC_ARENA_MAX)=(?:"([^"]*)"|(\S+))/gm)];
  if (found.length !== 2)
    throw new Error('runtime/Dockerfile does not set NODE_OPTIONS and MALLOC_ARENA_MAX, once each');
  return Object.fromEntries(found.map(([, name = '', quoted, plain = '']) => [name, quoted ?? plain]));
}

/** The flags with which the image runs Node. */
export function imageFlags(): readonly string[] {
  const flags = /^exec node (.*)\/app\/dist\/cli\.js/m.exec(readFileSync('runtime/karin.sh', 'utf8'))?.[1];
  if (flags === undefined) throw new Error('runtime/karin.sh does not run node');
  return flags.split(' ').filter((flag) => flag !== '');
}

/** Starts `karin start` (or another script) on `node` with `env` and waits for its line `karin ready <url>`. */
export async function startServer(
  node: string,
  script: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const before = performance.now();
  const child = spawn(node, [...script], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...imageEnvironment(),
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'info',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'bench',
      AWS_SECRET_ACCESS_KEY: 'bench',
      AWS_EC2_METADATA_DISABLED: 'true',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const port = await ready(child);
  const startedInMs = performance.now() - before;
  const pid = child.pid ?? 0;
  return {
    port,
    pid,
    startedInMs,
    residentMb: () => memoryMb(pid, 'VmRSS'),
    highestResidentMb: () => memoryMb(pid, 'VmHWM'),
    cpuSeconds: () => cpuSeconds(pid),
    ask: () =>
      new Promise((resolve) => {
        child.once('message', resolve);
        child.send('take');
      }),
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null) resolve();
        else child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}

/** As the kernel counts it, in ticks of 10 ms. Source: proc_pid_stat(5), fields 14 and 15. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the program, field 2, may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function memoryMb(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  return (
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  );
}

function ready(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        if (said.length > 50) said.shift();
        const port = /karin ready https?:\/\/[^"\s]*:(\d+)/.exec(line)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
    }
    child.once('exit', (code) =>
      reject(new Error(`the server ended with ${code} before it was ready:\n${said.join('\n')}`)),
    );
  });
}
