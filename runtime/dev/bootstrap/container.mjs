/**
 * Runs one container for a function, and removes it when this process is gone, however it ended: a timeout kills it,
 * and with it the client of the engine, but not the container, which belongs to the engine.
 *
 * Arguments: the engine (`docker` or `podman`), and what follows its `run`.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

const [engine, ...args] = process.argv.slice(2);
const name = `karin-${randomUUID()}`;

// Its standard input ends when this process does. In a process group of its own, it is not killed together with it.
const WATCH = `
  process.stdin.resume().on('end', () => {
    require('node:child_process').spawn(process.argv[1], ['rm', '--force', process.argv[2]], { stdio: 'ignore' });
  });`;
const watcher = spawn(process.execPath, ['-e', WATCH, engine, name], {
  detached: true,
  stdio: ['pipe', 'ignore', 'ignore'],
});
watcher.unref();

const client = spawn(engine, ['run', '--rm', '--name', name, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
client.on('error', (error) => {
  console.error(`${engine} cannot be started: ${error.message}`);
  process.exit(1);
});
client.on('close', (code) => process.exit(code ?? 1));
