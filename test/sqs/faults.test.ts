/**
 * What callers are told when the store, or Karin itself, fails.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { QueueDirectory } from '../../runtime/queue/directory.ts';
import type { MoveTasks } from '../../runtime/queue/move-task.ts';
import { InFlightLimitError } from '../../runtime/queue/queue.ts';
import { createSqsApi } from '../../runtime/sqs/api.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { Documents } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts';
import { ANYBODY, ENDPOINT, Harness, PROTOCOLS, queueUrl, refusalOf } from './support/harness.ts';

const REQUEST_ID = '00000000-0000-4000-8000-00000000beef';

/** An API whose every question to the directory ends like this. */
function apiThatFails(error: unknown) {
  const reported: unknown[] = [];
  const fail = (): Promise<never> => Promise.reject(error);
  const directory: Pick<QueueDirectory, 'byKey' | 'find'> = { byKey: () => undefined, find: fail };
  const api = createSqsApi({
    // The action asks for its queue and learns nothing more; the other calls are never made.
    directory: directory as QueueDirectory,
    moveTasks: {} as MoveTasks,
    documents: {} as Documents,
    time: new ManualTime(),
    randomness: systemRandomness,
    maxDelaySeconds: 900,
    report: (fault, request) => reported.push([fault, request]),
  });
  return { api, reported };
}

function receive(protocol: 'json' | 'query') {
  const headers: Record<string, string> =
    protocol === 'json'
      ? { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.ReceiveMessage' }
      : { 'content-type': 'application/x-www-form-urlencoded' };
  const body = protocol === 'json' ? '{"QueueUrl":"jobs"}' : 'Action=ReceiveMessage&QueueUrl=jobs';
  return {
    method: 'POST',
    path: '/',
    query: '',
    headers: (name: string) => headers[name],
    requestId: REQUEST_ID,
    body: Buffer.from(body),
    endpoint: ENDPOINT,
    caller: ANYBODY,
    signal: new AbortController().signal,
  };
}

describe.each(PROTOCOLS)('%s', (protocol) => {
  let server: RedisServer | undefined;
  let harness: Harness | undefined;

  afterEach(async () => {
    await harness?.close();
    await server?.stop();
    harness = undefined;
    server = undefined;
  });

  const start = async (options: RedisServerOptions) => {
    const redis = await RedisServer.start(options);
    server = redis;
    const store = await RedisStore.open({
      urls: [redis.url],
      instanceId: 'tester',
      time: systemTime,
      randomness: systemRandomness,
    });
    harness = await Harness.open({ store, time: new ManualTime() });
    await harness.ok(protocol, 'CreateQueue', { QueueName: 'jobs' });
    return { redis, api: harness };
  };

  it('a store that cannot be reached is a 503 that SDKs retry', async () => {
    const { redis, api } = await start({});
    await redis.kill();
    const unavailable = {
      status: 503,
      code: 'ServiceUnavailable',
      message: 'The store of messages cannot be reached. Try again.',
    };
    const input = { QueueUrl: queueUrl('jobs'), MessageBody: 'x' };
    expect(await api.refused(protocol, 'SendMessage', input)).toEqual(unavailable);
    expect(await api.refused(protocol, 'ReceiveMessage', { QueueUrl: queueUrl('jobs') })).toEqual(unavailable);
    expect(api.reported).toEqual([]);
  });

  it('a full store refuses sends, in words and so that SDKs do not hammer it, and goes on to deliver', async () => {
    const { api } = await start({ maxMemory: '8mb' });
    const input = { QueueUrl: queueUrl('jobs'), MessageBody: 'x'.repeat(1_000_000) };
    let answer = await api.call(protocol, 'SendMessage', input);
    for (let sent = 1; answer.status === 200 && sent < 20; sent += 1) {
      answer = await api.call(protocol, 'SendMessage', input);
    }
    expect(refusalOf(answer)).toEqual({
      status: 403,
      code: 'OverLimit',
      message:
        'The store of messages is full, so none can be added. Receive and delete messages, or give the store more memory.',
    });
    const { Messages: [message] = [] } = await api.ok(protocol, 'ReceiveMessage', { QueueUrl: 'jobs' });
    await api.ok(protocol, 'DeleteMessage', { QueueUrl: 'jobs', ReceiptHandle: message?.ReceiptHandle });
    expect(api.reported).toEqual([]);
  });

  it('too many messages in flight is OverLimit', async () => {
    const { api } = apiThatFails(new InFlightLimitError('queue jobs has 120000 messages in flight'));
    expect(refusalOf(await api.handle(receive(protocol)))).toEqual({
      status: 403,
      code: 'OverLimit',
      message: 'queue jobs has 120000 messages in flight',
    });
  });

  it.each([new TypeError("cannot read 'secret' of undefined"), 'a text', undefined])(
    'what nobody foresaw (%s) is reported inside and told outside by its request id alone',
    async (fault) => {
      const { api, reported } = apiThatFails(fault);
      const answer = await api.handle(receive(protocol));
      expect(refusalOf(answer)).toEqual({
        status: 500,
        code: 'InternalFailure',
        message: 'The request processing has failed because of an unknown error, exception or failure.',
      });
      expect(answer.headers['x-amzn-RequestId']).toBe(REQUEST_ID);
      expect(answer.body).not.toContain('secret');
      expect(reported).toEqual([[fault, { requestId: REQUEST_ID, action: 'ReceiveMessage' }]]);
    },
  );
});
