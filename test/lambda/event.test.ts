import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { eventBytes, eventPayload, eventRecord, MAX_EVENT_BYTES, recordBytes } from '../../runtime/consumer/event.ts';
import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import { QUEUE_ARN, receivedMessage } from './received-message.ts';

interface Golden {
  readonly file: string;
  readonly message?: Partial<ReceivedMessage>;
  readonly queue?: Partial<typeof QUEUE_ARN>;
  readonly windowSeconds?: number;
}

const GOLDEN: readonly Golden[] = [
  { file: 'standard' },
  { file: 'standard-with-window', windowSeconds: 1 },
  {
    file: 'fifo',
    queue: { name: 'jobs.fifo' },
    message: {
      sequenceNumber: '18849496460467696128',
      groupId: '1',
      deduplicationId: 'b2da997a966ee07c43e1f083807ce5884bc0a4cad13b02cadc72a11820b50917',
    },
  },
  {
    file: 'message-attributes',
    message: {
      attributes: {
        Text: { dataType: 'String', stringValue: 'Grüße' },
        Custom: { dataType: 'String.probe', stringValue: 'x' },
        Num: { dataType: 'Number', stringValue: '12.34' },
        NumCustom: { dataType: 'Number.int', stringValue: '7' },
        Bin: { dataType: 'Binary', binaryValue: new Uint8Array([0, 1, 0x7f, 0x80, 0xff]) },
        BinCustom: { dataType: 'Binary.gif', binaryValue: Buffer.from('GIF89a') },
      },
    },
  },
  {
    file: 'trace-header',
    message: { traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1' },
  },
  { file: 'group-on-standard', message: { groupId: 'tenant-7' } },
  {
    file: 'dead-letter-source',
    message: { receiveCount: 4, deadLetterSourceArn: 'arn:aws:sqs:eu-west-1:111122223333:source' },
  },
  { file: 'china', queue: { partition: 'aws-cn', region: 'cn-north-1' } },
];

function parsed(records: readonly string[]): unknown {
  return JSON.parse(Buffer.from(eventPayload(records)).toString('utf8'));
}

describe('the event of a message is that of Lambda itself', () => {
  it.each(GOLDEN)('$file', ({ file, message, queue, windowSeconds }) => {
    const golden: unknown = JSON.parse(readFileSync(new URL(`golden/${file}.json`, import.meta.url), 'utf8'));
    const record = eventRecord(receivedMessage(message), { ...QUEUE_ARN, ...queue }, windowSeconds ?? 0);
    expect(parsed([record])).toStrictEqual(golden);
  });

  it('writes the digest of attributes whether or not there is a window', () => {
    const message = receivedMessage({ attributes: { a: { dataType: 'String', stringValue: 'b' } } });
    expect(eventRecord(message, QUEUE_ARN, 0)).toBe(eventRecord(message, QUEUE_ARN, 300));
  });
});

describe('the body arrives byte by byte', () => {
  it.each([
    ['JSON with spaces', '{"a": 1}'],
    ['a JSON string', '"x"'],
    ['a JSON number', '1.0'],
    ['markup, not escaped for HTML', '<a href="x">&amp;</a>'],
    ['control characters', 'a\tb\r\nc\u0000\u001f'],
    ['characters beyond the basic plane', 'Grüße 🙂 日本'],
    ['line separators', 'a\u2028b\u2029'],
    ['one mebibyte', 'ä'.repeat(524_288)],
  ])('%s', (_name, body) => {
    const record = eventRecord(receivedMessage({ body }), QUEUE_ARN, 0);
    expect(parsed([record])).toMatchObject({ Records: [{ body }] });
  });

  it('leaves markup and non-ASCII characters as they are', () => {
    const record = eventRecord(receivedMessage({ body: '<&>ä🙂' }), QUEUE_ARN, 0);
    expect(record).toContain('"body":"<&>ä🙂"');
  });

  it('escapes lone surrogates, which UTF-8 cannot hold', () => {
    const body = 'a\ud800b\udfffc';
    const record = eventRecord(receivedMessage({ body }), QUEUE_ARN, 0);
    expect(record).toContain('"body":"a\\ud800b\\udfffc"');
    expect(parsed([record])).toMatchObject({ Records: [{ body }] });
  });
});

describe('the size of an event', () => {
  const records = ['', 'ä', '🙂\n\u0001', 'x'.repeat(1000)].map((body) =>
    eventRecord(receivedMessage({ body }), QUEUE_ARN, 0),
  );

  it.each([1, 2, 3, 4])('is known before it is built: %i records', (count) => {
    const some = records.slice(0, count);
    const total = some.reduce((sum, record) => sum + recordBytes(record), 0);
    expect(eventBytes(total, count)).toBe(eventPayload(some).byteLength);
  });

  it('counts an empty event', () => {
    expect(eventBytes(0, 0)).toBe(eventPayload([]).byteLength);
  });

  it('can exceed the limit with one message of one mebibyte that has to be escaped', () => {
    const record = eventRecord(receivedMessage({ body: '\u0001'.repeat(1_048_576) }), QUEUE_ARN, 0);
    expect(eventBytes(recordBytes(record), 1)).toBeGreaterThan(MAX_EVENT_BYTES);
  });
});
