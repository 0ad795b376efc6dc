/**
 * The functions of a stack, with everything that running one needs.
 *
 * @module
 */

import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseFunctionReference } from '../../aws/mapping.ts';
import {
  type CodeLocation,
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

/*
 * Where the code of a function lies on this machine, for each way in which a template may say it.
 */

/** Where the code in the property `Code` (a layer: `Content`) of `resource` is. */
function codeLocation(resource: Resource, property: 'Code' | 'Content', scope: StackScope): CodeLocation {
  const { source } = scope;
  const asset = textOr(resource.metadata['aws:asset:path'], undefined);
  if (asset !== undefined && textOr(resource.metadata['aws:asset:property'], property).startsWith(property)) {
    return atPath(asset, source.folder);
  }
  const resolved = scope.resolve(resource.properties[property]);
  if (!resolved.known) return { kind: 'absent', reason: `its ${property} cannot be resolved: ${resolved.reason}` };
  const code = resolved.value;
  if (typeof code === 'string') return atPath(code, source.folder);
  if (!isObject(code)) return { kind: 'absent', reason: `it has no ${property}` };
  const inline = textOr(code['ZipFile'], undefined);
  if (inline !== undefined) return { kind: 'inline', text: inline };
  const key = textOr(code['S3Key'], undefined);
  if (key === undefined) return { kind: 'absent', reason: 'its code is a container image' };
  const staged = source.assets.get(key);
  if (staged !== undefined) return atPath(staged, source.folder);
  // The Serverless Framework packs its folder; a package of the same name lies beside the template.
  const packaged = join(source.folder, basename(key));
  if (source.sourceFolder !== undefined) {
    const beside = existsSync(packaged) ? { packaged } : {};
    return { kind: 'folder', path: source.sourceFolder, ...beside };
  }
  if (existsSync(packaged)) return atPath(packaged, source.folder);
  return { kind: 'absent', reason: `its code is the S3 object ${key}, which is not on this machine` };
}

function atPath(path: string, folder: string): CodeLocation {
  if (/^(s3|https?):\/\//.test(path))
    return { kind: 'absent', reason: `its code is ${path}, which is not on this machine` };
  const absolute = resolve(folder, path);
  if (!existsSync(absolute)) return { kind: 'absent', reason: `its code should be at ${absolute}, where nothing is` };
  return { kind: /\.(zip|jar)$/.test(absolute) ? 'zip' : 'folder', path: absolute };
}
