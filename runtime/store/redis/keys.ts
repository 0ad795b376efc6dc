/**
 * The names of everything that Karin keeps in Redis, and nowhere else.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { QueueKey } from '../../queue/arn.ts';

/** The keys of one queue. What is in them stands in the headers of the scripts: `send.ts` for standard queues, `fifo-groups.ts` for FIFO. */
export interface QueueKeys {
  readonly due: string;
  readonly messages: string;
  readonly receives: string;
  readonly delayed: string;
  /** FIFO only, as are those below. */
  readonly order: string;
  readonly flight: string;
  readonly sequence: string;
  readonly purged: string;
  /** One key for each deduplication key of the last minutes. Its text may be long and is another's data, so it goes in as a digest. */
  deduplication(key: string): string;
}

/** All keys of a queue share one hash tag, so that a cluster keeps them on one node and a script may touch them all. */
function inQueue(queue: QueueKey, part: string): string {
  return `karin:{${queue}}:${part}`;
}

export function queueKeys(queue: QueueKey): QueueKeys {
  return {
    due: inQueue(queue, 'due'),
    messages: inQueue(queue, 'msg'),
    receives: inQueue(queue, 'rx'),
    delayed: inQueue(queue, 'delayed'),
    order: inQueue(queue, 'order'),
    flight: inQueue(queue, 'flight'),
    sequence: inQueue(queue, 'seq'),
    purged: inQueue(queue, 'purged'),
    deduplication: (key) => {
      const digest = createHash('sha256').update(key).digest().subarray(0, 16);
      return inQueue(queue, `dedup:${digest.toString('base64url')}`);
    },
  };
}

/** The hash of all documents. */
export const DOCUMENTS = 'karin:documents';

/** The holders of one slot set. */
export function slotsKey(name: string): string {
  return `karin:slots:${name}`;
}

/** Used for a moment at start, to see whether the server can do what Karin needs. */
export function probeKey(instanceId: string): string {
  return `karin:probe:${instanceId}`;
}

/** The one channel of all signals. Redis does not keep channels of different databases apart, so the number of the database is in the name. */
export function signalChannel(database: number): string {
  return database === 0 ? 'karin:signals' : `karin:signals:${database}`;
}
