import { expect, it } from 'vitest';
import { Intake } from '../../runtime/consumer/intake.ts';
import { ProcessLimits } from '../../runtime/consumer/limits.ts';
import { type ConsumerParts, DEFAULT_SETTINGS } from '../../runtime/consumer/parts.ts';
import { readTuning } from '../../runtime/consumer/tuning.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { forEachStore, mappingOf, message, type World } from '../support/consumer-world.ts';
import { RecordedEvents } from '../support/recorded-events.ts';

function partsOf(world: World) {
  const bus = createEventBus((error) => {
    throw error;
  });
  const never = new AbortController().signal;
  const parts: ConsumerParts = {
    slots: world.store.slots,
    invoker: {
      invoke: () => Promise.reject(new Error('nothing is to be invoked')),
      probe: async () => ({ kind: 'reached' }),
      close: () => {},
    },
    time: systemTime,
    randomness: systemRandomness,
    events: bus,
    limits: new ProcessLimits({ maxInvokes: 1, maxBytes: 1_000_000 }),
    settings: DEFAULT_SETTINGS,
    stopping: never,
    aborting: never,
    doubt: () => {},
    askForHelp: () => {},
  };
  return { parts, events: new RecordedEvents(bus) };
}

forEachStore('A filter that fails on a message', (open) => {
  it('neither drops nor delivers it: the mapping stops, and the messages are given back uncounted', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const { parts, events } = partsOf(world);
    const work: Promise<void>[] = [];
    const stopped: string[] = [];
    const intake = new Intake({
      queue,
      parts,
      track: (going) => void work.push(going),
      stopMapping: (why) => stopped.push(why),
    });
    const mapping = mappingOf(queue);
    const filter = {
      matches: () => {
        throw new RangeError('Maximum call stack size exceeded');
      },
    };
    await queue.send([message('one'), message('two')]);
    const messages = await queue.receive({ maxMessages: 10 });

    const records = intake.take(
      messages,
      { mapping, filter, tuning: readTuning(mapping, DEFAULT_SETTINGS) },
      { mapping: mapping.uuid, queue: queue.key, batch: 1 },
    );
    await Promise.all(work);

    expect(records).toEqual([]);
    expect(stopped).toEqual(['its filters cannot be computed: Maximum call stack size exceeded']);
    expect(events.of('filtered-out')).toEqual([]);
    expect(events.of('released').flatMap(({ messageIds }) => messageIds)).toHaveLength(2);
    const again = await queue.receive({ maxMessages: 10 });
    expect(again.map(({ receiveCount }) => receiveCount)).toEqual([1, 1]);
  });
});
