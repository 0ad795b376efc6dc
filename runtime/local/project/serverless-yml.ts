/**
 * A serverless.yml written out as the CloudFormation template that the Serverless Framework would make of its functions, queue events and
 * resources, so that an app runs here without the framework being installed.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseEnv } from 'node:util';
import { type StackSource, templateOf } from '../../lambda/discovery/template/model.ts';
import { parseTemplateText } from '../../lambda/discovery/template/parse.ts';
import { expandTransforms } from '../../lambda/discovery/template/transforms.ts';
import { isObject, type JsonObject, objectOr, textOr } from '../../lambda/discovery/template/values.ts';
import { type VariableSettings, withVariables } from './serverless-variables.ts';

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
  for (const [key, body] of Object.entries(objectOr(mergedObjects(configuration['functions'])))) {
    addFunction(resources, { service, stage, key, provider, definition: objectOr(body) }, notes);
  }
  return { ...own, Resources: { ...resources, ...objectOr(own['Resources']) } };
}

interface FunctionToAdd {
  readonly service: string;
  readonly stage: string;
  readonly key: string;
  readonly provider: JsonObject;
  readonly definition: JsonObject;
}

function addFunction(resources: Record<string, unknown>, fn: FunctionToAdd, notes: string[]): void {
  const { service, stage, key, provider, definition } = fn;
  const name = textOr(definition['name'], `${service}-${stage}-${key}`);
  const id = `${logicalName(key)}LambdaFunction`;
  const setting = (setting: string): unknown => definition[setting] ?? provider[setting];
  const variables = { ...objectOr(provider['environment']), ...objectOr(definition['environment']) };
  resources[id] = {
    Type: 'AWS::Lambda::Function',
    Properties: {
      FunctionName: name,
      Handler: definition['handler'],
      Timeout: setting('timeout') ?? DEFAULT_TIMEOUT_SECONDS,
      MemorySize: setting('memorySize') ?? DEFAULT_MEMORY_MEGABYTES,
      ReservedConcurrentExecutions: definition['reservedConcurrency'],
      Layers: definition['layers'] ?? provider['layers'],
      Environment: { Variables: Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== null)) },
      ...(definition['image'] === undefined
        ? { Runtime: setting('runtime') ?? 'nodejs22.x', Code: { S3Key: `${service}.zip` } }
        : { Code: { ImageUri: definition['image'] } }),
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
    } else {
      notes.push(
        `function ${name}: its ${kind ?? 'nameless'} event is not served here; call the function by its URL instead`,
      );
    }
  }
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
