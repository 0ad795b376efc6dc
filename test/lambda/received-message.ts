import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import type { QueueArn } from '../../runtime/queue/names.ts';

/** The queue of the messages below. */
export const QUEUE_ARN: QueueArn = { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: 'jobs' };

/** A message as a consumer receives it, with the least that one must have, but for what the test says. */
export function receivedMessage(overrides: Partial<ReceivedMessage> = {}): ReceivedMessage {
  return {
    id: '059f36b4-87a3-44ab-83d2-661975830a7d',
    lease: { id: '059f36b4-87a3-44ab-83d2-661975830a7d', leaseNumber: 1 },
    receiptHandle: 'handle-1',
    body: 'Test message.',
    attributes: {},
    senderId: 'AIDAIENQZJOLO23YVJ4VO',
    sentAt: 1_545_082_649_183,
    receiveCount: 1,
    firstReceivedAt: 1_545_082_649_185,
    leaseEndsAt: 30_000,
    bornAt: 0,
    dueAt: 0,
    ...overrides,
  };
}
