/**
 * Installs the clients once: the SDKs for JavaScript and Java, virtual environments for Python, and the program in Go.
 * What is there already is left alone, so only the first run, and the first after a version changed, takes long.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, CLIENTS, GO_PROGRAM, JAVA_LIBRARIES, PYTHON_ENVIRONMENTS, pythonEnvironment } from './support/paths.ts';

export default async function setup(): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  await Promise.all([installJavaScript(), buildGo(), installJava(), ...PYTHON_ENVIRONMENTS.map(installPython)]);
}

async function installJavaScript(): Promise<void> {
  const lock = join(CLIENTS, 'package-lock.json');
  await once('javascript', [lock], existsSync(join(CLIENTS, 'node_modules')), async () => {
    await run('npm', ['ci', '--no-audit', '--no-fund'], CLIENTS);
  });
}

async function installPython(name: (typeof PYTHON_ENVIRONMENTS)[number]): Promise<void> {
  const requirements = join(CLIENTS, 'requirements', `${name}.txt`);
  const directory = pythonEnvironment(name);
  await once(`python-${name}`, [requirements], existsSync(directory), async () => {
    rmSync(directory, { recursive: true, force: true });
    await run('python3', ['-m', 'venv', directory], CLIENTS);
    const pip = join(directory, 'bin', 'pip');
    await run(pip, ['install', '--quiet', '--disable-pip-version-check', '-r', requirements], CLIENTS);
  });
}

async function buildGo(): Promise<void> {
  const directory = join(CLIENTS, 'programs', 'go');
  const sources = ['main.go', 'go.mod', 'go.sum'].map((file) => join(directory, file));
  await once('go', sources, existsSync(GO_PROGRAM), async () => {
    await run('go', ['build', '-o', GO_PROGRAM, '.'], directory);
  });
}

async function installJava(): Promise<void> {
  const project = join(CLIENTS, 'programs', 'java', 'pom.xml');
  await once('java', [project], existsSync(JAVA_LIBRARIES), async () => {
    rmSync(JAVA_LIBRARIES, { recursive: true, force: true });
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${JAVA_LIBRARIES}`];
    await run('mvn', ['--quiet', '--batch-mode', '--file', project, ...copy], CLIENTS);
  });
}

/** Runs `install` unless it ran for these very sources before and its result is still there. */
async function once(
  name: string,
  sources: readonly string[],
  present: boolean,
  install: () => Promise<void>,
): Promise<void> {
  const stamp = join(CACHE, `${name}.stamp`);
  const hash = createHash('sha256');
  for (const source of sources) hash.update(readFileSync(source));
  const version = hash.digest('hex');
  if (present && existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  await install();
  writeFileSync(stamp, version);
}

function run(program: string, parameters: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, parameters, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    const complaints: string[] = [];
    child.stderr.on('data', (chunk) => complaints.push(String(chunk)));
    child.once('error', (cause) =>
      reject(new Error(`${program} is needed for the client tests and cannot be run`, { cause })),
    );
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ${parameters.join(' ')} ended with ${code}:\n${complaints.join('')}`));
    });
  });
}
