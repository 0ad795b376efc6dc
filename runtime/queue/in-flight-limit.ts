/**
 * The in-flight limit: about 120,000 messages of one queue may be received and not yet deleted.
 * Source: SQS quotas, "In-flight messages per queue". A standard queue answers a short poll with OverLimit, a long poll and a FIFO queue with nothing.
 *
 * It costs nothing as long as a queue holds fewer messages than the limit, because every receive reply says how many there are. Beyond that the exact number is read,
 * and half of what is left may be received before it is read again (half, because other instances receive as well).
 *
 * @module
 */

/** Messages of one queue. */
export const IN_FLIGHT_LIMIT = 120_000;

export class InFlightLimit {
  readonly #limit: number;
  readonly #readInFlight: () => Promise<number>;
  /** Messages that may be received before the exact number must be read. */
  #allowance = Number.POSITIVE_INFINITY;

  /** `limit`: messages in flight at most. `readInFlight`: asks the store how many are in flight now. */
  constructor(limit: number, readInFlight: () => Promise<number>) {
    this.#limit = limit;
    this.#readInFlight = readInFlight;
  }

  /** Whether a receive may go on. Asks the store only if the queue holds more messages than the limit and the allowance is used up. */
  async admits(): Promise<boolean> {
    if (this.#allowance > 0) return true;
    const left = this.#limit - (await this.#readInFlight());
    this.#allowance = Math.ceil(Math.max(0, left) / 2);
    return this.#allowance > 0;
  }

  /** A receive leased `count` messages of a queue that held `total`. */
  received(count: number, total: number): void {
    if (total < this.#limit) this.#allowance = Number.POSITIVE_INFINITY;
    else if (this.#allowance === Number.POSITIVE_INFINITY) this.#allowance = 0;
    else this.#allowance -= count;
  }
}
