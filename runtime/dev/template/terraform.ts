/**
 * What `terraform show -json` prints of a plan or of a state, as a template.
 *
 * A plan knows little of what is not deployed yet: where a value hangs on an ARN or a URL, it names what the value
 * refers to, and of objects (the variables of a function, a redrive policy) not even the keys. Those are read from the
 * sources of the module instead, as far as they are plain.
 *
 * Source: https://developer.hashicorp.com/terraform/internals/json-format
 *
 * @module
 */
import { dirname, join } from 'node:path';
import { unresolvable } from './intrinsics.ts';
import { isObject, type JsonObject, objectOr, textOr } from './model.ts';
import { attributeOf, type PlannedResource, plannedTemplate } from './planned.ts';
import { sourceObject } from './terraform-source.ts';

export function isTerraform(parsed: unknown): parsed is JsonObject {
  return isObject(parsed) && 'format_version' in parsed && ('planned_values' in parsed || 'values' in parsed);
}

/** The template of a plan or a state of the module in `folder`. */
export function terraformTemplate(parsed: JsonObject, folder: string): JsonObject {
  const planned = objectOr(parsed['planned_values'] ?? parsed['values']);
  const all = new Map<string, Found>();
  const configuration = objectOr(objectOr(parsed['configuration'])['root_module']);
  collect(objectOr(planned['root_module']), new Module(configuration, folder, '', all), all);
  // Data are read before anything is planned.
  const before = new Map<string, Found>();
  const prior = objectOr(objectOr(parsed['prior_state'])['values'])['root_module'];
  for (const root of [prior, planned['root_module']]) {
    collect(objectOr(root), new Module(configuration, folder, '', before), before);
  }
  return plannedTemplate(
    [...all.values()].filter(({ isData }) => !isData),
    archivesOf([...before.values()]),
  );
}

type Found = PlannedResource & { readonly name: string; readonly index: unknown; readonly isData: boolean };

/** What a module is configured by, and how its references are followed. */
class Module {
  readonly folder: string;
  readonly address: string;
  readonly #configuration: JsonObject;
  readonly #all: ReadonlyMap<string, Found>;
  readonly #parent: { readonly module: Module; readonly expressions: JsonObject } | undefined;

  constructor(
    configuration: JsonObject,
    folder: string,
    address: string,
    all: ReadonlyMap<string, Found>,
    parent?: { readonly module: Module; readonly expressions: JsonObject },
  ) {
    this.#configuration = configuration;
    this.folder = folder;
    this.address = address;
    this.#all = all;
    this.#parent = parent;
  }

  /** The module that a call makes; `address`: with the index, if the call has one. */
  child(address: string): Module {
    const name = address
      .slice(this.address.length)
      .replace(/^\.?module\./, '')
      .replace(/\[.*$/, '');
    const call = objectOr(objectOr(this.#configuration['module_calls'])[name]);
    const source = textOr(call['source'], '');
    const folder = source.startsWith('.') ? join(this.folder, source) : '';
    const parent = { module: this, expressions: objectOr(call['expressions']) };
    return new Module(objectOr(call['module']), folder, address, this.#all, parent);
  }

  /** The expressions of a resource. */
  expressions(type: string, name: string): JsonObject {
    const resources: readonly unknown[] = [this.#configuration['resources'] ?? []].flat();
    return objectOr(
      resources.map(objectOr).find((resource) => resource['type'] === type && resource['name'] === name)?.[
        'expressions'
      ],
    );
  }

  /**
   * What an expression refers to. `attribute`: the one that fits, where the plan names a resource alone; `index`: of
   * the resource that has the expression, for those that are made one beside the other.
   */
  followed(expression: unknown, attribute: string, index: unknown): unknown {
    const { references, constant_value: constant } = objectOr(expression);
    if (constant !== undefined) return constant;
    const texts = (Array.isArray(references) ? references : []).map(String);
    // Each reference is followed by what it begins with.
    const whole = texts.filter(
      (text) =>
        !texts.some((other) => other !== text && /^[.[]/.test(other.slice(text.length)) && other.startsWith(text)),
    );
    const named = whole.filter((text) => !/^(each|count|path|terraform)\./.test(text));
    const [only, ...others] = named;
    if (only === undefined) return undefined;
    if (others.length > 0)
      return unresolvable(`it is made of ${named.join(', ')}, which are known after the deployment`);
    return this.reference(only, attribute, index);
  }

  /** `aws_sqs_queue.jobs.arn`, `var.queue_arn`, `module.mails.url`, ... */
  reference(text: string, attribute: string, index?: unknown): unknown {
    const unknown = unresolvable(`${text} is known after the deployment only`);
    const [first = '', second = '', third] = text.split(/\.(?![^[]*\])/);
    if (first === 'var') {
      const given = this.#parent?.expressions[second];
      return given === undefined ? unknown : this.#parent?.module.followed(given, attribute, index);
    }
    if (first === 'module') {
      const child = this.child(`${this.address === '' ? '' : `${this.address}.`}module.${second}`);
      const output = objectOr(objectOr(child.#configuration['outputs'])[third ?? '']);
      return third === undefined ? unknown : child.followed(output['expression'], attribute, index);
    }
    const prefix = this.address === '' ? '' : `${this.address}.`;
    const key = index === undefined ? '' : `[${JSON.stringify(index)}]`;
    const found = [`${prefix}${first}.${second}`, `${prefix}${first}.${second}${key}`].flatMap(
      (address) => this.#all.get(address) ?? [],
    )[0];
    return found === undefined ? unknown : attributeOf(found, third ?? attribute);
  }
}

/** Collects the resources of a module as it is planned, and of those inside it. */
function collect(planned: JsonObject, module: Module, into: Map<string, Found>): void {
  for (const entry of [planned['resources'] ?? []].flat()) {
    const resource = objectOr(entry);
    const [address, type, name] = ['address', 'type', 'name'].map((key) => textOr(resource[key], ''));
    if (address === undefined || type === undefined || name === undefined) continue;
    const { index, mode } = resource;
    into.set(address, {
      address,
      type,
      name,
      index,
      isData: mode === 'data',
      values: objectOr(resource['values']),
      reference(path, attribute) {
        const expressions = module.expressions(type, name);
        const [first = '', second] = path;
        const outer = expressions[first];
        const expression = second === undefined ? outer : objectOr([outer].flat()[0])[second];
        if (expression === undefined) return undefined;
        const object = OBJECTS.has(first) ? sourceObject(module.folder, type, name, path.at(-1) ?? '') : undefined;
        if (object === undefined) return asList(first, module.followed(expression, attribute, index));
        return Object.fromEntries(
          Object.entries(object).map(([key, value]) => [
            key,
            'literal' in value ? value.literal : module.reference(value.reference, attribute, index),
          ]),
        );
      },
    });
  }
  for (const entry of [planned['child_modules'] ?? []].flat()) {
    const child = objectOr(entry);
    collect(child, module.child(textOr(child['address'], '')), into);
  }
}

/** Arguments that hold objects, of which a plan does not tell the keys. */
const OBJECTS = new Set(['environment', 'redrive_policy']);

function asList(key: string, value: unknown): unknown {
  return key === 'layers' && value !== undefined ? [value] : value;
}

/** The folders that zip files were made of, by file: what is edited runs, and no package of it. */
function archivesOf(resources: readonly Found[]): ReadonlyMap<string, string> {
  return new Map(
    resources
      .filter(({ type }) => type === 'archive_file')
      .flatMap(({ values }): [string, string][] => {
        const [file, folder, source] = ['output_path', 'source_dir', 'source_file'].map((key) =>
          textOr(values[key], ''),
        );
        const from = folder || (source === '' || source === undefined ? '' : dirname(source));
        return file === undefined || file === '' || from === '' ? [] : [[file, from]];
      }),
  );
}
