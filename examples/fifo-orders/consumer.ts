import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';

/**
 * Takes the steps of each order in turn. After a step that fails, the later steps of that order are left alone and
 * reported as failed too, so that they come again behind it; other orders go on. AWS Lambda leaves this to the
 * function.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const stopped = new Set<string>();
  const batchItemFailures: { itemIdentifier: string }[] = [];
  for (const record of event.Records) {
    const order = record.attributes.MessageGroupId ?? '';
    if (stopped.has(order) || !take(order, record.body, Number(record.attributes.ApproximateReceiveCount))) {
      stopped.add(order);
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  return { batchItemFailures };
}

/** A step `flaky ...` fails at its first delivery, one of `broken` at each. */
function take(order: string, step: string, delivery: number): boolean {
  const done = !(step.startsWith('broken') || (step.startsWith('flaky') && delivery === 1));
  console.log(`${order}: ${step} ${done ? 'done' : 'failed'} (delivery ${delivery})`);
  return done;
}
