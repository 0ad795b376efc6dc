/**
 * One send: messages become entries of the store, or, in mode `forward`, go to the real queue.
 *
 * Two kinds of sends are held here even in mode `forward`, for the forwarding service, which moves what is held as it
 * becomes due: delays that SQS would refuse, and all sends to FIFO queues. Those must not overtake what is held, and a
 * sender's repeat of a message that was accepted here must be recognised here.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import type { NewEntry } from '../store/store.ts';
import type { QueueAttributes, QueueDefinition } from './definition.ts';
import type { OutgoingMessage, SentMessage } from './message.ts';
import type { Queue, QueueContext } from './queue.ts';
import { encodeRecord } from './record.ts';
import type { WatchedStore } from './watched-store.ts';

/** The longest delay that SQS itself accepts. */
const LONGEST_SQS_DELAY_MS = 900_000;

interface SendingOptions extends Pick<QueueContext, 'notify'> {
  readonly forward: QueueContext['forward'];
  readonly queue: Queue;
  readonly store: WatchedStore;
}

export class Sending {
  readonly #options: SendingOptions;

  constructor(options: SendingOptions) {
    this.#options = options;
  }

  /** Errors: `MissingDeduplicationIdError`, `StoreFullError`, `StoreUnavailableError`, those of the forwarder. */
  send(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    return this.#options.queue.definition.mode === 'forward' ? this.#forward(messages) : this.#keep(messages);
  }

  async #forward(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const { queue, forward, notify } = this.#options;
    if (forward === undefined) {
      const detail = 'the queue is in mode forward, but this server cannot reach SQS; messages are kept here';
      notify({ kind: 'queue-warning', queue: queue.key, what: 'cannot-forward', detail });
      return this.#keep(messages);
    }
    if (queue.definition.fifo) return this.#keep(messages);
    const held = messages.filter(isTooLongForSqs);
    const passed = messages.filter((message) => !isTooLongForSqs(message));
    const [kept, forwarded] = await Promise.all([
      held.length === 0 ? [] : this.#keep(held),
      passed.length === 0 ? [] : forward(queue, passed),
    ]);
    const [answersOfKept, answersOfForwarded] = [kept.values(), forwarded.values()];
    return messages.flatMap((message) => {
      const answers = isTooLongForSqs(message) ? answersOfKept : answersOfForwarded;
      return answers.next().value ?? [];
    });
  }

  async #keep(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const { queue, store } = this.#options;
    const entries: NewEntry[] = [];
    for (const message of messages) entries.push(newEntry(message, queue.definition));
    const sent: SentMessage[] = [];
    for (const { id, duplicate, sequenceNumber } of await store.send(entries)) {
      sent.push(sequenceNumber === undefined ? { id, duplicate } : { id, duplicate, sequenceNumber });
    }
    return sent;
  }
}

function isTooLongForSqs(message: OutgoingMessage): boolean {
  return (message.delayMs ?? 0) > LONGEST_SQS_DELAY_MS;
}

function newEntry(outgoing: OutgoingMessage, { attributes, fifo }: QueueDefinition): NewEntry {
  const { id, groupId, delayMs = attributes.delaySeconds * 1000 } = outgoing;
  if (!fifo || groupId === undefined) {
    return { id, record: encodeRecord(outgoing), delayMs, ...(groupId === undefined ? {} : { group: groupId }) };
  }
  const uniqueId = deduplicationId(outgoing, attributes);
  return {
    id,
    record: encodeRecord({ ...outgoing, deduplicationId: uniqueId }),
    delayMs,
    group: groupId,
    deduplicationKey: deduplicationKey(uniqueId, groupId, attributes),
  };
}

/*
 * Deduplication of FIFO queues: which id a message has, and within what it must be unique.
 * Source: "Exactly-once processing in Amazon SQS" and `DeduplicationScope` of SetQueueAttributes.
 */

/**
 * A FIFO queue without content-based deduplication was given a message without an id. The SQS API refuses such a
 * request before it comes here.
 */
export class MissingDeduplicationIdError extends Error {
  override readonly name = 'MissingDeduplicationIdError';
}

/**
 * The given id, or SHA-256 of the body as lower-case hex (attributes do not count) where the queue is content-based.
 * Errors: `MissingDeduplicationIdError`.
 */
export function deduplicationId(message: OutgoingMessage, attributes: QueueAttributes): string {
  if (message.deduplicationId !== undefined) return message.deduplicationId;
  if (attributes.contentBasedDeduplication) return createHash('sha256').update(message.body, 'utf8').digest('hex');
  throw new MissingDeduplicationIdError(
    'the queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  );
}

/** What must be unique for five minutes: the id in the whole queue, or per group with the scope `messageGroup`. */
export function deduplicationKey(id: string, group: string, attributes: QueueAttributes): string {
  // A group id has no spaces (alphanumeric and punctuation only), so no two pairs give one key.
  return attributes.deduplicationScope === 'messageGroup' ? `${group} ${id}` : id;
}
