/**
 * Tells people what needs them, and when it no longer does.
 *
 * The needs are those of the page (`needs.ts`). A look gathers them and compares them with those that were told of: the
 * document `alerts` in the store, which all servers on it share. What is new is told, what is gone is told as resolved.
 *
 * States. *At rest*: nothing is armed but the tick, which looks at counters in memory. *Waiting*: something happened,
 * and a look follows half a minute later, so that what comes together is told together; not sooner than a minute after
 * the look before. *Looking*: one look at a time; what happens meanwhile waits for the next.
 *
 * What it costs. Nothing is asked of the store at rest: an event of the consumer, a sync, a signal of the store, or a
 * queue that was used since the last look begins a look. It reads depths as the pages do (`depths.ts`), and writes only
 * if something is to be told. While a queue holds something, or something was told and is not resolved, a *calm* look
 * follows each minute, because ages grow without an event: it works with what is in memory, and asks the store once an
 * hour, or in a quarter of one where other servers may have done something. So an alert that stands all day leaves an
 * idle server idle.
 *
 * Invariant: of several servers, one tells a need. Whoever writes the need into the document by compare-and-set tells
 * it, and tells its end, because some needs live in the memory of one server alone. If he is gone, others take his
 * needs over. A need that ended is told again after ten minutes at the earliest. Who cannot reach the store tells
 * without asking the others: then each server may tell the same.
 *
 * A server that dies between the write and the delivery has not told; the page shows the need all the same.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { ConsumerEvent, EventBus } from '../consumer/events.ts';
import type { Log } from '../log.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { repeat } from '../retry.ts';
import { type Documents, type QueueKey, type Signal, StoreUnavailableError } from '../store/store.ts';
import type { Cancel, Randomness, Time } from '../time.ts';
import { createOutbox } from './alert-outbox.ts';
import type { AlertLine, AlertTarget } from './alert-targets.ts';
import type { Depths } from './depths.ts';
import { alertRule, type Need, type NeedKind } from './needs.ts';

export const ALERTS_DOCUMENT = 'alerts';
/** From the first thing that happened to the look. */
const GROUP_MS = 30_000;
/** From one look to the next, at least; and between two ticks. */
const APART_MS = 60_000;
/** A need that ended is not told again before. */
const REST_MS = 600_000;
/** A server that just began does not know yet what others knew: so long it ends none of their needs. */
const GRACE_MS = 600_000;
/** Needs that are told of at one time. */
const MOST_OPEN = 500;
/** Chosen by a person, so nobody needs to be called. */
const SILENT: ReadonlySet<NeedKind> = new Set(['held']);

const STIRRING: ReadonlySet<ConsumerEvent['kind']> = new Set([
  'dead-lettered',
  'failed',
  'lambda-reached',
  'lambda-trouble',
  'mapping-removed',
  'mapping-stopped',
  'warning',
]);

const document = z.record(
  z.string(),
  z.object({
    /** The instance that told it. */
    by: z.string(),
    kind: z.string(),
    urgency: z.enum(['now', 'soon']),
    text: z.string(),
    queue: z.exactOptional(z.string()),
    /** When it ended, ms since the epoch; absent: it holds. */
    ended: z.exactOptional(z.number()),
  }),
);
type Told = z.infer<typeof document>;

/** Errors: `SyntaxError`, `ZodError`. */
export function readAlerts(text: string): Told {
  return document.parse(JSON.parse(text));
}

export interface AlertsParts {
  readonly targets: readonly AlertTarget[];
  /** What needs somebody now. `calm`: nothing is known to have happened since the last call. */
  readonly needs: (calm: boolean) => Promise<readonly Need[]>;
  readonly depths: Pick<Depths, 'of' | 'refresh'>;
  readonly directory: Pick<QueueDirectory, 'all' | 'byKey'>;
  readonly documents: Pick<Documents, 'get' | 'put'>;
  readonly bus: EventBus;
  /** Whether queues may exist that are not known yet: what the server lacks then is no news. */
  readonly isStarting: () => boolean;
  readonly instance: string;
  /** Address of the server in messages. */
  readonly server: () => string;
  /** Address of the page on which something is done about a need of a queue. */
  readonly link: (queue: QueueKey, kind: string) => string | undefined;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly log: Log;
}

export interface Alerts {
  /** Something happened that may be a need, or end one. Cheap: it arms a timer. */
  happened(): void;
  /** To be called with every signal of the store. */
  heard(signal: Signal): void;
  /** Nothing is looked at or told from now on. Resolves when deliveries under way have ended. */
  close(): Promise<void>;
}

export function createAlerts(parts: AlertsParts): Alerts {
  const { depths, directory, documents, time, log, instance } = parts;
  const startedAt = time.monotonic();
  const outboxes = parts.targets.map((target) => createOutbox(target, { ...parts, server: parts.server }));
  /** The document as it was read or written last; `stale`: another server wrote it since. */
  let told: { readonly text: string | undefined; readonly needs: Told } = { text: undefined, needs: {} };
  let stale = true;
  /** Needs were told while the store was away. */
  let ahead = false;
  let alive: ReadonlySet<string> = new Set([instance]);
  let usesSeen = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let cancel: Cancel | undefined;
  let looking: Promise<void> | undefined;
  /** Nothing but uses of queues happened since the last look began. */
  let calm = true;
  let closed = false;

  const rulesOf = (queue: QueueKey | undefined) =>
    alertRule((queue === undefined ? undefined : directory.byKey(queue))?.definition.tags ?? {});

  const gather = async (calm: boolean): Promise<ReadonlyMap<string, Need>> => {
    const needs = (await parts.needs(calm)).filter(
      ({ kind, queue }) => !SILENT.has(kind) && !(kind === 'server' && parts.isStarting()) && !rulesOf(queue).off,
    );
    return new Map(needs.slice(0, MOST_OPEN).map((need) => [need.id, need]));
  };

  const readTold = async (): Promise<void> => {
    if (!stale && !ahead) return;
    // Before the call: a signal that comes during it makes it stale again.
    stale = false;
    try {
      const text = await documents.get(ALERTS_DOCUMENT);
      const own = ahead ? Object.entries(told.needs).filter(([, { by }]) => by === instance) : [];
      told = { text, needs: { ...(text === undefined ? {} : readAlerts(text)), ...Object.fromEntries(own) } };
    } catch (error) {
      stale = true;
      throw error;
    }
  };

  /** Claims what changed and tells it. */
  const tell = async (needs: ReadonlyMap<string, Need>): Promise<void> => {
    for (;;) {
      const isAway = await readTold().then(() => false, whetherAway);
      const mayEnd = (by: string): boolean =>
        by === instance || (!alive.has(by) && time.monotonic() - startedAt >= GRACE_MS);
      const { next, began, resolved, changed } = difference(told.needs, needs, {
        instance,
        now: time.now(),
        mayEnd,
        isGone: (by) => !alive.has(by),
      });
      if (!changed && !(ahead && !isAway)) return;
      const text = JSON.stringify(next);
      const written = isAway
        ? 'away'
        : await documents.put(ALERTS_DOCUMENT, text, told.text ?? null).catch((error: unknown) => {
            whetherAway(error);
            return 'away' as const;
          });
      if (written === false) {
        stale = true;
        continue;
      }
      ahead = written === 'away';
      told = { text: ahead ? told.text : text, needs: next };
      deliver(began, resolved);
      return;
    }
  };

  const deliver = (began: readonly AlertLine[], resolved: readonly AlertLine[]): void => {
    for (const outbox of outboxes) {
      const concerns = ({ queue }: AlertLine): boolean => {
        const names = rulesOf(queue).targets.filter((name) => parts.targets.some((target) => target.name === name));
        // A name that no target has must not swallow an alert.
        return names.length === 0 || names.includes(outbox.name);
      };
      const withLink = (line: AlertLine): AlertLine => {
        const link = line.queue === undefined ? undefined : parts.link(line.queue, line.kind);
        return link === undefined ? line : { ...line, link };
      };
      outbox.add(began.filter(concerns).map(withLink), resolved.filter(concerns).map(withLink));
    }
  };

  const uses = (): number => directory.all().reduce((sum, queue) => sum + queue.uses, 0);
  const holdsOpen = (): boolean => Object.values(told.needs).some(({ ended }) => ended === undefined);

  const look = async (): Promise<void> => {
    const wasCalm = calm && uses() === usesSeen;
    calm = true;
    lookedAt = time.monotonic();
    usesSeen = uses();
    // Without the store the last depths hold, and that it is away is a need itself.
    await depths.refresh({ calm: wasCalm }).catch(whetherAway);
    await tell(await gather(wasCalm));
  };
  const startLook = (): void => {
    looking = look()
      .catch((error: unknown) => log.warn({ err: error }, 'what needs people could not be looked at'))
      .finally(() => {
        looking = undefined;
      });
  };
  const lookSoon = (): void => {
    if (closed || cancel !== undefined) return;
    const inMs = Math.max(GROUP_MS, lookedAt + APART_MS - time.monotonic());
    cancel = time.after(inMs, () => {
      cancel = undefined;
      if (looking === undefined) startLook();
      else void looking.finally(lookSoon);
    });
  };
  const happened = (): void => {
    calm = false;
    lookSoon();
  };

  const holds = (): boolean =>
    directory.all().some(({ key }) => {
      const depth = depths.of(key);
      return depth !== undefined && depth.visible + depth.delayed + depth.inFlight > 0;
    });
  const endTicks = repeat(time, APART_MS, () => {
    if (uses() !== usesSeen) happened();
    else if (holdsOpen() || holds()) lookSoon();
  });
  const unsubscribe = parts.bus.subscribe(({ kind }) => {
    // A success ends what failed before; where nothing did, it says nothing.
    if (STIRRING.has(kind) || (kind === 'succeeded' && holdsOpen())) happened();
  });

  return {
    happened,
    heard: (signal) => {
      if (signal.kind === 'instances') alive = new Set([instance, ...signal.ids]);
      if (signal.kind === 'gap' || (signal.kind === 'document' && signal.name === ALERTS_DOCUMENT)) stale = true;
      if (signal.kind === 'reachable' || signal.kind === 'emptied' || signal.kind === 'unreadable') happened();
    },
    close: async () => {
      closed = true;
      cancel?.();
      endTicks();
      unsubscribe();
      await Promise.all([looking, ...outboxes.map((outbox) => outbox.close())]);
    },
  };
}

/** Whether the store is away; every other error is thrown on. */
function whetherAway(error: unknown): true {
  if (error instanceof StoreUnavailableError) return true;
  throw error;
}

interface Rules {
  readonly instance: string;
  readonly now: number;
  readonly mayEnd: (by: string) => boolean;
  readonly isGone: (by: string) => boolean;
}

/** What follows from what was told and what is so now. */
function difference(told: Told, needs: ReadonlyMap<string, Need>, { instance, now, mayEnd, isGone }: Rules) {
  const next: Told = {};
  const began: AlertLine[] = [];
  const resolved: AlertLine[] = [];
  let changed = false;
  for (const [id, before] of Object.entries(told)) {
    if (before.ended !== undefined) {
      if (now - before.ended < REST_MS) next[id] = before;
      else changed = true;
    } else if (needs.has(id)) {
      const taken = isGone(before.by);
      next[id] = taken ? { ...before, by: instance } : before;
      changed ||= taken;
    } else if (mayEnd(before.by)) {
      next[id] = { ...before, ended: now };
      resolved.push(lineOf(id, before));
      changed = true;
    } else next[id] = before;
  }
  for (const [id, { kind, urgency, text, queue }] of needs) {
    if (next[id] !== undefined) continue;
    next[id] = { by: instance, kind, urgency, text, ...(queue === undefined ? {} : { queue }) };
    began.push(lineOf(id, next[id]));
    changed = true;
  }
  return { next, began, resolved, changed };
}

function lineOf(id: string, { kind, urgency, text, queue }: Told[string]): AlertLine {
  return { id, kind, urgency, text, ...(queue === undefined ? {} : { queue }) };
}
