/**
 * The functions of a stack, with everything that running one needs.
 *
 * @module
 */
import { parseFunctionReference } from '../../function-reference.ts';
import { codeLocation } from './code-location.ts';
import type { CodeLocation, Resource, TemplateFunction } from './model.ts';
import type { QueueNames } from './queues.ts';
import type { StackScope } from './stack-scope.ts';
import { isObject, type JsonObject, numberOr, objectOr, scalarText, textOr } from './values.ts';

const DEFAULT_TIMEOUT_SECONDS = 3;
const DEFAULT_MEMORY_MEGABYTES = 128;

/** The functions of all stacks, by name; `problems` receives what could not be resolved. */
export function readFunctions(
  scopes: readonly StackScope[],
  queues: QueueNames,
  problems: string[],
): ReadonlyMap<string, TemplateFunction> {
  const layers = layersByArn(scopes);
  const aliases = new Map<string, string[]>();
  const urls = new Map<string, { readonly cors: JsonObject }>();
  const namedBy = (scope: StackScope, value: unknown): string | undefined => {
    const resolved = scope.resolve(value);
    return parseFunctionReference(resolved.known ? textOr(resolved.value, '') : '')?.name;
  };
  for (const scope of scopes) {
    for (const [, { type, properties }] of scope.resources()) {
      if (type === 'AWS::Lambda::Alias') {
        const name = namedBy(scope, properties['FunctionName']);
        const alias = scope.resolve(properties['Name']);
        if (name !== undefined && alias.known) {
          aliases.set(name, [...(aliases.get(name) ?? []), textOr(alias.value, '')]);
        }
      }
      if (type === 'AWS::Lambda::Url') {
        const name = namedBy(scope, properties['TargetFunctionArn']);
        const cors = scope.resolve(properties['Cors']);
        if (name !== undefined) urls.set(name, { cors: objectOr(cors.known ? cors.value : {}) });
      }
    }
  }

  const functions = new Map<string, TemplateFunction>();
  for (const scope of scopes) {
    for (const [logicalId, resource] of scope.resources()) {
      if (resource.type !== 'AWS::Lambda::Function') continue;
      const name = scope.nameOf(logicalId);
      if (functions.has(name)) {
        problems.push(`the function ${name} is defined twice; that of stack ${scope.source.name} is left out`);
        continue;
      }
      const url = urls.get(name);
      functions.set(name, {
        ...readFunction(name, logicalId, resource, scope, layers, queues, problems),
        aliases: aliases.get(name) ?? [],
        ...(url === undefined ? {} : { url }),
      });
    }
  }
  return functions;
}

function readFunction(
  name: string,
  logicalId: string,
  resource: Resource,
  scope: StackScope,
  layers: ReadonlyMap<string, CodeLocation>,
  queues: QueueNames,
  problems: string[],
): Omit<TemplateFunction, 'aliases' | 'url'> {
  const property = (key: string): unknown => {
    const resolved = scope.resolve(resource.properties[key]);
    if (resolved.known) return resolved.value;
    problems.push(`function ${name}: ${key} cannot be resolved (${resolved.reason}); its default is taken`);
    return undefined;
  };
  const runtime = textOr(property('Runtime'), undefined);
  const reserved = numberOr(property('ReservedConcurrentExecutions'), undefined);
  return {
    name,
    arn: String(scope.attribute(logicalId, 'Arn')),
    handler: textOr(property('Handler'), ''),
    code: codeLocation(resource, 'Code', scope),
    layers: readLayers(name, resource.properties['Layers'], scope, layers, problems),
    timeoutSeconds: numberOr(property('Timeout'), DEFAULT_TIMEOUT_SECONDS),
    memoryMegabytes: numberOr(property('MemorySize'), DEFAULT_MEMORY_MEGABYTES),
    environment: readEnvironment(name, resource, scope, queues, problems),
    ...(runtime === undefined ? {} : { runtime }),
    ...(reserved === undefined ? {} : { reservedConcurrency: reserved }),
  };
}

/** Each variable by itself: one that cannot be resolved does not cost the others. */
function readEnvironment(
  name: string,
  resource: Resource,
  scope: StackScope,
  queues: QueueNames,
  problems: string[],
): Readonly<Record<string, string>> {
  const environment: Record<string, string> = {};
  for (const [variable, value] of Object.entries(environmentVariables(resource))) {
    const resolved = scope.resolve(value);
    const text = resolved.known ? scalarText(resolved.value) : undefined;
    const local = queues.localUrl(text ?? '') ?? text;
    if (local === undefined) {
      const reason = resolved.known ? 'its value is no text' : resolved.reason;
      problems.push(`function ${name}: the variable ${variable} cannot be resolved (${reason}); it is left out`);
    } else if (local.includes('{{resolve:')) {
      problems.push(
        `function ${name}: the variable ${variable} is a secret or a parameter that only AWS can read; it is left out`,
      );
    } else {
      environment[variable] = local;
    }
  }
  return environment;
}

function environmentVariables(resource: Resource): JsonObject {
  return objectOr(objectOr(resource.properties['Environment'])['Variables']);
}

function layersByArn(scopes: readonly StackScope[]): ReadonlyMap<string, CodeLocation> {
  return new Map(
    scopes.flatMap((scope) =>
      scope
        .resources()
        .filter(([, { type }]) => type === 'AWS::Lambda::LayerVersion')
        .map(([logicalId, resource]) => [String(scope.ref(logicalId)), codeLocation(resource, 'Content', scope)]),
    ),
  );
}

function readLayers(
  name: string,
  value: unknown,
  scope: StackScope,
  known: ReadonlyMap<string, CodeLocation>,
  problems: string[],
): readonly CodeLocation[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : isObject(value) ? [value] : [];
  return list.flatMap((item) => {
    const resolved = scope.resolve(item);
    const arns = (resolved.known ? [resolved.value].flat() : []).map((arn) => textOr(arn, ''));
    if (!resolved.known) problems.push(`function ${name}: a layer cannot be resolved (${resolved.reason})`);
    return arns.flatMap((arn) => {
      const layer = known.get(arn);
      if (layer === undefined) problems.push(`function ${name}: the layer ${arn} is only in AWS; it runs without it`);
      return layer === undefined ? [] : [layer];
    });
  });
}
