/**
 * Requests that were valid once, damaged at random: reproducible from a seed.
 *
 * @module
 */
import { type ActionName, MODEL } from '../../../runtime/sqs/protocol/model.ts';
import { ACCOUNT, type Protocol, queueArnText, queueUrl } from './harness.ts';
import { toForm } from './wire.ts';

/** A request as `Harness.send` takes it. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** A stream of random choices: mulberry32, thirty-two bits of state. */
export class Choices {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  oneOf<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to choose from');
    return item;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }
}

export const QUEUES = ['jobs', 'jobs.fifo', 'dead', 'slow'] as const;
const ACTION_NAMES = Object.keys(MODEL) as readonly ActionName[];

/** Values that break assumptions. */
const NASTY: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  2 ** 31,
  -(2 ** 53),
  1e308,
  0.1,
  '',
  ' ',
  '\u0000',
  '\uD800',
  '\uFFFE',
  '\r\n',
  '__proto__',
  'constructor',
  'All',
  '.*',
  '\u{1F600}',
  'x'.repeat(2_000),
  '<![CDATA[x]]>&amp;',
  '%00%ff',
  'AAAA',
  '9'.repeat(40),
  [],
  {},
  [[]],
  [null],
  { __proto__x: 1 },
  { a: { b: { c: [] } } },
];

/** A valid, or nearly valid, input of a random action. `handles`: receipt handles that were given out. */
function validInput(choices: Choices, handles: readonly string[]): { action: ActionName; input: object } {
  const name = choices.oneOf(QUEUES);
  const handle = handles.length > 0 && choices.chance(0.8) ? choices.oneOf(handles) : 'dummy';
  const attribute = choices.oneOf([
    { DataType: 'String', StringValue: 'text' },
    { DataType: 'Number', StringValue: '-1.5e3' },
    { DataType: 'Binary.gif', BinaryValue: 'AP8=' },
  ]);
  const message = {
    MessageBody: choices.oneOf(['hello', 'é\r\n<&>', 'x'.repeat(choices.below(3_000) + 1)]),
    ...(choices.chance(0.5) ? { MessageAttributes: { first: attribute, 'second.two': attribute } } : {}),
    ...(choices.chance(0.3) ? { DelaySeconds: choices.below(901) } : {}),
    ...(name.endsWith('.fifo') || choices.chance(0.2) ? { MessageGroupId: `g${choices.below(3)}` } : {}),
    ...(choices.chance(0.2)
      ? { MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1' } } }
      : {}),
  };
  const entries = Array.from({ length: choices.below(4) + 1 }, (_, index) => ({
    Id: `id-${index}`,
    ReceiptHandle: handle,
    VisibilityTimeout: choices.below(60),
    ...message,
    ...(name.endsWith('.fifo') ? { MessageDeduplicationId: `d${choices.below(1_000)}` } : {}),
  }));
  const everything: Record<string, unknown> = {
    ...message,
    QueueUrl: choices.oneOf([queueUrl(name), name, `/${ACCOUNT}/${name}`]),
    QueueName: choices.oneOf(['jobs', 'created', 'created.fifo']),
    MessageDeduplicationId: name.endsWith('.fifo') ? `d${choices.below(1_000)}` : undefined,
    ReceiptHandle: handle,
    VisibilityTimeout: choices.below(60),
    MaxNumberOfMessages: choices.below(10) + 1,
    WaitTimeSeconds: choices.below(3),
    AttributeNames: [choices.oneOf(['All', 'QueueArn', 'DelaySeconds'])],
    MessageAttributeNames: [choices.oneOf(['All', 'fir.*', 'second.two'])],
    Attributes: choices.oneOf([
      { VisibilityTimeout: '5' },
      { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: queueArnText('dead'), maxReceiveCount: 2 }) },
      { Policy: '{"Statement":[]}' },
      { FifoQueue: 'true' },
    ]),
    tags: { team: 'a' },
    Tags: { team: 'b' },
    TagKeys: ['team'],
    Label: `label${choices.below(3)}`,
    Actions: ['SendMessage'],
    AWSAccountIds: [ACCOUNT],
    SourceArn: queueArnText('dead'),
    MaxResults: choices.below(5) + 1,
    Entries: entries,
  };
  const action = choices.oneOf(ACTION_NAMES);
  const members = Object.keys(MODEL[action].input.members).filter((member) => everything[member] !== undefined);
  return { action, input: Object.fromEntries(members.map((member) => [member, everything[member]])) };
}

/** A damaged request (one in eight is left whole, so that the queues are not always empty). */
export function randomRequest(choices: Choices, handles: readonly string[]): RawRequest {
  const { action, input } = validInput(choices, handles);
  const protocol: Protocol = choices.oneOf(['json', 'query']);
  const whole = choices.chance(1 / 8);
  const damaged = whole || choices.chance(0.4) ? input : damage(choices, input);
  const request = protocol === 'json' ? jsonRequest(action, damaged) : queryRequest(choices, action, damaged);
  if (whole) return request;
  const wrongHeaders = choices.chance(0.1) ? damageHeaders(choices, request) : request;
  return choices.chance(0.5) ? damageBytes(choices, wrongHeaders) : wrongHeaders;
}

function jsonRequest(action: string, input: unknown): RawRequest {
  return {
    method: 'POST',
    path: '/',
    query: '',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
    body: Buffer.from(JSON.stringify(input)),
  };
}

function queryRequest(choices: Choices, action: ActionName, input: unknown): RawRequest {
  const form = toForm(action, typeof input === 'object' && input !== null ? input : {}).toString();
  const path = choices.oneOf(['/', `/${ACCOUNT}/jobs`, '/queue/jobs', `/${ACCOUNT}/nope/`]);
  if (choices.chance(0.3)) {
    const headers = { accept: choices.oneOf(['*/*', 'application/json']) };
    return { method: 'GET', path, query: form, headers, body: new Uint8Array(0) };
  }
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { method: 'POST', path, query: '', headers, body: Buffer.from(form) };
}

/** Replaces, removes, doubles or renames something somewhere in a value. */
function damage(choices: Choices, value: unknown): unknown {
  if (choices.chance(0.15) || typeof value !== 'object' || value === null) return choices.oneOf(NASTY);
  if (Array.isArray(value)) {
    const at = choices.below(value.length);
    if (choices.chance(0.2)) return [...value, ...value, ...value, ...value];
    return value.map((item, index) => (index === at ? damage(choices, item) : item));
  }
  const entries = Object.entries(value);
  if (entries.length === 0) return choices.oneOf(NASTY);
  const at = choices.below(entries.length);
  const [name = '', item] = entries[at] ?? [];
  const changed = choices.oneOf<() => [string, unknown][]>([
    () => [[name, damage(choices, item)]],
    () => [[name, damage(choices, item)]],
    () => [],
    () => [[String(choices.oneOf(NASTY)), item]],
  ])();
  return Object.fromEntries([...entries.slice(0, at), ...changed, ...entries.slice(at + 1)]);
}

function damageHeaders(choices: Choices, request: RawRequest): RawRequest {
  const contentType = choices.oneOf([
    '',
    'text/plain',
    'application/json',
    'application/x-amz-json-1.1',
    'x'.repeat(500),
  ]);
  const target = choices.oneOf(['', 'SendMessage', 'AmazonSQS.', 'AmazonSQS.constructor', 'AmazonSQS.__proto__']);
  const method = choices.oneOf(['GET', 'POST', 'PUT', 'DELETE']);
  return { ...request, method, headers: { ...request.headers, 'content-type': contentType, 'x-amz-target': target } };
}

/** Flips, cuts, doubles or inserts bytes of the body, or of the query string of a GET. */
function damageBytes(choices: Choices, request: RawRequest): RawRequest {
  const bytes = Buffer.from(request.body.byteLength > 0 ? request.body : request.query);
  if (bytes.length === 0) return request;
  const at = choices.below(bytes.length);
  const damaged = choices.oneOf<() => Buffer>([
    () => {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << choices.below(8));
      return bytes;
    },
    () => bytes.subarray(0, at),
    () => Buffer.concat([bytes.subarray(0, at), bytes]),
    () => Buffer.concat([bytes.subarray(0, at), Buffer.from([choices.below(256)]), bytes.subarray(at)]),
  ])();
  return request.body.byteLength > 0
    ? { ...request, body: damaged }
    : { ...request, query: damaged.toString('latin1') };
}
