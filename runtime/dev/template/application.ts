/**
 * Makes one application of the stacks of a template source: nested stacks found, exports joined, queues, functions and
 * mappings read.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DiscoveryError } from '../../aws/discovery/discovery.ts';
import { readApis } from './apis.ts';
import { readFeeds } from './feeds.ts';
import { readFunctions } from './functions.ts';
import { resolveValue, Unresolvable } from './intrinsics.ts';
import { readMappings } from './mappings.ts';
import {
  isObject,
  type JsonObject,
  objectOr,
  type Resource,
  type StackSource,
  type TemplateApplication,
  type TemplateSettings,
  templateOf,
  textOr,
} from './model.ts';
import { PhysicalNames, readQueues } from './names.ts';
import { parseTemplateText } from './parse.ts';
import { accountIn } from './planned.ts';
import { isPulumi, pulumiTemplate } from './pulumi.ts';
import { StackScope, type Surroundings } from './stack-scope.ts';
import { isTerraform, terraformTemplate } from './terraform.ts';
import { expandTransforms, type GivenParameters } from './transforms.ts';

/** Reads what `stacks` define. Never throws for what a template says; that becomes a problem. */
export function readApplication(stacks: readonly StackSource[], settings: TemplateSettings): TemplateApplication {
  const problems: string[] = stacks.flatMap(({ notes }) => notes ?? []);
  const scopes = new StackSet(stacks, settings, problems).all;
  const { names, queues } = readQueues(scopes, settings, problems);
  const functions = readFunctions(scopes, names, problems);
  const { mappings, broken } = readMappings(scopes, functions, names, problems);
  const fed = readFeeds(scopes, names);
  const web = readApis(scopes, functions);
  return { functions: [...functions.values()], mappings, broken, queues, fed, web, problems: [...new Set(problems)] };
}

/** All stacks, nested ones included, as one set of surroundings. */
class StackSet implements Surroundings {
  readonly settings: TemplateSettings;
  readonly all: readonly StackScope[];
  readonly #names: PhysicalNames;
  readonly #nested = new Map<StackScope, Map<string, StackScope>>();
  #exports: ReadonlyMap<string, () => unknown> | undefined;

  constructor(stacks: readonly StackSource[], settings: TemplateSettings, problems: string[]) {
    this.settings = settings;
    const scopes: StackScope[] = [];
    this.all = scopes;
    this.#names = new PhysicalNames(() => scopes);
    // The list grows while it is walked: a nested stack may hold further ones.
    scopes.push(...stacks.map((stack) => new StackScope(stack, this)));
    for (const scope of scopes) {
      for (const [logicalId, resource] of scope.resources()) {
        if (resource.type !== 'AWS::CloudFormation::Stack') continue;
        const parameters = Object.entries(objectOr(resource.properties['Parameters'])).map(
          ([name, value]): [string, () => unknown] => [name, () => resolveValue(value, scope)],
        );
        // Read only when something asks for one: a value may hang on stacks that are not found yet.
        const given = Object.fromEntries(parameters);
        const source = nestedSource(logicalId, resource, scope, given, problems);
        if (typeof source === 'string') {
          problems.push(`nested stack ${logicalId} of stack ${scope.source.name}: ${source}; it is left out`);
          continue;
        }
        const nested = new StackScope(source, this, given);
        const ofScope = this.#nested.get(scope) ?? new Map<string, StackScope>();
        this.#nested.set(scope, ofScope.set(logicalId, nested));
        scopes.push(nested);
      }
    }
  }

  importValue(exportName: string): unknown {
    this.#exports ??= this.#readExports();
    const exported = this.#exports.get(exportName);
    if (exported === undefined) throw new Unresolvable(`no stack here exports ${exportName}`);
    return exported();
  }

  stackOutput(stackName: string, output: string): unknown {
    const scope = this.all.find(({ source }) => source.name === stackName);
    if (scope === undefined) throw new Unresolvable(`the stack ${stackName} is not among the files`);
    return scope.output(output);
  }

  nameOf(scope: StackScope, logicalId: string): string {
    return this.#names.of(scope, logicalId);
  }

  nested(scope: StackScope, logicalId: string): StackScope | undefined {
    return this.#nested.get(scope)?.get(logicalId);
  }

  #readExports(): ReadonlyMap<string, () => unknown> {
    return new Map(
      this.all.flatMap((scope) =>
        Object.entries(scope.source.template.outputs).flatMap(([output, body]): [string, () => unknown][] => {
          const name = scope.resolve(objectOr(isObject(body) ? body['Export'] : {})['Name']);
          return name.known && typeof name.value === 'string' ? [[name.value, () => scope.output(output)]] : [];
        }),
      ),
    );
  }
}

/** The template of an `AWS::CloudFormation::Stack`, or why it cannot be had. */
function nestedSource(
  logicalId: string,
  resource: Resource,
  scope: StackScope,
  given: GivenParameters,
  problems: string[],
): StackSource | string {
  const { source } = scope;
  const stated = scope.resolve(resource.properties['TemplateURL']);
  const url = stated.known ? textOr(stated.value, '') : '';
  const key = basename(url);
  const path = textOr(resource.metadata['aws:asset:path'], source.assets.get(key) ?? url);
  if (path === '') return `its TemplateURL cannot be resolved${stated.known ? '' : ` (${stated.reason})`}`;
  const file = resolve(source.folder, path);
  if (/^https?:\/\//.test(path) || !existsSync(file)) return `its template ${path} is not on this machine`;
  const { template, notes } = expandTransforms(parseTemplateText(readFileSync(file, 'utf8'), file), given);
  problems.push(...notes);
  return {
    ...source,
    name: `${source.name}-${logicalId}`,
    template: templateOf(template),
    // Paths in the templates of an assembly are relative to the assembly, as those of its root stacks are.
    folder: resource.metadata['aws:asset:path'] === undefined ? dirname(file) : source.folder,
  };
}

/*
 * Finds the stacks at a path: a cloud assembly of the CDK, a package of the Serverless Framework, a SAM or plain
 * CloudFormation template, a plan or a state of Terraform, a state of Pulumi.
 */

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
 * The stacks at `path`, a template or a folder that holds one of the known outputs. `sources`: what paths in a template
 * are relative to, where that is not its own folder. Errors: `DiscoveryError` if there is nothing,
 * `TemplateSyntaxError` if it cannot be parsed.
 */
export function findStacks(path: string, sources?: string): readonly StackSource[] {
  const file = templateFile(resolve(path));
  if (basename(file) === 'manifest.json') return assemblyStacks(dirname(file));
  const folder = sources ?? dirname(file);
  const parsed = readTemplate(file);
  const planned = isTerraform(parsed)
    ? terraformTemplate(parsed, folder)
    : isPulumi(parsed)
      ? pulumiTemplate(parsed)
      : undefined;
  const { template, notes } = expandTransforms(planned ?? parsed);
  if (!isObject(template['Resources']) || Object.keys(template['Resources']).length === 0) {
    throw new DiscoveryError(`${file} is no CloudFormation template: it has no Resources`);
  }
  const isPackage = basename(file) === SERVERLESS_TEMPLATE;
  const home = isPackage ? dirname(folder) : folder;
  const account = planned === undefined ? undefined : accountIn(planned);
  const stack = {
    name: basename(home),
    template: templateOf(template),
    folder,
    assets: new Map<string, string>(),
    notes,
    ...(isPackage ? { sourceFolder: home } : {}),
    ...(account === undefined ? {} : { account }),
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
