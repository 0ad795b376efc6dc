/**
 * Moves messages of a standard queue ahead of their time: those whose delay ends within the 900 s that SQS takes go
 * there with what remains of it.
 *
 * A message that waits has no lease that could keep two movers apart, so only one mover of all instances looks at a
 * queue's delays at a time (a slot, which frees itself if its holder dies). Such a message is looked at, sent, and then
 * deleted on the condition that its delay still runs. Killed between sending and deleting, it stays here, becomes due
 * in its time, and is moved once more: a duplicate, as SQS itself may make one. Delays that end soon are left alone, so
 * that none ends while its message is under way.
 *
 * @module
 */

import { batchesOf, MAX_BATCH_ENTRIES, type RealQueues } from '../aws/real-queues.ts';
import type { Message } from '../queue/message.ts';
import { decodeRecord, RecordError } from '../queue/record.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';

/** A delay that ends sooner than this is waited for: longer than a send with all its repeats takes. */
const SOONEST_MS = 120_000;
/** The longest delay that SQS takes. */
const LATEST_MS = 900_000;
/** How long a mover that died keeps the others out. */
const HOLD_MS = 120_000;

export interface AheadOptions {
  readonly queue: StoredQueue;
  readonly realQueues: RealQueues;
  /** Names this mover to the others. */
  readonly holder: string;
}

/** What one call moved. */
export interface MovedAhead {
  readonly moved: number;
  /** Why SQS did not accept some. */
  readonly failed?: string;
  /** Messages that SQS will never accept: id and reason. */
  readonly refused: ReadonlyMap<string, string>;
}

const NOTHING: MovedAhead = { moved: 0, refused: new Map() };

interface Waiting extends Message {
  readonly delaySeconds: number;
}

/**
 * Moves up to ten messages, `leaveOut` excepted. Errors: those of the real queue and of the store; what was not moved
 * is as it was.
 */
export async function moveAhead(options: AheadOptions, leaveOut: ReadonlyMap<string, string>): Promise<MovedAhead> {
  const { queue, holder } = options;
  // SQS knows no delay of a single FIFO message.
  if (queue.definition.fifo) return NOTHING;
  const slot = `transfer-ahead:${queue.key}`;
  if ((await queue.store.slots.take(slot, holder, 1, HOLD_MS)) !== 'taken') return NOTHING;
  try {
    return await moveSome(options, leaveOut);
  } finally {
    await queue.store.slots.free(slot, holder, 1);
  }
}

async function moveSome(
  { queue, realQueues }: AheadOptions,
  leaveOut: ReadonlyMap<string, string>,
): Promise<MovedAhead> {
  const limit = Math.min(500, MAX_BATCH_ENTRIES + leaveOut.size);
  const found = await queue.store.delayed({ fromMs: SOONEST_MS, toMs: LATEST_MS, limit });
  const waiting = found
    .filter(({ id }) => !leaveOut.has(id))
    .slice(0, MAX_BATCH_ENTRIES)
    .flatMap(({ id, record, dueInMs }) => readWaiting(id, record, dueInMs));

  const refused = new Map<string, string>();
  let moved = 0;
  let failed: string | undefined;
  for (const batch of batchesOf(waiting)) {
    const outcomes = await realQueues.send(queue.arn, batch.map(entryFor));
    const accepted: string[] = [];
    for (const [index, { id }] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome?.kind === 'sent') accepted.push(id);
      else if (outcome?.kind === 'refused') refused.set(id, outcome.reason);
      else failed = outcome?.reason ?? 'SQS did not answer for it';
    }
    if (accepted.length > 0) await queue.store.deleteDelayed(accepted);
    moved += accepted.length;
  }
  return { moved, refused, ...(failed !== undefined && { failed }) };
}

/** An unreadable record stays; the receive that meets it when it is due reports it. */
function readWaiting(id: string, record: Uint8Array, dueInMs: number): Waiting[] {
  try {
    // Rounded up to the seconds that SQS counts in: never early.
    return [{ ...decodeRecord(id, record).message, delaySeconds: Math.ceil(dueInMs / 1000) }];
  } catch (error) {
    if (error instanceof RecordError) return [];
    throw error;
  }
}

function entryFor({ body, attributes, traceHeader, groupId, delaySeconds }: Waiting) {
  return {
    body,
    attributes,
    delaySeconds,
    ...(traceHeader !== undefined && { traceHeader }),
    ...(groupId !== undefined && { groupId }),
  };
}
