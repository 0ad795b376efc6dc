import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';

/** Handles each upload by itself; those that fail are named in the answer, and only they are delivered again. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  console.log(`a batch of ${event.Records.length}`);
  const outcomes = await Promise.allSettled(event.Records.map((record) => makeThumbnail(record.body)));
  const batchItemFailures = event.Records.filter((_, i) => outcomes[i]?.status === 'rejected').map((record) => ({
    itemIdentifier: record.messageId,
  }));
  return { batchItemFailures };
}

async function makeThumbnail(body: string): Promise<void> {
  const { key }: { key?: unknown } = JSON.parse(body);
  if (typeof key !== 'string') throw new Error(`an upload without a key: ${body}`);
  console.log(`thumbnail of ${key}`);
}
