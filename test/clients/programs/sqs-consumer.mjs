// An application on the package `sqs-consumer`: a message that is handled, one that fails once and is handled when it
// comes again, and one that always fails.
import { GetQueueAttributesCommand, SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { Consumer } from 'sqs-consumer';

const { ENDPOINT: endpoint, QUEUE_URL: queueUrl, DEAD_LETTER_URL: deadLetterUrl } = process.env;
const sqs = new SQSClient({ endpoint });
const attempts = { good: 0, flaky: 0, poison: 0 };
const errors = [];

const consumer = Consumer.create({
  sqs,
  queueUrl,
  waitTimeSeconds: 2,
  batchSize: 10,
  terminateVisibilityTimeout: true,
  handleMessage: async (message) => {
    const name = message.Body;
    attempts[name] += 1;
    if (name === 'poison' || (name === 'flaky' && attempts.flaky === 1)) throw new Error(`${name} fails`);
    return message;
  },
});
consumer.on('processing_error', (error) => errors.push(error.message));
consumer.on('error', (error) => errors.push(`unexpected: ${error.message}`));
consumer.start();

const Entries = Object.keys(attempts).map((name) => ({ Id: name, MessageBody: name }));
await sqs.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries }));

const countOf = async (url) => {
  const AttributeNames = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'];
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames }));
  return AttributeNames.reduce((sum, name) => sum + Number(Attributes[name]), 0);
};
// The poll that moves the poison message to the dead-letter queue finds nothing else, so it ends as an empty one.
await new Promise((resolve) => {
  consumer.on('empty', async () => {
    if ((await countOf(deadLetterUrl)) === 1 && (await countOf(queueUrl)) === 0) resolve();
  });
});
consumer.stop({ abort: true });
process.stdout.write(`${JSON.stringify({ attempts, errors: errors.sort() })}\n`);
