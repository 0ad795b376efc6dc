/** The store by itself, and messages for it. */
import { newMessageId } from '../../runtime/queue/message.ts';
import { encodeRecord } from '../../runtime/queue/record.ts';
import { openStore } from '../../runtime/store/open-store.ts';
import type { NewEntry, Store } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';

export function openBenchStore(redisUrl: string): Promise<Store> {
  return openStore({ urls: [redisUrl], instanceId: 'bench', time: systemTime, randomness: systemRandomness });
}

/** A message that may be handed out at once; with a `group`, of a FIFO queue. */
export function entry(body: string, group?: string): NewEntry {
  const id = newMessageId(systemRandomness);
  const record = encodeRecord({ id, body, attributes: {}, senderId: 'AIDABENCH' });
  return group === undefined ? { id, record, delayMs: 0 } : { id, record, delayMs: 0, group, deduplicationKey: id };
}
