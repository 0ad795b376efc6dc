/**
 * The partial batch response: which messages of a batch a function reports as failed.
 *
 * A report that is not entirely understood fails the whole batch: its messages are seen again, none is lost. Source: "Handling errors for an SQS event
 * source in Lambda", "Success and failure conditions". One row differs from what was once recorded on AWS: a failure entry without `itemIdentifier`
 * (`[{}]`) is malformed here, where AWS has been seen to delete the batch.
 *
 * @module
 */

/** What a response of a function with `ReportBatchItemFailures` means for its batch. */
export type BatchResponse =
  /** Everything was handled: delete all. */
  | { readonly kind: 'success' }
  /** Delete all but these. */
  | { readonly kind: 'partial'; readonly failed: ReadonlySet<string> }
  /** Delete nothing; `detail` says what is wrong with the report, for the operator. */
  | { readonly kind: 'malformed'; readonly detail: string };

const SUCCESS: BatchResponse = { kind: 'success' };

/** Bytes of an answer that may be quoted in a log line. */
const QUOTE_LIMIT = 80;

/**
 * Reads the response of a successful Invoke.
 *
 * @param sentIds The message ids of this very invocation: an id of another batch, or of a message that a filter removed, makes the report malformed.
 * Compared exactly, without trimming or folding of case.
 */
export function failedIds(response: Uint8Array, sentIds: ReadonlySet<string>): BatchResponse {
  if (response.byteLength === 0) return SUCCESS;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(response));
  } catch {
    return malformed('the response is not valid JSON');
  }
  if (value === null) return SUCCESS;
  if (typeof value !== 'object' || Array.isArray(value)) {
    return malformed(`the response is ${kindOf(value)} where an object or null is expected`);
  }
  const failures: unknown = 'batchItemFailures' in value ? value.batchItemFailures : null;
  if (failures === null) return SUCCESS;
  if (!Array.isArray(failures)) return malformed(`batchItemFailures is ${kindOf(failures)} where an array is expected`);
  if (failures.length === 0) return SUCCESS;

  const failed = new Set<string>();
  for (const [index, entry] of failures.entries()) {
    const where = `batchItemFailures[${index}]`;
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
      return malformed(`${where} is ${kindOf(entry)} where an object with itemIdentifier is expected`);
    }
    const id: unknown = Object.hasOwn(entry, 'itemIdentifier') ? entry.itemIdentifier : undefined;
    if (typeof id !== 'string') return malformed(`${where}.itemIdentifier is ${kindOf(id)} where a string is expected`);
    if (id === '') return malformed(`${where}.itemIdentifier is empty`);
    if (!sentIds.has(id)) {
      return malformed(
        `${where}.itemIdentifier ${JSON.stringify(id.slice(0, QUOTE_LIMIT))} is no message of this batch`,
      );
    }
    failed.add(id);
  }
  return { kind: 'partial', failed };
}

function malformed(detail: string): BatchResponse {
  return { kind: 'malformed', detail };
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
