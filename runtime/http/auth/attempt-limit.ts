/**
 * Makes guessing slow without keeping out whoever is right.
 *
 * Failed attempts are counted by address and, for the admin password, over all addresses: each count has a bucket that
 * is forgiven with time. The count decides two things. What a wrong attempt is told: the address that used up its
 * attempts reads so. And how long an attempt at the admin password waits before it is looked at: it is the one secret
 * that a person may have chosen. The wait comes before the comparison, so giving up early tells nothing, and doubles
 * with each attempt up to the longest of `WAITS`. It is never a refusal: the right password passes after it, whoever
 * else fails from the same address.
 *
 * What bounds guessing, then, is the number of connections: each carries one attempt in the longest of `WAITS`. With
 * all 4,096 of a server that is 512 a second, some 10^10 a year, against the 10^21 passwords of twelve random letters
 * and digits.
 *
 * An attempt that waits counts as a failed one, so that many at one time are no way around. An address that was right
 * within a day is not made to wait for what other addresses do.
 *
 * A wrong signature is slowed as well, in another way: callers sign every request, so one whose signature is right must
 * never wait for what others of its network guess. Hence the signature is looked at at once, and it is the refusal that
 * waits. It is counted by network and key together, and only for keys that there are. On one connection answers come in
 * order, so a connection carries one guess in the longest of `WAITS`; who does not wait for the refusal pays a new
 * connection for each guess. Nothing is counted over all networks, so no stranger makes anybody else wait.
 *
 * Memory is bounded: beyond `ADDRESSES` the one that was counted longest ago is forgotten.
 *
 * @module
 */
import { backOff, type Pauses } from '../../retry.ts';
import type { Cancel, Time } from '../../time.ts';

/** Failed attempts that an address may make at once. */
const BURST = 20;
/** Attempts at the password that all addresses together may make before those of unknown ones wait. */
const BURST_OF_ALL = 100;
/** One more every three seconds. */
const REFILL_MS = 3000;
const WAITS: Pauses = { firstMs: 250, longestMs: 8_000 };
/** Doublings from the first wait to the longest. */
const DOUBLINGS = Math.log2(WAITS.longestMs / WAITS.firstMs);
const ADDRESSES = 10_000;
/** How long an address that knew the password is told apart from strangers. */
const KNOWN_MS = 86_400_000;

/** How seldom it is noted that a network signs with a key. */
const SIGNED_AGAIN_MS = 60_000;

export interface AttemptLimit {
  /** Whether the address has used up its failed attempts: wrong ones are told so. */
  exhausted(address: string): boolean;
  /** Counts a failed attempt. */
  failed(address: string): void;
  /** The address knew the admin password. */
  proven(address: string): void;
  /**
   * To be called before an attempt at the admin password is looked at. `undefined`: at once. Otherwise it resolves when
   * it is time, or when `gone` is aborted: then the attempt must not be looked at.
   */
  wait(address: string, gone: () => AbortSignal): Promise<void> | undefined;
  /** The address proved that it knows the secret of an access key. */
  signed(address: string, accessKeyId: string): void;
  /** Whether a caller in the network of the address did so within a day. */
  hasSigned(address: string, accessKeyId: string): boolean;
  /**
   * Counts a wrong signature with a key that this server has. `undefined`: it may be refused at once. Otherwise it
   * resolves when it is time to answer, or when `gone` is aborted.
   */
  wrongSignature(address: string, accessKeyId: string, gone: () => AbortSignal): Promise<void> | undefined;
  /** Failed attempts since the process began. */
  readonly failures: number;
}

/** Attempts that were not forgiven yet, at the moment `at`. */
interface Bucket {
  used: number;
  at: number;
}

export function createAttemptLimit(time: Pick<Time, 'monotonic' | 'after'>): AttemptLimit {
  /** By network, ordered by last failure. */
  const buckets = new Map<string, Bucket>();
  /** By network and access key, ordered by last failure. */
  const wrongSignatures = new Map<string, Bucket>();
  /** When each network last knew the password, ordered by that. */
  const known = new Map<string, number>();
  /** When each network last signed with each key, ordered by that. */
  const signers = new Map<string, number>();
  /** Attempts that wait, by network. */
  const waiting = new Map<string, number>();
  const all: Bucket = { used: 0, at: 0 };
  let failures = 0;

  const usedNow = (bucket: Bucket | undefined): number =>
    bucket === undefined ? 0 : Math.max(0, bucket.used - (time.monotonic() - bucket.at) / REFILL_MS);
  const count = (bucket: Bucket, burst: number, by: number): void => {
    // Beyond the last doubling more would only be forgiven later.
    bucket.used = Math.min(burst + DOUBLINGS, Math.max(0, usedNow(bucket) + by));
    bucket.at = time.monotonic();
  };
  const isFresh = (at: number | undefined, ms: number): boolean => at !== undefined && time.monotonic() - at < ms;
  const isKnown = (name: string): boolean => isFresh(known.get(name), KNOWN_MS);
  const wait = (name: string, ms: number, signal: AbortSignal): Promise<void> => {
    waiting.set(name, (waiting.get(name) ?? 0) + 1);
    return new Promise((resolve) => {
      let cancel: Cancel = () => {};
      const end = (): void => {
        cancel();
        signal.removeEventListener('abort', end);
        const left = (waiting.get(name) ?? 1) - 1;
        if (left === 0) waiting.delete(name);
        else waiting.set(name, left);
        resolve();
      };
      if (signal.aborted) return end();
      signal.addEventListener('abort', end);
      cancel = time.after(ms, end);
    });
  };

  return {
    // An attempt needs a whole place in the bucket.
    exhausted: (address) => usedNow(buckets.get(network(address))) > BURST - 1,
    failed: (address) => {
      failures++;
      const name = network(address);
      const bucket = buckets.get(name) ?? { used: 0, at: 0 };
      count(bucket, BURST, 1);
      putLast(buckets, name, bucket);
    },
    proven: (address) => {
      const name = network(address);
      if (!isKnown(name)) count(all, BURST_OF_ALL, -1);
      putLast(known, name, time.monotonic());
    },
    wait: (address, gone) => {
      const name = network(address);
      const own = waitMs(usedNow(buckets.get(name)) + (waiting.get(name) ?? 0), BURST);
      if (isKnown(name)) return own === 0 ? undefined : wait(name, own, gone());
      const ms = Math.max(own, waitMs(usedNow(all), BURST_OF_ALL));
      count(all, BURST_OF_ALL, 1);
      return ms === 0 ? undefined : wait(name, ms, gone());
    },
    signed: (address, accessKeyId) => {
      const name = signerName(address, accessKeyId);
      // Each signed request comes here, and seldom has anything to tell.
      if (!isFresh(signers.get(name), SIGNED_AGAIN_MS)) putLast(signers, name, time.monotonic());
    },
    hasSigned: (address, accessKeyId) => isFresh(signers.get(signerName(address, accessKeyId)), KNOWN_MS),
    wrongSignature: (address, accessKeyId, gone) => {
      const name = signerName(address, accessKeyId);
      const bucket = wrongSignatures.get(name) ?? { used: 0, at: 0 };
      const ms = waitMs(usedNow(bucket), BURST);
      count(bucket, BURST, 1);
      putLast(wrongSignatures, name, bucket);
      return ms === 0 ? undefined : wait(name, ms, gone());
    },
    get failures() {
      return failures;
    },
  };
}

function signerName(address: string, accessKeyId: string): string {
  return `${network(address)} ${accessKeyId}`;
}

/** The wait before an attempt that finds `used` attempts in a bucket of `burst`. */
function waitMs(used: number, burst: number): number {
  if (used <= burst - 1) return 0;
  return backOff(WAITS, Math.max(0, used - burst));
}

/** Makes an entry the last of its map, and forgets the first if there are too many. */
function putLast<V>(map: Map<string, V>, name: string, value: V): void {
  map.delete(name);
  map.set(name, value);
  if (map.size <= ADDRESSES) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    break;
  }
}

/** Whoever has one IPv6 address usually has the 2^64 around it: those count as one. */
export function network(address: string): string {
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
