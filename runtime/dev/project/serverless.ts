/**
 * Serverless Framework apps: packaged by the framework if the project has it, since only it knows its plugins; else
 * read directly.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { parseEnv } from 'node:util';
import { findStacks } from '../template/application.ts';
import {
  isObject,
  type JsonObject,
  objectOr,
  type StackSource,
  scalarText,
  templateOf,
  textOr,
} from '../template/model.ts';
import { parseTemplateText } from '../template/parse.ts';
import { expandTransforms } from '../template/transforms.ts';
import { liftQueues } from './lift.ts';
import { type LoadedProject, type Project, ProjectError, type ProjectParts } from './project.ts';
import { type ServerlessApiEvent, serverlessApis } from './serverless-apis.ts';
import { type VariableSettings, withVariables } from './serverless-variables.ts';

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

/*
 * A serverless.yml written out as the CloudFormation template that the Serverless Framework would make of its
 * functions, their events of queues and of HTTP, and resources, so that an app runs here without the framework being
 * installed.
 */

export type ServerlessSettings = Omit<VariableSettings, 'stage'>;

const DEFAULT_STAGE = 'dev';
const DEFAULT_TIMEOUT_SECONDS = 6;
const DEFAULT_MEMORY_MEGABYTES = 1024;

/** Reads serverless.yml or serverless.json. Errors: `TemplateSyntaxError`. */
export function readServerlessFile(file: string, settings: ServerlessSettings): StackSource {
  const raw = objectOr(parseTemplateText(readFileSync(file, 'utf8'), file, '1.2'));
  const provider = objectOr(raw['provider']);
  const withDefaults = { ...settings, stage: DEFAULT_STAGE };
  const { stage: stated } = withVariables(
    { stage: provider['stage'] ?? DEFAULT_STAGE, custom: raw['custom'] },
    withDefaults,
  );
  const stage = textOr(stated, DEFAULT_STAGE);
  const environment =
    raw['useDotenv'] === true ? { ...dotenv(settings.folder, stage), ...settings.environment } : settings.environment;
  const configuration = withVariables(raw, { ...settings, stage, environment });
  const notes: string[] = [];
  const expanded = expandTransforms(serverlessTemplate(configuration, stage, notes));
  return {
    name: basename(settings.folder),
    template: templateOf(expanded.template),
    folder: settings.folder,
    sourceFolder: settings.folder,
    assets: new Map(),
    notes: [...notes, ...expanded.notes],
  };
}

/** The files that `useDotenv` names; the stage's own wins. */
function dotenv(folder: string, stage: string): Readonly<Record<string, string | undefined>> {
  return Object.assign(
    {},
    ...['.env', `.env.${stage}`]
      .map((name) => join(folder, name))
      .filter((file) => existsSync(file))
      .map((file) => parseEnv(readFileSync(file, 'utf8'))),
  );
}

function serverlessTemplate(configuration: JsonObject, stage: string, notes: string[]): JsonObject {
  const service = textOr(configuration['service'], textOr(objectOr(configuration['service'])['name'], 'service'));
  const provider = objectOr(configuration['provider']);
  const own = mergedSections(configuration['resources']);
  const resources: Record<string, unknown> = {};
  for (const [key, layer] of Object.entries(objectOr(configuration['layers']))) {
    const Properties = { Content: textOr(objectOr(layer)['path'], key), LayerName: key };
    resources[`${logicalName(key)}LambdaLayer`] = { Type: 'AWS::Lambda::LayerVersion', Properties };
  }
  const stackName = textOr(provider['stackName'], `${service}-${stage}`);
  const stated = objectOr(mergedObjects(configuration['functions']));
  const lift = liftQueues(configuration['constructs'], stackName, stated);
  notes.push(...lift.notes);
  const artifact = objectOr(configuration['package'])['artifact'];
  const requests: ServerlessApiEvent[] = [];
  for (const [key, body] of Object.entries(lift.functions)) {
    addFunction(resources, { service, stage, key, provider, definition: objectOr(body), artifact }, requests, notes);
  }
  const apis = Object.fromEntries(
    serverlessApis(requests, provider, stage, (key) => `${logicalName(key)}LambdaFunction`, notes),
  );
  return { ...own, Resources: { ...resources, ...apis, ...lift.resources, ...objectOr(own['Resources']) } };
}

interface FunctionToAdd {
  readonly service: string;
  readonly stage: string;
  readonly key: string;
  readonly provider: JsonObject;
  readonly definition: JsonObject;
  /** A package that another tool makes of all functions; a function may have one of its own. */
  readonly artifact: unknown;
}

/** `requests` receives the events that are requests of an API. */
function addFunction(
  resources: Record<string, unknown>,
  fn: FunctionToAdd,
  requests: ServerlessApiEvent[],
  notes: string[],
): void {
  const { service, stage, key, provider, definition } = fn;
  const name = textOr(definition['name'], `${service}-${stage}-${key}`);
  const id = `${logicalName(key)}LambdaFunction`;
  const artifact = textOr(objectOr(definition['package'])['artifact'], textOr(fn.artifact, `${service}.zip`));
  const setting = (setting: string): unknown => definition[setting] ?? provider[setting];
  const variables = { ...objectOr(provider['environment']), ...objectOr(definition['environment']) };
  const image = definition['image'] === undefined ? undefined : imageOf(definition['image'], provider);
  resources[id] = {
    Type: 'AWS::Lambda::Function',
    ...(image === undefined ? {} : { Metadata: image.metadata }),
    Properties: {
      FunctionName: name,
      Handler: definition['handler'],
      Timeout: setting('timeout') ?? DEFAULT_TIMEOUT_SECONDS,
      MemorySize: setting('memorySize') ?? DEFAULT_MEMORY_MEGABYTES,
      ReservedConcurrentExecutions: definition['reservedConcurrency'],
      Layers: definition['layers'] ?? provider['layers'],
      Environment: { Variables: Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== null)) },
      ...(image?.properties ?? { Runtime: setting('runtime') ?? 'nodejs22.x', Code: { S3Key: artifact } }),
    },
  };
  const url = definition['url'];
  if (url === true || isObject(url)) {
    const cors =
      objectOr(url)['cors'] === true ? { AllowOrigins: ['*'], AllowHeaders: ['*'], AllowMethods: ['*'] } : {};
    const Properties = { TargetFunctionArn: { 'Fn::GetAtt': [id, 'Arn'] }, AuthType: 'NONE', Cors: cors };
    resources[`${id}Url`] = { Type: 'AWS::Lambda::Url', Properties };
  }
  const events: readonly unknown[] = Array.isArray(definition['events']) ? definition['events'] : [];
  for (const event of events) {
    const [kind] = typeof event === 'string' ? [event] : Object.keys(objectOr(event));
    if (kind === 'sqs') {
      const mapping = queueMapping(objectOr(event)['sqs'], id);
      const source = queueLogicalName(objectOr(mapping['Properties'])['EventSourceArn']);
      resources[`${logicalName(key)}EventSourceMappingSQS${source}`] = mapping;
    } else if (kind === 'httpApi' || kind === 'http') {
      const payload = scalarText(objectOr(definition['httpApi'])['payload']);
      requests.push({ kind, functionId: id, functionName: name, event: objectOr(event)[kind], payload });
    } else if (kind === 'websocket') {
      notes.push(`function ${name}: WebSockets are not served here; serverless-offline serves them`);
    } else {
      notes.push(`function ${name}: its ${kind ?? 'nameless'} event does not happen here`);
    }
  }
}

/** `image`: a URI or the name of an image under `provider.ecr.images`, alone or in an object. */
function imageOf(
  stated: unknown,
  provider: JsonObject,
): { readonly metadata: JsonObject; readonly properties: JsonObject } {
  const { name, uri, command, entryPoint, workingDirectory } = isObject(stated)
    ? stated
    : { name: stated, uri: stated };
  const image = objectOr(provider['ecr'])['images'];
  const known = objectOr(image)[textOr(name, '')];
  const { path, file, buildArgs } = isObject(known) ? known : { path: undefined };
  return {
    metadata:
      path === undefined ? {} : { Dockerfile: file ?? 'Dockerfile', DockerContext: path, DockerBuildArgs: buildArgs },
    properties: {
      PackageType: 'Image',
      Code: { ImageUri: textOr(known, textOr(objectOr(known)['uri'], uri)) },
      ImageConfig: { Command: command, EntryPoint: entryPoint, WorkingDirectory: workingDirectory },
    },
  };
}

/** An `sqs` event: the ARN alone, or an object. */
function queueMapping(event: unknown, functionId: string): JsonObject {
  const isShort = !isObject(event) || !('arn' in event);
  const settings = isShort ? {} : event;
  const responseType = settings['functionResponseType'];
  const patterns: readonly unknown[] = Array.isArray(settings['filterPatterns']) ? settings['filterPatterns'] : [];
  return {
    Type: 'AWS::Lambda::EventSourceMapping',
    Properties: {
      EventSourceArn: isShort ? event : settings['arn'],
      FunctionName: { 'Fn::GetAtt': [functionId, 'Arn'] },
      Enabled: settings['enabled'] ?? true,
      BatchSize: settings['batchSize'],
      MaximumBatchingWindowInSeconds: settings['maximumBatchingWindow'],
      FunctionResponseTypes: responseType === undefined ? undefined : [responseType],
      ScalingConfig:
        settings['maximumConcurrency'] === undefined
          ? undefined
          : { MaximumConcurrency: settings['maximumConcurrency'] },
      FilterCriteria:
        patterns.length === 0
          ? undefined
          : { Filters: patterns.map((pattern) => ({ Pattern: JSON.stringify(pattern) })) },
    },
  };
}

/** As the framework names the mapping of a queue: by the queue's own logical id or name, where it can tell. */
function queueLogicalName(arn: unknown): string {
  if (typeof arn === 'string') return logicalName(arn.split(':').at(-1) ?? '').replace(/[^A-Za-z0-9]/g, '');
  const target = objectOr(arn)['Fn::GetAtt'];
  const [id] = Array.isArray(target) ? target.map(String) : String(target ?? '').split('.');
  return id === undefined || id === '' ? JSON.stringify(arn).replace(/[^A-Za-z0-9]/g, '') : id;
}

/** As the framework names what belongs to a function. */
function logicalName(key: string): string {
  const name = key.replace(/-/g, 'Dash').replace(/_/g, 'Underscore');
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** `functions` and `resources` may be lists of objects, mostly from several files. */
function mergedObjects(value: unknown): unknown {
  return Array.isArray(value) ? Object.assign({}, ...value.filter(isObject)) : value;
}

function mergedSections(value: unknown): JsonObject {
  const sections: Record<string, unknown> = {};
  for (const part of Array.isArray(value) ? value.map(objectOr) : [objectOr(value)]) {
    for (const [name, section] of Object.entries(part)) {
      sections[name] = isObject(section) ? { ...objectOr(sections[name]), ...section } : section;
    }
  }
  return sections;
}
