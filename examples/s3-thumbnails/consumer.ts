import type { S3Event, SQSBatchResponse, SQSEvent } from 'aws-lambda';

/** Handles each upload by itself; those that fail are named in the answer, and only they are delivered again. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const outcomes = await Promise.allSettled(event.Records.map((record) => makeThumbnails(record.body)));
  const batchItemFailures = event.Records.filter((_, i) => outcomes[i]?.status === 'rejected').map((record) => ({
    itemIdentifier: record.messageId,
  }));
  return { batchItemFailures };
}

async function makeThumbnails(body: string): Promise<void> {
  // S3 sends one message without records, the test event, when the notification is configured.
  const { Records: uploads = [] }: Partial<S3Event> = JSON.parse(body);
  for (const { s3 } of uploads) {
    const key = decodeURIComponent(s3.object.key.replaceAll('+', ' '));
    console.log(`thumbnail of ${s3.bucket.name}/${key}`);
  }
}
