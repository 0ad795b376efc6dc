/**
 * Gives memory back to the system once the server has become quiet.
 *
 * A first discovery of a thousand mappings, or a burst of messages, leaves V8 with pages that hold nothing and that it
 * keeps for the next burst. On a machine of 256 MB which sees a few messages a month they are better off with the
 * system: some 15 of 100 MB (`npm run bench -- --only memory`).
 *
 * States: quiet (no timer) and busy (one timer). Anything that happens makes it busy. The timer looks whether something
 * happened since; if so it waits for what is left of the quiet time, else it collects, once, and all is quiet. So an
 * idle server has no timer, and a busy one a timer and a number that each event sets.
 *
 * A collection holds the process up for about a tenth of a second. A message now and then must not meet one each time,
 * so there is at most one in ten minutes.
 *
 * @module
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Cancel, Time } from '../time.ts';

/** So long nothing happened before memory is given back. */
const QUIET_MS = 30_000;
/** From one collection to the next, at least. */
const APART_MS = 600_000;

export interface IdleMemory {
  /** Something happened that may have used memory. Cheap: it is called for every event. */
  happened(): void;
  close(): void;
}

/** Begins busy, because a start uses memory. `collect` gives memory back; it must not throw. */
export function createIdleMemory(time: Time, collect: () => void): IdleMemory {
  let lastAt = time.monotonic();
  let collectedAt = Number.NEGATIVE_INFINITY;
  let cancel: Cancel | undefined;
  let closed = false;

  const wait = (): void => {
    const at = Math.max(lastAt + QUIET_MS, collectedAt + APART_MS);
    cancel = time.after(at - time.monotonic(), () => {
      cancel = undefined;
      if (time.monotonic() < lastAt + QUIET_MS) return wait();
      collectedAt = time.monotonic();
      collect();
    });
  };
  wait();
  return {
    happened: () => {
      lastAt = time.monotonic();
      if (cancel === undefined && !closed) wait();
    },
    close: () => {
      closed = true;
      cancel?.();
      cancel = undefined;
    },
  };
}

/** The first version of Node whose V8 takes options for a collection; before, one with options is a small one. */
const FIRST_WITH_OPTIONS = 22;

/**
 * A full collection of V8, and where V8 can be told so, one that gives up what it had set aside to grow into. V8 offers
 * it only to processes that were started with a flag, or to who sets the flag later and asks a new context for the
 * function.
 */
export function giveMemoryBack(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') return;
  if (Number.parseInt(process.versions.node, 10) < FIRST_WITH_OPTIONS) collect();
  else collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
