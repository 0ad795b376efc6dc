/**
 * The functions of a stack, with everything that running one needs.
 *
 * @module
 */

import { parseFunctionReference } from '../../aws/mapping.ts';
import { codeLocation } from './code.ts';
import { type KnownLayers, layersByArn, readLayers } from './layers.ts';
import {
  isObject,
  type JsonObject,
  numberOr,
  objectOr,
  type Resource,
  scalarText,
  type TemplateFunction,
  textOr,
} from './model.ts';
import type { QueueNames } from './names.ts';
import type { StackScope } from './stack-scope.ts';

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
  layers: KnownLayers,
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
  const { found, missing } = readLayers(name, runtime, resource.properties['Layers'], scope, layers, problems);
  const reserved = numberOr(property('ReservedConcurrentExecutions'), undefined);
  const loggingConfig = objectOr(property('LoggingConfig'));
  const format = textOr(loggingConfig['LogFormat'], undefined);
  const level = textOr(loggingConfig['ApplicationLogLevel'], undefined);
  const logging = { ...(format === undefined ? {} : { format }), ...(level === undefined ? {} : { level }) };
  return {
    name,
    arn: String(scope.attribute(logicalId, 'Arn')),
    handler: textOr(property('Handler'), ''),
    code: codeLocation(logicalId, resource, 'Code', scope),
    layers: found,
    timeoutSeconds: numberOr(property('Timeout'), DEFAULT_TIMEOUT_SECONDS),
    memoryMegabytes: numberOr(property('MemorySize'), DEFAULT_MEMORY_MEGABYTES),
    environment: readEnvironment(name, resource, scope, queues, problems),
    ...(runtime === undefined ? {} : { runtime }),
    ...(Object.keys(logging).length === 0 ? {} : { logging }),
    ...(reserved === undefined ? {} : { reservedConcurrency: reserved }),
    ...(missing.length === 0 ? {} : { missingLayers: missing }),
    ...(isObject(property('TenancyConfig')) ? { tenantIsolated: true } : {}),
    ...(isObject(property('DurableConfig')) ? { durable: true } : {}),
    ...buildSettings(resource, property('ImageConfig')),
  };
}

/** What a build tool or a container engine is told: the program of a Rust package, and `ImageConfig`. */
function buildSettings({ metadata }: Resource, imageConfig: unknown): Pick<TemplateFunction, 'cargoBinary' | 'image'> {
  const cargoBinary = textOr(objectOr(metadata['BuildProperties'])['Binary'], undefined);
  const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);
  const { EntryPoint, Command, WorkingDirectory } = objectOr(imageConfig);
  const workingDirectory = textOr(WorkingDirectory, undefined);
  const image = {
    entryPoint: texts(EntryPoint),
    command: texts(Command),
    ...(workingDirectory === undefined ? {} : { workingDirectory }),
  };
  return {
    ...(cargoBinary === undefined ? {} : { cargoBinary }),
    ...(isObject(imageConfig) ? { image } : {}),
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
    const local =
      text === undefined ? undefined : (queues.localUrl(text) ?? scope.settings.withLocalApis?.(text) ?? text);
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
