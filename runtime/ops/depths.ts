/**
 * Reads the depths of all queues once for everybody who looks: pages, their tabs, the API and the metrics.
 *
 * What a look costs. A queue is read again only when its depth may have changed:
 * - it was used by this process, or another process woke it (`Queue.uses` has grown). Such a queue is read once more at
 *   the next look: a call that had begun before a read may end after it;
 * - a delay or a lease of it has ended (the last reply told when);
 * - another process may have used it without a word to this one. Receives and deletes are not announced. So while other
 *   processes are there, everything is read again at an interval that doubles from 5 s to a minute as long as nothing
 *   changes, or of a quarter of an hour for an alert that stands while nothing happens (`calm`). A process that is
 *   alone reads everything again every hour, in case somebody changed Redis by hand.
 *
 * So an open page on queues at rest costs one batched call a minute, and on a process that is alone next to nothing.
 * While nobody looks nothing is read.
 *
 * States. *At rest*: nobody watches; a caller of `refresh` reads what may have changed. *Watching*: at least one
 * watcher; one timer calls `refresh` every five seconds. Invariant: at most one read is under way; whoever comes
 * meanwhile waits for its result, and none of them begins a second one.
 *
 * @module
 */
import type { QueueDirectory } from '../queue/directory.ts';
import type { Queue } from '../queue/queue.ts';
import type { DepthNow, QueueKey, Store } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';

/** Between two looks at what may have changed, while somebody watches. */
const LOOK_MS = 5_000;
/** Least time between two looks: whoever loads a page after a click sees what the click did. */
const LEAST_MS = 500;
/** Longest time between two full reads while other processes are there. */
const FULL_SHARED_MS = 60_000;
/** The same for those who look although nothing is known to have happened. */
const FULL_CALM_MS = 900_000;
/** Time between two full reads of a process that is alone. */
const FULL_ALONE_MS = 3_600_000;
/** Over which `commandsLately` counts. */
const COST_WINDOW_MS = 60_000;

/** What was last read of a queue. */
export interface KnownDepth extends DepthNow {
  /** When it was read, by the monotonic clock, ms. */
  readonly readAt: number;
}

export interface Depths {
  /** From memory; `undefined`: not read yet, or the store could not be asked. */
  of(queue: QueueKey): KnownDepth | undefined;
  /** How long the first message has waited, now, ms; `undefined`: none may be received. */
  waitsMs(queue: QueueKey): number | undefined;
  /** Sums over all queues that were read. */
  totals(): Pick<DepthNow, 'visible' | 'delayed' | 'inFlight'>;
  /**
   * Reads what may have changed since the last look. `calm`: nothing is known to have happened, so what other processes
   * may have done is looked for less often. Errors: `StoreUnavailableError`; what was known stays.
   */
  refresh(how?: { readonly calm: boolean }): Promise<void>;
  /**
   * Somebody looks from now on, until the returned function is called. `listener` hears of every look that changed
   * something, and of the store becoming unreachable (`failed`).
   */
  watch(listener: (failed: boolean) => void): Cancel;
  /** Commands to Redis that looking cost in the last minute, those inside scripts included. */
  commandsLately(): number;
  close(): void;
}

export interface DepthsParts {
  readonly store: Pick<Store, 'depths' | 'subscribe'>;
  readonly directory: Pick<QueueDirectory, 'all'>;
  readonly time: Time;
}

export function createDepths({ store, directory, time }: DepthsParts): Depths {
  /** `unsure`: a call of the queue may have been under way when it was read. */
  const known = new Map<QueueKey, KnownDepth & { readonly uses: number; readonly unsure: boolean }>();
  const watchers = new Set<(failed: boolean) => void>();
  const spent: { readonly at: number; readonly commands: number }[] = [];
  let others = false;
  let fullAt: number | undefined;
  let fullIntervalMs = LOOK_MS;
  let lookedAt: number | undefined;
  let reading: Promise<void> | undefined;
  let cancel: Cancel | undefined;

  const unsubscribe = store.subscribe((signal) => {
    if (signal.kind === 'instances') others = signal.ids.length > 1;
    // What was announced meanwhile is lost, or the store is another one.
    if (signal.kind === 'gap' || signal.kind === 'emptied') fullAt = undefined;
  });

  const mayHaveChanged = (queue: Queue, now: number): boolean => {
    const depth = known.get(queue.key);
    if (depth === undefined || depth.unsure || depth.uses !== queue.uses) return true;
    return depth.nextDueInMs !== undefined && now - depth.readAt >= depth.nextDueInMs;
  };

  const read = async (calm: boolean): Promise<void> => {
    const now = time.monotonic();
    lookedAt = now;
    const all = directory.all();
    const isFull =
      fullAt === undefined || now - fullAt >= (others ? (calm ? FULL_CALM_MS : fullIntervalMs) : FULL_ALONE_MS);
    const asked = isFull ? all : all.filter((queue) => mayHaveChanged(queue, now));
    // Counted before the call: a use during it makes the queue worth another look.
    const uses = asked.map((queue) => queue.uses);
    let changed = forgetOthers(known, all);
    if (asked.length > 0) {
      const reply = await store.depths(
        asked.map((queue) => {
          const before = known.get(queue.key);
          const likelyEmpty = isEmpty(before) && queue.uses === (before?.uses ?? 0);
          return { key: queue.key, fifo: queue.definition.fifo, likelyEmpty };
        }),
      );
      spent.push({ at: now, commands: reply.commands });
      for (const [at, queue] of asked.entries()) {
        const depth = reply.depths[at];
        if (depth === undefined) continue;
        const before = known.get(queue.key);
        const usesNow = uses[at] ?? queue.uses;
        if (!isSame(before, depth)) changed = true;
        known.set(queue.key, { ...depth, readAt: now, uses: usesNow, unsure: usesNow !== (before?.uses ?? 0) });
      }
    }
    if (isFull) {
      fullAt = now;
      fullIntervalMs = changed ? LOOK_MS : Math.min(fullIntervalMs * 2, FULL_SHARED_MS);
    }
    if (changed) for (const listener of [...watchers]) listener(false);
  };

  const refresh: Depths['refresh'] = ({ calm } = { calm: false }) => {
    if (reading !== undefined) return reading;
    if (lookedAt !== undefined && time.monotonic() - lookedAt < LEAST_MS) return Promise.resolve();
    reading = read(calm).finally(() => {
      reading = undefined;
    });
    return reading;
  };

  const arm = (): void => {
    cancel = time.after(LOOK_MS, () => {
      arm();
      refresh().catch(() => {
        for (const listener of [...watchers]) listener(true);
      });
    });
  };

  return {
    of: (queue) => known.get(queue),
    waitsMs: (queue) => {
      const depth = known.get(queue);
      if (depth?.waitsMs === undefined) return undefined;
      return depth.waitsMs + Math.max(0, time.monotonic() - depth.readAt);
    },
    totals: () => {
      const sum = { visible: 0, delayed: 0, inFlight: 0 };
      for (const depth of known.values()) {
        sum.visible += depth.visible;
        sum.delayed += depth.delayed;
        sum.inFlight += depth.inFlight;
      }
      return sum;
    },
    refresh,
    watch: (listener) => {
      watchers.add(listener);
      if (cancel === undefined) arm();
      return () => {
        watchers.delete(listener);
        if (watchers.size > 0) return;
        cancel?.();
        cancel = undefined;
      };
    },
    commandsLately: () => {
      const since = time.monotonic() - COST_WINDOW_MS;
      while (spent[0] !== undefined && spent[0].at < since) spent.shift();
      return spent.reduce((sum, { commands }) => sum + commands, 0);
    },
    close: () => {
      unsubscribe();
      cancel?.();
      cancel = undefined;
      watchers.clear();
    },
  };
}

/** Forgets queues that are no longer there; whether there were any. */
function forgetOthers(known: Map<QueueKey, unknown>, all: readonly Queue[]): boolean {
  if (known.size === 0) return false;
  const there = new Set(all.map(({ key }) => key));
  let forgot = false;
  for (const key of known.keys()) if (!there.has(key)) forgot = known.delete(key) || forgot;
  return forgot;
}

/** Also where nothing is known. */
function isEmpty(depth: DepthNow | undefined): boolean {
  return depth === undefined || depth.visible + depth.delayed + depth.inFlight === 0;
}

function isSame(before: DepthNow | undefined, after: DepthNow): boolean {
  return (
    before?.visible === after.visible &&
    before.delayed === after.delayed &&
    before.inFlight === after.inFlight &&
    (before.waitsMs === undefined) === (after.waitsMs === undefined)
  );
}
