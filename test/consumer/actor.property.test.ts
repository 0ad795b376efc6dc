import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Invoker, ProbeOutcome } from '../../runtime/aws/invoke.ts';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import { formatQueueArn } from '../../runtime/queue/names.ts';
import { mappingOf, message, World } from '../support/consumer-world.ts';
import { ManualTime } from '../support/manual-time.ts';

const RUNS = process.env['KARIN_TEST_SIZE'] === 'full' ? 2_000 : 150;
const VISIBILITY_SECONDS = 60;
/** After so many hops from timer to timer every message must have ended. */
const MOST_HOPS = 5_000;

/** What a function does with one batch; `duration` in s. */
interface Turn {
  readonly kind:
    | 'success'
    | 'report'
    | 'malformed'
    | 'crash'
    | 'throttle'
    | 'unavailable'
    | 'reject'
    | 'unreached'
    | 'lose';
  readonly duration: number;
  /** For a report: which records fail, by position. */
  readonly failing: readonly boolean[];
}

const turn: fc.Arbitrary<Turn> = fc.record({
  kind: fc.constantFrom(
    'success',
    'report',
    'malformed',
    'crash',
    'throttle',
    'unavailable',
    'reject',
    'unreached',
    'lose',
  ),
  duration: fc.integer({ min: 0, max: 9 }),
  failing: fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }),
});

const scenario = fc.record({
  fifo: fc.boolean(),
  /** The group of each message, with the second in which it is sent. */
  messages: fc.array(fc.record({ group: fc.constantFrom('a', 'b', 'c'), second: fc.integer({ min: 0, max: 90 }) }), {
    minLength: 1,
    maxLength: 25,
  }),
  batchSize: fc.integer({ min: 1, max: 10 }),
  batchWindowSeconds: fc.constantFrom(0, 0, 5, 40),
  reportBatchItemFailures: fc.boolean(),
  maximumConcurrency: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  maxReceiveCount: fc.integer({ min: 1, max: 4 }),
  turns: fc.array(turn, { maxLength: 60 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

interface Record {
  readonly messageId: string;
  readonly body: string;
  readonly attributes: { readonly ApproximateReceiveCount: string; readonly MessageGroupId?: string };
}

interface Waiting {
  readonly group: string;
  /** At its last invocation. */
  receives: number;
  /** Whether its last invocation surely reached no function. */
  unseen: boolean;
}

/** What the rules say, held against every Invoke. */
class Model implements Invoker {
  readonly #scenario: Scenario;
  readonly #time: ManualTime;
  readonly #turns: Turn[];
  /** Messages that are neither deleted nor dead, in the order of sending, with the receives so far. */
  readonly waiting = new Map<string, Waiting>();
  readonly handled = new Set<string>();
  /** Rules that were broken: thrown here they would only be one more failed Invoke. */
  readonly broken: unknown[] = [];
  readonly #running = new Set<string>();
  #calls = 0;

  constructor(given: Scenario, time: ManualTime) {
    this.#scenario = given;
    this.#time = time;
    this.#turns = [...given.turns];
  }

  async probe(): Promise<ProbeOutcome> {
    return { kind: 'reached' };
  }

  close(): void {}

  async invoke({ payload }: { readonly payload: Uint8Array }): Promise<InvokeOutcome> {
    const event: { readonly Records: readonly Record[] } = JSON.parse(Buffer.from(payload).toString());
    const records = event.Records;
    const ids = records.map(({ messageId }) => messageId);
    try {
      this.#checkBatch(records);
      for (const { messageId, attributes } of records) this.#checkMessage(messageId, attributes);
      if (this.#scenario.fifo) this.#checkOrder(records);
    } catch (error) {
      this.broken.push(error);
    }

    this.#calls += 1;
    for (const id of ids) this.#running.add(id);
    const { kind, duration, failing } = this.#turns.shift() ?? { kind: 'success', duration: 0, failing: [] };
    if (duration > 0) await new Promise<void>((resolve) => void this.#time.after(duration * 1_000, resolve));
    for (const id of ids) this.#running.delete(id);
    this.#calls -= 1;
    for (const id of ids) {
      const known = this.waiting.get(id);
      if (known !== undefined) known.unseen = kind === 'throttle' || kind === 'unavailable' || kind === 'unreached';
    }
    return this.#outcome(kind, ids, failing);
  }

  #outcome(kind: Turn['kind'], ids: readonly string[], failing: readonly boolean[]): InvokeOutcome {
    const { reportBatchItemFailures } = this.#scenario;
    switch (kind) {
      case 'report': {
        const failed = reportBatchItemFailures ? ids.filter((_, index) => failing[index] === true) : [];
        this.#handle(ids.filter((id) => !failed.includes(id)));
        const batchItemFailures = ids
          .filter((_, index) => failing[index] === true)
          .map((itemIdentifier) => ({ itemIdentifier }));
        return { kind: 'success', response: Buffer.from(JSON.stringify({ batchItemFailures })) };
      }
      case 'malformed':
        if (!reportBatchItemFailures) this.#handle(ids);
        return { kind: 'success', response: Buffer.from('"malformed"') };
      case 'crash':
        return { kind: 'function-error', errorType: 'Error', message: 'crashed' };
      case 'throttle':
        return { kind: 'throttled', message: 'Rate Exceeded.' };
      case 'unavailable':
        return { kind: 'unavailable', message: 'ServiceException' };
      case 'reject':
        return { kind: 'rejected', status: 413, message: 'too large' };
      case 'unreached':
        return { kind: 'unreached', why: 'no-way', message: 'ECONNREFUSED' };
      case 'lose':
        return { kind: 'connection-lost', message: 'ECONNRESET' };
      default:
        this.#handle(ids);
        return { kind: 'success', response: Buffer.from('null') };
    }
  }

  #handle(ids: readonly string[]): void {
    for (const id of ids) {
      this.handled.add(id);
      this.waiting.delete(id);
    }
  }

  #checkBatch(records: readonly Record[]): void {
    const { batchSize, maximumConcurrency } = this.#scenario;
    expect(records.length).toBeGreaterThan(0);
    expect(records.length).toBeLessThanOrEqual(batchSize);
    if (maximumConcurrency !== undefined) expect(this.#calls).toBeLessThan(maximumConcurrency);
  }

  /**
   * Leases are longer than any call here, so no message may run twice at a time, be invoked after it was handled, or be
   * received too often.
   */
  #checkMessage(id: string, { ApproximateReceiveCount }: Record['attributes']): void {
    const known = this.waiting.get(id);
    if (known === undefined) throw new Error(`${id} was invoked again after it had been handled`);
    expect(this.#running.has(id)).toBe(false);
    const receives = Number(ApproximateReceiveCount);
    // The count grows by the invocations that a function may have seen, and by nothing else.
    expect(receives).toBe(known.unseen ? known.receives : known.receives + 1);
    expect(receives).toBeLessThanOrEqual(this.#scenario.maxReceiveCount);
    known.receives = receives;
  }

  /** The messages of a group in a batch are the first of those that wait in the group, in order. */
  #checkOrder(records: readonly Record[]): void {
    const groups = new Set(records.map(({ attributes }) => attributes.MessageGroupId));
    for (const group of groups) {
      const inBatch = records.filter(({ attributes }) => attributes.MessageGroupId === group).map((r) => r.messageId);
      const first = [...this.waiting].filter(([, known]) => known.group === group).map(([id]) => id);
      expect(inBatch).toEqual(first.slice(0, inBatch.length));
    }
  }
}

/** Lets time pass from timer to timer until `done`. */
async function passUntil(time: ManualTime, done: () => boolean): Promise<void> {
  for (let hop = 0; hop < MOST_HOPS; hop += 1) {
    await time.advanceAsync(0);
    if (done()) return;
    await time.advanceAsync(time.nextInMs() ?? 1_000);
  }
  throw new Error('the messages have not ended');
}

async function run(given: Scenario): Promise<void> {
  const time = new ManualTime();
  const model = new Model(given, time);
  const world = await World.open('memory', undefined, { time, invoker: model });
  try {
    const suffix = given.fifo ? '.fifo' : '';
    const dead = await world.queue(`dead${suffix}`);
    const queue = await world.queue(`jobs${suffix}`, {
      visibilityTimeoutSeconds: VISIBILITY_SECONDS,
      redrivePolicy: { deadLetterTargetArn: formatQueueArn(dead.arn), maxReceiveCount: given.maxReceiveCount },
    });
    world.apply(
      mappingOf(queue, {
        batchSize: given.batchSize,
        batchWindowSeconds: given.fifo ? 0 : given.batchWindowSeconds,
        reportBatchItemFailures: given.reportBatchItemFailures,
        functionTimeoutSeconds: 10,
        ...(given.maximumConcurrency !== undefined && { maximumConcurrency: given.maximumConcurrency }),
      }),
    );
    let deadIds = new Set<string>();
    const buried = (): void => {
      deadIds = new Set(world.events.of('dead-lettered').flatMap(({ messageIds }) => messageIds));
      for (const id of deadIds) model.waiting.delete(id);
    };
    let sent = 0;
    for (const [index, { group, second }] of given.messages.entries()) {
      time.after(second * 1_000, () => {
        const outgoing = message(String(index), given.fifo ? { groupId: group, deduplicationId: String(index) } : {});
        model.waiting.set(outgoing.id, { group, receives: 0, unseen: false });
        sent += 1;
        void queue.send([outgoing]);
      });
    }
    world.events.onEach((event) => {
      if (event.kind === 'dead-lettered') buried();
    });

    await passUntil(
      time,
      () => model.broken.length > 0 || (sent === given.messages.length && model.waiting.size === 0),
    );
    await time.advanceAsync(0);
    expect(model.broken).toEqual([]);

    // Every message ended in exactly one place.
    expect(model.handled.size + deadIds.size).toBe(given.messages.length);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    const buriedMessages: ReceivedMessage[] = [];
    for (
      let some = await dead.receive({ maxMessages: 100 });
      some.length > 0;
      some = await dead.receive({ maxMessages: 100 })
    ) {
      buriedMessages.push(...some);
    }
    expect(new Set(buriedMessages.map(({ id }) => id))).toEqual(deadIds);
    const counts = [...world.counts.byMapping().values()];
    expect(counts.reduce((sum, { DeletedEventCount }) => sum + DeletedEventCount, 0)).toBe(model.handled.size);
    // Everything that was taken was given back.
    const { invokes, bytesInMemory, queues } = world.supervisor.snapshot();
    expect([invokes.running, bytesInMemory.used, queues[0]?.mappings[0]?.running]).toEqual([0, 0, 0]);
    expect(world.faults).toEqual([]);
  } finally {
    await world.close();
  }
}

it(
  'whatever the function does, every message ends exactly where the rules say',
  async () => {
    await fc.assert(fc.asyncProperty(scenario, run), { numRuns: RUNS });
  },
  RUNS * 500,
);
