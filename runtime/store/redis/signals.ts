/**
 * What travels on the signal channel: one letter, then the content. The scripts write the first three. An unknown letter is passed over, so that
 * instances of two versions understand each other.
 *
 *   w<ms> <queue> <instance>   the head of a queue is due in so many milliseconds, by a call of that instance
 *   d<name>                a document changed
 *   s<name>                a slot set that was full has room
 *   p<nonce> <instance>    ping: an instance is there; to itself, a proof that messages arrive
 *   b<instance>            goodbye: an instance stops
 *   q<instance>            question: is that instance there? It answers with a ping; all who hear the question and no answer count it as gone
 *
 * @module
 */
import type { QueueKey } from '../../queue/arn.ts';
import type { Signal } from '../store.ts';

export type ChannelMessage =
  | Extract<Signal, { kind: 'document' | 'slot' }>
  | (Extract<Signal, { kind: 'wake' }> & { readonly instance: string })
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
