/**
 * Serverless Framework apps: packaged by the framework if the project has it, since only it knows its plugins; else read directly.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { StackSource } from '../../lambda/discovery/template/model.ts';
import { findStacks } from '../../lambda/discovery/template/stacks.ts';
import { type LoadedProject, type Project, ProjectError, type ProjectParts } from './project.ts';
import { readServerlessFile } from './serverless-yml.ts';

const COMMANDS = ['osls', 'serverless', 'sls'];

export function serverlessProject(parts: ProjectParts, name: string): Project {
  const { folder, account, region, environment } = parts;
  const file = join(folder, name);
  const program = frameworkIn(folder);
  const readable = /\.(ya?ml|json)$/.test(name);

  const read = (notes: readonly string[]): LoadedProject => ({
    stacks: [readServerlessFile(file, { folder, account, region, environment })],
    notes,
  });
  const load = async (): Promise<LoadedProject> => {
    if (program !== undefined) {
      const failure = await pack(parts, program);
      if (failure === undefined) return { stacks: packaged(join(parts.workFolder, 'serverless'), folder), notes: [] };
      if (readable) return read([`${failure}\n${name} is read without the framework instead`]);
      return lastPackage(folder, failure);
    }
    if (readable) return read([]);
    return lastPackage(
      folder,
      `${name} can only be read by the Serverless Framework: install it (npm install --save-dev osls)`,
    );
  };
  return {
    description: `the Serverless Framework app in ${folder}`,
    ...(program === undefined ? {} : { command: `${basename(program)} package` }),
    load,
    concerns: (path) =>
      basename(path).startsWith('serverless.') || /\.ya?ml$/.test(path) || basename(path).startsWith('.env'),
  };
}

/** Packages the app; answers what went wrong, if anything did. */
async function pack(
  { folder, workFolder, environment, run }: ProjectParts,
  program: string,
): Promise<string | undefined> {
  const target = relative(folder, join(workFolder, 'serverless'));
  const command = `"${program}" package --package "${target}"`;
  const quiet = { SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off' };
  const { succeeded, output } = await run(command, { cwd: folder, environment: { ...environment, ...quiet } });
  // Before its error the framework describes the machine.
  const failure = output.slice(Math.max(0, output.lastIndexOf('Error:'))).trim();
  return succeeded ? undefined : `'${basename(program)} package' failed:\n${failure}`;
}

function packaged(output: string, folder: string): readonly StackSource[] {
  // Functions run from the sources that the package was made of.
  return findStacks(output).map((stack) => ({ ...stack, name: basename(folder), sourceFolder: folder }));
}

function lastPackage(folder: string, problem: string): LoadedProject {
  const output = join(folder, '.serverless');
  if (!existsSync(join(output, 'cloudformation-template-update-stack.json'))) throw new ProjectError(problem);
  return {
    stacks: packaged(output, folder),
    notes: [`${problem}\n.serverless, which was made earlier, is used instead`],
  };
}

/** The framework's program, in the folder or above it (workspaces). */
function frameworkIn(folder: string): string | undefined {
  for (let here = folder; ; here = dirname(here)) {
    const found = COMMANDS.map((name) => join(here, 'node_modules', '.bin', name)).find((file) => existsSync(file));
    if (found !== undefined || here === dirname(here)) return found;
  }
}
