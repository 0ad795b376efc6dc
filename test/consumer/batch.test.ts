import { describe, expect, it } from 'vitest';
import { Batch, type BatchRecord, sortReceived } from '../../runtime/consumer/batch.ts';
import { MAX_EVENT_BYTES } from '../../runtime/consumer/event.ts';
import { compileFilter } from '../../runtime/consumer/filter/filter.ts';
import { QUEUE_ARN, receivedMessage } from '../lambda/received-message.ts';
import { mappingOf } from '../support/consumer-world.ts';

const EVERYTHING = compileFilter([]);

function recordsOf(...bodies: readonly string[]): readonly BatchRecord[] {
  const messages = bodies.map((body, index) => receivedMessage({ id: `id-${index}`, body }));
  return sortReceived(messages, mappingOf({ arn: QUEUE_ARN }), EVERYTHING, false).records;
}

/** Bytes of an event with one record and an empty body. */
function envelopeBytes(): number {
  const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }));
  for (const record of recordsOf('')) batch.add(record, 0);
  return batch.bytes;
}

describe('a batch', () => {
  it('takes an event of exactly 6,291,456 bytes, and not one byte more', () => {
    const room = MAX_EVENT_BYTES - envelopeBytes();
    const exact = sortReceived(
      [
        receivedMessage({ id: 'id-0', body: 'x'.repeat(room) }),
        receivedMessage({ id: 'id-0', body: 'x'.repeat(room + 1) }),
      ],
      mappingOf({ arn: QUEUE_ARN }),
      EVERYTHING,
      false,
    );
    expect([exact.records.length, exact.undeliverable.length]).toEqual([1, 1]);
    const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }));
    for (const record of exact.records) expect(batch.add(record, 0)).toBe(true);
    expect(batch.bytes).toBe(MAX_EVENT_BYTES);
    expect(batch.takePayload().byteLength).toBe(MAX_EVENT_BYTES);
  });

  it('refuses the record that would exceed the limit, commas counted', () => {
    const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }));
    const third = Math.floor(MAX_EVENT_BYTES / 3);
    const added = recordsOf('x'.repeat(third - 700), 'x'.repeat(third - 700), 'x'.repeat(third + 1_400)).map((record) =>
      batch.add(record, 0),
    );
    expect(added).toEqual([true, true, false]);
    expect(batch.takePayload().byteLength).toBe(batch.bytes);
  });

  it('keeps of its messages only what settles them once the event was taken', () => {
    const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }));
    const records = recordsOf('x'.repeat(1_000), 'y'.repeat(1_000));
    for (const record of records) batch.add(record, 0);
    const { bytes, messageIds, receiptHandles, leaseEndsAt } = batch;
    const event = new TextDecoder().decode(batch.takePayload());
    expect(event).toContain('x'.repeat(1_000));
    expect(batch).toMatchObject({ bytes, messageIds, receiptHandles, leaseEndsAt });
    expect(JSON.stringify(batch.records)).not.toMatch(/x{1000}|y{1000}/);
  });

  it('refuses more than BatchSize', () => {
    const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }, { batchSize: 2 }));
    expect(recordsOf('a', 'b', 'c').map((record) => batch.add(record, 0))).toEqual([true, true, false]);
    expect(batch.missing).toBe(0);
  });

  it('leases newcomers for what is left of the window plus the visibility timeout, but never long at once', () => {
    const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }, { batchWindowSeconds: 10 }));
    expect(batch.leaseMs(1_000, 5_000)).toBe(15_000);
    expect(batch.leaseMs(1_000, 60_000)).toBe(25_000);
    const [record] = recordsOf('a');
    if (record === undefined) throw new Error('no record');
    batch.add(record, 1_000);
    expect(batch.windowLeftMs(4_000)).toBe(7_000);
    expect(batch.leaseMs(4_000, 5_000)).toBe(12_000);
    expect(batch.windowLeftMs(12_000)).toBe(0);
  });

  it('keeps the window of records that another batch had no room for', () => {
    const batch = new Batch(1, mappingOf({ arn: QUEUE_ARN }, { batchWindowSeconds: 300 }), 2_000);
    const [first] = recordsOf('a');
    if (first === undefined) throw new Error('no records');
    batch.add(first, 500);
    expect(batch.windowLeftMs(500)).toBe(1_500);
  });
});

describe('sorting what was received', () => {
  it('withholds what stands behind an oversize record of its group, on FIFO queues only', () => {
    const oversize = '\u0001'.repeat(1_100_000);
    const messages = [
      receivedMessage({ id: 'a1', groupId: 'a' }),
      receivedMessage({ id: 'a2', groupId: 'a', body: oversize }),
      receivedMessage({ id: 'a3', groupId: 'a' }),
      receivedMessage({ id: 'b1', groupId: 'b' }),
    ];
    const ids = (records: readonly BatchRecord[]): readonly string[] => records.map(({ message }) => message.id);
    const fifo = sortReceived(messages, mappingOf({ arn: QUEUE_ARN }), EVERYTHING, true);
    expect([
      ids(fifo.records),
      fifo.undeliverable.map(({ message }) => message.id),
      fifo.withheld.map(({ id }) => id),
    ]).toEqual([['a1', 'b1'], ['a2'], ['a3']]);
    const standard = sortReceived(messages, mappingOf({ arn: QUEUE_ARN }), EVERYTHING, false);
    expect([ids(standard.records), standard.withheld]).toEqual([['a1', 'a3', 'b1'], []]);
  });
});
