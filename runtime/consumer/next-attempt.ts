/**
 * What lies between two attempts to invoke one batch: a pause, in which the batch keeps its leases, its slot and its place in memory, but no Invoke; then another Invoke.
 *
 * A function can be throttled for as long as a lease lasts. So that its batches harm no others meanwhile, one of them is given back, uncounted, when other queues have no memory left.
 *
 * @module
 */
import { takeInvoke } from './flush.ts';
import type { Holdings } from './holdings.ts';
import type { MappingSlots } from './mapping-slots.ts';
import type { ConsumerParts } from './parts.ts';
import { type BatchName, warnOfStore } from './settlement.ts';

/** `invoke`: the next attempt begins now. `past-lease`: it would come too late. The other two: give the messages back. */
export type AfterPause = 'invoke' | 'past-lease' | 'stopping' | 'starving';

export interface Waiting {
  readonly holdings: Holdings;
  readonly slots: MappingSlots;
  readonly name: BatchName;
  readonly parts: ConsumerParts;
}

/**
 * Waits `inMs` milliseconds, and then for an Invoke, at the latest until `until` (monotonic ms).
 * Errors: `StoreUnavailableError`, if the slot in the store would have to be prolonged once more.
 */
export async function awaitNextAttempt(waiting: Waiting, inMs: number, until: number): Promise<AfterPause> {
  const { holdings, slots, name, parts } = waiting;
  holdings.giveBackInvoke();
  slots.retrying(holdings, inMs).catch((error: unknown) => {
    warnOfStore(name, 'a slot could not be prolonged, and may end before its batch', error, parts);
  });
  const end = await pauseUnlessStarving(inMs, parts);
  if (end !== 'over') return end;

  const atOnce = holdings.tryTakeInvoke();
  if (!atOnce && !(await takeInvoke(holdings, until, parts))) return parts.stopping.aborted ? 'stopping' : 'past-lease';
  // The slot in the store was prolonged for the pause, but not for a wait after it.
  return atOnce || (await slots.retrying(holdings, 0)) ? 'invoke' : 'past-lease';
}

function pauseUnlessStarving(
  ms: number,
  { time, stopping, limits }: ConsumerParts,
): Promise<'over' | 'stopping' | 'starving'> {
  if (stopping.aborted) return Promise.resolve('stopping');
  return new Promise((resolve) => {
    const end = (why: 'over' | 'stopping' | 'starving'): void => {
      cancelTimer();
      endIdling();
      stopping.removeEventListener('abort', onStopping);
      resolve(why);
    };
    const onStopping = (): void => end('stopping');
    const cancelTimer = time.after(ms, () => end('over'));
    stopping.addEventListener('abort', onStopping, { once: true });
    let endIdling = (): void => {};
    endIdling = limits.idling(() => end('starving'));
  });
}
