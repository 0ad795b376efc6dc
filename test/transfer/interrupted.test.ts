import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RealQueues } from '../../runtime/aws/real-queues.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { runDrain } from '../../runtime/transfer/drain.ts';
import { runPull } from '../../runtime/transfer/pull.ts';
import { ManualTime } from '../support/manual-time.ts';
import { flow } from './support/flow.ts';
import { type Fate, Mortal } from './support/mortal.ts';
import { queueAsSqs } from './support/queue-as-sqs.ts';
import { bodiesByGroup, messageOf, openSide, type Side, takeAll } from './support/side.ts';

/** SQS's deduplication window: beyond it a FIFO queue may take a message twice too. */
const DEDUPLICATION_WINDOW_MS = 300_000;

const [RUNS, TIMEOUT_MS] = process.env['KARIN_TEST_SIZE'] === 'full' ? [3_000, 1_800_000] : [150, 60_000];

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
    store: mortal.using(here, ['send', 'receive', 'delete', 'release', 'depth', 'delayed', 'deleteDelayed']),
    time,
    name,
  });
  const options = {
    ...side,
    realQueues: mortal.using(realQueues, ['send', 'receive', 'delete', 'depth']),
    time,
    randomness: systemRandomness,
  };
  const running = direction === 'drain' ? runDrain({ ...options, waitForDelayed: true }) : runPull(options);
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
/** Seconds; most messages have none. */
const delays = fc.array(fc.constantFrom(0, 0, 0, 0, 30, 119, 120, 121, 500, 900, 901, 1_000), {
  minLength: 1,
  maxLength: 60,
});
const groups = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 40 });

function collapse(bodies: readonly string[]): readonly string[] {
  return bodies.filter((body, index) => body !== bodies[index - 1]);
}

describe.each<Direction>(['drain', 'pull'])('%s, killed and failing at random points and called again', (direction) => {
  async function sides(scene: Scene): Promise<{ from: Side; to: Side }> {
    const here = await openSide({ store: scene.here, time: scene.time, name: scene.name });
    return direction === 'drain' ? { from: here, to: scene.sqs } : { from: scene.sqs, to: here };
  }

  it(
    'loses nothing of a standard queue, and brings nothing before its time',
    async () => {
      await fc.assert(
        fc.asyncProperty(delays, fates, moods, async (of, script, taken) => {
          const on = await scene('jobs', taken);
          const { from, to } = await sides(on);
          const bodies = of.map((_, index) => String(index));
          const longest = direction === 'drain' ? Number.POSITIVE_INFINITY : 900;
          const dueAt = of.map((seconds) => on.time.now() + Math.min(seconds, longest) * 1000);
          await from.queue.send(
            of.map((_, at) => ({ ...messageOf(String(at)), delayMs: (dueAt[at] ?? 0) - on.time.now() })),
          );

          await transfer(direction, on, [...script]);
          expect(await from.queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });

          const arrived: string[] = [];
          while ((await to.queue.depth()).delayed > 0 || (await to.queue.depth()).visible > 0) {
            for (const { body } of await takeAll(to.queue)) {
              arrived.push(body);
              expect(on.time.now()).toBeGreaterThanOrEqual(dueAt[Number(body)] ?? 0);
            }
            await on.time.advanceAsync(10_000);
          }
          expect(new Set(arrived)).toEqual(new Set(bodies));
          // A copy that was stored here is recognised while it is here.
          if (direction === 'pull' || script.every((each) => each === 'ok')) expect(arrived).toHaveLength(of.length);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  it(
    'loses nothing of a FIFO queue, keeps the order of each group, and doubles nothing within the deduplication window',
    async () => {
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
    },
    TIMEOUT_MS,
  );
});
