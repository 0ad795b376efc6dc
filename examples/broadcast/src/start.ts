import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';

const sqs = new SQSClient({});
const QueueUrl = process.env['QUEUE_URL'];

/** Sends "world" with a delay of 10 seconds and, after it, "hello" with 5. */
export async function handler(): Promise<{ statusCode: number; body: string }> {
  await sqs.send(
    new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: 'world', MessageBody: 'world', DelaySeconds: 10 }] }),
  );
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'hello', DelaySeconds: 5 }));
  return { statusCode: 202, body: 'hello comes in 5 seconds, world in 10\n' };
}
