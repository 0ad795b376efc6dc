import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';

/** Prints each mail instead of sending it; one without an address is reported as failed. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const failed = event.Records.filter((record) => {
    const sent = record.body.includes('@');
    console.log(sent ? `mail to ${record.body}` : `"${record.body}" is no address`);
    return !sent;
  });
  return { batchItemFailures: failed.map((record) => ({ itemIdentifier: record.messageId })) };
}
