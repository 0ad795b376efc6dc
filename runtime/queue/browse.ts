/**
 * Looks at messages without receiving them, for people: nothing is leased, counted or moved, so that looking at a dead letter does not change it.
 *
 * @module
 */
import type { BrowsedEntry } from '../store/store.ts';
import type { Message } from './message.ts';
import { decodeRecord, RecordError } from './record.ts';
import type { WatchedStore } from './watched-store.ts';

export interface BrowsedMessage extends Omit<BrowsedEntry, 'record'> {
  /** Absent: this version of Karin cannot read its record. */
  readonly message?: Message;
}

/** Bytes of records that one look reads: a small machine holds them several times while a page is made of them. */
const MAX_BYTES = 2_097_152;

/** The first messages, at most `limit` (1 to 500). Errors: `StoreUnavailableError`. */
export async function browse(store: WatchedStore, limit: number): Promise<readonly BrowsedMessage[]> {
  const entries = await store.browse({ limit, maxBytes: MAX_BYTES });
  return entries.map(({ record, ...entry }) => {
    try {
      return { ...entry, message: decodeRecord(entry.id, record).message };
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      return entry;
    }
  });
}
