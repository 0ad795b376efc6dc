/**
 * Puts queues on hold while AWS itself consumes them, and lets them go on when it no longer does.
 *
 * Which queues are held for this reason is remembered in the store, so that a queue that an operator put on hold stays so, and a queue that was drained to SQS
 * (mode `forward`) comes back when its mapping is disabled again.
 *
 * @module
 */
import type { Discovery } from '../lambda/discovery/source.ts';
import { type QueueArn, type QueueKey, queueKey } from '../queue/arn.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { Documents } from '../store/store.ts';

const DOCUMENT = 'sync:held';

/** Sets the modes that `discovery` asks for; answers the queues that are held. Errors: `StoreUnavailableError`. */
export async function applyHolds(
  discovery: Discovery,
  directory: QueueDirectory,
  documents: Documents,
): Promise<readonly QueueArn[]> {
  const before = await documents.get(DOCUMENT);
  const held = new Set(readKeys(before));
  const foreign = new Set(discovery.foreign.map((mapping) => queueKey(mapping.queueArn)));
  const served = new Set(discovery.mappings.map((mapping) => queueKey(mapping.queueArn)));
  const holding: QueueArn[] = [];

  for (const key of foreign) {
    const queue = directory.byKey(key);
    if (queue === undefined) continue;
    if (queue.definition.mode === 'consume') await directory.setMode(queue, 'hold');
    held.add(key);
    holding.push(queue.arn);
  }
  for (const key of [...held].filter((heldKey) => !foreign.has(heldKey))) {
    const queue = directory.byKey(key);
    const mode = queue?.definition.mode;
    // A drained queue without any mapping left stays drained: nobody here would take its messages.
    if (queue !== undefined && (mode === 'hold' || (mode === 'forward' && served.has(key)))) {
      await directory.setMode(queue, 'consume');
    }
    held.delete(key);
  }

  const after = JSON.stringify([...held].sort());
  if (after !== (before ?? '[]')) await documents.put(DOCUMENT, after);
  return holding;
}

function readKeys(text: string | undefined): readonly QueueKey[] {
  const value: unknown = JSON.parse(text ?? '[]');
  return Array.isArray(value) ? value.filter((key) => typeof key === 'string') : [];
}
