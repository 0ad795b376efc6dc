/**
 * The server of a shop, on a real Redis, with queues in every state that a page tells of: what people see in the
 * screenshots of the documentation, and what is checked on every page.
 *
 * @module
 */
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import type { InvokeRequest, Invoker } from '../../runtime/aws/invoke.ts';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import { createLog } from '../../runtime/log.ts';
import { type Karin, startKarin } from '../../runtime/main.ts';
import { DEFAULT_ATTRIBUTES, type QueueAttributes } from '../../runtime/queue/definition.ts';
import type { DiscoveredQueue } from '../../runtime/queue/directory.ts';
import type { Failure } from '../../runtime/queue/failure.ts';
import { formatQueueArn } from '../../runtime/queue/names.ts';
import { readConfig } from '../../runtime/settings.ts';
import { sqsCall } from '../http/running-karin.ts';
import { FakeSns, SNS_HOST, snsHeaders } from '../support/fake-sns.ts';
import { ForwardTime } from '../support/forward-time.ts';
import { RedisServer } from '../support/redis-server.ts';
import { arnOf, discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

/** Who may log in, by role. */
export const PEOPLE = { administer: 'ann', operate: 'bob', look: 'eve' } as const;
export const passwordOf = (name: string): string => `${name}-has-a-password`;
const OPERATORS = Object.entries(PEOPLE)
  .map(([role, name]) => `${name}:${role}:${passwordOf(name)}`)
  .join(';');

const TOKEN = 'token-of-the-whole-shop';
/** Id of a dead letter. */
export const DEAD_LETTER = '4fe524ed-1f81-4538-a027-22ad301dd9f0';
const DAY_MS = 86_400_000;
/** Parts of the day after which something happened. */
const PARTS = 48;
const MOST_RECEIVES = 3;

export interface Shop {
  readonly karin: Karin;
  close(): Promise<void>;
}

/** Opens the shop: a day of work lies behind it. */
export async function openShop(): Promise<Shop> {
  const redis = await RedisServer.start({ maxMemory: '256mb', appendOnly: true, appendFsync: 'everysec' });
  const time = new ForwardTime(DAY_MS);
  const sns = new FakeSns();
  const source = Object.assign(new ScriptedSource(), { description: 'AWS (eu-west-1)' });
  // Whose messages nobody may take while they are made.
  source.found = { ...found(), mappings: found().mappings.filter(({ queueArn }) => queueArn.name !== 'invoices') };
  const config = readConfig(
    {
      PORT: '0',
      KARIN_STOP_GRACE: '0',
      AWS_REGION: 'eu-west-1',
      KARIN_ACCOUNT_ID: '111122223333',
      KARIN_OPERATORS: OPERATORS,
      KARIN_TOKENS: `${TOKEN}:all`,
      KARIN_TRUSTED_PROXIES: '1',
      REDIS_URL: redis.url,
    },
    'dev',
  );
  const functionUrls = { list: async () => ({ urls: FUNCTION_URLS }) };
  const karin = await startKarin(config, {
    ...{ log: createLog({ level: 'silent' }), time, source, invoker: LAMBDA, functionUrls, sns: sns.trust },
  });
  const queue = (name: string) => {
    const there = karin.directory.byKey(keyOf(name));
    if (there === undefined) throw new Error(`the shop has no queue ${name}`);
    return there;
  };
  const send = async (name: string, ...bodies: readonly unknown[]): Promise<void> => {
    const QueueUrl = `${karin.url}/111122223333/${name}`;
    const Entries = bodies.map((body, at) => ({ Id: `${at}`, MessageBody: JSON.stringify(body) }));
    const answer = await sqsCall(`${karin.url}/k/${TOKEN}`, 'SendMessageBatch', { QueueUrl, Entries });
    if (!answer.ok) throw new Error(`${name} took no messages: ${await answer.text()}`);
  };

  let sent = 0;
  let handled = 0;
  let caughtUp: () => void = () => {};
  const stop = karin.events.subscribe((event) => {
    if (event.kind !== 'deleted') return;
    handled += event.messageIds.length;
    if (handled >= sent) caughtUp();
  });
  for (let part = 0; part <= PARTS; part += 1) {
    // Quiet at night, busy by day.
    const orders = 1 + Math.round(7 * Math.sin((Math.PI * (part + 4)) / (PARTS + 8)) ** 3);
    sent += orders + 2;
    const done = new Promise<void>((resolve) => {
      caughtUp = resolve;
    });
    await send('orders', ...Array.from({ length: orders }, (_, at) => ({ order: 40_000 + sent + at, total: 19.9 })));
    await send('thumbnails', { picture: `cat-${part}.png` }, { picture: `dog-${part}.png` });
    if (handled < sent) await done;
    if (part < PARTS) time.skip(DAY_MS / PARTS);
  }
  stop();

  // Dead letters, each with why it failed.
  const invoice = JSON.stringify({ invoice: 'R-2031', customer: { name: 'Ada Lovelace' }, lines: [{ total: 99 }] });
  await queue('invoices').send([{ ...message(invoice), id: DEAD_LETTER }]);
  await send('invoices', { invoice: 'R-2034', total: 12 });
  for (let receive = 1; receive <= MOST_RECEIVES; receive += 1) {
    const received = await queue('invoices').receive({ maxMessages: 10, visibilityTimeoutMs: 0 });
    const why = received.map(({ id }) => [id, { ...(id === DEAD_LETTER ? WHY : LATE), attempt: receive }] as const);
    await queue('invoices').keepFailures(new Map(why));
  }
  // The receive that is one too many moves them.
  await queue('invoices').receive({ maxMessages: 10 });
  source.found = found();
  await karin.sync();
  const failed = new Promise<void>((resolve) => {
    const end = karin.events.subscribe((event) => {
      if (event.kind !== 'failed') return;
      end();
      resolve();
    });
  });
  await send('invoices', { invoice: 'R-2044', customer: 'Alan Turing' });
  await failed;

  await karin.directory.setMode(queue('reports'), 'hold');
  await send('reports', { report: 'weekly', week: 47 }, { report: 'daily', day: '2026-11-27' });
  await queue('emails').send([
    { ...message('{"template":"reminder","to":"customer 4711"}'), delayMs: 3_600_000 },
    { ...message('{"template":"welcome","to":"customer 4712"}'), delayMs: 7_200_000 },
    { ...message('{"template":"birthday","to":"customer 4713"}'), delayMs: 9 * 3_600_000 },
  ]);
  await queue('payments.fifo').send([
    { ...message('{"payment":1}'), groupId: 'customer-1', deduplicationId: '1' },
    { ...message('{"payment":2}'), groupId: 'customer-1', deduplicationId: '2' },
  ]);

  const post = (to: string, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
    fetch(`${karin.url}/k/${TOKEN}/in/111122223333/${to}`, {
      ...{ method: 'POST', body: JSON.stringify(body), headers },
    });
  const TopicArn = 'arn:aws:sns:eu-west-1:111122223333:order-placed';
  const SubscribeURL = `${SNS_HOST}/?Action=ConfirmSubscription&TopicArn=${TopicArn}&Token=a-token`;
  const subscribed = sns.confirmation({ TopicArn, SubscribeURL });
  await post('emails', subscribed, snsHeaders(subscribed));
  const ended = sns.confirmation({ TopicArn, Type: 'UnsubscribeConfirmation' });
  await post('reports', ended, snsHeaders(ended));
  await post('not-deployed-yet', {});
  return {
    karin,
    close: async () => {
      await karin.stop();
      await redis.stop();
    },
  };
}

function message(body: string) {
  return { id: crypto.randomUUID(), body, attributes: {}, senderId: 'AROASHOP:checkout' };
}

/** Answers at once, but for invoices, which it cannot render, and payments, which take as long as the shop is open. */
const LAMBDA: Invoker = {
  invoke: ({ functionArn, signal }: InvokeRequest): Promise<InvokeOutcome> => {
    if (functionArn.endsWith('settle-payment')) {
      return new Promise((resolve) =>
        signal?.addEventListener('abort', () => resolve({ kind: 'connection-lost', message: 'the server stops' })),
      );
    }
    if (!functionArn.endsWith('render-invoice')) {
      return Promise.resolve({ kind: 'success', response: new Uint8Array() });
    }
    const { errorType, message: text, trace = '' } = WHY;
    return Promise.resolve({ kind: 'function-error', errorType, message: text, trace });
  },
  probe: async () => ({ kind: 'reached' }),
  close: () => {},
};

const WHY: Failure = {
  errorType: 'TypeError',
  message: "Cannot read properties of undefined (reading 'street')",
  trace: [
    'at addressOf (/var/task/invoice.js:41:27)',
    'at render (/var/task/invoice.js:18:15)',
    'at Runtime.handler (/var/task/index.js:9:20)',
  ].join('\n'),
  functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:render-invoice',
  requestId: '5f9fb7c3-9c1e-4d0e-8d64-0b7b2f0c9e11',
  durationMs: 212,
  attempt: 1,
};

const LATE: Failure = {
  errorType: 'Function.TimedOut',
  message: 'Task timed out after 30.00 seconds',
  functionArn: WHY.functionArn,
  requestId: '0f6d1a52-7d7e-4d53-9a3c-2f7be8f4c6a0',
  durationMs: 30_000,
  attempt: 1,
};

const RENEWALS = 'shop-prod-SubscriptionRenewalsQueue5C7D1E7A-9Q2W8E7R6T5Y';

const FUNCTION_URLS = [
  { functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:process-order', url: lambdaUrl('qk3v7x2m') },
  { functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:make-thumbnail', url: lambdaUrl('w8r5t1zd') },
];

function lambdaUrl(id: string): string {
  return `https://${id}${'0a1b2c3d4e5f'.repeat(2)}.lambda-url.eu-west-1.on.aws/`;
}

function found(): Discovery {
  return discoveryOf([], {
    mappings: [
      served('orders', 'process-order', {
        maximumConcurrency: 5,
        filterPatterns: ['{"body":{"order":[{"exists":true}]}}'],
      }),
      served('thumbnails', 'make-thumbnail', { batchWindowSeconds: 0 }),
      served('invoices', 'render-invoice', { batchSize: 1 }),
      served('emails', 'send-email', { batchSize: 100, batchWindowSeconds: 5 }),
      served('payments.fifo', 'settle-payment'),
      served('reports', 'build-report'),
      served('returns', 'handle-return'),
      served(RENEWALS, 'shop-prod-RenewSubscriptionFunction0B2F41D1-a8Xw2LpKq9Zt'),
    ],
    broken: [
      { ...served('exports', 'nightly-export'), reason: 'its function is gone; deploy it again or delete the mapping' },
    ],
    queues: [
      owned('orders', 'Orders', { redrivePolicy: deadLettersTo('orders-dead') }),
      owned('orders-dead', 'OrdersDead'),
      owned('thumbnails', 'Thumbnails'),
      owned('invoices', 'Invoices', { redrivePolicy: deadLettersTo('invoices-dead') }),
      owned('invoices-dead', 'InvoicesDead'),
      owned('emails', 'Emails'),
      owned('payments.fifo', 'Payments'),
      owned('reports', 'Reports'),
      owned('returns', 'Returns'),
      owned('exports', 'Exports'),
      owned(RENEWALS, 'SubscriptionRenewalsQueue5C7D1E7A'),
    ],
    waitingInSqs: { [formatQueueArn(arnOf('returns'))]: 12 },
  });
}

function served(queue: string, name: string, change: Partial<Mapping> = {}): Mapping {
  return mappingOf(queue, {
    functionArn: `arn:aws:lambda:eu-west-1:111122223333:function:${name}`,
    functionTimeoutSeconds: 30,
    ...change,
  });
}

function owned(name: string, logicalId: string, attributes: Partial<QueueAttributes> = {}): DiscoveredQueue {
  return {
    ...queueOf(name),
    // No lease ends while somebody looks.
    attributes: { ...DEFAULT_ATTRIBUTES, visibilityTimeoutSeconds: 900, ...attributes },
    tags: { 'aws:cloudformation:stack-name': 'shop-prod', 'aws:cloudformation:logical-id': logicalId },
  };
}

function deadLettersTo(name: string) {
  return { deadLetterTargetArn: formatQueueArn(arnOf(name)), maxReceiveCount: MOST_RECEIVES };
}
