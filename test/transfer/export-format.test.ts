/**
 * The lines of an export: what is written is read back byte by byte, and what is wrong is refused with the number of
 * its line.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_ATTRIBUTES } from '../../runtime/queue/message.ts';
import { encodeRecord } from '../../runtime/queue/record.ts';
import type { KeptMessage } from '../../runtime/store/store.ts';
import {
  FileCheck,
  keptMessageOf,
  type MessageLine,
  readExportLine,
  writeMessage,
} from '../../runtime/transfer/export-format.ts';

const ID = 'c0ffee00-0000-4000-8000-000000000001';
const QUEUE = 'eu-west-1:111122223333:jobs';
const AT = '2026-01-02T03:04:05.678Z';
const HEAD = { kind: 'karin-export', version: 1, id: ID, at: AT, server: '1.0.0', scopes: [] };
const QUEUE_LINE = {
  ...{ kind: 'queue', queue: QUEUE, arn: 'arn:aws:sqs:eu-west-1:111122223333:jobs', fifo: false, origin: 'api' },
  ...{ mode: 'consume', createdAt: AT, modifiedAt: AT, tags: {} },
  attributes: {
    ...{ visibilityTimeoutSeconds: 30, delaySeconds: 0, messageRetentionPeriodSeconds: 345_600 },
    ...{ maximumMessageSizeBytes: 1_048_576, receiveMessageWaitTimeSeconds: 0, contentBasedDeduplication: false },
    ...{ deduplicationScope: 'queue', fifoThroughputLimit: 'perQueue', sqsManagedSseEnabled: true },
  },
};
const MESSAGE = {
  ...{ kind: 'message', n: 1, queue: QUEUE, id: ID, state: 'visible', sentAt: AT, dueAt: AT, receiveCount: 0 },
  ...{ body: 'hello', senderId: 'test' },
};
const END = { kind: 'end', queues: 1, messages: 1, tokens: 0, warnings: [] };

function kept(record: Uint8Array, change: Partial<KeptMessage> = {}): KeptMessage {
  const times = { sentAt: Date.parse(AT), dueAt: Date.parse(AT), firstReceivedAt: 0 };
  return { id: ID, record, state: 'visible', receiveCount: 0, ...times, ...change };
}

function backAndForth(message: KeptMessage): KeptMessage {
  const line = readExportLine(writeMessage(1, QUEUE, message, undefined), 2);
  if (line.kind !== 'message') throw new Error('it is no message');
  return keptMessageOf(line, 2, message.sequenceNumber !== undefined);
}

function checked(...lines: readonly object[]): FileCheck {
  const check = new FileCheck();
  for (const line of lines) check.add(JSON.stringify(line));
  check.finish();
  return check;
}

describe('a line of an export', () => {
  it('gives the record of any message back byte by byte', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    const attribute = fc.oneof(
      fc.record({ dataType: fc.constant('String'), stringValue: text }),
      fc.record({ dataType: fc.constant('Binary.png'), binaryValue: fc.uint8Array({ minLength: 1, maxLength: 9 }) }),
    );
    const name = fc.oneof(fc.string({ minLength: 1, maxLength: 5 }), fc.constantFrom('__proto__', '2', '10', 'a'));
    const message = fc.record(
      {
        body: text,
        senderId: text,
        attributes: fc.array(fc.tuple(name, attribute), { maxLength: 4 }),
        groupId: fc.string({ minLength: 1, maxLength: 5 }).filter((group) => !group.includes('\0')),
        deduplicationId: text,
        traceHeader: text,
        deadLetterSourceArn: text,
        before: fc.nat(5),
      },
      { requiredKeys: ['body', 'senderId', 'attributes', 'before'] },
    );
    fc.assert(
      fc.property(message, ({ attributes, before, ...rest }) => {
        const given = Object.assign(Object.create(null), {});
        for (const [key, value] of attributes) given[key] = value;
        const none = attributes.length === 0;
        const record = encodeRecord({ id: ID, ...rest, attributes: none ? NO_ATTRIBUTES : given }, before);
        const group = rest.groupId === undefined ? {} : { group: rest.groupId };
        const back = backAndForth(kept(record, group));
        expect(Buffer.from(back.record).equals(record)).toBe(true);
        expect(back.group).toBe(rest.groupId);
      }),
    );
  });

  it('gives half a surrogate pair, and a record of another version, back byte by byte', () => {
    const half = encodeRecord({ id: ID, body: 'a\ud800b', senderId: 's', attributes: NO_ATTRIBUTES });
    for (const record of [half, Buffer.from([0x92, 0x63, 0xa1, 0x78]), Buffer.from([0, 255]), Buffer.alloc(0)]) {
      expect(Buffer.from(backAndForth(kept(record)).record).equals(record)).toBe(true);
    }
    expect(JSON.parse(writeMessage(1, QUEUE, kept(Buffer.from([0, 255])), undefined))).toMatchObject({
      record: 'AP8=',
    });
  });

  it('has times, counts, order and failure of a message', () => {
    const record = encodeRecord({ id: ID, body: 'x', senderId: 's', attributes: NO_ATTRIBUTES, groupId: 'g' });
    const message = kept(record, {
      ...{ state: 'in-flight', dueAt: Date.parse(AT) + 1, receiveCount: 3, firstReceivedAt: Date.parse(AT) - 1 },
      ...{ group: 'g', sequenceNumber: '00000000000000000007' },
    });
    expect(backAndForth(message)).toEqual({ ...message, record: expect.anything() });
    const failure = { at: Date.parse(AT), errorType: 'E', message: 'm', functionArn: 'f', durationMs: 1, attempt: 3 };
    expect(JSON.parse(writeMessage(1, QUEUE, message, failure))).toMatchObject({ failure: { ...failure, at: AT } });
  });
});

describe('a file of an export', () => {
  it('is whole when its end tells what it has', () => {
    expect(checked(HEAD, QUEUE_LINE, MESSAGE, END).messages).toBe(1);
  });

  it('is refused with the number of the line that is wrong', () => {
    const refusals: readonly (readonly [readonly object[], string])[] = [
      [[{ ...HEAD, version: 2 }], 'line 1: the file has version 2 of the format; this version of karin reads 1'],
      [[{ hello: 'world' }], 'line 1: this is no line of an export of Karin'],
      [[QUEUE_LINE], 'line 1: this is not the head of an export'],
      [[HEAD, HEAD], 'line 2: a second head'],
      [[HEAD, MESSAGE], `line 2: the line of queue ${QUEUE} must come before this one`],
      [[HEAD, QUEUE_LINE, MESSAGE, MESSAGE], 'line 4: its n is 1, after 1; n must grow'],
      [[HEAD, QUEUE_LINE, { ...MESSAGE, id: '../x' }], 'line 3: these members are missing or wrong: id'],
      [
        [HEAD, QUEUE_LINE, { ...MESSAGE, dueAt: 'soon', n: -1 }],
        'line 3: these members are missing or wrong: n, dueAt',
      ],
      [[HEAD, { ...QUEUE_LINE, mode: 'pause' }], 'line 2: these members are missing or wrong: mode'],
      [[HEAD, QUEUE_LINE, END], 'line 3: the file is not whole: it had 1 messages when it was written, and has 0'],
      [[HEAD, QUEUE_LINE, MESSAGE, END, MESSAGE], 'line 5: it stands after the end'],
      [[HEAD, QUEUE_LINE, MESSAGE], 'line 4: the file is cut: it ends after 1 messages, without its last line'],
      [[], 'line 1: the file is cut: it ends after 0 messages, without its last line'],
    ];
    for (const [lines, problem] of refusals) expect(() => checked(...lines), problem).toThrow(problem);
    expect(() => readExportLine('{"kind":"message","n":1', 9)).toThrow('line 9: it is not JSON; if it is the last one');
    expect(() => readExportLine('[]', 9)).toThrow('line 9: this is no line of an export of Karin');
    expect(() => readExportLine('7', 9)).toThrow('line 9: it is not an object');
  });

  it('is refused where a message is larger than SQS allows, and taken where it is just as large', () => {
    const withBody = (bytes: number): string => JSON.stringify({ ...MESSAGE, body: '\u007f'.repeat(bytes) });
    expect(readExportLine(withBody(1_048_576), 3).kind).toBe('message');
    expect(() => readExportLine(withBody(1_048_577), 3)).toThrow(
      'line 3: the message has 1048577 bytes; a message may have 1048576',
    );
    expect(() => readExportLine(' '.repeat(7_000_000), 4)).toThrow('line 4: it is longer than 6356992 bytes');
    const attributes = { a: { DataType: 'String', StringValue: 'x'.repeat(1_048_576) } };
    expect(() => readExportLine(JSON.stringify({ ...MESSAGE, attributes }), 5)).toThrow('line 5: the message has');
    const record = Buffer.alloc(1_048_576 + 20_000).toString('base64');
    expect(() => readExportLine(JSON.stringify({ ...MESSAGE, record }), 6)).toThrow('line 6: the message has');
  });

  it.each([
    ['visibilityTimeoutSeconds', 43_200],
    ['delaySeconds', 1_209_600],
    ['messageRetentionPeriodSeconds', 1_209_600],
    ['maximumMessageSizeBytes', 1_048_576],
    ['receiveMessageWaitTimeSeconds', 20],
  ])('is refused where %s is beyond what a queue may have', (name, most) => {
    const withValue = (value: number): string =>
      JSON.stringify({ ...QUEUE_LINE, attributes: { ...QUEUE_LINE.attributes, [name]: value } });
    expect(readExportLine(withValue(most), 2).kind).toBe('queue');
    for (const value of [-1, most + 1, 1e308, 60.5]) {
      expect(() => readExportLine(withValue(value), 2)).toThrow(
        `line 2: these members are missing or wrong: attributes.${name}`,
      );
    }
  });

  it('is refused where a message of a FIFO queue has no order', () => {
    const line: MessageLine = { ...MESSAGE, kind: 'message', state: 'visible' };
    expect(() => keptMessageOf(line, 3, true)).toThrow('line 3: a message of a FIFO queue needs group');
    const large = { ...line, group: 'g', sequenceNumber: '9'.repeat(20) };
    expect(() => keptMessageOf(large, 3, true)).toThrow('line 3: no queue here gives a sequence number as large');
    const { body: _, ...without } = line;
    expect(() => keptMessageOf(without, 3, false)).toThrow('line 3: these members are missing or wrong: body');
  });
});
