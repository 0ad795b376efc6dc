/**
 * What one credential may take, so that something is left for the others: messages a second, queues, messages and bytes
 * that stand in its queues, and, for all who may not manage, the reserve of the store.
 *
 * Everything is counted in the process, and nothing of it is stored: a credential without a share costs nothing, and
 * several servers give one share each.
 *
 * Messages and bytes. They bound what stands in the queues that a credential sends to through this server, whoever sent
 * it. Each queue is asked for its depth once, at the first send of the credential to it; from then on what is accepted
 * is added. Only where that would pass the bound are the queues asked again, at most once a second, to learn what was
 * received and deleted. So a credential far from its bound costs no command for a message. The store does not know the
 * bytes of a queue: they are what was accepted here, in proportion to the messages that are left; those that others
 * sent count as large as the mean. What is under way while the depth is read may pass the bound.
 *
 * The reserve. A fifth of the store's memory is kept for credentials that may manage, and for what Karin itself moves,
 * so that whoever may only send cannot fill the store for all. The store is asked how full it is when an eighth of what
 * is left may have been accepted since, and, while sends are refused for it, at most once a second; never by a timer.
 *
 * @module
 */

import type { CallerShare } from '../../sqs/request.ts';
import type { QueueKey, StoreHealth } from '../../store/store.ts';
import type { Time } from '../../time.ts';
import type { Grant } from './credentials.ts';

/** A whole batch must fit into a share. */
const SMALLEST_SHARE = 10;
/** Between two looks at the store for callers who are at a bound, ms. */
const LOOK_AGAIN_MS = 1_000;

/**
 * The share of a credential, by its name and what it was granted; `undefined`: nothing is bounded. `now`: wall clock,
 * milliseconds since the epoch.
 */
export function createShares(now: () => number): (senderId: string, grant: Grant) => CallerShare | undefined {
  const buckets = new Map<string, { left: number; at: number }>();
  const stored = new Map<string, Stored>();

  const takeSends = (senderId: string, sendsPerSecond: number, count: number): boolean => {
    const most = Math.max(SMALLEST_SHARE, sendsPerSecond);
    const bucket = buckets.get(senderId) ?? { left: most, at: now() };
    buckets.set(senderId, bucket);
    bucket.left = Math.min(most, bucket.left + (Math.max(0, now() - bucket.at) * sendsPerSecond) / 1000);
    bucket.at = now();
    if (bucket.left < count) return false;
    bucket.left -= count;
    return true;
  };

  return (senderId, { sendsPerSecond, maxQueues, maxMessages, maxBytes }) => {
    const storesWithin = maxMessages !== undefined || maxBytes !== undefined;
    if (sendsPerSecond === undefined && maxQueues === undefined && !storesWithin) return undefined;
    return {
      ...(sendsPerSecond === undefined ? {} : { takeSends: (count) => takeSends(senderId, sendsPerSecond, count) }),
      ...(maxQueues === undefined ? {} : { maxQueues }),
      ...(storesWithin
        ? {
            takeRoom: (queue, messages, bytes) => {
              const own = stored.get(senderId) ?? new Stored(now);
              stored.set(senderId, own);
              return own.take(queue, { messages, bytes }, { messages: maxMessages, bytes: maxBytes });
            },
          }
        : {}),
    };
  };
}

interface Amount {
  messages: number;
  bytes: number;
}

type Recipient = Parameters<NonNullable<CallerShare['takeRoom']>>[0];

/** What stands in the queues that one credential sends to, as far as this server knows. */
class Stored {
  readonly #now: () => number;
  readonly #queues = new Map<QueueKey, Amount & { readonly recipient: Recipient }>();
  #lookedAt: number | undefined;
  #look: Promise<void> | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Adds `wanted` to what stands in a queue; otherwise which bound it would pass. Errors: `StoreUnavailableError`. */
  async take(
    recipient: Recipient,
    wanted: Amount,
    most: { readonly [name in keyof Amount]: number | undefined },
  ): Promise<'messages' | 'bytes' | undefined> {
    if (!this.#queues.has(recipient.key)) {
      const first = { recipient, messages: 0, bytes: 0 };
      await read(first, wanted.bytes / wanted.messages);
      if (!this.#queues.has(recipient.key)) this.#queues.set(recipient.key, first);
    }
    if (this.#passed(wanted, most) !== undefined) await this.#lookAgain(wanted.bytes / wanted.messages);
    const passed = this.#passed(wanted, most);
    if (passed !== undefined) return passed;
    const held = this.#queues.get(recipient.key);
    // It was empty a moment ago.
    if (held === undefined) this.#queues.set(recipient.key, { recipient, ...wanted });
    else {
      held.messages += wanted.messages;
      held.bytes += wanted.bytes;
    }
    return undefined;
  }

  #passed(
    wanted: Amount,
    most: { readonly [name in keyof Amount]: number | undefined },
  ): 'messages' | 'bytes' | undefined {
    let [messages, bytes] = [wanted.messages, wanted.bytes];
    for (const held of this.#queues.values()) {
      messages += held.messages;
      bytes += held.bytes;
    }
    if (messages > (most.messages ?? Number.POSITIVE_INFINITY)) return 'messages';
    return bytes > (most.bytes ?? Number.POSITIVE_INFINITY) ? 'bytes' : undefined;
  }

  #lookAgain(mean: number): Promise<void> | undefined {
    if (this.#look !== undefined) return this.#look;
    // A clock that was set back must not put off the next look.
    if (this.#lookedAt !== undefined && Math.abs(this.#now() - this.#lookedAt) < LOOK_AGAIN_MS) return undefined;
    this.#lookedAt = this.#now();
    this.#look = this.#readAll(mean).finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #readAll(mean: number): Promise<void> {
    for (const [key, held] of [...this.#queues]) {
      await read(held, mean);
      if (held.messages === 0) this.#queues.delete(key);
    }
  }
}

/** Takes over how many messages stand in a queue now; `mean`: what one has where nothing was accepted yet, bytes. */
async function read(held: Amount & { readonly recipient: Recipient }, mean: number): Promise<void> {
  const { visible, delayed, inFlight } = await held.recipient.depth();
  const messages = visible + delayed + inFlight;
  held.bytes = messages * (held.messages === 0 ? mean : held.bytes / held.messages);
  held.messages = messages;
}

/** The part of the store's memory that those who may not manage can fill. */
const OPEN_PART = 0.8;
/** What a message takes beside its content, bytes: more than the structures of the store need for it. */
const BESIDES = 512;
const LEAST_BETWEEN_LOOKS = 64 * 1_024;
const MOST_BETWEEN_LOOKS = 16 * 1_048_576;

/**
 * Whether somebody who may not manage may send so many messages and bytes; asks the store beside it, so what is
 * answered may be a moment old.
 */
export function createReserve(
  health: () => Promise<StoreHealth>,
  time: Pick<Time, 'monotonic'>,
): (messages: number, bytes: number) => boolean {
  let isFull = false;
  /** Bytes that may be accepted before the next look. */
  let left = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking = false;
  const look = async (): Promise<void> => {
    looking = true;
    lookedAt = time.monotonic();
    try {
      const { usedBytes, maxBytes } = await health();
      const open = maxBytes === undefined ? Number.POSITIVE_INFINITY : maxBytes * OPEN_PART - (usedBytes ?? 0);
      isFull = open <= 0;
      left = Math.min(MOST_BETWEEN_LOOKS, Math.max(LEAST_BETWEEN_LOOKS, open / 8));
    } catch {
      // Whether it can be reached is for the send itself to find out.
    } finally {
      looking = false;
    }
  };
  return (messages, bytes) => {
    if (!isFull) left -= bytes + messages * BESIDES;
    const isDue = isFull ? time.monotonic() - lookedAt >= LOOK_AGAIN_MS : left <= 0;
    if (isDue && !looking) void look();
    return !isFull;
  };
}
