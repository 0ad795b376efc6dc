/**
 * The client side of both protocols, for tests: inputs as plain objects on the wire, answers back as plain objects.
 *
 * It shares the model with the server, and nothing else; golden texts and the SDKs of `test/clients` check the model
 * itself.
 *
 * @module
 */
import { XMLParser } from 'fast-xml-parser';
import { type ActionName, MODEL } from '../../../runtime/sqs/protocol/model.ts';
import { type Shape, type StructureShape, wireName } from '../../../runtime/sqs/protocol/shape.ts';

/** A shape as JSON has it: maps are objects, bytes are base64. Everything may be left out, so that tests can. */
type Plain<S> = S extends { readonly kind: 'string' | 'blob' }
  ? string
  : S extends { readonly kind: 'integer' }
    ? number
    : S extends { readonly kind: 'boolean' }
      ? boolean
      : S extends { readonly kind: 'list'; readonly of: infer Item }
        ? readonly Plain<Item>[]
        : S extends { readonly kind: 'map'; readonly of: infer Item }
          ? Readonly<Record<string, Plain<Item>>>
          : S extends { readonly kind: 'structure'; readonly members: infer M }
            ? { readonly [K in keyof M]?: Plain<M[K]> | undefined }
            : never;

export type PlainInput<N extends ActionName> = Plain<(typeof MODEL)[N]['input']>;
export type PlainOutput<N extends ActionName> = (typeof MODEL)[N] extends { readonly output: infer O }
  ? Plain<O>
  : Record<string, never>;

/** The form parameters of an input. */
export function toForm(action: ActionName, input: object): URLSearchParams {
  const form = new URLSearchParams({ Action: action, Version: '2012-11-05' });
  appendMembers(form, '', MODEL[action].input, input);
  return form;
}

function appendMembers(form: URLSearchParams, prefix: string, shape: StructureShape, value: unknown): void {
  for (const [member, given] of Object.entries(value ?? {})) {
    const memberShape = shape.members[member];
    if (memberShape === undefined || given === undefined) continue;
    append(form, `${prefix}${wireName(member, memberShape)}`, memberShape, given);
  }
}

function append(form: URLSearchParams, name: string, shape: Shape, value: unknown): void {
  if (shape.kind === 'list' && Array.isArray(value)) {
    for (const [index, item] of value.entries()) append(form, `${name}.${index + 1}`, shape.of, item);
  } else if (shape.kind === 'map') {
    for (const [index, [key, item]] of Object.entries(value ?? {}).entries()) {
      form.append(`${name}.${index + 1}.${shape.key}`, key);
      append(form, `${name}.${index + 1}.${shape.value}`, shape.of, item);
    }
  } else if (shape.kind === 'structure') {
    appendMembers(form, `${name}.`, shape, value);
  } else {
    form.append(name, String(value));
  }
}

const parser = new XMLParser({
  parseTagValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  processEntities: true,
  htmlEntities: true,
});

/** An XML answer as nested objects of texts. */
export function parseXml(text: string): Record<string, unknown> {
  return parser.parse(text) as Record<string, unknown>;
}

/** The result in an XML answer as JSON would have it. */
export function fromXml(action: ActionName, text: string): unknown {
  const model = MODEL[action];
  if (!('output' in model)) return {};
  const response = object(parseXml(text)[`${action}Response`]);
  return plainMembers(model.output, object(response[`${action}Result`]));
}

function plainMembers(shape: StructureShape, node: Record<string, unknown>): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const [member, memberShape] of Object.entries(shape.members)) {
    const given = node[wireName(member, memberShape)];
    const value = plainValue(memberShape, given);
    if (value !== undefined) members[member] = value;
  }
  return members;
}

function plainValue(shape: Shape, node: unknown): unknown {
  if (node === undefined) return undefined;
  if (shape.kind === 'list') return array(node).map((item) => plainValue(shape.of, item));
  if (shape.kind === 'map') {
    const items = array(node).map(object);
    return Object.fromEntries(items.map((item) => [String(item[shape.key]), plainValue(shape.of, item[shape.value])]));
  }
  if (shape.kind === 'structure') return plainMembers(shape, object(node));
  if (shape.kind === 'integer') return Number(node);
  return shape.kind === 'boolean' ? node === 'true' : String(node);
}

function array(node: unknown): readonly unknown[] {
  return Array.isArray(node) ? node : [node];
}

function object(node: unknown): Record<string, unknown> {
  return typeof node === 'object' && node !== null ? { ...node } : {};
}
