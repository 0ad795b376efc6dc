/**
 * What both protocols share: values as they come off the wire, before the model gives them a type, and which members of an answer are written at all.
 *
 * @module
 */
import { missingParameter, SqsError } from '../errors.ts';
import type { Shape, StructureShape, Value } from './shape.ts';

/**
 * The most values in a request, in either protocol. Far above what the largest valid one has: ten entries with ten attributes each are some five hundred. Without it
 * a body of 4 MiB could become a hundred times as much in memory.
 */
export const MOST_VALUES = 4_096;

/** A decoded value of any shape. Maps are `Map`s, so that a name like `__proto__` is a name. */
export type Decoded =
  | string
  | number
  | boolean
  | Uint8Array
  | readonly Decoded[]
  | ReadonlyMap<string, Decoded>
  | DecodedStructure;

export interface DecodedStructure {
  readonly [member: string]: Decoded | undefined;
}

/** Checks the required members and gives the structure its type. Errors: `MissingParameter`. */
export function typed<S extends StructureShape>(shape: S, structure: DecodedStructure): Value<S> {
  for (const [member, { required }] of Object.entries(shape.members)) {
    if (required !== undefined && isEmpty(structure[member])) throw missingParameter(required);
  }
  // The decoders build the structure by walking the same shape that the type is derived from.
  return structure as unknown as Value<S>;
}

function isEmpty(value: Decoded | undefined): boolean {
  if (value === undefined || value === '') return true;
  return Array.isArray(value) ? value.length === 0 : value instanceof Map && value.size === 0;
}

/** A member that is written into an answer: its name, its shape and its value. */
export type PresentMember = readonly [name: string, shape: Shape, value: Decoded];

/**
 * The members of an answer that are written, in the order of the model. A member without a value is left out, and so is a list or map without items: SQS answers
 * `{}` to a ReceiveMessage that finds nothing, and a batch without failures has no `Failed` (clients such as `hasFailed()` of the AWS SDK for Java ask for its
 * presence). Every encoder walks an answer by this function alone, so an action may give an empty list or map.
 */
export function presentMembers(shape: StructureShape, value: Decoded): readonly PresentMember[] {
  const present: PresentMember[] = [];
  // What is encoded by a structure's shape was typed by the same shape, so it is one.
  const structure = value as DecodedStructure;
  for (const name in shape.members) {
    const member = shape.members[name];
    const given = structure[name];
    if (member === undefined || given === undefined || hasNoItems(member, given)) continue;
    present.push([name, member, given]);
  }
  return present;
}

function hasNoItems(shape: Shape, value: Decoded): boolean {
  if (shape.kind === 'list') return Array.isArray(value) && value.length === 0;
  return shape.kind === 'map' && value instanceof Map && value.size === 0;
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads base64; anything else would silently lose bytes. Errors: `MalformedInput`. */
export function decodeBase64(text: string): Uint8Array {
  if (!BASE64.test(text)) throw new SqsError('MalformedInput', 'STRING_VALUE can not be converted to a Blob');
  return Buffer.from(text, 'base64');
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads UTF-8; a byte that is none would otherwise be replaced, and the digest of the message would not match. Errors: `MalformedInput`. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new SqsError('MalformedInput', 'The request body is not valid UTF-8.');
  }
}
