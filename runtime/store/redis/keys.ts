/**
 * The names of everything that Karin keeps in Redis, and nowhere else.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { QueueKey, Signal } from '../store.ts';

/**
 * The keys of one queue. What is in them stands in the headers of the scripts: `send.ts` for standard queues,
 * `fifo-groups.ts` for FIFO.
 */
export interface QueueKeys {
  readonly due: string;
  readonly messages: string;
  readonly receives: string;
  readonly delayed: string;
  /** The last failures of messages: `scripts/settle.ts`. Most queues have none. */
  readonly failures: string;
  /** What was put back from where: `scripts/restore.ts`. Most queues have none. */
  readonly restored: string;
  /** FIFO only, as are those below. */
  readonly order: string;
  readonly flight: string;
  readonly sequence: string;
  readonly purged: string;
  /**
   * One key for each deduplication key of the last minutes. Its text may be long and is another's data, so it goes in
   * as a digest.
   */
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
    failures: inQueue(queue, 'fail'),
    restored: inQueue(queue, 'restored'),
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

/** Written for a moment behind the sends of a queue, to learn whether all that was written before it is safe. */
export function markerKey(queue: QueueKey): string {
  return inQueue(queue, 'marker');
}

/**
 * The one channel of all signals. Redis does not keep channels of different databases apart, so the number of the
 * database is in the name.
 */
export function signalChannel(database: number): string {
  return database === 0 ? 'karin:signals' : `karin:signals:${database}`;
}

/*
 * What travels on the signal channel: one letter, then the content. The scripts write the first three. An unknown
 * letter is passed over, so that instances of two versions understand each other.
 *
 *   w<ms> <queue> <instance>   the head of a queue is due in so many milliseconds, by a call of that instance
 *   d<name>                a document changed
 *   s<name>                a slot set that was full has room
 *   p<nonce> <instance>    ping: an instance is there; to itself, a proof that messages arrive
 *   b<instance>            goodbye: an instance stops
 *   q<instance>            question: is that instance there? It answers with a ping; all who hear the question and no
 *                          answer count it as gone
 */

export type ChannelMessage =
  | Extract<Signal, { kind: 'document' | 'slot' }>
  | (Extract<Signal, { kind: 'wake' | 'help' }> & { readonly instance: string })
  | { readonly kind: 'ping'; readonly nonce: string; readonly instance: string }
  | { readonly kind: 'goodbye' | 'question'; readonly instance: string };

/** What a script is told to publish a wake about. */
export function wakeSubject(queue: QueueKey, instance: string): string {
  return `${queue} ${instance}`;
}

export function pingText(nonce: string, instance: string): string {
  return `p${nonce} ${instance}`;
}

export function goodbyeText(instance: string): string {
  return `b${instance}`;
}

export function helpText(queue: QueueKey, instance: string): string {
  return `h${queue} ${instance}`;
}

export function questionText(instance: string): string {
  return `q${instance}`;
}

/** `undefined` for what this version does not know. */
export function parseChannelMessage(text: string): ChannelMessage | undefined {
  const content = text.slice(1);
  switch (text[0]) {
    case 'w': {
      const [dueIn, subject = ''] = splitOnce(content);
      const [queue, instance = ''] = splitOnce(subject);
      return queue === '' || !/^\d+$/.test(dueIn)
        ? undefined
        : { kind: 'wake', queue, dueInMs: Number(dueIn), instance };
    }
    case 'd':
      return { kind: 'document', name: content };
    case 's':
      return { kind: 'slot', name: content };
    case 'p': {
      const [nonce, instance] = splitOnce(content);
      return instance === undefined ? undefined : { kind: 'ping', nonce, instance };
    }
    case 'h': {
      const [queue, instance] = splitOnce(content);
      return instance === undefined ? undefined : { kind: 'help', queue, instance };
    }
    case 'b':
      return { kind: 'goodbye', instance: content };
    case 'q':
      return { kind: 'question', instance: content };
    default:
      return undefined;
  }
}

function splitOnce(text: string): [string, string | undefined] {
  const space = text.indexOf(' ');
  return space === -1 ? [text, undefined] : [text.slice(0, space), text.slice(space + 1)];
}
