/**
 * What both decoders share: values as they come off the wire, before the model gives them a type.
 *
 * @module
 */
import { missingParameter, SqsError } from '../errors.ts';
import type { StructureShape, Value } from './shape.ts';

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
