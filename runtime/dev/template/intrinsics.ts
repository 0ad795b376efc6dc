/**
 * CloudFormation's intrinsic functions, as far as they can be computed without CloudFormation.
 *
 * @module
 */
import { isObject, type JsonObject, scalarText } from './model.ts';

/** A value that only CloudFormation, or only AWS, knows; the message says which, as the end of a sentence. */
export class Unresolvable extends Error {
  override readonly name = 'Unresolvable';
}

/** What the functions look up in the stack around them. Each throws `Unresolvable` if there is no answer. */
export interface Lookups {
  /** `Ref`: a parameter, a pseudo parameter or a resource. */
  ref(name: string): unknown;
  attribute(logicalId: string, attribute: string): unknown;
  importValue(exportName: string): unknown;
  /** An output of another stack, exported or not. */
  stackOutput(stackName: string, output: string): unknown;
  /** `undefined`: the map has no such key. */
  mapped(map: string, first: string, second: string): unknown;
  condition(name: string): boolean;
  /** For `Fn::GetAZs` of the stack's own region. */
  readonly region: string;
}

/** `AWS::NoValue`: the property or element is to be left out. */
export const NO_VALUE: unique symbol = Symbol('AWS::NoValue');

const UNRESOLVABLE = 'Karin::Unresolvable';

/**
 * A value to stand in a template for one that is known not to be had; resolving it throws `Unresolvable` with this
 * reason.
 */
export function unresolvable(reason: string): JsonObject {
  return { [UNRESOLVABLE]: reason };
}

type Intrinsic = (argument: unknown, lookups: Lookups) => unknown;

/** The value with every function in it computed. Throws `Unresolvable`. */
export function resolveValue(value: unknown, lookups: Lookups): unknown {
  if (Array.isArray(value)) return value.map((item) => resolveValue(item, lookups)).filter((item) => item !== NO_VALUE);
  if (!isObject(value)) return value;
  const [only, ...others] = Object.keys(value);
  if (only !== undefined && others.length === 0) {
    const intrinsic = INTRINSICS.get(only);
    if (intrinsic !== undefined) return intrinsic(value[only], lookups);
    if (only.startsWith('Fn::')) throw new Unresolvable(`${only} is not computed outside CloudFormation`);
  }
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, member]) => {
      const resolved = resolveValue(member, lookups);
      return resolved === NO_VALUE ? [] : [[key, resolved]];
    }),
  );
}

/**
 * The truth of a condition: the argument of `Fn::If`, or the body of an entry under `Conditions`. Throws
 * `Unresolvable`.
 */
export function resolveCondition(value: unknown, lookups: Lookups): boolean {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return lookups.condition(value);
  const body: JsonObject = isObject(value) ? value : {};
  const all = (key: string): readonly unknown[] => listOf(body[key], key);
  if ('Condition' in body) return resolveCondition(body['Condition'], lookups);
  if ('Fn::And' in body) return all('Fn::And').every((one) => resolveCondition(one, lookups));
  if ('Fn::Or' in body) return all('Fn::Or').some((one) => resolveCondition(one, lookups));
  if ('Fn::Not' in body) return !resolveCondition(all('Fn::Not')[0], lookups);
  if ('Fn::Equals' in body) {
    const [left, right] = all('Fn::Equals').map((side) => resolveValue(side, lookups));
    // CloudFormation compares texts: true and "true" are equal.
    return JSON.stringify(scalarText(left) ?? left) === JSON.stringify(scalarText(right) ?? right);
  }
  throw new Unresolvable(`the condition ${JSON.stringify(value)} is not one that is understood here`);
}

const INTRINSICS: ReadonlyMap<string, Intrinsic> = new Map(
  Object.entries<Intrinsic>({
    Ref: (argument, lookups) => lookups.ref(textOf(argument, 'Ref')),
    'Fn::GetAtt': getAtt,
    'Fn::Sub': sub,
    'Fn::Join': (argument, lookups) => {
      const [separator, parts] = listOf(argument, 'Fn::Join');
      const list = listOf(resolveValue(parts, lookups), 'Fn::Join');
      return list.map((part) => textOf(part, 'Fn::Join')).join(textOf(separator, 'Fn::Join'));
    },
    'Fn::Split': (argument, lookups) => {
      const [separator, text] = listOf(argument, 'Fn::Split');
      return textOf(resolveValue(text, lookups), 'Fn::Split').split(textOf(separator, 'Fn::Split'));
    },
    'Fn::Select': (argument, lookups) => {
      const [index, list] = listOf(argument, 'Fn::Select');
      const position = Number(resolveValue(index, lookups));
      const chosen = listOf(resolveValue(list, lookups), 'Fn::Select')[position];
      if (chosen === undefined) throw new Unresolvable(`Fn::Select finds no element ${position}`);
      return chosen;
    },
    'Fn::If': (argument, lookups) => {
      const [condition, whenTrue, whenFalse] = listOf(argument, 'Fn::If');
      return resolveValue(resolveCondition(condition, lookups) ? whenTrue : whenFalse, lookups);
    },
    'Fn::FindInMap': (argument, lookups) => {
      const [map, first, second, options] = listOf(argument, 'Fn::FindInMap');
      const keys = [map, first, second].map((key) => textOf(resolveValue(key, lookups), 'Fn::FindInMap'));
      const [mapName = '', firstKey = '', secondKey = ''] = keys;
      const found = lookups.mapped(mapName, firstKey, secondKey);
      if (found !== undefined) return found;
      if (isObject(options) && 'DefaultValue' in options) return resolveValue(options['DefaultValue'], lookups);
      throw new Unresolvable(`the map ${keys.join('.')} has no entry`);
    },
    'Fn::ImportValue': (argument, lookups) =>
      lookups.importValue(textOf(resolveValue(argument, lookups), 'Fn::ImportValue')),
    'Fn::GetStackOutput': (argument, lookups) => {
      // Stacks of other regions are here as well, so where it is deployed tells nothing.
      const { StackName, OutputName }: JsonObject = isObject(argument) ? argument : {};
      const [stackName, output] = [StackName, OutputName].map((part) =>
        textOf(resolveValue(part, lookups), 'Fn::GetStackOutput'),
      );
      return lookups.stackOutput(stackName ?? '', output ?? '');
    },
    'Fn::Base64': (argument, lookups) =>
      Buffer.from(textOf(resolveValue(argument, lookups), 'Fn::Base64')).toString('base64'),
    'Fn::GetAZs': (argument, lookups) => {
      const region = textOf(resolveValue(argument, lookups), 'Fn::GetAZs') || lookups.region;
      return ['a', 'b', 'c'].map((zone) => `${region}${zone}`);
    },
    'Fn::Length': (argument, lookups) => listOf(resolveValue(argument, lookups), 'Fn::Length').length,
    'Fn::ToJsonString': (argument, lookups) => JSON.stringify(resolveValue(argument, lookups)),
    [UNRESOLVABLE]: (argument) => {
      throw new Unresolvable(String(argument));
    },
  }),
);

function getAtt(argument: unknown, lookups: Lookups): unknown {
  const parts = typeof argument === 'string' ? argument.split('.') : listOf(argument, 'Fn::GetAtt');
  const [logicalId, ...attribute] = parts.map((part) => textOf(resolveValue(part, lookups), 'Fn::GetAtt'));
  if (logicalId === undefined || attribute.length === 0) {
    throw new Unresolvable(`Fn::GetAtt needs a resource and an attribute, but has ${JSON.stringify(argument)}`);
  }
  return lookups.attribute(logicalId, attribute.join('.'));
}

function sub(argument: unknown, lookups: Lookups): string {
  const [template, given] = typeof argument === 'string' ? [argument, {}] : listOf(argument, 'Fn::Sub');
  const variables: JsonObject = isObject(given) ? given : {};
  return textOf(template, 'Fn::Sub').replace(/\$\{([^}]*)\}/g, (_, inner: string) => {
    // `${!name}` is an escaped `${name}`.
    if (inner.startsWith('!')) return `\${${inner.slice(1)}}`;
    const name = inner.trim();
    if (Object.hasOwn(variables, name)) return textOf(resolveValue(variables[name], lookups), 'Fn::Sub');
    const dot = name.indexOf('.');
    return textOf(dot < 0 ? lookups.ref(name) : lookups.attribute(name.slice(0, dot), name.slice(dot + 1)), 'Fn::Sub');
  });
}

function listOf(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new Unresolvable(`${name} needs a list, but has ${JSON.stringify(value)}`);
}

function textOf(value: unknown, name: string): string {
  const text = scalarText(value);
  if (text === undefined) throw new Unresolvable(`${name} needs a text, but has ${JSON.stringify(value) ?? 'nothing'}`);
  return text;
}
