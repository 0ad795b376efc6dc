/**
 * The head-watch: one timer per queue, armed for the next due message the store told us about.
 *
 * Invariant. For every queue of a live process: the timer stands at or before the moment the earliest message of the queue is due, or an
 * operation is under way whose answer will arm it, or the head is *unknown* and somebody listens and has been woken.
 *
 * States of the head, as far as this process knows:
 *
 *   unknown   nothing was asked yet, or a `gap` in the signals may have hidden a wake. Listeners are woken: they ask the store.
 *   empty     the store said there is nothing. No timer.
 *   due(t)    the store said the next message is due at t (monotonic ms). A timer runs until t; from t on listeners are woken.
 *
 * What moves it:
 *
 *   lowered(ms)        a send or a release of this process lowered the head (the reply says so), or a wake came from another instance. The head
 *                      becomes the earlier of what it was and now + ms.
 *   asking() .. answered(ms)
 *                      a receive or peek is under way, and its answer replaces the head. Dirty rule: replies and wakes come over two connections
 *                      and have no order, so a `lowered` that arrives while an ask is under way is remembered and merged into that answer; without it a
 *                      message that arrived between the script and the reply would wait for the sweep.
 *   leased(id, ms)     this process leased a message; if it is not settled by then, it is due again. Kept apart from the head, so that a finished batch
 *                      needs no further call to the store.
 *   settled(id)        the lease is over (deleted, or moved by a visibility change that reported its own new due time through `lowered`).
 *   forget()           back to unknown (signals were lost).
 *
 * Listeners are woken whenever something is due or unknown. A listener that then asks and finds nothing costs one call; the answer re-arms the timer.
 * A listener that cannot ask now (no free slot) simply does not; when its slot frees it looks at `isDue()` again, because a head that is already visible wakes nobody.
 *
 * @module
 */

/** Under way between `asking` and `answered`; remembers what was lowered meanwhile. */
export interface Ask {
  /** The store answered: milliseconds until the next due message that is not leased by this process's own call; `undefined`: none. */
  answered(nextDueInMs: number | undefined): void;
  /** The call failed: the head is unknown, but nobody is woken for it; the caller decides when to try again. */
  failed(): void;
}

export interface HeadWatch {
  /** Whether a receive could return something now: the head is unknown, due, or a lease of this process ran out. */
  isDue(): boolean;
  /** Milliseconds until `isDue` turns true by itself; 0: now; `undefined`: not before something is sent. */
  dueInMs(): number | undefined;
  asking(): Ask;
  lowered(dueInMs: number): void;
  leased(id: string, leaseMs: number): void;
  settled(id: string): void;
  forget(): void;
  /** Calls `listener` each time the queue becomes due (or is found due after an answer), until the returned function is called. */
  subscribe(listener: () => void): () => void;
  /** Cancels the timer for good. */
  close(): void;
}
