import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message } from '../../support/consumer-world.ts';
import { CRASH, type LambdaCall, reportFailures } from '../../support/scriptable-lambda.ts';

/** The two messages of the batch, by body. */
function idsOf(call: LambdaCall): { readonly good: string; readonly bad: string } {
  const id = (body: string): string => call.records.find((record) => record.body === body)?.messageId ?? '';
  return { good: id('good'), bad: id('bad') };
}

/** What a function answers, and what becomes of the batch of `good` and `bad`. */
type Row = readonly [
  name: string,
  response: (ids: { readonly good: string; readonly bad: string }) => string,
  end: 'success' | 'partial' | 'none deleted' | 'complete failure',
];

const failures = (...entries: readonly unknown[]): string => JSON.stringify({ batchItemFailures: entries });

const ROWS: readonly Row[] = [
  ['1 empty body', () => '', 'success'],
  ['1 null', () => 'null', 'success'],
  ['2 {}', () => '{}', 'success'],
  ['3 batchItemFailures null', () => '{"batchItemFailures":null}', 'success'],
  ['3 batchItemFailures empty', () => '{"batchItemFailures":[]}', 'success'],
  ['4 an object without the key', () => '{"statusCode":200}', 'success'],
  ['5 an id of the batch', ({ bad }) => failures({ itemIdentifier: bad }), 'partial'],
  [
    '5 all ids of the batch',
    ({ good, bad }) => failures({ itemIdentifier: bad }, { itemIdentifier: good }),
    'none deleted',
  ],
  ['6 an id that is not in the batch', () => failures({ itemIdentifier: 'other' }), 'complete failure'],
  ['7 an empty id', () => failures({ itemIdentifier: '' }), 'complete failure'],
  ['8 a null id', () => failures({ itemIdentifier: null }), 'complete failure'],
  ['9 a number as id', () => failures({ itemIdentifier: 123 }), 'complete failure'],
  ['10 a wrong key', () => failures({ foo: 'notvalid' }), 'complete failure'],
  ['11 an entry without a key', () => failures({}), 'complete failure'],
  ['12 batchItemFailures is no array', () => '{"batchItemFailures":"bad"}', 'complete failure'],
  ['13 an array of strings', ({ bad }) => failures(bad), 'complete failure'],
  ['13 an array of nulls', () => failures(null), 'complete failure'],
  [
    '14 a bad entry among good ones',
    ({ bad }) => failures({ itemIdentifier: bad }, { itemIdentifier: '' }),
    'complete failure',
  ],
  ['15 invalid JSON', () => 'not JSON', 'complete failure'],
  ['15 a string', () => '"done"', 'complete failure'],
  ['15 an array', () => '[]', 'complete failure'],
  ['16 duplicate ids', ({ bad }) => failures({ itemIdentifier: bad }, { itemIdentifier: bad }), 'partial'],
  ['17 the key in wrong case', () => '{"BatchItemFailures":[{"itemIdentifier":"x"}]}', 'success'],
];

forEachStore('RBIF', (open) => {
  it.each(ROWS)('%s', async (_, response, end) => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.behave((call) => ({ kind: 'answer', raw: response(idsOf(call)) }));
    await queue.send([message('good'), message('bad')]);
    world.apply(mappingOf(queue, { reportBatchItemFailures: true }));
    const ids = idsOf(await world.lambda.next());

    if (end === 'complete failure') {
      expect(await world.events.next('failed')).toMatchObject({ reason: 'malformed-report' });
    } else {
      const failed = { success: [], partial: [ids.bad], 'none deleted': [ids.bad, ids.good] }[end];
      expect((await world.events.next('succeeded')).failedIds).toEqual(failed);
    }
    const deleted = { success: [ids.good, ids.bad], partial: [ids.good], 'none deleted': [], 'complete failure': [] }[
      end
    ];
    await world.quiet();
    expect(world.events.of('deleted').flatMap(({ messageIds }) => messageIds)).toEqual(deleted);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 2 - deleted.length });
  });

  it('reported messages come back at the end of their lease, one receive older', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave((call) => reportFailures(call.index === 0 ? [idsOf(call).bad] : []));
    await queue.send([message('good'), message('bad')]);
    world.apply(mappingOf(queue, { reportBatchItemFailures: true }));
    await world.events.next('deleted');
    await world.pass(60_001);
    await world.events.next('deleted');

    const again = world.lambda.calls[1]?.records;
    expect(again?.map(({ body, attributes }) => [body, attributes['ApproximateReceiveCount']])).toEqual([['bad', '2']]);
  });

  it('without ReportBatchItemFailures a report is ignored', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.behave((call) => reportFailures([idsOf(call).bad]));
    await queue.send([message('good'), message('bad')]);
    world.apply(mappingOf(queue));

    expect((await world.events.next('deleted')).messageIds).toHaveLength(2);
  });

  it('a function error does not lower the concurrency of a mapping that reports failures', async () => {
    const world = await open();
    const reporting = await world.queue('reporting');
    const plain = await world.queue('plain');
    world.lambda.behave(() => CRASH);
    world.apply(mappingOf(reporting, { reportBatchItemFailures: true }), mappingOf(plain));
    await reporting.send([message('x')]);
    await plain.send([message('x')]);
    await world.events.next('failed');
    await world.events.next('failed');
    await world.quiet();

    const concurrency = world.supervisor.snapshot().queues.map(({ mappings }) => mappings[0]?.concurrency);
    expect(concurrency).toEqual([5, 2]);
  });
});
