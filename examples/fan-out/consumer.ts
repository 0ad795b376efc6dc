import type { SQSEvent } from 'aws-lambda';

/**
 * Prints what was published, with its attributes: they are those of the message, because the envelope of SNS is taken
 * off.
 */
export async function handler(event: SQSEvent): Promise<void> {
  for (const { body, messageAttributes } of event.Records) {
    const attributes = Object.entries(messageAttributes).map(([name, { stringValue }]) => `${name}=${stringValue}`);
    console.log(`${process.env['AWS_LAMBDA_FUNCTION_NAME']}: ${body} ${attributes.join(' ')}`);
  }
}
