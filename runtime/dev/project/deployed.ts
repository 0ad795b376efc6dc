/**
 * Tools that write no template: Pulumi, and SST, which is made of it. What they deployed is read from their state; what
 * is to be done to have one is told.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { programOnPath } from '../platform.ts';
import { findStacks } from '../template/application.ts';
import { type LoadedProject, type Project, ProjectError, type ProjectParts } from './project.ts';

/** A Pulumi program, by what `pulumi stack export` tells of the stack that is selected. */
export function pulumiProject(parts: ProjectParts): Project {
  const { folder, workFolder, environment, run } = parts;
  const file = join(workFolder, 'pulumi', 'stack.json');
  const mend =
    "deploy once ('pulumi up') and select the stack ('pulumi stack select'), or give what another place exported: " +
    "'pulumi stack export --file stack.json', 'karin dev --template stack.json'";

  const load = async (): Promise<LoadedProject> => {
    if (programOnPath('pulumi', environment['PATH'] ?? '') === undefined) {
      throw new ProjectError(`${folder} is a Pulumi program, and there is no pulumi on the PATH; ${mend}`);
    }
    await mkdir(dirname(file), { recursive: true });
    try {
      const command = `pulumi stack export --non-interactive --file "${file}"`;
      const { succeeded, output } = await run(command, { cwd: folder, environment });
      if (!succeeded) throw new ProjectError(`'${command}' failed:\n${output.trim()}\n${mend}`);
      return {
        stacks: findStacks(file, folder),
        notes: ["what is deployed is read; after a change of the program, 'pulumi up' comes first"],
      };
    } finally {
      // A state may hold secrets.
      await rm(dirname(file), { recursive: true, force: true });
    }
  };
  return {
    description: `the Pulumi program in ${folder}`,
    command: 'pulumi stack export',
    load,
    concerns: (path) => /Pulumi(\.[^\\/]+)?\.yaml$/.test(path),
  };
}

/** An SST app: version 2 makes a cloud assembly, later ones keep a state. */
export function sstProject({ folder }: ProjectParts): Project {
  const file = join(folder, 'sst.config.ts');
  const isPulumi = /\$config\s*\(/.test(readFileSync(file, 'utf8'));
  const assembly = join(folder, '.sst', 'dist');

  const load = async (): Promise<LoadedProject> => {
    if (isPulumi) {
      throw new ProjectError(
        `${file} is an app of SST 3 or later, which writes no template: after a deployment give its state: ` +
          "'npx sst state export > state.json', 'karin dev --template state.json'. Its queues and mappings are read from " +
          'it; its functions are packages in S3 there, and those that are not on this machine are named',
      );
    }
    if (existsSync(join(assembly, 'manifest.json'))) {
      return { stacks: findStacks(assembly), notes: ["after a change of the stacks, 'npx sst build' comes first"] };
    }
    throw new ProjectError(
      `${file} is an app of SST 2, which is not built: 'npx sst build' makes ${assembly}, which is read from there`,
    );
  };
  return {
    description: `the SST app in ${folder}`,
    load,
    concerns: (path) => path.startsWith(assembly),
  };
}
