import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { runDrain } from '../../runtime/transfer/drain.ts';
import { runPull } from '../../runtime/transfer/pull.ts';
import type { RealQueues } from '../../runtime/transfer/real-queues.ts';
import { ManualTime } from '../support/manual-time.ts';
import { flow } from './support/flow.ts';
import { type Fate, Mortal } from './support/mortal.ts';
import { queueAsSqs } from './support/queue-as-sqs.ts';
import { bodiesByGroup, messageOf, openSide, type Side, takeAll } from './support/side.ts';

/** SQS's deduplication window: beyond it a FIFO queue may take a message twice too. */
const DEDUPLICATION_WINDOW_MS = 300_000;

const RUNS = process.env['KARIN_TEST_SIZE'] === 'full' ? 3_000 : 150;

type Direction = 'drain' | 'pull';

interface Scene {
  readonly time: ManualTime;
  readonly here: MemoryStore;
  readonly name: string;
  readonly sqs: Side;
  readonly realQueues: RealQueues;
}

/** `moods`: whether SQS takes the next message it is sent, in order; then it takes all. */
async function scene(name: string, moods: readonly boolean[]): Promise<Scene> {
  const left = moods.values();
  const time = new ManualTime();
  const sqs = await openSide({ store: new MemoryStore({ time }), time, name });
  return {
    time,
    here: new MemoryStore({ time }),
    name,
    sqs,
    realQueues: queueAsSqs(sqs.queue, () => left.next().value ?? true),
  };
}

/** Runs the command in a process with these fates, until it ends or dies. */
async function attempt(direction: Direction, { time, here, name, realQueues }: Scene, fates: Fate[]): Promise<void> {
  const mortal = new Mortal(fates);
  const side = await openSide({
    store: mortal.using(here, ['send', 'receive', 'delete', 'release', 'depth']),
    time,
    name,
  });
  const options = {
    ...side,
    realQueues: mortal.using(realQueues, ['send', 'receive', 'delete', 'depth']),
    time,
    randomness: systemRandomness,
  };
  const running = direction === 'drain' ? runDrain(options) : runPull(options);
  await flow(time, Promise.race([running, mortal.died]));
  side.directory.close();
}

async function transfer(direction: Direction, scene: Scene, fates: Fate[]): Promise<void> {
  while (fates.length > 0) {
    await attempt(direction, scene, fates);
    // The fates that a process that ended did not need are for none.
    if (!fates.some((fate) => fate.startsWith('die'))) break;
  }
  await attempt(direction, scene, []);
}

const fate = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Fate>('ok') },
  { weight: 1, arbitrary: fc.constantFrom<Fate>('fail-before', 'fail-after', 'die-before', 'die-after') },
);
const fates = fc.array(fate, { maxLength: 120 });
const moods = fc.array(fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)), { maxLength: 60 });
const groups = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40 });

function collapse(bodies: readonly string[]): readonly string[] {
  return bodies.filter((body, index) => body !== bodies[index - 1]);
}

describe.each<Direction>(['drain', 'pull'])('%s, killed and failing at random points and called again', (direction) => {
  async function sides(scene: Scene): Promise<{ from: Side; to: Side }> {
    const here = await openSide({ store: scene.here, time: scene.time, name: scene.name });
    return direction === 'drain' ? { from: here, to: scene.sqs } : { from: scene.sqs, to: here };
  }

  it('loses nothing of a standard queue', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), fates, moods, async (count, script, taken) => {
        const on = await scene('jobs', taken);
        const { from, to } = await sides(on);
        const bodies = Array.from({ length: count }, (_, index) => String(index));
        await from.queue.send(bodies.map((body) => messageOf(body)));

        await transfer(direction, on, [...script]);

        expect(await from.queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
        const arrived = (await takeAll(to.queue)).map(({ body }) => body);
        expect(new Set(arrived)).toEqual(new Set(bodies));
        if (script.every((each) => each === 'ok')) expect(arrived).toHaveLength(count);
        // A copy that was stored here is recognised while it is here.
        if (direction === 'pull') expect(arrived).toHaveLength(count);
      }),
      { numRuns: RUNS },
    );
  });

  it('loses nothing of a FIFO queue, keeps the order of each group, and doubles nothing within the deduplication window', async () => {
    await fc.assert(
      fc.asyncProperty(groups, fates, moods, async (of, script, taken) => {
        const on = await scene('jobs.fifo', taken);
        const { from, to } = await sides(on);
        const messages = of.map((group, index) => messageOf(String(index).padStart(2, '0'), group));
        await from.queue.send(messages);
        const startedAt = on.time.monotonic();

        await transfer(direction, on, [...script]);

        expect(await from.queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
        const arrived = bodiesByGroup(await takeAll(to.queue), true);
        const collapsed = Object.entries(arrived).map(([group, bodies]) => [group, collapse(bodies)]);
        expect(Object.fromEntries(collapsed)).toEqual(bodiesByGroup(messages, true));
        if (direction === 'pull' || on.time.monotonic() - startedAt < DEDUPLICATION_WINDOW_MS) {
          expect(arrived).toEqual(bodiesByGroup(messages, true));
        }
      }),
      { numRuns: RUNS },
    );
  });
});
