import { connect, type Socket } from 'node:net';
import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { exchange, httpRequest } from '../load.ts';

/**
 * From the moment SendMessage is written to the socket until its Invoke has arrived, on an idle queue; and how late
 * delayed messages are.
 */
export async function latency(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const aws = await bench.keep(startAwsEndpoint(['jobs']));
  const karin = await bench.server({ REDIS_URL: redis.url, ...aws.environment });
  const arrivals = new Map<string, (at: number) => void>();
  aws.onInvoke = (event, at) => {
    for (const record of event.Records) arrivals.get(record.body)?.(at);
  };
  // One connection for each request that is open at a time, kept: what is measured is the server, not an HTTP client.
  const idleSockets: Socket[] = [];
  const send = async (body: string, delaySeconds: number): Promise<{ sent: number; arrived: number }> => {
    const arrival = new Promise<number>((resolve) => arrivals.set(body, resolve));
    const request = sendMessage(karin.port, body, delaySeconds);
    const socket = idleSockets.pop() ?? connect({ port: karin.port, host: '127.0.0.1', noDelay: true });
    const sent = performance.now();
    const answer = await exchange(socket, request);
    if (!answer.subarray(0, 12).toString('latin1').endsWith(' 200')) throw new Error(answer.toString());
    idleSockets.push(socket);
    return { sent, arrived: await arrival };
  };

  for (let n = 0; n < 50; n += 1) await send(`warm ${n}`, 0);
  const direct: number[] = [];
  for (let n = 0; n < bench.size(500, 100); n += 1) {
    const { sent, arrived } = await send(`direct ${n}`, 0);
    direct.push(arrived - sent);
  }
  // The store fixes the due time between the request and its answer, so lateness counted from the request errs against
  // Karin.
  const late: number[] = [];
  const delayed: Promise<void>[] = [];
  for (let n = 0; n < bench.size(500, 100); n += 1) {
    const delay = 1 + (n % 3);
    delayed.push(
      send(`delayed ${n}`, delay).then(({ sent, arrived }) => void late.push(arrived - sent - delay * 1000)),
    );
    await bench.pause(10);
  }
  await Promise.all(delayed);
  for (const socket of idleSockets) socket.destroy();
  return [
    {
      name: 'send to Invoke, idle queue, p50',
      value: percentile(direct, 0.5),
      unit: 'ms',
      bound: { kind: 'at-most', value: 3 },
    },
    {
      name: 'send to Invoke, idle queue, p99',
      value: percentile(direct, 0.99),
      unit: 'ms',
      bound: { kind: 'at-most', value: 15 },
    },
    {
      name: 'lateness of a delayed message, p99',
      value: percentile(late, 0.99),
      unit: 'ms',
      bound: { kind: 'at-most', value: 20 },
    },
    {
      name: 'lateness of a delayed message, smallest',
      value: Math.min(...late),
      unit: 'ms',
      bound: { kind: 'at-least', value: 0 },
    },
  ];
}

function sendMessage(port: number, body: string, delaySeconds: number): Buffer {
  return httpRequest(
    'POST',
    '/',
    {
      host: `127.0.0.1:${port}`,
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': 'AmazonSQS.SendMessage',
    },
    JSON.stringify({
      QueueUrl: `http://127.0.0.1:${port}/000000000000/jobs`,
      MessageBody: body,
      DelaySeconds: delaySeconds,
    }),
  );
}
