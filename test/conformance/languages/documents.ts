/**
 * Runs each command of the documents that installs a package of this clone, as a reader does: in an empty folder beside
 * the clone.
 *
 * Usage: tsx documents.ts <root of the repository> <empty folder>
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installCommands } from '../../support/install-commands.ts';

const [, , root = '', folder = ''] = process.argv;
symlinkSync(root, join(folder, 'karin'));
const commands = new Set(
  installCommands(root)
    .map(({ command }) => command)
    .filter((command) => command.includes('../karin/packages/')),
);
if (commands.size < 3) throw new Error(`only ${commands.size} commands install something from a clone`);

const environment = {
  ...process.env,
  // What is installed for the whole machine stays in this folder.
  npm_config_prefix: join(folder, 'global'),
  PATH: `${join(folder, 'python', 'bin')}:${join(folder, 'global', 'bin')}:${process.env['PATH']}`,
};
execFileSync('python3', ['-m', 'venv', join(folder, 'python')]);
for (const [index, command] of [...commands].entries()) {
  const app = join(folder, `app-${index}`);
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{ "private": true }\n');
  process.stdout.write(`$ ${command}\n`);
  execFileSync('bash', ['-c', command], { cwd: app, env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
}
const version = execFileSync('karin', ['--version'], { cwd: folder, env: environment, encoding: 'utf8' });
process.stdout.write(`karin ${version.trim()}\n`);
