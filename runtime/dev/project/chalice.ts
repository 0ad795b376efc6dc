/**
 * Chalice apps: packaged by Chalice, which alone knows what its decorators mean. Handlers run from the sources, beside
 * the packages that Chalice put into the package.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { programOnPath } from '../platform.ts';
import { findStacks } from '../template/application.ts';
import { type JsonObject, objectOr } from '../template/model.ts';
import {
  type LoadedProject,
  type Project,
  ProjectError,
  type ProjectParts,
  withVirtualEnvironment,
} from './project.ts';

/** Where a Chalice app has its settings. */
export const CHALICE_CONFIG = '.chalice/config.json';

/** The logical id of the package, which every function has as a layer. */
const PACKAGE = 'ChalicePackage';

export function chaliceProject(parts: ProjectParts): Project {
  const { folder, workFolder, run } = parts;
  const output = join(workFolder, 'chalice');

  const load = async (): Promise<LoadedProject> => {
    const environment = withVirtualEnvironment(parts.environment, folder);
    if (programOnPath('chalice', environment['PATH'] ?? '') === undefined) {
      throw new ProjectError(
        `${folder} is a Chalice app, and there is no chalice on the PATH or in .venv; install it: pip install chalice`,
      );
    }
    await rm(output, { recursive: true, force: true });
    const command = `chalice package --template-format json "${relative(folder, output)}"`;
    // Chalice asks for a region, and nothing of it is used.
    const settings = { ...environment, AWS_DEFAULT_REGION: parts.region };
    const { succeeded, output: printed } = await run(command, { cwd: folder, environment: settings });
    if (!succeeded) throw new ProjectError(`'${command}' failed:\n${printed.trim()}`);
    const file = join(output, 'sam.json');
    await writeFile(file, JSON.stringify(fromSources(JSON.parse(readFileSync(file, 'utf8')), folder)));
    return { stacks: findStacks(file), notes: [] };
  };
  return {
    description: `the Chalice app in ${folder}`,
    command: 'chalice package',
    load,
    // Decorators stand in the sources: each of them may change the stacks.
    concerns: (path) => /(\.py|requirements\.txt|[\\/]config\.json)$/.test(path),
  };
}

/** The template with functions that run from `folder`, and find what the package holds after it. */
function fromSources(template: unknown, folder: string): JsonObject {
  const resources = Object.entries(objectOr(objectOr(template)['Resources'])).map(([id, body]) => {
    const resource = objectOr(body);
    if (resource['Type'] !== 'AWS::Serverless::Function') return [id, resource];
    const properties = objectOr(resource['Properties']);
    const layers: readonly unknown[] = [properties['Layers'] ?? []].flat();
    const Layers = [...layers, { Ref: PACKAGE }];
    return [id, { ...resource, Properties: { ...properties, CodeUri: folder, Layers } }];
  });
  const layer = { Type: 'AWS::Serverless::LayerVersion', Properties: { ContentUri: './deployment.zip' } };
  return { ...objectOr(template), Resources: { ...Object.fromEntries(resources), [PACKAGE]: layer } };
}
