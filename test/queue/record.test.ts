import { decode, encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../runtime/queue/message.ts';
import { decodeRecord, encodeRecord, RecordError } from '../../runtime/queue/record.ts';

const ID = '0d5e1c1e-3f5a-4f43-9d0a-0b1a6f0f2c11';

const text = fc.string({ unit: 'binary' });

const attribute = fc.oneof(
  fc.record({ dataType: fc.constantFrom('String', 'Number', 'String.custom'), stringValue: text }),
  fc.record({ dataType: fc.constantFrom('Binary', 'Binary.gif'), binaryValue: fc.uint8Array({ maxLength: 40 }) }),
);

const message: fc.Arbitrary<Message> = fc.record(
  {
    id: fc.constant(ID),
    body: text,
    senderId: fc.string(),
    attributes: fc.dictionary(fc.oneof(fc.string({ minLength: 1 }), fc.constant('__proto__')), attribute, {
      maxKeys: 10,
    }),
    traceHeader: fc.string(),
    groupId: fc.string(),
    deduplicationId: fc.string(),
    deadLetterSourceArn: fc.string(),
  },
  { requiredKeys: ['id', 'body', 'senderId', 'attributes'] },
);

describe('a record', () => {
  it('gives back any message', () => {
    fc.assert(
      fc.property(message, fc.nat(), (original, receivedBefore) => {
        const read = decodeRecord(ID, encodeRecord(original, receivedBefore));
        expect(read.receivedBefore).toBe(receivedBefore);
        expect({ ...read.message, attributes: Object.entries(read.message.attributes) }).toEqual({
          ...original,
          attributes: Object.entries(original.attributes),
        });
      }),
    );
  });

  it('has the bytes that the library writes, whatever the lengths', () => {
    const long = fc.integer({ min: 0, max: 70_000 }).map((length) => 'ä'.repeat(length));
    const plain = fc.record({
      id: fc.constant(ID),
      body: fc.oneof(text, long, fc.constantFrom('a\ud800b', '\udc00', 'a\ud83d\ude00')),
      senderId: fc.string(),
      attributes: fc.dictionary(fc.string({ minLength: 1 }), attribute, { maxKeys: 10 }),
    });
    fc.assert(
      fc.property(fc.oneof(message, plain), fc.nat(), (original, receivedBefore) => {
        const record = encodeRecord(original, receivedBefore);
        expect(Buffer.from(encode(decode(new Uint8Array(record))))).toEqual(Buffer.from(record));
      }),
    );
  });

  it('costs a plain message less than ten bytes beside its body and sender', () => {
    const body = 'x'.repeat(300);
    const senderId = 'AIDAIENQZJOLO23YVJ4VO';
    const record = encodeRecord({ id: ID, body, senderId, attributes: {} });
    expect(record.length - body.length - senderId.length).toBeLessThan(10);
  });

  it('begins with its version, after the head of the array', () => {
    expect(encodeRecord({ id: ID, body: 'b', senderId: 's', attributes: {} })[1]).toBe(1);
  });

  it.each([
    ['another version', encode([2, 'body', 'sender'])],
    ['no msgpack', Uint8Array.of(0xc1)],
    ['no array', encode({ body: 'b' })],
    ['no body', encode([1, 7, 'sender'])],
    ['attributes that are no array', encode([1, 'body', 'sender', 'x'])],
    ['an attribute without a data type', encode([1, 'body', 'sender', ['name', 7, 'value']])],
    ['an attribute without a value', encode([1, 'body', 'sender', ['name', 'String', 7]])],
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeRecord(ID, bytes)).toThrow(RecordError);
  });

  it('says which message cannot be read, and never what is in it', () => {
    const bytes = encode([9, 'secret body', 'sender']);
    expect(() => decodeRecord(ID, bytes)).toThrow(
      `message ${ID} was stored with record version 9; this server reads 1`,
    );
    expect(decode(bytes)).toContain('secret body');
  });
});
