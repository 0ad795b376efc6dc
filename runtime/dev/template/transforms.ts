/**
 * The transforms that CloudFormation applies to a template before it deploys it: `AWS::LanguageExtensions` (the loops
 * `Fn::ForEach`), then SAM.
 *
 * A loop writes its fragment once for each item of its collection, with the item in place of the loop's identifier:
 * `${Identifier}` gives it as it is, `&{Identifier}` without what is neither letter nor digit, so that it fits into a
 * logical id, and `Ref` of the identifier gives it as a value. Loops may stand in Resources, in the properties of a
 * resource at any depth, in Conditions and in Outputs, and in one another. A loop that cannot be written out is named
 * and left out; the rest of the template is served.
 *
 * Source: AWS CloudFormation template reference, "Fn::ForEach" and "AWS::LanguageExtensions transform".
 *
 * @module
 */
import { type Lookups, resolveCondition, resolveValue, Unresolvable } from './intrinsics.ts';
import { isObject, type JsonObject, objectOr, scalarText, textOr } from './model.ts';
import { type ExpandedTemplate, expandSam } from './parse.ts';

const LOOP = 'Fn::ForEach::';
const TRANSFORM = 'AWS::LanguageExtensions';
const SECTIONS = ['Conditions', 'Resources', 'Outputs'] as const;

/** What the identifiers of the loops around a fragment stand for. */
type Bindings = ReadonlyMap<string, string>;

/** The values of parameters that a parent gives to a nested stack. Each throws `Unresolvable` if it cannot be had. */
export type GivenParameters = Readonly<Record<string, () => unknown>>;

/** Applies both transforms to a parsed template. A parameter that is not given has its default. */
export function expandTransforms(parsed: unknown, given: GivenParameters = {}): ExpandedTemplate {
  const template = objectOr(parsed);
  const loops = new Loops(template, given);
  const sections = SECTIONS.filter((name) => name in template).map((name) => [
    name,
    loops.expand(template[name], name, new Map()),
  ]);
  const { template: expanded, notes } = expandSam({ ...template, ...Object.fromEntries(sections) });
  return { template: expanded, notes: [...loops.notes, ...notes] };
}

class Loops {
  readonly notes: string[] = [];
  readonly #lookups: Lookups;
  #warnOfTransform: boolean;

  constructor(template: JsonObject, given: GivenParameters) {
    this.#lookups = knownBeforehand(template, given);
    const transforms = [template['Transform']].flat();
    this.#warnOfTransform = !transforms.includes(TRANSFORM);
  }

  /** `path`: where in the template `value` stands, for notes. */
  expand(value: unknown, path: string, bindings: Bindings): unknown {
    if (typeof value === 'string') return substituted(value, bindings);
    if (Array.isArray(value)) return value.map((item, index) => this.expand(item, `${path}.${index}`, bindings));
    if (!isObject(value)) return value;
    const name = value['Ref'];
    const bound = typeof name === 'string' && Object.keys(value).length === 1 ? bindings.get(name) : undefined;
    if (bound !== undefined) return bound;
    const written: [string, unknown][] = [];
    for (const [key, member] of Object.entries(value)) {
      if (key.startsWith(LOOP)) written.push(...this.#loop(key, member, path, bindings));
      else written.push([substituted(key, bindings), this.expand(member, `${path}.${key}`, bindings)]);
    }
    this.#noteDoubles(written, path);
    return Object.fromEntries(written);
  }

  /** The members that a loop writes; none if it cannot be written out. */
  #loop(key: string, argument: unknown, path: string, bindings: Bindings): readonly [string, unknown][] {
    if (this.#warnOfTransform) {
      this.#warnOfTransform = false;
      this.notes.push(
        `Fn::ForEach needs the transform ${TRANSFORM}, without which CloudFormation refuses the template`,
      );
    }
    try {
      const [identifier, collection, fragment] = partsOf(argument);
      const items = resolveValue(this.expand(collection, path, bindings), this.#lookups);
      return itemsOf(items).flatMap((item) => {
        const inside = this.expand(fragment, path, new Map([...bindings, [identifier, item]]));
        return Object.entries(objectOr(inside));
      });
    } catch (error) {
      if (!(error instanceof Unresolvable)) throw error;
      this.notes.push(`${substituted(key, bindings)} in ${path}: ${error.message}; what it would write is left out`);
      return [];
    }
  }

  #noteDoubles(written: readonly [string, unknown][], path: string): void {
    const seen = new Set<string>();
    for (const [key] of written) {
      if (seen.has(key)) this.notes.push(`Fn::ForEach writes ${key} in ${path} more than once; the last one counts`);
      seen.add(key);
    }
  }
}

/** `[identifier, collection, fragment]`. Throws `Unresolvable`. */
function partsOf(argument: unknown): readonly [string, unknown, JsonObject] {
  const [identifier, collection, fragment, ...others] = Array.isArray(argument) ? argument : [];
  if (typeof identifier !== 'string' || identifier === '' || !isObject(fragment) || others.length > 0) {
    throw new Unresolvable('it needs an identifier, a collection and a fragment');
  }
  return [identifier, collection, fragment];
}

/** The texts of a collection. Throws `Unresolvable`. */
function itemsOf(collection: unknown): readonly string[] {
  if (!Array.isArray(collection)) {
    throw new Unresolvable(`its collection must be a list, but is ${JSON.stringify(collection) ?? 'absent'}`);
  }
  return collection.map((item) => {
    const text = scalarText(item);
    if (text === undefined) throw new Unresolvable(`its collection may hold texts only, not ${JSON.stringify(item)}`);
    return text;
  });
}

function substituted(text: string, bindings: Bindings): string {
  if (bindings.size === 0) return text;
  return text.replace(/([$&])\{([^{}]*)\}/g, (whole, sign: string, name: string) => {
    const item = bindings.get(name.trim());
    if (item === undefined) return whole;
    return sign === '&' ? item.replace(/[^A-Za-z0-9]/g, '') : item;
  });
}

/** What a collection may refer to: the transform runs before any resource exists. */
function knownBeforehand(template: JsonObject, given: GivenParameters): Lookups {
  const parameters = objectOr(template['Parameters']);
  const unknown = (what: string) => (): never => {
    throw new Unresolvable(`${what} is not known before the deployment`);
  };
  const lookups: Lookups = {
    ref(name) {
      const definition = objectOr(parameters[name]);
      const value = Object.hasOwn(given, name) ? given[name]?.() : definition['Default'];
      if (value === undefined) throw new Unresolvable(`${name} is no parameter with a value that is known here`);
      const isList = /^(CommaDelimitedList$|List<)/.test(textOr(definition['Type'], ''));
      return isList && typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value;
    },
    mapped: (map, first, second) => objectOr(objectOr(objectOr(template['Mappings'])[map])[first])[second],
    condition: (name) => resolveCondition(objectOr(template['Conditions'])[name], lookups),
    attribute: unknown('an attribute of a resource'),
    importValue: unknown('the export of another stack'),
    stackOutput: unknown('the output of another stack'),
    region: '',
  };
  return lookups;
}
