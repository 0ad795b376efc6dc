/**
 * Counts failed attempts by address, so that guessing is slow.
 *
 * Each address has a bucket of attempts that fills up again with time. Memory is bounded: beyond `ADDRESSES` the one that failed longest ago is forgotten.
 *
 * @module
 */

/** Failed attempts that an address may make at once. */
const BURST = 20;
/** One more every three seconds: 28,800 a day, hopeless against a password of twelve random characters. */
const REFILL_MS = 3000;
const ADDRESSES = 10_000;

export interface AttemptLimit {
  /** Whether the address has used up its failed attempts. */
  exhausted(address: string): boolean;
  /** Counts a failed attempt. */
  failed(address: string): void;
  /** Failed attempts since the process began. */
  readonly failures: number;
}

interface Bucket {
  /** Failures that have not been forgiven yet, at the moment `at`. */
  used: number;
  at: number;
}

/** `monotonic`: milliseconds that only grow. */
export function createAttemptLimit(monotonic: () => number): AttemptLimit {
  /** Ordered by last failure: the first is the one to forget. */
  const buckets = new Map<string, Bucket>();
  let failures = 0;

  const usedNow = (bucket: Bucket): number => Math.max(0, bucket.used - (monotonic() - bucket.at) / REFILL_MS);

  return {
    exhausted: (address) => {
      const bucket = buckets.get(network(address));
      // An attempt needs a whole place in the bucket.
      return bucket !== undefined && usedNow(bucket) > BURST - 1;
    },
    failed: (address) => {
      failures++;
      const name = network(address);
      const bucket = buckets.get(name);
      const used = Math.min(BURST, (bucket === undefined ? 0 : usedNow(bucket)) + 1);
      buckets.delete(name);
      buckets.set(name, { used, at: monotonic() });
      if (buckets.size <= ADDRESSES) return;
      for (const oldest of buckets.keys()) {
        buckets.delete(oldest);
        break;
      }
    },
    get failures() {
      return failures;
    },
  };
}

/** Whoever has one IPv6 address usually has the 2^64 around it: those count as one. */
function network(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail = ''] = plain.split('::');
  const left = head.split(':').filter((group) => group !== '');
  const right = tail.split(':').filter((group) => group !== '');
  const zeros = plain.includes('::')
    ? Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
    : [];
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}
