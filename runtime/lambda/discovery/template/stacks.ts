/**
 * Finds the stacks at a path: a cloud assembly of the CDK, a package of the Serverless Framework, a SAM or plain CloudFormation template.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DiscoveryError } from '../source.ts';
import { type StackSource, templateOf } from './model.ts';
import { parseTemplateText } from './parse.ts';
import { expandTransforms } from './transforms.ts';
import { isObject, type JsonObject, objectOr, textOr } from './values.ts';

/** What a folder may hold, in the order of preference: what was built before what it was built from. */
const TEMPLATES_IN_FOLDER = [
  'manifest.json',
  'cdk.out/manifest.json',
  'cloudformation-template-update-stack.json',
  '.serverless/cloudformation-template-update-stack.json',
  '.aws-sam/build/template.yaml',
  'template.yaml',
  'template.yml',
  'template.json',
];
const SERVERLESS_TEMPLATE = 'cloudformation-template-update-stack.json';

/**
 * The stacks at `path`, a template or a folder that holds one of the known outputs. Errors: `DiscoveryError` if there is nothing,
 * `TemplateSyntaxError` if it cannot be parsed.
 */
export function findStacks(path: string): readonly StackSource[] {
  const file = templateFile(resolve(path));
  if (basename(file) === 'manifest.json') return assemblyStacks(dirname(file));
  const folder = dirname(file);
  const { template, notes } = expandTransforms(readTemplate(file));
  if (!isObject(template['Resources']) || Object.keys(template['Resources']).length === 0) {
    throw new DiscoveryError(`${file} is no CloudFormation template: it has no Resources`);
  }
  const isPackage = basename(file) === SERVERLESS_TEMPLATE;
  const home = isPackage ? dirname(folder) : folder;
  const stack = {
    name: basename(home),
    template: templateOf(template),
    folder,
    assets: new Map<string, string>(),
    notes,
    ...(isPackage ? { sourceFolder: home } : {}),
  };
  return [stack];
}

function templateFile(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile()) return path;
  const found = TEMPLATES_IN_FOLDER.map((name) => join(path, name)).find((candidate) => existsSync(candidate));
  if (stats === undefined || found === undefined) {
    throw new DiscoveryError(
      `there is no template at ${path}: give the path of a template, of a cdk.out or .serverless folder, or of a folder that holds one of ${TEMPLATES_IN_FOLDER.join(', ')}`,
    );
  }
  return found;
}

function readTemplate(file: string): unknown {
  return parseTemplateText(readFileSync(file, 'utf8'), file);
}

/** The stacks of an assembly and of the assemblies (stages) inside it. */
function assemblyStacks(folder: string): readonly StackSource[] {
  const artifacts = Object.entries(objectOr(objectOr(readTemplate(join(folder, 'manifest.json')))['artifacts'])).map(
    ([id, artifact]) => {
      const { type, environment, properties } = objectOr(artifact);
      return { id, type, environment: textOr(environment, ''), properties: objectOr(properties) };
    },
  );
  const assets = new Map<string, string>();
  for (const { type, properties } of artifacts) {
    if (type !== 'cdk:asset-manifest') continue;
    for (const [key, path] of stagedFiles(objectOr(readTemplate(join(folder, textOr(properties['file'], '')))))) {
      assets.set(key, path);
    }
  }
  return artifacts.flatMap(({ id, type, environment, properties }): readonly StackSource[] => {
    if (type === 'cdk:cloud-assembly') return assemblyStacks(join(folder, textOr(properties['directoryName'], '')));
    if (type !== 'aws:cloudformation:stack') return [];
    const { template, notes } = expandTransforms(readTemplate(join(folder, textOr(properties['templateFile'], ''))));
    const account = /^aws:\/\/(\d{12})\//.exec(environment)?.[1];
    const stack = {
      name: textOr(properties['stackName'], id),
      template: templateOf(template),
      folder,
      assets,
      notes,
      ...(account === undefined ? {} : { account }),
    };
    return [stack];
  });
}

/** The files of an asset manifest, by the S3 key that each is uploaded to. */
function stagedFiles(manifest: JsonObject): readonly (readonly [string, string])[] {
  return Object.values(objectOr(manifest['files'])).flatMap((file) => {
    const { source, destinations } = objectOr(file);
    const path = textOr(objectOr(source)['path'], undefined);
    if (path === undefined) return [];
    return Object.values(objectOr(destinations)).flatMap((destination) => {
      const key = textOr(objectOr(destination)['objectKey'], undefined);
      return key === undefined ? [] : [[key, path] as const];
    });
  });
}
