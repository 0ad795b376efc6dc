/** Runs a program to its end. @module */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * How a program is started. Windows starts no script (`npm.cmd`) without a shell, which would read the parameters once
 * more: npm is started by the Node that runs this, from where npm says it is.
 */
export function commandOf(
  program: string,
  platform = process.platform,
  npm = process.env['npm_execpath'],
): readonly [string, ...string[]] {
  if (platform !== 'win32') return [program];
  return program === 'npm' && npm !== undefined ? [process.execPath, npm] : [program];
}

/** What the program prints goes to standard error: standard output belongs to the command that runs it. */
export function run(
  program: string,
  parameters: readonly string[],
  cwd: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const [command, ...first] = commandOf(program);
    const child = spawn(command, [...first, ...parameters], {
      cwd,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 2, 2],
    });
    child.once('error', (cause) => reject(new Error(`${program} cannot be run`, { cause })));
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${program} ${parameters.join(' ')} ended with ${signal ?? code}`));
    });
  });
}

/** Whether a program stands in the PATH. */
export function installed(program: string, path: string = process.env['PATH'] ?? ''): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
