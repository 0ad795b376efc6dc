import type { SQSEvent } from 'aws-lambda';

/** Prints which report is due; an exception would bring the whole batch back after the visibility timeout. */
export async function handler(event: SQSEvent): Promise<void> {
  for (const record of event.Records)
    console.log(`report ${record.body}, delivery ${record.attributes.ApproximateReceiveCount}`);
}
