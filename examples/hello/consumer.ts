import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';

/**
 * Prints each message; a body of `fail` is reported as failed, so that it is delivered again and ends in the
 * dead-letter queue.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const failed = event.Records.filter((record) => {
    const delivered = Number(record.attributes.ApproximateFirstReceiveTimestamp);
    const waited = (delivered - Number(record.attributes.SentTimestamp)) / 1000;
    console.log(`${record.body} (after ${waited.toFixed(1)} s, delivery ${record.attributes.ApproximateReceiveCount})`);
    return record.body === 'fail';
  });
  return { batchItemFailures: failed.map((record) => ({ itemIdentifier: record.messageId })) };
}
