/**
 * One send: messages become entries of the store, or, in mode `forward`, go to the real queue.
 *
 * Two kinds of sends are held here even in mode `forward`, for the forwarding service, which moves what is held as it becomes due: delays that SQS would refuse, and all sends to FIFO queues.
 * Those must not overtake what is held, and a sender's repeat of a message that was accepted here must be recognised here.
 *
 * @module
 */
import type { NewEntry } from '../store/store.ts';
import { deduplicationId, deduplicationKey } from './deduplication.ts';
import type { OutgoingMessage, SentMessage } from './message.ts';
import type { Queue } from './queue.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueDefinition } from './queue-definition.ts';
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
  async send(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const { queue, forward, notify } = this.#options;
    const { mode, fifo } = queue.definition;
    if (mode !== 'forward') return this.#keep(messages);
    if (forward === undefined) {
      const detail = 'the queue is in mode forward, but this server cannot reach SQS; messages are kept here';
      notify({ kind: 'queue-warning', queue: queue.key, what: 'cannot-forward', detail });
      return this.#keep(messages);
    }
    if (fifo) return this.#keep(messages);
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
    const sent = await store.send(messages.map((message) => newEntry(message, queue.definition)));
    return sent.map(({ sentAt: _, ...answer }) => answer);
  }
}

function isTooLongForSqs(message: OutgoingMessage): boolean {
  return (message.delayMs ?? 0) > LONGEST_SQS_DELAY_MS;
}

function newEntry(outgoing: OutgoingMessage, { attributes, fifo }: QueueDefinition): NewEntry {
  const { delayMs = attributes.delaySeconds * 1000, ...message } = outgoing;
  const { id, groupId } = message;
  if (!fifo || groupId === undefined) {
    return { id, record: encodeRecord(message), delayMs, ...(groupId === undefined ? {} : { group: groupId }) };
  }
  const uniqueId = deduplicationId(outgoing, attributes);
  return {
    id,
    record: encodeRecord({ ...message, deduplicationId: uniqueId }),
    delayMs,
    group: groupId,
    deduplicationKey: deduplicationKey(uniqueId, groupId, attributes),
  };
}
