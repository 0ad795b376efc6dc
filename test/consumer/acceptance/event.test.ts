import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import type { StoredQueue } from '../../../runtime/queue/stored-queue.ts';
import { forEachStore, mappingOf, message, type OpenWorld, type World } from '../../support/consumer-world.ts';
import { ManualTime } from '../../support/manual-time.ts';

const ID = '059f36b4-87a3-44ab-83d2-661975830a7d';
const BODY = 'Test message.';
/** As in the golden events: sent, and two milliseconds later received for the first time. */
const SENT_AT = 1_545_082_649_183;

const GoldenEvent = z.object({
  Records: z.tuple([z.looseObject({ attributes: z.record(z.string(), z.string()), receiptHandle: z.string() })]),
});

function golden(file: string): z.infer<typeof GoldenEvent> {
  const path = new URL(`../../lambda/golden/${file}.json`, import.meta.url);
  return GoldenEvent.parse(JSON.parse(readFileSync(path, 'utf8')));
}

function openThen(open: OpenWorld): Promise<World> {
  return open({ time: new ManualTime(SENT_AT) });
}

/**
 * Invokes with what the queue holds, and expects the event; receipt handle and sequence number are this queue's own.
 */
async function expectEvent(world: World, queue: StoredQueue, file: string, windowSeconds = 0): Promise<void> {
  world.apply(mappingOf(queue, { batchSize: 1, batchWindowSeconds: windowSeconds }));
  const { event } = await world.lambda.next();
  await world.events.next('deleted');
  const expected = golden(file);
  const [record] = GoldenEvent.parse(event).Records;
  const [expectedRecord] = expected.Records;
  expect(record.receiptHandle).not.toBe('');
  expectedRecord.receiptHandle = record.receiptHandle;
  const { SequenceNumber } = record.attributes;
  if (SequenceNumber !== undefined) {
    expect(SequenceNumber).toMatch(/^\d{20}$/);
    expectedRecord.attributes['SequenceNumber'] = SequenceNumber;
  }
  expect(event).toStrictEqual(expected);
}

forEachStore('Event', (open) => {
  it.each([
    ['standard', {}],
    ['group-on-standard', { groupId: 'tenant-7' }],
    ['trace-header', { traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1' }],
    [
      'message-attributes',
      {
        attributes: {
          Text: { dataType: 'String', stringValue: 'Grüße' },
          Custom: { dataType: 'String.probe', stringValue: 'x' },
          Num: { dataType: 'Number', stringValue: '12.34' },
          NumCustom: { dataType: 'Number.int', stringValue: '7' },
          Bin: { dataType: 'Binary', binaryValue: new Uint8Array([0, 1, 0x7f, 0x80, 0xff]) },
          BinCustom: { dataType: 'Binary.gif', binaryValue: Buffer.from('GIF89a') },
        },
      },
    ],
  ])('E-golden %s', async (file, content) => {
    const world = await openThen(open);
    const queue = await world.queue('jobs');
    await queue.send([message(BODY, { id: ID, ...content })]);
    await world.pass(2);
    await expectEvent(world, queue, file);
  });

  it('E-golden standard with a window: the digest of no attributes is null', async () => {
    const world = await openThen(open);
    const queue = await world.queue('jobs');
    await queue.send([message(BODY, { id: ID })]);
    await world.pass(2);
    await expectEvent(world, queue, 'standard-with-window', 1);
  });

  it('E-golden FIFO', async () => {
    const world = await openThen(open);
    const queue = await world.queue('jobs.fifo');
    const deduplicationId = golden('fifo').Records[0].attributes['MessageDeduplicationId'] ?? '';
    await queue.send([message(BODY, { id: ID, groupId: '1', deduplicationId })]);
    await world.pass(2);
    await expectEvent(world, queue, 'fifo');
  });

  it('E-golden dead-letter source', async () => {
    const world = await openThen(open);
    const deadLetters = await world.queue('jobs');
    const deadLetterTargetArn = 'arn:aws:sqs:eu-west-1:111122223333:jobs';
    const source = await world.queue('source', { redrivePolicy: { deadLetterTargetArn, maxReceiveCount: 3 } });
    await source.send([message(BODY, { id: ID })]);
    await world.pass(2);
    for (let receive = 0; receive < 4; receive += 1) await source.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    await expectEvent(world, deadLetters, 'dead-letter-source');
  });

  it.each([
    ['{"a": 1}', '{"a": 1}'],
    ['"x"', '"x"'],
    ['1.0', '1.0'],
    ['markup and characters beyond the basic plane', '<a href="x">&amp;</a> Grüße 🙂\r\n\u2028'],
    ['one mebibyte', 'ä'.repeat(524_288)],
    ['lone surrogates', 'a\ud800b\udfffc'],
  ])('body byte-exact: %s', async (_, body) => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue));
    await queue.send([message(body)]);
    expect((await world.lambda.next()).bodies).toEqual([body]);
    await world.events.next('deleted');
  });
});
