/**
 * The file that `karin export` writes and `karin import` reads: one JSON document on each line. Its guide is
 * `docs/guides/export-and-import.md`.
 *
 * The first line is the head. A line for each queue and its messages follow, then tokens. The last line is the end,
 * with the counts: a file without it is cut.
 *
 * A message is written so that people and other programs can read it. Where the text would not give the same record
 * back (another version of Karin wrote it, or attributes have names that JSON orders anew or drops), the record itself
 * is written, in base64.
 *
 * @module
 */
import * as z from 'zod/mini';
import { queueAttributes } from '../queue/definition.ts';
import type { PastFailure } from '../queue/failure.ts';
import type { Message, MessageAttribute } from '../queue/message.ts';
import { NO_ATTRIBUTES } from '../queue/message.ts';
import { decodeRecord, encodeRecord, RecordError } from '../queue/record.ts';
import {
  MAX_MESSAGE_BYTES,
  MAX_VISIBILITY_TIMEOUT_SECONDS,
  MAX_WAIT_SECONDS,
  MIN_MAXIMUM_MESSAGE_SIZE,
  RETENTION_SECONDS,
} from '../sqs/limits.ts';
import type { KeptMessage } from '../store/store.ts';

/** Of the format. A server reads files of this version alone. */
export const EXPORT_VERSION = 1;

/**
 * The most that a line may have, bytes: a message of 1 MiB, every character of it written as an escape of six, and its
 * last failure.
 */
const LONGEST_LINE = 6 * 1_048_576 + 65_536;

/**
 * What a record has beside body and attributes: sender, group, deduplication id, trace header, and the ARN of a queue.
 */
const LARGEST_REST = 16_384;
/** Larger sequence numbers have no room in the store. */
const LARGEST_SEQUENCE = 2 ** 48 - 1;

/** A line cannot be taken; the message says why, and names the line by its number in the file. */
export class ExportFileError extends Error {
  override readonly name = 'ExportFileError';
  /** From 1 on. */
  readonly line: number;

  constructor(line: number, problem: string) {
    super(`line ${line}: ${problem}`);
    this.line = line;
  }
}

const UUID = z.string().check(z.regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/));
/** ISO 8601 in UTC with milliseconds, from 2001 to 2286: those that have thirteen digits as epoch ms. */
const moment = z
  .string()
  .check(
    z.refine((text) => /^2\d{3}-.*Z$/.test(text) && Date.parse(text) >= 1e12 && Date.parse(text) < 1e13, 'not a time'),
  );
const count = z.int().check(z.nonnegative());
const queueName = z.string().check(z.maxLength(200));

const head = z.object({
  kind: z.literal('karin-export'),
  version: z.literal(EXPORT_VERSION),
  /** Names this export: what was imported of it is not imported again. */
  id: UUID,
  at: moment,
  /** Version of the server that wrote it. */
  server: z.string(),
  /** `region:account` of the queues. */
  scopes: z.array(z.string()),
  /** Globs that chose the queues; absent: all. */
  chosen: z.exactOptional(z.array(z.string())),
});

const whole = (least: number, most: number) => z.int().check(z.gte(least), z.lte(most));

/**
 * Attributes within the bounds of SQS: a queue with others would refuse or fail each message. A delay may be as long as
 * the server allows, at most the retention.
 */
const boundedAttributes = z.extend(queueAttributes, {
  visibilityTimeoutSeconds: whole(0, MAX_VISIBILITY_TIMEOUT_SECONDS),
  delaySeconds: whole(0, RETENTION_SECONDS.most),
  messageRetentionPeriodSeconds: whole(RETENTION_SECONDS.least, RETENTION_SECONDS.most),
  maximumMessageSizeBytes: whole(MIN_MAXIMUM_MESSAGE_SIZE, MAX_MESSAGE_BYTES),
  receiveMessageWaitTimeSeconds: whole(0, MAX_WAIT_SECONDS),
});

const queue = z.object({
  kind: z.literal('queue'),
  queue: queueName,
  arn: z.string(),
  fifo: z.boolean(),
  origin: z.enum(['aws', 'api', 'left-over']),
  madeBy: z.exactOptional(z.string()),
  /** What the operator wants. */
  mode: z.enum(['consume', 'hold', 'forward']),
  createdAt: moment,
  modifiedAt: moment,
  attributes: boundedAttributes,
  tags: z.record(z.string(), z.string()),
  /** FIFO: the last sequence number that the queue gave. */
  lastSequenceNumber: z.exactOptional(z.string().check(z.regex(/^\d{20}$/))),
});

const attribute = z.union([
  z.object({ DataType: z.string(), StringValue: z.string() }),
  z.object({ DataType: z.string(), BinaryValue: z.string() }),
]);

const failure = z.object({
  at: moment,
  errorType: z.string(),
  message: z.string(),
  trace: z.exactOptional(z.string()),
  functionArn: z.string(),
  requestId: z.exactOptional(z.string()),
  durationMs: z.number(),
  attempt: z.number(),
});

const message = z.object({
  kind: z.literal('message'),
  /** Place among all messages of the file, from 1 on, growing. */
  n: count.check(z.positive()),
  queue: queueName,
  id: UUID,
  state: z.enum(['visible', 'delayed', 'in-flight']),
  sentAt: moment,
  dueAt: moment,
  receiveCount: count,
  firstReceivedAt: z.exactOptional(moment),
  sequenceNumber: z.exactOptional(z.string().check(z.regex(/^\d{20}$/))),
  group: z.exactOptional(z.string().check(z.minLength(1), z.maxLength(128), z.regex(/^[^\0]*$/))),
  body: z.exactOptional(z.string()),
  senderId: z.exactOptional(z.string()),
  attributes: z.exactOptional(z.record(z.string(), attribute)),
  deduplicationId: z.exactOptional(z.string()),
  traceHeader: z.exactOptional(z.string()),
  /** ARN of the queue that it is a dead letter of. */
  deadLetterOf: z.exactOptional(z.string()),
  /** Receives before it was moved into this queue. */
  receivedBefore: z.exactOptional(count),
  /** Instead of all from `body` on: the record as it is stored, in base64. */
  record: z.exactOptional(z.string()),
  failure: z.exactOptional(failure),
});

const token = z.object({ kind: z.literal('token'), token: z.looseObject({ id: z.string() }) });

const end = z.object({
  kind: z.literal('end'),
  queues: count,
  messages: count,
  tokens: count,
  /** What was not as it should be while the file was written. */
  warnings: z.array(z.object({ queue: queueName, text: z.string() })),
});

export type HeadLine = z.infer<typeof head>;
export type QueueLine = z.infer<typeof queue>;
export type MessageLine = z.infer<typeof message>;
export type EndLine = z.infer<typeof end>;
export type ExportLine = HeadLine | QueueLine | MessageLine | z.infer<typeof token> | EndLine;

const KINDS: ReadonlyMap<unknown, z.ZodMiniType<ExportLine>> = new Map<unknown, z.ZodMiniType<ExportLine>>([
  ['karin-export', head],
  ['queue', queue],
  ['message', message],
  ['token', token],
  ['end', end],
]);

/** Reads the line of this number. Errors: `ExportFileError`. */
export function readExportLine(text: string, line: number): ExportLine {
  if (Buffer.byteLength(text) > LONGEST_LINE) {
    throw new ExportFileError(line, `it is longer than ${LONGEST_LINE} bytes, more than any message needs`);
  }
  const value = json(text, line);
  const schema = KINDS.get(value['kind']);
  if (schema === undefined) throw new ExportFileError(line, 'this is no line of an export of Karin');
  if (value['kind'] === 'karin-export' && value['version'] !== EXPORT_VERSION) {
    const given = JSON.stringify(value['version']);
    throw new ExportFileError(
      line,
      `the file has version ${given} of the format; this version of karin reads ${EXPORT_VERSION}`,
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    if (parsed.data.kind === 'message') checkSize(parsed.data, line);
    return parsed.data;
  }
  const members = parsed.error.issues.map(({ path }) => path.join('.')).filter((path) => path !== '');
  throw new ExportFileError(line, `these members are missing or wrong: ${[...new Set(members)].join(', ')}`);
}

function json(text: string, line: number): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ExportFileError(line, 'it is not JSON; if it is the last one, the file is cut');
  }
  if (typeof value !== 'object' || value === null) throw new ExportFileError(line, 'it is not an object');
  return { ...value };
}

function checkSize({ body = '', attributes = {}, record }: MessageLine, line: number): void {
  let bytes = Buffer.byteLength(body);
  for (const [name, value] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value.DataType);
    bytes +=
      'StringValue' in value ? Buffer.byteLength(value.StringValue) : Buffer.byteLength(value.BinaryValue, 'base64');
  }
  if (record !== undefined) bytes = Math.max(0, Buffer.byteLength(record, 'base64') - LARGEST_REST);
  if (bytes <= MAX_MESSAGE_BYTES) return;
  throw new ExportFileError(line, `the message has ${bytes} bytes; a message may have ${MAX_MESSAGE_BYTES}`);
}

/** Writes a message of a queue; `n`: its place in the file. */
export function writeMessage(
  n: number,
  queueKey: string,
  { id, record, sentAt, dueAt, state, receiveCount, firstReceivedAt, sequenceNumber, group }: KeptMessage,
  past: PastFailure | undefined,
): string {
  const around = {
    ...{
      kind: 'message' as const,
      n,
      queue: queueKey,
      id,
      state,
      sentAt: iso(sentAt),
      dueAt: iso(dueAt),
      receiveCount,
    },
    ...(receiveCount === 0 ? {} : { firstReceivedAt: iso(firstReceivedAt) }),
    ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    ...(group === undefined ? {} : { group }),
  };
  const failed = past === undefined ? {} : { failure: { ...past, at: iso(past.at) } };
  const content = readable(id, record);
  if (content !== undefined) {
    const text = JSON.stringify({ ...around, ...content, ...failed });
    const again: MessageLine = JSON.parse(text);
    if (Buffer.compare(recordOf(again), record) === 0) return text;
  }
  return JSON.stringify({ ...around, record: Buffer.from(record).toString('base64'), ...failed });
}

/** A record as members of a line; `undefined`: this version cannot read it. */
function readable(id: string, record: Uint8Array): Partial<MessageLine> | undefined {
  try {
    const { message, receivedBefore } = decodeRecord(id, record);
    const { body, senderId, attributes, deduplicationId, traceHeader, deadLetterSourceArn } = message;
    // A legal name of an attribute, which readers of JSON drop.
    if (Object.hasOwn(attributes, '__proto__')) return undefined;
    const written = Object.entries(attributes).map(writeAttribute);
    return {
      body,
      senderId,
      ...(written.length === 0 ? {} : { attributes: Object.fromEntries(written) }),
      ...(message.groupId === undefined ? {} : { group: message.groupId }),
      ...(deduplicationId === undefined ? {} : { deduplicationId }),
      ...(traceHeader === undefined ? {} : { traceHeader }),
      ...(deadLetterSourceArn === undefined ? {} : { deadLetterOf: deadLetterSourceArn }),
      ...(receivedBefore === 0 ? {} : { receivedBefore }),
    };
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return undefined;
  }
}

/** The record of a message that was read. */
function recordOf(line: MessageLine): Uint8Array {
  if (line.record !== undefined) return Buffer.from(line.record, 'base64');
  const { id, body = '', senderId = '', group, deduplicationId, traceHeader, deadLetterOf, receivedBefore } = line;
  const written: Message = {
    id,
    body,
    senderId,
    attributes: line.attributes === undefined ? NO_ATTRIBUTES : readAttributes(line.attributes),
    ...(group === undefined ? {} : { groupId: group }),
    ...(deduplicationId === undefined ? {} : { deduplicationId }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
    ...(deadLetterOf === undefined ? {} : { deadLetterSourceArn: deadLetterOf }),
  };
  return encodeRecord(written, receivedBefore);
}

/** As in the SQS API, binary values in base64. */
function writeAttribute([name, value]: [string, MessageAttribute]): [string, z.infer<typeof attribute>] {
  const { dataType: DataType } = value;
  if ('stringValue' in value) return [name, { DataType, StringValue: value.stringValue }];
  return [name, { DataType, BinaryValue: Buffer.from(value.binaryValue).toString('base64') }];
}

function readAttributes(written: NonNullable<MessageLine['attributes']>): Record<string, MessageAttribute> {
  // No prototype: `__proto__` is a legal attribute name.
  const attributes: Record<string, MessageAttribute> = Object.create(null);
  for (const [name, value] of Object.entries(written)) {
    attributes[name] =
      'StringValue' in value
        ? { dataType: value.DataType, stringValue: value.StringValue }
        : { dataType: value.DataType, binaryValue: Buffer.from(value.BinaryValue, 'base64') };
  }
  return attributes;
}

/** A message as a store takes it back. Errors: `ExportFileError`. */
export function keptMessageOf(line: MessageLine, number: number, fifo: boolean): KeptMessage {
  const { id, state, sentAt, dueAt, receiveCount, firstReceivedAt, sequenceNumber, group } = line;
  if (line.record === undefined && (line.body === undefined || line.senderId === undefined)) {
    throw new ExportFileError(number, 'these members are missing or wrong: body, senderId');
  }
  if (fifo && (group === undefined || sequenceNumber === undefined)) {
    throw new ExportFileError(number, 'a message of a FIFO queue needs group and sequenceNumber');
  }
  if (Number(sequenceNumber ?? 0) > LARGEST_SEQUENCE) {
    throw new ExportFileError(number, `no queue here gives a sequence number as large as ${sequenceNumber}`);
  }
  return {
    ...{ id, record: recordOf(line), state, sentAt: Date.parse(sentAt), dueAt: Date.parse(dueAt), receiveCount },
    firstReceivedAt: firstReceivedAt === undefined ? 0 : Date.parse(firstReceivedAt),
    ...(fifo && sequenceNumber !== undefined ? { sequenceNumber } : {}),
    ...(group === undefined ? {} : { group }),
  };
}

/** ISO 8601 of epoch ms. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/**
 * Checks the lines of one file as they come: that the head is first, every message follows the line of its queue, and
 * the end tells the right counts.
 */
export class FileCheck {
  #lines = 0;
  #messages = 0;
  #tokens = 0;
  #lastN = 0;
  readonly #queues = new Set<string>();
  #end: EndLine | undefined;

  /** Lines so far. */
  get lines(): number {
    return this.#lines;
  }

  get messages(): number {
    return this.#messages;
  }

  get warnings(): EndLine['warnings'] {
    return this.#end?.warnings ?? [];
  }

  /** `undefined`: the line is empty. Errors: `ExportFileError`. */
  add(text: string): ExportLine | undefined {
    this.#lines += 1;
    const number = this.#lines;
    if (text === '') return undefined;
    const line = readExportLine(text, number);
    if ((number === 1) !== (line.kind === 'karin-export')) {
      throw new ExportFileError(number, number === 1 ? 'this is not the head of an export' : 'a second head');
    }
    if (this.#end !== undefined) throw new ExportFileError(number, 'it stands after the end');
    if (line.kind === 'queue') this.#queues.add(line.queue);
    if (line.kind === 'message') this.#addMessage(line, number);
    if (line.kind === 'token') this.#tokens += 1;
    if (line.kind === 'end') this.#end = this.#checkEnd(line, number);
    return line;
  }

  /** To be called after the last line. Errors: `ExportFileError`. */
  finish(): void {
    if (this.#end !== undefined) return;
    throw new ExportFileError(
      this.#lines + 1,
      `the file is cut: it ends after ${this.#messages} messages, without its last line`,
    );
  }

  #addMessage({ queue: key, n }: MessageLine, number: number): void {
    this.#messages += 1;
    if (!this.#queues.has(key)) throw new ExportFileError(number, `the line of queue ${key} must come before this one`);
    if (n <= this.#lastN) throw new ExportFileError(number, `its n is ${n}, after ${this.#lastN}; n must grow`);
    this.#lastN = n;
  }

  #checkEnd(line: EndLine, number: number): EndLine {
    const found = { queues: this.#queues.size, messages: this.#messages, tokens: this.#tokens };
    for (const kind of ['queues', 'messages', 'tokens'] as const) {
      if (line[kind] === found[kind]) continue;
      throw new ExportFileError(
        number,
        `the file is not whole: it had ${line[kind]} ${kind} when it was written, and has ${found[kind]}`,
      );
    }
    return line;
  }
}
