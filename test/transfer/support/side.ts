/**
 * One side of a transfer: a store with one queue in it. A second side stands for SQS: what it does with messages,
 * groups and deduplication ids is what SQS does.
 *
 * @module
 */

import { DEFAULT_ATTRIBUTES, type QueueAttributes } from '../../../runtime/queue/definition.ts';
import type { Message } from '../../../runtime/queue/message.ts';
import { formatQueueArn, type QueueArn, queueKey } from '../../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../../runtime/queue/stored-directory.ts';
import type { Forward, StoredQueue } from '../../../runtime/queue/stored-queue.ts';
import type { Store } from '../../../runtime/store/store.ts';
import { systemRandomness, type Time } from '../../../runtime/time.ts';

export function arnOf(name: string): QueueArn {
  return { partition: 'aws', region: 'eu-west-1', account: '111122223333', name };
}

export interface SideOptions {
  readonly store: Store;
  readonly time: Time;
  readonly name: string;
  readonly attributes?: Partial<QueueAttributes>;
  readonly forward?: Forward;
}

export interface Side {
  readonly directory: StoredDirectory;
  readonly queue: StoredQueue;
}

/** Opens the queue as a process of its own would, creating it if it is not there. */
export async function openSide({ store, time, name, attributes, forward }: SideOptions): Promise<Side> {
  const directory = await createDirectory({
    store,
    time,
    randomness: systemRandomness,
    notify: () => {},
    ...(forward !== undefined && { forward }),
  });
  const arn = arnOf(name);
  await directory.create(arn, { ...DEFAULT_ATTRIBUTES, ...attributes }, {});
  const queue = directory.byKey(queueKey(arn));
  if (queue === undefined) throw new Error(`${formatQueueArn(arn)} was not created`);
  return { directory, queue };
}

/** A message with this body; FIFO if it has a group. Its deduplication id is the body. */
export function messageOf(body: string, groupId?: string): Message {
  return {
    id: crypto.randomUUID(),
    body,
    attributes: {},
    senderId: 'AIDASENDER',
    ...(groupId !== undefined && { groupId, deduplicationId: body }),
  };
}

/** All messages of a queue that can be received now, in the order in which it hands them out; they are deleted. */
export async function takeAll(queue: StoredQueue): Promise<readonly Message[]> {
  const all: Message[] = [];
  for (;;) {
    const some = await queue.receive({ maxMessages: 10 });
    if (some.length === 0) return all;
    await queue.delete(some.map(({ receiptHandle }) => receiptHandle));
    all.push(...some);
  }
}

/** The bodies by group, in order. Messages of a standard queue are one group without order: sorted. */
export function bodiesByGroup(
  messages: readonly Message[],
  fifo: boolean,
): Readonly<Record<string, readonly string[]>> {
  if (!fifo) return { all: messages.map(({ body }) => body).sort() };
  return Object.fromEntries(
    [...new Set(messages.map(({ groupId }) => groupId ?? ''))]
      .sort()
      .map((group) => [group, messages.filter(({ groupId }) => groupId === group).map(({ body }) => body)]),
  );
}
