/**
 * What the three batch actions share: the rules of a batch as a whole, and its answer with successes and failures side
 * by side.
 *
 * @module
 */
import { echo, missingParameter, SqsError } from './errors.ts';
import { BATCH_ENTRY_ID, MAX_BATCH_ENTRIES } from './limits.ts';
import type { FailedEntry } from './protocol/model.ts';

/** An entry whose id was checked, with its place in the request (from 1), by which errors name it. */
export interface BatchEntry<E> {
  readonly id: string;
  readonly place: number;
  readonly entry: E;
}

/**
 * Checks a batch as a whole. `entryName`: what SQS calls an entry of this action, for example
 * `SendMessageBatchRequestEntry`.
 * Errors: `MissingParameter`, `EmptyBatchRequest`, `TooManyEntriesInBatchRequest`, `InvalidBatchEntryId`,
 * `BatchEntryIdsNotDistinct`.
 */
export function checkBatch<E extends { readonly Id?: string | undefined }>(
  entries: readonly E[] | undefined,
  entryName: string,
): readonly BatchEntry<E>[] {
  if (entries === undefined) throw missingParameter('Entries');
  if (entries.length === 0) {
    throw new SqsError('EmptyBatchRequest', `There should be at least one ${entryName} in the request.`);
  }
  if (entries.length > MAX_BATCH_ENTRIES) {
    throw new SqsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${MAX_BATCH_ENTRIES}. You have sent ${entries.length}.`,
    );
  }
  const seen = new Set<string>();
  return entries.map((entry, index) => {
    const place = index + 1;
    const id = entry.Id;
    if (id === undefined) throw missingParameter(`${entryName}.${place}.Id`);
    if (!BATCH_ENTRY_ID.test(id)) throw new SqsError('InvalidBatchEntryId');
    if (seen.has(id)) throw new SqsError('BatchEntryIdsNotDistinct', `Id ${echo(id)} repeated.`);
    seen.add(id);
    return { id, place, entry };
  });
}

/** An entry that failed, as the answer reports it. */
export function failedEntry(id: string, error: SqsError): FailedEntry {
  return { Id: id, SenderFault: error.fault === 'Sender', Code: error.queryCode, Message: error.message };
}

/** Applies `accept` to each entry: what it returns goes on, an `SqsError` it throws becomes a failed entry. */
export function partition<E, R>(
  entries: readonly BatchEntry<E>[],
  accept: (entry: BatchEntry<E>) => R,
): { readonly accepted: readonly { readonly id: string; readonly value: R }[]; readonly failed: FailedEntry[] } {
  const accepted: { readonly id: string; readonly value: R }[] = [];
  const failed: FailedEntry[] = [];
  for (const entry of entries) {
    try {
      accepted.push({ id: entry.id, value: accept(entry) });
    } catch (error) {
      if (!(error instanceof SqsError)) throw error;
      failed.push(failedEntry(entry.id, error));
    }
  }
  return { accepted, failed };
}
