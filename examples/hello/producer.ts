import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

const sqs = new SQSClient({});

/** Sends `world`, to be delivered in 10 seconds, and then `hello`, to be delivered in 5. */
export async function handler(): Promise<{ statusCode: number; body: string }> {
  const QueueUrl = process.env['QUEUE_URL'];
  await sqs.send(
    new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: 'world', MessageBody: 'world', DelaySeconds: 10 }] }),
  );
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'hello', DelaySeconds: 5 }));
  return { statusCode: 202, body: 'hello comes in 5 seconds, world in 10\n' };
}
