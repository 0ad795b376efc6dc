/**
 * The event source mappings of queues in the stacks.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { type MappingSettings, servedSettings } from '../../aws/discovery/discovery.ts';
import { type BrokenMapping, parseFunctionReference } from '../../aws/mapping.ts';
import { partitionOf } from '../../queue/names.ts';
import {
  booleanOr,
  isObject,
  type JsonObject,
  numberOr,
  objectOr,
  type Resource,
  type TemplateFunction,
  type TemplateMapping,
  tagsOf,
  textOr,
} from './model.ts';
import type { QueueNames } from './names.ts';
import type { StackScope } from './stack-scope.ts';

export interface FoundMappings {
  readonly mappings: readonly TemplateMapping[];
  readonly broken: readonly BrokenMapping[];
}

/** Properties that decide what is done with messages: one that cannot be resolved breaks the mapping. */
const SETTINGS = [
  'BatchSize',
  'MaximumBatchingWindowInSeconds',
  'FilterCriteria',
  'FunctionResponseTypes',
  'ScalingConfig',
  'ProvisionedPollerConfig',
] as const;

/** Reads the mappings of all stacks; `problems` receives those that cannot even be named. */
export function readMappings(
  scopes: readonly StackScope[],
  functions: ReadonlyMap<string, TemplateFunction>,
  queues: QueueNames,
  problems: string[],
): FoundMappings {
  const mappings: TemplateMapping[] = [];
  const broken: BrokenMapping[] = [];
  for (const scope of scopes) {
    for (const [logicalId, resource] of scope.resources()) {
      if (resource.type !== 'AWS::Lambda::EventSourceMapping') continue;
      const found = readMapping(logicalId, resource, scope, functions, queues);
      if (typeof found === 'string') problems.push(`mapping ${logicalId} of stack ${scope.source.name}: ${found}`);
      else if ('reason' in found) broken.push(found);
      else mappings.push(found);
    }
  }
  return { mappings, broken };
}

function readMapping(
  logicalId: string,
  resource: Resource,
  scope: StackScope,
  functions: ReadonlyMap<string, TemplateFunction>,
  queues: QueueNames,
): TemplateMapping | BrokenMapping | string {
  const { settings } = scope;
  const source = scope.resolve(resource.properties['EventSourceArn']);
  if (!source.known) return `its EventSourceArn cannot be resolved (${source.reason}); it is left out`;
  const queueArn = queues.arn(textOr(source.value, ''));
  if (queueArn === undefined) return `its source ${JSON.stringify(source.value)} is no queue; it is left out`;
  const target = scope.resolve(resource.properties['FunctionName']);
  if (!target.known) return `its FunctionName cannot be resolved (${target.reason}); it is left out`;
  const reference = parseFunctionReference(textOr(target.value, ''));
  if (reference === undefined)
    return `its FunctionName ${JSON.stringify(target.value)} names no function; it is left out`;

  const uuid = stableUuid(`${scope.source.name}/${logicalId}`);
  const lambdaArn = `arn:${partitionOf(settings.region)}:lambda:${settings.region}:${settings.account}`;
  const qualifier = reference.qualifier === undefined ? '' : `:${reference.qualifier}`;
  const functionArn = `${lambdaArn}:function:${reference.name}${qualifier}`;
  const broken = (reason: string): BrokenMapping => ({ uuid, queueArn, functionArn, reason });

  const fn = functions.get(reference.name);
  if (fn === undefined) {
    return broken(
      `the function ${reference.name} is not part of the template; only functions that it defines can be run`,
    );
  }
  if (fn.tenantIsolated === true) {
    return broken(
      `the function ${reference.name} isolates tenants (TenancyConfig), and a mapping names none; map a function that reads ` +
        'the tenant from the message and invokes this one with TenantId',
    );
  }
  const resolved: Record<string, unknown> = {};
  for (const property of ['Enabled', ...SETTINGS]) {
    const resolution = scope.resolve(resource.properties[property]);
    if (!resolution.known) {
      return broken(`its ${property} cannot be resolved (${resolution.reason}); give the value in the template`);
    }
    resolved[property] = resolution.value;
  }
  const tags = scope.resolve(resource.properties['Tags']);
  return {
    enabled: booleanOr(resolved['Enabled'], true),
    mapping: {
      uuid,
      mappingArn: `${lambdaArn}:event-source-mapping:${uuid}`,
      queueArn,
      functionArn,
      ...servedSettings(mappingSettings(resolved)),
      functionTimeoutSeconds: fn.timeoutSeconds,
      lastModified: 0,
      tags: tagsOf(tags.known ? tags.value : undefined),
    },
  };
}

/** The resolved properties with the types that the API gives them. */
function mappingSettings(resolved: JsonObject): MappingSettings {
  const criteria = objectOr(resolved['FilterCriteria'])['Filters'];
  const types = resolved['FunctionResponseTypes'];
  const pollers = resolved['ProvisionedPollerConfig'];
  return {
    BatchSize: numberOr(resolved['BatchSize'], undefined),
    MaximumBatchingWindowInSeconds: numberOr(resolved['MaximumBatchingWindowInSeconds'], undefined),
    FilterCriteria: { Filters: Array.isArray(criteria) ? criteria.map((one) => ({ Pattern: patternText(one) })) : [] },
    FunctionResponseTypes: Array.isArray(types) ? types.map(String) : [],
    ScalingConfig: {
      MaximumConcurrency: numberOr(objectOr(resolved['ScalingConfig'])['MaximumConcurrency'], undefined),
    },
    ProvisionedPollerConfig: isObject(pollers)
      ? {
          MinimumPollers: numberOr(pollers['MinimumPollers'], undefined),
          MaximumPollers: numberOr(pollers['MaximumPollers'], undefined),
        }
      : null,
  };
}

function patternText(filter: unknown): string | undefined {
  const pattern = objectOr(filter)['Pattern'];
  return isObject(pattern) ? JSON.stringify(pattern) : textOr(pattern, undefined);
}

/** The same mapping of the same template keeps its identity over every reading: a UUID made of a hash. */
function stableUuid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join('-');
}
