import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';

/** Handles what its sender signed; the rest is named in the answer, and ends in the dead-letter queue. */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const batchItemFailures = [];
  for (const record of event.Records) {
    const sender = provenSender(record, process.env);
    if (sender === undefined) batchItemFailures.push({ itemIdentifier: record.messageId });
    else console.log(`${sender}: ${record.body}`);
  }
  return { batchItemFailures };
}

/**
 * Who signed the exact bytes of the body; undefined if nobody that is known did. A message may wait, so no age is
 * judged.
 */
function provenSender({ body, messageAttributes }: SQSRecord, secrets: NodeJS.ProcessEnv): string | undefined {
  const header = (name: string) => messageAttributes[name]?.stringValue ?? '';
  const stripe = header('Stripe-Signature').split(',');
  const time = stripe.find((part) => part.startsWith('t='))?.slice(2) ?? '';
  const claims: ReadonlyArray<[sender: string, secret: string | undefined, signed: string, signatures: string[]]> = [
    ['github', secrets['GITHUB_SECRET'], body, [header('X-Hub-Signature-256').replace(/^sha256=/, '')]],
    // While a secret is rolled there are several signatures.
    [
      'stripe',
      secrets['STRIPE_SECRET'],
      `${time}.${body}`,
      stripe.filter((part) => part.startsWith('v1=')).map((part) => part.slice(3)),
    ],
    [
      'slack',
      secrets['SLACK_SECRET'],
      `v0:${header('X-Slack-Request-Timestamp')}:${body}`,
      [header('X-Slack-Signature').replace(/^v0=/, '')],
    ],
  ];
  return claims.find(
    ([, secret, signed, signatures]) =>
      secret !== undefined && secret !== '' && signatures.some((signature) => isSignature(signature, signed, secret)),
  )?.[0];
}

function isSignature(signature: string, signed: string, secret: string): boolean {
  const given = Buffer.from(signature, 'hex');
  const right = createHmac('sha256', secret).update(signed).digest();
  return given.length === right.length && timingSafeEqual(given, right);
}
