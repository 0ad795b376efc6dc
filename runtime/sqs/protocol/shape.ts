/**
 * Shapes: what a member of a request or an answer is, as data. One description drives the decoders and encoders of both
 * protocols and, through `Value`, the TypeScript type that the actions see.
 *
 * @module
 */
import { missingParameter, SqsError } from '../errors.ts';

/** How a member differs from its plain shape. */
interface MemberTraits {
  /**
   * Name in the Query protocol, where it differs: for lists and maps the name of one flattened item
   * (`AttributeName.1`).
   */
  readonly wire?: string;
  /** Must be present and not empty; what the `MissingParameter` error calls it. */
  readonly required?: string;
  /**
   * Name in the JSON rendering of the Query protocol (`Accept: application/json`), where it differs from the member's.
   */
  readonly plain?: string;
}

type StringShape = MemberTraits & { readonly kind: 'string' };
/** 32 or 64 bits on the wire alike; a JavaScript integer here. */
type IntegerShape = MemberTraits & { readonly kind: 'integer' };
type BooleanShape = MemberTraits & { readonly kind: 'boolean' };
/** Bytes; base64 on the wire. */
type BlobShape = MemberTraits & { readonly kind: 'blob' };
/** Always flattened in the Query protocol: SQS has no other lists. */
type ListShape = MemberTraits & { readonly kind: 'list'; readonly of: Shape };
/** Flattened as well; `key` and `value` name the two halves of an item in the Query protocol. */
export type MapShape = MemberTraits & {
  readonly kind: 'map';
  readonly of: Shape;
  readonly key: string;
  readonly value: string;
};
export type StructureShape = MemberTraits & { readonly kind: 'structure'; readonly members: Members };

export type Shape = StringShape | IntegerShape | BooleanShape | BlobShape | ListShape | MapShape | StructureShape;
/** Members by their name in the JSON protocol. */
export type Members = Readonly<Record<string, Shape>>;

/** The TypeScript type of a shape. Members that are not required may be absent. */
export type Value<S> = S extends { readonly kind: 'string' }
  ? string
  : S extends { readonly kind: 'integer' }
    ? number
    : S extends { readonly kind: 'boolean' }
      ? boolean
      : S extends { readonly kind: 'blob' }
        ? Uint8Array
        : S extends { readonly kind: 'list'; readonly of: infer Item }
          ? readonly Value<Item>[]
          : S extends { readonly kind: 'map'; readonly of: infer Item }
            ? ReadonlyMap<string, Value<Item>>
            : S extends { readonly kind: 'structure'; readonly members: infer M }
              ? StructureValue<M>
              : never;

type StructureValue<M> = {
  readonly [K in keyof M as M[K] extends { readonly required: string } ? K : never]: Value<M[K]>;
} & {
  readonly [K in keyof M as M[K] extends { readonly required: string } ? never : K]?: Value<M[K]> | undefined;
};

export const string = { kind: 'string' } as const;
export const integer = { kind: 'integer' } as const;
export const boolean = { kind: 'boolean' } as const;
export const blob = { kind: 'blob' } as const;

/** A list whose items are called `wire` in the Query protocol. */
export function list<const S extends Shape, const W extends string>(wire: W, of: S) {
  return { kind: 'list', of, wire } as const;
}

/** A map whose items are called `wire` in the Query protocol, with the halves `key` and `value`. */
export function map<const S extends Shape, const W extends string>(wire: W, of: S, key = 'Name', value = 'Value') {
  return { kind: 'map', of, key, value, wire } as const;
}

export function structure<const M extends Members>(members: M) {
  return { kind: 'structure', members } as const;
}

/** Marks a member that must be present and not empty; `missing`: what the error calls it. */
export function required<const S extends Shape>(missing: string, shape: S) {
  return { ...shape, required: missing } as const;
}

/** Gives a member another name in the JSON rendering of the Query protocol. */
export function plain<const S extends Shape>(name: string, shape: S) {
  return { ...shape, plain: name } as const;
}

/** The name of a member in the Query protocol. */
export function wireName(member: string, shape: Shape): string {
  return shape.wire ?? member;
}

/*
 * What both protocols share: values as they come off the wire, before the model gives them a type, and which members of
 * an answer are written at all.
 */

/**
 * The most values in a request, in either protocol. Far above what the largest valid one has: ten entries with ten
 * attributes each are some five hundred. Without it a body of 4 MiB could become a hundred times as much in memory.
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
  requireMembers(shape, structure);
  // The decoders build the structure by walking the same shape that the type is derived from.
  return structure as unknown as Value<S>;
}

/** Errors: `MissingParameter`, for the first required member that is not there or empty. */
export function requireMembers(shape: StructureShape, structure: DecodedStructure): void {
  for (const member in shape.members) {
    const required = shape.members[member]?.required;
    if (required !== undefined && isEmpty(structure[member])) throw missingParameter(required);
  }
}

function isEmpty(value: Decoded | undefined): boolean {
  if (value === undefined || value === '') return true;
  return Array.isArray(value) ? value.length === 0 : value instanceof Map && value.size === 0;
}

/** A member that is written into an answer: its name, its shape and its value. */
export type PresentMember = readonly [name: string, shape: Shape, value: Decoded];

/**
 * The members of an answer that are written, in the order of the model. A member without a value is left out, and so is
 * a list or map without items: SQS answers `{}` to a ReceiveMessage that finds nothing, and a batch without failures
 * has no `Failed` (clients such as `hasFailed()` of the AWS SDK for Java ask for its presence). Every encoder walks an
 * answer by this function alone, so an action may give an empty list or map.
 */
export function presentMembers(shape: StructureShape, value: Decoded): readonly PresentMember[] {
  const present: PresentMember[] = [];
  // What is encoded by a structure's shape was typed by the same shape, so it is one.
  const structure = value as DecodedStructure;
  for (const name in shape.members) {
    const member = shape.members[name];
    const given = structure[name];
    if (member === undefined || given === undefined) continue;
    if (typeof given === 'object' && hasNoItems(member, given)) continue;
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

/**
 * Reads UTF-8; a byte that is none would otherwise be replaced, and the digest of the message would not match. Errors:
 * `MalformedInput`.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new SqsError('MalformedInput', 'The request body is not valid UTF-8.');
  }
}
