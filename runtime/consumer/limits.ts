/**
 * What all mappings of a process share: Invokes at one time, and bytes of messages in memory.
 *
 * Both are taken before messages are leased, never after, so that a small machine stays small however many queues have
 * a backlog. The size of a batch is unknown until it is there: its share of the bytes is reserved generously for the
 * round trip, then shrunk to what came.
 *
 * No mapping starves another, as in Lambda, where each scales by itself. Two rules keep that:
 *
 *   one always    a mapping that has no Invoke on its way may take one, even beyond the limit: an Invoke that waits for
 *                 its function costs little more than a socket. What it costs in memory, its messages, is bounded by
 *                 the bytes.
 *   a share       a mapping that has something already takes more only while it holds less than three times what is
 *                 free. So one busy mapping takes three quarters and leaves a quarter, two take three sevenths each and
 *                 leave a seventh, and so on: there is always something left for those who have nothing. (Dynamic
 *                 thresholds, as in the shared buffers of network switches: Choudhury and Hahne, 1998.) The first bytes
 *                 of a mapping are taken from all that is free.
 *
 * Who finds no room waits in line. Whenever room is given back, those whose need is met are called in order, each once;
 * a caller that still wants room and finds none waits again, at the end. Batches that only lack their Invoke, because
 * they collected through a window or were throttled, stand before all others: their leases are running.
 *
 * A batch that collects through a long window, or waits to be invoked again, holds bytes while nothing happens. Were
 * they all held so, other queues would starve: whoever waits for bytes that are really in memory, not only reserved for
 * a round trip, makes the oldest such batch flush early, or be given back; one at a time, until something is given
 * back.
 *
 * How many batches of one mapping may be on their way stands below, at `MappingConcurrency`.
 *
 * @module
 */
import type { Cancel, Time } from '../time.ts';

/** A mapping takes more only while it holds less than this many times what is free. */
const SHARE_OF_FREE = 3;

export interface LimitOptions {
  /** Invokes at one time, 1 or more; each mapping may have one beyond it. */
  readonly maxInvokes: number;
  /** Bytes of messages in memory. A single larger message is still taken when nothing else is there. */
  readonly maxBytes: number;
}

/** A share of the bytes. */
export interface ByteShare {
  readonly bytes: number;
  /** Makes it smaller or larger; what is in memory already is counted, be there room or not. */
  resize(bytes: number): void;
  free(): void;
}

/** What a waiter lacks. */
export type Need = 'invoke' | 'bytes' | 'invoke-and-bytes';

/** What one mapping has of the limits, and takes through. */
export interface MappingShare {
  tryTakeInvoke(): boolean;
  giveBackInvoke(): void;
  /** Reserves what the mapping may have, at most `mostBytes`; nothing if that is less than `leastBytes`. */
  tryReserve(leastBytes: number, mostBytes: number): ByteShare | undefined;
  /** Counts bytes that are in memory already, be there room or not. */
  take(bytes: number): ByteShare;
  /**
   * Calls `run` once, when what is needed may be had; the returned function withdraws. `first`: before those who wait
   * already.
   */
  wait(need: Need, leastBytes: number, run: () => void, first?: boolean): () => void;
}

interface Held {
  invokes: number;
  bytes: number;
}

interface Waiter {
  readonly held: Held;
  readonly need: Need;
  /** Less than this many free bytes is as good as none. */
  readonly leastBytes: number;
  readonly run: () => void;
}

export class ProcessLimits {
  readonly maxInvokes: number;
  readonly maxBytes: number;
  #batches = 0;
  #invokes = 0;
  /** Reserved or in memory. */
  #bytes = 0;
  #bytesInMemory = 0;
  #waiters: Waiter[] = [];
  #calling = false;
  /** What ends the wait of batches that hold bytes while nothing happens, oldest first. */
  readonly #idling = new Set<() => void>();
  /** The wait of a batch was ended for those who starve, and nothing was given back since. */
  #relieving = false;

  constructor(options: LimitOptions) {
    this.maxInvokes = options.maxInvokes;
    this.maxBytes = options.maxBytes;
  }

  /** A number that no other batch of this process has. */
  nextBatch(): number {
    this.#batches += 1;
    return this.#batches;
  }

  get invokes(): number {
    return this.#invokes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What a mapping takes its Invokes and bytes through, empty at first. */
  share(): MappingShare {
    const held: Held = { invokes: 0, bytes: 0 };
    return {
      tryTakeInvoke: () => {
        if (!this.#mayInvoke(held)) return false;
        this.#invokes += 1;
        held.invokes += 1;
        return true;
      },
      giveBackInvoke: () => {
        this.#invokes -= 1;
        held.invokes -= 1;
        if (this.#waiters.length > 0) this.#callWaiters();
      },
      tryReserve: (leastBytes, mostBytes) => {
        const most = this.#mayReserve(held);
        // With nothing else in memory everything is free; a request for more would wait without end.
        if (most < Math.min(leastBytes, this.maxBytes)) return undefined;
        return this.#share(held, Math.max(0, Math.min(most, mostBytes)), 0);
      },
      take: (bytes) => this.#share(held, bytes, bytes),
      wait: (need, leastBytes, run, first = false) => {
        const waiter: Waiter = { held, need, leastBytes: Math.min(leastBytes, this.maxBytes), run };
        if (first) this.#waiters.unshift(waiter);
        else this.#waiters.push(waiter);
        this.#relieve();
        return () => {
          this.#waiters = this.#waiters.filter((other) => other !== waiter);
        };
      },
    };
  }

  /**
   * Announces a batch that holds bytes while nothing happens; `relieve` is called once if others starve for them,
   * perhaps at once. The returned function ends it.
   */
  idling(relieve: () => void): () => void {
    this.#idling.add(relieve);
    this.#relieve();
    return () => {
      this.#idling.delete(relieve);
    };
  }

  #mayInvoke({ invokes }: Held): boolean {
    return invokes === 0 || invokes < SHARE_OF_FREE * (this.maxInvokes - this.#invokes);
  }

  /** Bytes that a mapping may reserve now. */
  #mayReserve({ bytes }: Held): number {
    const free = this.maxBytes - this.#bytes;
    return bytes === 0 ? free : Math.min(free, SHARE_OF_FREE * free - bytes);
  }

  #share(held: Held, reserved: number, present: number): ByteShare {
    let inMemory = present;
    this.#bytes += reserved;
    held.bytes += reserved;
    this.#bytesInMemory += inMemory;
    const share = {
      bytes: reserved,
      resize: (to: number): void => {
        const more = to - share.bytes;
        if (to < inMemory) this.#relieving = false;
        this.#bytes += more;
        held.bytes += more;
        this.#bytesInMemory += to - inMemory;
        share.bytes = to;
        inMemory = to;
        if (more < 0 && this.#waiters.length > 0) this.#callWaiters();
        if (this.#waiters.length > 0) this.#relieve();
      },
      free: (): void => share.resize(0),
    };
    return share;
  }

  #relieve(): void {
    const left = this.maxBytes - this.#bytesInMemory;
    if (this.#relieving || !this.#waiters.some(({ need, leastBytes }) => need !== 'invoke' && left < leastBytes)) {
      return;
    }
    for (const relieve of this.#idling) {
      this.#idling.delete(relieve);
      this.#relieving = true;
      relieve();
      return;
    }
  }

  #callWaiters(): void {
    // A waiter that gives something back while it is called would start a second round inside the first; the first sees
    // what it freed.
    if (this.#calling) return;
    this.#calling = true;
    try {
      // At most one call for each who waits now: one that waits again at once is served by the next room given back.
      for (let left = this.#waiters.length; left > 0; left -= 1) {
        const waiter = this.#nextServed();
        if (waiter === undefined) return;
        waiter.run();
      }
    } finally {
      this.#calling = false;
    }
  }

  #nextServed(): Waiter | undefined {
    const index = this.#waiters.findIndex(
      ({ held, need, leastBytes }) =>
        (need === 'bytes' || this.#mayInvoke(held)) && (need === 'invoke' || this.#mayReserve(held) >= leastBytes),
    );
    return index === -1 ? undefined : this.#waiters.splice(index, 1)[0];
  }
}

/*
 * How many batches of one mapping may be on their way at one time in this process.
 *
 * It starts low (Lambda: 5), grows by one per success up to that start and from there steadily (Lambda: 300 a minute)
 * for as long as messages wait and every slot is taken; a failed batch halves it, never below one. It does not grow
 * again before a batch succeeded. When nothing waits and nothing runs it falls back to the start.
 *
 * The one timer, of the steady growth, runs only while messages wait for a slot.
 *
 * Source: "Configuring scaling behavior for SQS event source mappings". AWS does not document what its back-off takes
 * away; halving is Karin's.
 */

export interface ConcurrencyOptions {
  readonly time: Time;
  /** Batches at one time to begin with, 1 or more. */
  readonly start: number;
  /** The most that it grows to, 1 or more. */
  readonly ceiling: number;
  /** Milliseconds per slot of the steady growth. */
  readonly growthIntervalMs: number;
  /** Called when growth made room for another batch. */
  readonly onRoom: () => void;
}

export class MappingConcurrency {
  readonly #time: Time;
  readonly #growthIntervalMs: number;
  readonly #onRoom: () => void;
  #start: number;
  #ceiling: number;
  #limit: number;
  #running = 0;
  /** The last batch that ended did not fail; a mapping without any history is trusted. */
  #healthy = true;
  #cancelGrowth: Cancel | undefined;

  constructor(options: ConcurrencyOptions) {
    this.#time = options.time;
    this.#growthIntervalMs = options.growthIntervalMs;
    this.#onRoom = options.onRoom;
    this.#ceiling = options.ceiling;
    this.#start = Math.min(options.start, options.ceiling);
    this.#limit = this.#start;
  }

  /** Batches on their way. */
  get running(): number {
    return this.#running;
  }

  /** Batches that may be on their way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Takes a slot, if one is free: none is either while more run than a lowered limit allows. */
  tryTake(): boolean {
    if (this.#running >= this.#limit) return false;
    this.#running += 1;
    return true;
  }

  /** Gives a slot back. */
  giveBack(): void {
    this.#running -= 1;
  }

  /** Messages wait and no slot is free: growth may begin. */
  wanted(): void {
    if (this.#cancelGrowth !== undefined || !this.#healthy || this.#limit >= this.#ceiling) return;
    this.#cancelGrowth = this.#time.after(this.#growthIntervalMs, () => {
      this.#cancelGrowth = undefined;
      if (this.#running < this.#limit) return;
      this.#limit = Math.min(this.#limit + 1, this.#ceiling);
      this.#onRoom();
    });
  }

  /** A batch succeeded. */
  succeeded(): void {
    this.#healthy = true;
    if (this.#limit < this.#start) this.#limit += 1;
  }

  /** A batch failed, or was throttled. */
  backOff(): void {
    this.#healthy = false;
    this.#stopGrowth();
    this.#limit = Math.max(1, Math.floor(this.#limit / 2));
  }

  /** Nothing will succeed before somebody mends it: one batch at a time. */
  backOffHard(): void {
    this.backOff();
    this.#limit = 1;
  }

  /** Nothing waits: the growth so far is given up once nothing runs either. */
  idle(): void {
    if (this.#cancelGrowth !== undefined) this.#stopGrowth();
    if (this.#running === 0) this.#limit = Math.min(this.#limit, this.#start);
  }

  /** The mapping was changed. */
  retune(start: number, ceiling: number): void {
    this.#ceiling = ceiling;
    this.#start = Math.min(start, ceiling);
    this.#limit = Math.max(1, Math.min(Math.max(this.#limit, this.#start), ceiling));
  }

  close(): void {
    this.#stopGrowth();
  }

  #stopGrowth(): void {
    this.#cancelGrowth?.();
    this.#cancelGrowth = undefined;
  }
}
