/**
 * Long calls in steps of a size that a store can handle at once.
 *
 * @module
 */
import { STEP } from './checks.ts';
import type { DeleteReply, LeasedEntry, ReceiveOptions, ReceiveReply } from './store.ts';

/** One step of a receive. `takeFirst`: whether the first record is taken whatever its size; `maxMessages` is at most `STEP`. */
export type ReceiveStep = (options: ReceiveOptions, takeFirst: boolean) => Promise<ReceiveReply>;

/**
 * Receives in as many steps as are worth while: a further one follows only a full one that left something due. There is only one step if the messages
 * are due again at once (a further step would receive them again) or come from a single group (which the first step has locked).
 *
 * After several steps `nextDueInMs` may be the end of a lease of an earlier step; whoever wakes then finds out at the cost of one call.
 */
export async function receiveInSteps(options: ReceiveOptions, step: ReceiveStep): Promise<ReceiveReply> {
  const first = await step({ ...options, maxMessages: Math.min(options.maxMessages, STEP) }, true);
  const leased: LeasedEntry[] = [...first.leased];
  let last = first;
  let bytesLeft = options.maxBytes - sizeOf(first.leased);
  while (
    options.leaseMs > 0 &&
    options.singleGroup !== true &&
    last.leased.length === STEP &&
    last.nextDueInMs === 0 &&
    leased.length < options.maxMessages &&
    bytesLeft > 0
  ) {
    const maxMessages = Math.min(options.maxMessages - leased.length, STEP);
    try {
      last = await step({ ...options, maxMessages, maxBytes: bytesLeft }, false);
    } catch {
      // What the earlier steps leased must not be lost; the next call meets the same fault and reports it.
      break;
    }
    leased.push(...last.leased);
    bytesLeft -= sizeOf(last.leased);
  }
  return { ...last, leased, total: first.total };
}

function sizeOf(entries: readonly LeasedEntry[]): number {
  return entries.reduce((sum, entry) => sum + entry.record.length, 0);
}

/** Settles leases `STEP` at a time; the outcomes are in the order of `items`. */
export async function settleInSteps<T>(
  items: readonly T[],
  step: (items: readonly T[]) => Promise<DeleteReply>,
): Promise<DeleteReply> {
  const outcomes: DeleteReply['outcomes'][number][] = [];
  let headLoweredToMs: number | undefined;
  let nextDueInMs: number | undefined;
  for (let from = 0; from < items.length; from += STEP) {
    const reply = await step(items.slice(from, from + STEP));
    outcomes.push(...reply.outcomes);
    nextDueInMs = reply.nextDueInMs;
    if (reply.headLoweredToMs !== undefined) {
      headLoweredToMs = Math.min(reply.headLoweredToMs, headLoweredToMs ?? Number.POSITIVE_INFINITY);
    }
  }
  return {
    outcomes,
    ...(headLoweredToMs === undefined ? {} : { headLoweredToMs }),
    ...(nextDueInMs === undefined ? {} : { nextDueInMs }),
  };
}
