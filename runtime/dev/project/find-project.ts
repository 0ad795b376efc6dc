/**
 * What `karin dev` finds in a folder: an app of one of the tools that deploy to AWS, a template, or what one of them
 * left behind.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { findStacks } from '../template/application.ts';
import { cdkProject } from './cdk.ts';
import { CHALICE_CONFIG, chaliceProject } from './chalice.ts';
import { pulumiProject, sstProject } from './deployed.ts';
import { type Project, ProjectError, type ProjectParts } from './project.ts';
import { serverlessProject } from './serverless.ts';
import { isTerraformModule, terraformProject } from './terraform.ts';

const SERVERLESS_FILES = ['serverless.yml', 'serverless.yaml', 'serverless.json', 'serverless.ts', 'serverless.js'];
const SST_CONFIG = 'sst.config.ts';
const PULUMI_FILE = 'Pulumi.yaml';
const TEMPLATE_FILES = ['template.yaml', 'template.yml', 'template.json'];
const OUTPUTS = [
  'cdk.out/manifest.json',
  '.serverless/cloudformation-template-update-stack.json',
  '.aws-sam/build/template.yaml',
];
/** Names of what is looked for, for people. */
const KNOWN =
  'cdk.json, serverless.yml, template.yaml, .chalice, sst.config.ts, Pulumi.yaml, *.tf, cdk.out, .serverless, .aws-sam';

/** Finds the project in a folder; `others` names what else is there and is not used. Errors: `ProjectError`. */
export function findProject(parts: ProjectParts): { readonly project: Project; readonly others: readonly string[] } {
  const { folder } = parts;
  if (!existsSync(folder))
    throw new ProjectError(`there is no folder ${folder}; give the folder of your app with --project`);
  const present = (names: readonly string[]): readonly string[] =>
    names.filter((name) => existsSync(join(folder, name)));
  const own = ['cdk.json', ...SERVERLESS_FILES, ...TEMPLATE_FILES, CHALICE_CONFIG, SST_CONFIG, PULUMI_FILE];
  const sources = present(own);
  const isModule = sources.length === 0 && isTerraformModule(folder);
  if (isModule) return { project: terraformProject(parts), others: [] };
  const [first, ...others] = sources.length > 0 ? sources : present(OUTPUTS);
  if (first === undefined) {
    throw new ProjectError(
      `${folder} has none of ${KNOWN}; give the folder of your app with --project, or a template with --template`,
    );
  }
  if (first === 'cdk.json') return { project: cdkProject(parts), others };
  if (SERVERLESS_FILES.includes(first)) return { project: serverlessProject(parts, first), others };
  if (first === CHALICE_CONFIG) return { project: chaliceProject(parts), others };
  if (first === SST_CONFIG) return { project: sstProject(parts), others };
  if (first === PULUMI_FILE) return { project: pulumiProject(parts), others };
  return { project: templateProject(join(folder, first), folder), others };
}

/** A template, or an output that was made earlier, as it lies there. */
export function templateProject(file: string, folder: string): Project {
  const name = relative(folder, file);
  return {
    description: name.startsWith('cdk.out')
      ? `the CDK assembly cdk.out in ${folder}`
      : `the template ${name} in ${folder}`,
    async load() {
      const stacks = findStacks(file.replace(/[\\/]manifest\.json$/, ''));
      const built = join(folder, '.aws-sam', 'build', 'template.yaml');
      const hint = `functions run from their sources, and from what 'sam build' made where those cannot run as they are; to run all that it made: --template ${relative(process.cwd(), built)}`;
      return { stacks, notes: file !== built && existsSync(built) ? [hint] : [] };
    },
    concerns: (path) => path === file || /\.(ya?ml|json|template)$/.test(path),
  };
}
