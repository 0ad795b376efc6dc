import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import type { Invoker } from '../../runtime/aws/invoke.ts';
import { holdingMessages } from '../../runtime/dev/held-messages.ts';
import { systemTime, type Time } from '../../runtime/time.ts';

it('keeps the messages of a batch in flight for as long as a debugger is attached to its function', async () => {
  const held: unknown[] = [];
  let told = (): void => {};
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    held.push({ target: request.headers['x-amz-target'], ...JSON.parse(Buffer.concat(chunks).toString()) });
    response.end('{}');
    told();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Listening on a TCP port: the address is never the name of a pipe.
  const sqsOrigin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const ticks: (() => void)[] = [];
  const time: Time = {
    ...systemTime,
    after: (_, run) => {
      ticks.push(run);
      return () => {};
    },
  };
  let answer = (): void => {};
  const invoker: Invoker = {
    invoke: ({ longestSeconds }) =>
      new Promise((resolve) => {
        answer = () => resolve({ kind: 'success', response: Buffer.from(String(longestSeconds)) });
      }),
    probe: async () => ({ kind: 'reached' }),
    close: () => {},
  };
  let isAttached = false;
  const patient = holdingMessages(invoker, { sqsOrigin, time, isDebugged: async () => isAttached });
  const payload = Buffer.from(
    JSON.stringify({ Records: [{ receiptHandle: 'r1', eventSourceARN: 'arn:aws:sqs:eu-west-1:000000000000:jobs' }] }),
  );
  const running = patient.invoke({
    functionArn: 'arn:aws:lambda:eu-west-1:000000000000:function:fn',
    payload,
    longestSeconds: 3,
  });
  const next = new Promise<void>((resolve) => {
    told = resolve;
  });
  isAttached = true;
  ticks[0]?.();
  await next;
  expect(held.at(-1)).toEqual({
    target: 'AmazonSQS.ChangeMessageVisibility',
    QueueUrl: `${sqsOrigin}/000000000000/jobs`,
    ReceiptHandle: 'r1',
    VisibilityTimeout: 60,
  });
  answer();
  expect(await running).toMatchObject({ kind: 'success', response: Buffer.from('86400') });
  server.closeAllConnections();
  server.close();
});
