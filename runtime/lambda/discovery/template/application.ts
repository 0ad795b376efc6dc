/**
 * Makes one application of the stacks of a template source: nested stacks found, exports joined, queues, functions and mappings read.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { readFunctions } from './functions.ts';
import { resolveValue, Unresolvable } from './intrinsics.ts';
import { readMappings } from './mappings.ts';
import {
  type Resource,
  type StackSource,
  type TemplateApplication,
  type TemplateSettings,
  templateOf,
} from './model.ts';
import { PhysicalNames } from './names.ts';
import { parseTemplateText } from './parse.ts';
import { readQueues } from './queues.ts';
import { StackScope, type Surroundings } from './stack-scope.ts';
import { expandTransforms, type GivenParameters } from './transforms.ts';
import { isObject, objectOr, textOr } from './values.ts';

/** Reads what `stacks` define. Never throws for what a template says; that becomes a problem. */
export function readApplication(stacks: readonly StackSource[], settings: TemplateSettings): TemplateApplication {
  const problems: string[] = stacks.flatMap(({ notes }) => notes ?? []);
  const scopes = new StackSet(stacks, settings, problems).all;
  const { names, queues } = readQueues(scopes, settings, problems);
  const functions = readFunctions(scopes, names, problems);
  const { mappings, broken } = readMappings(scopes, functions, names, problems);
  return { functions: [...functions.values()], mappings, broken, queues, problems: [...new Set(problems)] };
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
