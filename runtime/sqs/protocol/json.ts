/**
 * AWS JSON 1.0: values by the model, errors with `__type`.
 *
 * The texts of what cannot be read are those of the SQS endpoint ("NUMBER_VALUE can not be converted to a String").
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { SqsError } from '../errors.ts';
import type { SqsResponse } from '../request.ts';
import {
  type Decoded,
  type DecodedStructure,
  decodeBase64,
  decodeUtf8,
  type MapShape,
  MOST_VALUES,
  presentMembers,
  requireMembers,
  type Shape,
  type StructureShape,
} from './shape.ts';

export const JSON_TYPE = 'application/x-amz-json-1.0';

/** How the input and the answer of one action travel. */
export interface JsonCodec {
  /** Reads the body of a request. Errors: `MalformedInput`, `MissingParameter`. */
  decode(body: Uint8Array): DecodedStructure;
  /** A success; its body is empty for actions without a result. Absent and empty members are left out. */
  answer(requestId: string, output: DecodedStructure): SqsResponse;
}

/** To be made once for each action: what only the shapes decide is decided here. */
export function jsonCodec(input: StructureShape, output: StructureShape | undefined): JsonCodec {
  const hasRequired = Object.values(input.members).some(({ required }) => required !== undefined);
  const isFlat = Object.values(output?.members ?? {}).every(({ kind }) => SCALARS.has(kind));
  const names = Object.keys(output?.members ?? {});
  return {
    decode(body) {
      const members = structureOf(input, parseBody(body));
      if (hasRequired) requireMembers(input, members);
      return members;
    },
    answer(requestId, value) {
      let body = '';
      if (output !== undefined) {
        let present: unknown;
        if (isFlat) {
          const members: Record<string, unknown> = {};
          for (const name of names) members[name] = value[name];
          present = members;
        } else {
          present = toJson(output, value);
        }
        body = JSON.stringify(present);
      }
      return { status: 200, headers: { 'content-type': JSON_TYPE, 'x-amzn-RequestId': requestId }, body };
    },
  };
}

/** What is written as it is. */
const SCALARS: ReadonlySet<Shape['kind']> = new Set<Shape['kind']>(['string', 'integer', 'boolean']);

export function jsonError(requestId: string, error: SqsError): SqsResponse {
  return {
    status: error.status,
    headers: {
      'content-type': JSON_TYPE,
      'x-amzn-RequestId': requestId,
      'x-amzn-query-error': `${error.queryCode};${error.fault}`,
    },
    body: JSON.stringify({ __type: error.type, message: error.message }),
  };
}

/** The JSON value in a body; an empty one is an empty structure. Errors: `MalformedInput`. */
export function parseBody(body: Uint8Array): unknown {
  if (body.byteLength === 0) return {};
  // Each value takes a byte at least, so most bodies need no look.
  if (body.byteLength > MOST_VALUES && hasTooManyValues(body)) {
    throw new SqsError('MalformedInput', `The request has more than ${MOST_VALUES} values.`);
  }
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const text = isUtf8(bytes) ? bytes.toString() : decodeUtf8(bytes);
  try {
    return JSON.parse(text);
  } catch {
    throw new SqsError('MalformedInput', 'The request body is not valid JSON.');
  }
}

const [QUOTE, COMMA, LIST, BACKSLASH, STRUCTURE] = [0x22, 0x2c, 0x5b, 0x5c, 0x7b];

/**
 * Counts lists, structures and the commas in them, before anything is made of them. The characters of JSON's syntax are
 * one byte each in UTF-8, and no part of others.
 */
function hasTooManyValues(body: Uint8Array): boolean {
  let values = 0;
  let inString = false;
  for (let at = 0; at < body.byteLength && values <= MOST_VALUES; at += 1) {
    const byte = body[at];
    if (inString && byte === BACKSLASH) at += 1;
    else if (byte === QUOTE) inString = !inString;
    else if (!inString && (byte === COMMA || byte === LIST || byte === STRUCTURE)) values += 1;
  }
  return values > MOST_VALUES;
}

function decode(shape: Shape, value: unknown): Decoded {
  switch (shape.kind) {
    case 'string':
      if (typeof value !== 'string') throw cannotConvert(value, 'a String');
      return value;
    case 'integer':
      if (!Number.isInteger(value)) throw cannotConvert(value, 'an Integer');
      return Number(value);
    case 'boolean':
      if (typeof value !== 'boolean') throw cannotConvert(value, 'a Boolean');
      return value;
    case 'blob':
      if (typeof value !== 'string') throw cannotConvert(value, 'a Blob');
      return decodeBase64(value);
    case 'list':
      if (!Array.isArray(value)) throw unexpected(value, 'list');
      return value.map((item) => decode(shape.of, item));
    case 'map':
      return mapOf(shape, value);
    case 'structure':
      return structureOf(shape, value);
  }
}

function mapOf(shape: MapShape, value: unknown): ReadonlyMap<string, Decoded> {
  if (!isObject(value)) throw unexpected(value, 'map');
  const items = Object.entries(value).filter(([, item]) => item !== null);
  return new Map(items.map(([name, item]) => [name, decode(shape.of, item)]));
}

function structureOf(shape: StructureShape, value: unknown): DecodedStructure {
  if (!isObject(value)) throw unexpected(value, 'structure');
  const members: Record<string, Decoded> = {};
  for (const name in shape.members) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined;
    if (given === undefined || given === null) continue;
    const member = shape.members[name];
    if (member === undefined) continue;
    // Most members are texts.
    members[name] = member.kind === 'string' && typeof given === 'string' ? given : decode(member, given);
  }
  return members;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function cannotConvert(value: unknown, target: string): SqsError {
  if (Array.isArray(value)) return new SqsError('MalformedInput', 'Start of list found where not expected');
  if (isObject(value)) return new SqsError('MalformedInput', 'Start of structure or map found where not expected.');
  return new SqsError('MalformedInput', `${tokenOf(value)} can not be converted to ${target}`);
}

function unexpected(value: unknown, target: 'list' | 'map' | 'structure'): SqsError {
  if (Array.isArray(value) || isObject(value)) return cannotConvert(value, target);
  return new SqsError('MalformedInput', `Expected ${target} or null`);
}

function tokenOf(value: unknown): string {
  if (value === null) return 'NULL_VALUE';
  if (typeof value === 'boolean') return value ? 'TRUE_VALUE' : 'FALSE_VALUE';
  if (typeof value !== 'number') return 'STRING_VALUE';
  return Number.isInteger(value) ? 'NUMBER_VALUE' : 'DECIMAL_VALUE';
}

/** A value inside an answer. Absent and empty members are left out (`presentMembers`). */
function toJson(shape: Shape, value: Decoded): unknown {
  if (shape.kind === 'blob') return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : undefined;
  if (shape.kind === 'list') return Array.isArray(value) ? value.map((item) => toJson(shape.of, item)) : undefined;
  if (shape.kind === 'map') {
    if (!(value instanceof Map)) return undefined;
    return Object.fromEntries([...value].map(([name, item]) => [name, toJson(shape.of, item)]));
  }
  if (shape.kind === 'structure') {
    const members: Record<string, unknown> = {};
    for (const [name, member, given] of presentMembers(shape, value)) {
      members[name] = typeof given === 'string' ? given : toJson(member, given);
    }
    return members;
  }
  return value;
}
