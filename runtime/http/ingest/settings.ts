/**
 * What the URL of a delivery asks for, and the message that becomes of its body and headers.
 *
 * The names are those of `PARAMETERS`. Others are left alone: API Gateway and some senders of web hooks add parameters
 * of their own to a URL. A GET on the URL tells how it is understood. A parameter given twice is refused, because one
 * of the two values could be a stranger's.
 *
 * @module
 */

import { isUtf8 } from 'node:buffer';
import { MAX_MESSAGE_ATTRIBUTES } from '../../sqs/limits.ts';
import type { AttributeValue, MessageInput } from '../../sqs/protocol/model.ts';
import { decodeUtf8 } from '../../sqs/protocol/shape.ts';
import { DeliveryRefusal } from './refusal.ts';

/** Where a text comes from. */
type Selector =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'header'; readonly name: string }
  /** RFC 6901, of the body as it is stored. */
  | { readonly kind: 'json'; readonly pointer: string };

export interface DeliverySettings {
  /** Seconds, a whole number; the limits are those of SendMessage. */
  readonly delaySeconds?: number;
  readonly group?: Selector;
  readonly dedup?: Selector;
  /** Names of headers that become message attributes, as they were given. */
  readonly headers: readonly string[];
  /** Whether the body is stored as base64. */
  readonly base64: boolean;
  /** ARNs of the only SNS topics whose messages are taken; empty: the URL is not bound to topics. */
  readonly topics: readonly string[];
  /** Whether the envelope of SNS is taken off. */
  readonly raw: boolean;
  /** A name for the sender, on the page and in metrics. */
  readonly from?: string;
  /** Whether the message is the body alone. */
  readonly isPlain: boolean;
  /** Parameters that mean nothing here. */
  readonly unknown: readonly string[];
}

/** What each parameter means, for the text that a GET answers. */
export const PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['delay', 'seconds until the message is delivered'],
  ['group', 'MessageGroupId: a text, header:<name> or json:<pointer>'],
  ['dedup', 'MessageDeduplicationId of a FIFO queue: a text, header:<name> or json:<pointer>'],
  ['headers', 'names of headers that become message attributes, separated by commas'],
  ['encoding', 'base64: the body is stored as base64'],
  ['content-type', 'keep: the Content-Type becomes a message attribute'],
  ['topic', 'ARN of an SNS topic; only messages of the topics that are named are taken'],
  ['raw', 'true: the envelope of SNS is taken off, its attributes become message attributes'],
  ['from', "a name for the sender, on the operator's page and in metrics"],
]);

const REPEATABLE: ReadonlySet<string> = new Set(['topic']);
const TOPIC_ARN = /^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?$/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/;
const SENDER_NAME = /^[A-Za-z0-9_.:/-]{1,64}$/;
const CONTENT_TYPE = 'Content-Type';
/** RFC 6901: empty, or reference tokens each after a slash, in which a tilde is written `~0` and a slash `~1`. */
const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;

/** `query`: without its question mark. Errors: `DeliveryRefusal` 400. */
export function readSettings(query: string): DeliverySettings {
  const values = new Map<string, string[]>();
  const unknown: string[] = [];
  for (const [name, value] of query === '' ? [] : new URLSearchParams(query)) {
    if (!PARAMETERS.has(name)) {
      if (!/^x-amz-/i.test(name)) unknown.push(name);
      continue;
    }
    const given = values.get(name);
    if (given === undefined) values.set(name, [value]);
    else if (REPEATABLE.has(name)) given.push(value);
    else throw malformed(name, value, 'it is given more than once, and only one value can hold');
  }
  const one = (name: string): string | undefined => values.get(name)?.[0];
  const optional = <K extends string, V>(name: K, value: V | undefined) =>
    // An absent member, not a member that is undefined: exactOptionalPropertyTypes tells them apart.
    (value === undefined ? {} : { [name]: value }) as { [P in K]?: V };
  const topics = values.get('topic') ?? [];
  for (const topic of topics) {
    if (!TOPIC_ARN.test(topic)) throw malformed('topic', topic, 'it must be the ARN of an SNS topic');
  }
  const names = readHeaderNames(one('headers'));
  const from = one('from');
  if (from !== undefined && !SENDER_NAME.test(from)) {
    throw malformed('from', from, 'it must be 1 to 64 letters, digits or _ . : / -');
  }
  return {
    ...optional('delaySeconds', readDelay(one('delay'))),
    ...optional('group', readSelector('group', one('group'))),
    ...optional('dedup', readSelector('dedup', one('dedup'))),
    headers: isOnly('content-type', one('content-type'), 'keep') ? [...names, CONTENT_TYPE] : names,
    base64: isOnly('encoding', one('encoding'), 'base64'),
    topics,
    raw: readRaw(one('raw')),
    ...optional('from', from),
    isPlain: !['delay', 'group', 'dedup', 'headers', 'content-type'].some((name) => values.has(name)),
    unknown,
  };
}

/** What arrived, once it is known what to store. */
export interface Arrived {
  /** Of the request, or what stood in the envelope of SNS. */
  readonly body: Uint8Array | string;
  /** Attributes that stood in the envelope of SNS. */
  readonly attributes?: ReadonlyMap<string, AttributeValue>;
  /** Used where the URL names none: the id that a sender repeats on a retry. */
  readonly deduplicationId?: string;
  readonly header: (name: string) => string | undefined;
}

/**
 * The message as SendMessage takes it. Errors: `DeliveryRefusal` 400, and `SqsError` MalformedInput where the body is
 * no UTF-8.
 */
export function messageOf(settings: DeliverySettings, arrived: Arrived): MessageInput {
  const { body, header } = arrived;
  const text = settings.base64 ? Buffer.from(body).toString('base64') : textOf(body);
  if (settings.isPlain && arrived.attributes === undefined && arrived.deduplicationId === undefined) {
    return { MessageBody: text };
  }
  const attributes = new Map(arrived.attributes);
  for (const name of settings.headers) {
    const value = header(name);
    // A header without a value says as much as none, and SQS has no empty attributes.
    if (value !== undefined && value !== '') attributes.set(name, { DataType: 'String', StringValue: value });
  }
  let json: { readonly value: unknown } | undefined;
  const select = (parameter: string, selector: Selector): string => {
    if (selector.kind === 'literal') return selector.text;
    if (selector.kind === 'header') {
      const value = header(selector.name);
      if (value !== undefined && value !== '') return value;
      throw malformed(parameter, `header:${selector.name}`, 'the request has no such header');
    }
    json ??= { value: parsed(parameter, selector, text) };
    return textAt(json.value, selector.pointer, parameter);
  };
  const deduplicationId = settings.dedup === undefined ? arrived.deduplicationId : select('dedup', settings.dedup);
  return {
    MessageBody: text,
    ...(attributes.size === 0 ? {} : { MessageAttributes: attributes }),
    ...(settings.delaySeconds === undefined ? {} : { DelaySeconds: settings.delaySeconds }),
    ...(settings.group === undefined ? {} : { MessageGroupId: select('group', settings.group) }),
    ...(deduplicationId === undefined ? {} : { MessageDeduplicationId: deduplicationId }),
  };
}

/** Errors: `SqsError` MalformedInput. */
function textOf(body: Uint8Array | string): string {
  if (typeof body === 'string') return body;
  // A look and a copy take a fraction of what a decoder takes for a small body.
  if (isUtf8(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  return decodeUtf8(body);
}

function readDelay(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,7}$/.test(text)) throw malformed('delay', text, 'it must be a whole number of seconds');
  return Number(text);
}

function readSelector(parameter: string, text: string | undefined): Selector | undefined {
  if (text === undefined) return undefined;
  const [, kind, rest = ''] = /^(header|json):(.*)$/s.exec(text) ?? [];
  if (kind === 'header') {
    if (!HEADER_NAME.test(rest)) throw malformed(parameter, text, 'header: must be followed by the name of a header');
    return { kind, name: rest };
  }
  if (kind === 'json') {
    if (POINTER.test(rest)) return { kind, pointer: rest };
    throw malformed(parameter, text, 'json: must be followed by a JSON pointer such as /detail/orderId (RFC 6901)');
  }
  return { kind: 'literal', text };
}

function readHeaderNames(text: string | undefined): readonly string[] {
  const names = (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!HEADER_NAME.test(name)) throw malformed('headers', name, 'it is no name of a header');
    if (name.toLowerCase() === 'authorization') {
      throw malformed('headers', name, 'credentials are not stored in messages; let the sender use another header');
    }
  }
  if (names.length > MAX_MESSAGE_ATTRIBUTES) {
    throw malformed('headers', names.join(','), `a message has at most ${MAX_MESSAGE_ATTRIBUTES} attributes`);
  }
  return names;
}

function isOnly(parameter: string, text: string | undefined, word: string): boolean {
  if (text !== undefined && text !== word) throw malformed(parameter, text, `the only value is ${word}`);
  return text !== undefined;
}

function readRaw(text: string | undefined): boolean {
  if (text !== undefined && text !== 'true' && text !== 'false') throw malformed('raw', text, 'it is true or false');
  return text === 'true';
}

function parsed(parameter: string, { pointer }: { readonly pointer: string }, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(parameter, `json:${pointer}`, 'the body is not JSON');
  }
}

/** The text at a JSON pointer; numbers and booleans as JSON writes them. Errors: `DeliveryRefusal`. */
function textAt(root: unknown, pointer: string, parameter: string): string {
  let value = root;
  for (const token of pointer.split('/').slice(1)) {
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
    const isIndex = !Array.isArray(value) || /^(?:0|[1-9]\d*)$/.test(name);
    // A descriptor, not an access: what stands in the body must not reach into prototypes.
    value =
      typeof value === 'object' && value !== null && isIndex
        ? Object.getOwnPropertyDescriptor(value, name)?.value
        : undefined;
  }
  if (typeof value === 'string') return value;
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    // Two ids that differ in their last digits would be one.
    throw malformed(parameter, `json:${pointer}`, 'the number there is beyond 2^53; let the sender write it as a text');
  }
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw malformed(parameter, `json:${pointer}`, 'the body has no text, number or boolean there');
}

/** How much of a value an error repeats. */
const LONGEST_ECHO = 200;

function malformed(parameter: string, value: string, rule: string): DeliveryRefusal {
  const shown = value.length > LONGEST_ECHO ? `${value.slice(0, LONGEST_ECHO)}...` : value;
  return new DeliveryRefusal(
    400,
    'InvalidParameterValue',
    `The parameter ${parameter}=${shown} of the URL does not hold for this request: ${rule}.`,
  );
}
