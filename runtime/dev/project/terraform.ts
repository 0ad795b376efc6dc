/**
 * Terraform and OpenTofu modules: planned, without being asked anything and without a lock, and read from the JSON of
 * the plan.
 *
 * @module
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { programOnPath } from '../platform.ts';
import { findStacks } from '../template/application.ts';
import { type LoadedProject, type Project, ProjectError, type ProjectParts } from './project.ts';

export function isTerraformModule(folder: string): boolean {
  return existsSync(folder) && readdirSync(folder).some((name) => /\.tf(\.json)?$/.test(name));
}

/** What works wherever a plan can be made, by hand or in another place. */
const BY_HAND =
  "make the plan yourself and give its JSON: 'terraform plan -out=plan.out', 'terraform show -json plan.out > plan.json', " +
  "'karin dev --template plan.json'";

export function terraformProject(parts: ProjectParts): Project {
  const { folder, workFolder, environment, run } = parts;
  const path = environment['PATH'] ?? '';
  const program = ['terraform', 'tofu'].find((name) => programOnPath(name, path) !== undefined) ?? 'terraform';
  const plan = join(workFolder, 'terraform', 'plan.out');
  const json = join(workFolder, 'terraform', 'plan.json');
  // Nothing is refreshed: what is deployed is not what is developed, and looking at it takes its time.
  const planning = `${program} plan -input=false -lock=false -refresh=false -no-color "-out=${plan}"`;

  const load = async (): Promise<LoadedProject> => {
    await mkdir(dirname(plan), { recursive: true });
    try {
      for (const command of [planning, `${program} show -json "${plan}" > "${json}"`]) {
        const { succeeded, output } = await run(command, {
          cwd: folder,
          environment: { ...environment, TF_IN_AUTOMATION: '1' },
        });
        if (!succeeded) throw new ProjectError(`'${command}' failed:\n${output.trim()}\n${BY_HAND}`);
      }
      // Paths in a plan are relative to the module.
      return { stacks: findStacks(json, folder), notes: [] };
    } finally {
      // Plans hold secrets in plain text.
      await rm(dirname(plan), { recursive: true, force: true });
    }
  };
  return {
    description: `the Terraform module in ${folder}`,
    command: `${program} plan`,
    load,
    concerns: (path) => /\.(tf|tfvars|tf\.json|tfvars\.json)$/.test(path),
  };
}
