/**
 * Requests of the Query protocol: form parameters whose names are paths
 * (`SendMessageBatchRequestEntry.2.MessageAttribute.1.Value.StringValue`).
 *
 * The parameters become a tree once, so that no member has to search all names. A list or map item may stand without
 * its index (`AttributeName=All`, `Attribute.Name=...`), as the API reference of SQS writes it.
 *
 * @module
 */
import { echo, SqsError } from '../errors.ts';
import {
  type Decoded,
  type DecodedStructure,
  decodeBase64,
  decodeUtf8,
  type MapShape,
  MOST_VALUES,
  type Shape,
  type StructureShape,
  typed,
  type Value,
  wireName,
} from './shape.ts';

/**
 * Parts of a parameter's name; the longest one that means something has seven (see above, with `StringListValue.1` at
 * its end).
 */
const MOST_STEPS = 10;

interface Node {
  value?: string;
  readonly children: Map<string, Node>;
}

/** The parameters of one request. */
export class Form {
  readonly #root: Node = { children: new Map() };
  #count = 0;

  /** Adds the parameters of a query string; a later one of the same name wins. Errors: `MalformedInput`. */
  add(text: string): void {
    if (text !== '') this.addBody(Buffer.from(text));
  }

  /**
   * Adds the parameters of a form body; a later one of the same name wins. Each is cut out of the bytes and decoded by
   * itself, so that the memory this takes is that of the body, whatever it is made of. Errors: `MalformedInput`.
   */
  addBody(body: Uint8Array): void {
    for (let at = 0; at < body.length; ) {
      const end = endOfPair(body, at);
      this.#count += 1;
      if (this.#count > MOST_VALUES) {
        throw new SqsError('MalformedInput', `The request has more than ${MOST_VALUES} parameters.`);
      }
      if (end > at) {
        const equals = body.subarray(at, end).indexOf(EQUALS);
        const nameEnd = equals === -1 ? end : at + equals;
        this.#put(decodeFormText(body, at, nameEnd), decodeFormText(body, Math.min(end, nameEnd + 1), end));
      }
      at = end + 1;
    }
  }

  /** A parameter without a path, such as `Action`. */
  get(name: string): string | undefined {
    return this.#root.children.get(name)?.value;
  }

  /** The members of an action's input. Errors: `MalformedInput`, `MissingParameter`. */
  decode<S extends StructureShape>(shape: S): Value<S> {
    return typed(shape, structureOf(shape, this.#root));
  }

  #put(name: string, value: string): void {
    const steps = name.split('.', MOST_STEPS + 1);
    if (steps.length > MOST_STEPS) {
      throw new SqsError('MalformedInput', `The name of a parameter has more than ${MOST_STEPS} parts: ${echo(name)}`);
    }
    let node = this.#root;
    for (const step of steps) {
      let next = node.children.get(step);
      if (next === undefined) {
        next = { children: new Map() };
        node.children.set(step, next);
      }
      node = next;
    }
    node.value = value;
  }
}

/** What stands between two parameters. */
const AMPERSAND = 0x26;
const [PERCENT, PLUS, EQUALS, SPACE] = [0x25, 0x2b, 0x3d, 0x20];

/** Where the parameter that begins at `from` ends: at the next ampersand, or with the body. */
export function endOfPair(body: Uint8Array, from: number): number {
  const ampersand = body.indexOf(AMPERSAND, from);
  return ampersand === -1 ? body.length : ampersand;
}

/**
 * Decodes a piece of a form: `+` is a space, `%` and two hex digits are a byte, and the bytes are UTF-8. One pass, into
 * a buffer no longer than the piece: a text built piece by piece would take many times the memory. Errors:
 * `MalformedInput`.
 */
export function decodeFormText(body: Uint8Array, from: number, to: number): string {
  const piece = body.subarray(from, to);
  if (!piece.includes(PERCENT) && !piece.includes(PLUS)) return decodeUtf8(piece);
  const decoded = Buffer.allocUnsafe(piece.length);
  let length = 0;
  for (let at = 0; at < piece.length; at += 1) {
    let byte = piece[at] ?? 0;
    if (byte === PLUS) byte = SPACE;
    else if (byte === PERCENT) {
      byte = hexDigit(piece[at + 1]) * 16 + hexDigit(piece[at + 2]);
      at += 2;
    }
    decoded[length] = byte;
    length += 1;
  }
  try {
    return decodeUtf8(decoded.subarray(0, length));
  } catch {
    throw notPercentEncoded();
  }
}

/** Errors: `MalformedInput`. */
function hexDigit(byte = 0): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  if (letter >= 0x61 && letter <= 0x66) return letter - 0x57;
  throw notPercentEncoded();
}

function notPercentEncoded(): SqsError {
  return new SqsError('MalformedInput', 'A parameter of the request is not valid percent-encoded UTF-8.');
}

function structureOf(shape: StructureShape, node: Node): DecodedStructure {
  const members: Record<string, Decoded> = {};
  for (const [name, member] of Object.entries(shape.members)) {
    const given = decode(member, node.children.get(wireName(name, member)));
    if (given !== undefined) members[name] = given;
  }
  return members;
}

function decode(shape: Shape, node: Node | undefined): Decoded | undefined {
  switch (shape.kind) {
    case 'list':
      // A form cannot tell an empty list from an absent one.
      return items(node).flatMap((item) => decode(shape.of, item) ?? []);
    case 'map':
      return mapOf(shape, node);
    case 'structure':
      return node === undefined ? undefined : structureOf(shape, node);
    case 'integer':
      return node?.value === undefined ? undefined : integerOf(node.value);
    case 'blob':
      return node?.value === undefined ? undefined : decodeBase64(node.value);
    case 'boolean':
      return node?.value === undefined ? undefined : node.value === 'true';
    case 'string':
      return node?.value;
  }
}

function mapOf(shape: MapShape, node: Node | undefined): ReadonlyMap<string, Decoded> | undefined {
  const entries = new Map<string, Decoded>();
  for (const item of items(node)) {
    const name = item.children.get(shape.key)?.value;
    if (name === undefined) continue;
    // A value without members is a structure all the same; a text that was left out is an empty one.
    const value = decode(shape.of, item.children.get(shape.value) ?? { children: new Map() });
    entries.set(name, value ?? '');
  }
  return entries.size === 0 ? undefined : entries;
}

/** The items of a flattened list, by index; or the one item that stands without an index. */
function items(node: Node | undefined): Node[] {
  if (node === undefined) return [];
  const indexed = [...node.children].flatMap(([step, child]) =>
    /^[1-9]\d{0,8}$/.test(step) ? [{ index: Number(step), child }] : [],
  );
  if (indexed.length === 0) return node.value === undefined && node.children.size === 0 ? [] : [node];
  return indexed.sort((a, b) => a.index - b.index).map(({ child }) => child);
}

function integerOf(text: string): number {
  if (!/^[+-]?\d{1,15}$/.test(text)) {
    throw new SqsError('MalformedInput', 'STRING_VALUE can not be converted to an Integer');
  }
  return Number(text);
}
