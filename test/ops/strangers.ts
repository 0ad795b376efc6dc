/**
 * A server on which every text that a stranger can write, or AWS can say, tries to become a part of a page.
 *
 * @module
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { DiscoveryError } from '../../runtime/aws/discovery/discovery.ts';
import type { RealQueues } from '../../runtime/aws/real-queues.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { arnOf, discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

/** Where a hostile text is written; its name stands in the text. */
export const WRITTEN = [
  ...['body', 'attribute-name', 'attribute-type', 'attribute-value', 'sender', 'trace-header', 'dead-letter-of'],
  ...['group', 'deduplication', 'error-type', 'error-message', 'error-trace', 'error-request', 'error-function'],
  ...['reported-error', 'function', 'broken-function', 'broken-reason', 'problem', 'failed-sync', 'source', 'stack'],
  ...['logical-id', 'stage', 'function-url', 'function-url-hint', 'pull', 'redrive-policy', 'token', 'to-queue'],
  ...['search', 'log-in-to', 'typed-body', 'to-message', 'queue', 'host', 'address', 'agent'],
] as const;
type Written = (typeof WRITTEN)[number];
/** Refused where it came in, or kept nowhere. */
export const SHOWN_NOWHERE: readonly Written[] = ['to-queue', 'host', 'address', 'agent'];

/** Ends an attribute of either quote, an area and a script, and then is an element of its own. */
export const hostile = (where: Written): string => `"'--></textarea></script><x-hostile/of="${where}"/onclick="x">`;

export const PASSWORD = 'correct horse battery';

const ENV = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_TRUSTED_PROXIES: '1' };
const FORM = 'application/x-www-form-urlencoded';

export interface Strangers {
  readonly karin: RunningKarin;
  readonly queues: readonly Queue[];
}

/** `env`: besides what the server needs for itself. */
export async function serveStrangers(env: Readonly<Record<string, string>> = {}): Promise<Strangers> {
  const source = Object.assign(new ScriptedSource(), { description: `AWS ${hostile('source')}` });
  const hostileName = { ...queueOf('x'), arn: arnOf(hostile('queue')) };
  const policy = { deadLetterTargetArn: `arn:aws:sqs:eu-west-1:111122223333:${hostile('redrive-policy')}` };
  const letters = queueOf('letters', 'jobs');
  const jobs = {
    ...queueOf('jobs'),
    attributes: { ...queueOf('jobs').attributes, redrivePolicy: { ...policy, maxReceiveCount: 3 } },
    tags: {
      'aws:cloudformation:stack-name': hostile('stack'),
      'aws:cloudformation:logical-id': hostile('logical-id'),
      'karin:alert': hostile('stack'),
    },
  };
  const mails = { ...queueOf('mails'), tags: { stage: hostile('stage') } };
  const found = discoveryOf([], {
    mappings: [
      mappingOf('mails'),
      { ...mappingOf('letters'), functionArn: `arn:aws:lambda:eu-west-1:111122223333:function:${hostile('function')}` },
    ],
    broken: [
      {
        ...mappingOf('jobs'),
        uuid: 'broken',
        reason: hostile('broken-reason'),
        functionArn: `arn:aws:lambda:eu-west-1:111122223333:function:${hostile('broken-function')}`,
      },
    ],
    queues: [jobs, letters, mails, hostileName, queueOf('jobs.fifo')],
    problems: [{ about: 'jobs', text: hostile('problem') }],
    waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:jobs': 3 },
  });
  source.found = found;
  const fails = (): never => {
    throw new Error(hostile('pull'));
  };
  const realQueues: RealQueues = { send: fails, receive: fails, delete: fails, depth: fails, close: () => {} };
  const karin = await runKarin(
    { KARIN_ADMIN_PASSWORD: PASSWORD, ...ENV, ...env },
    {
      source,
      realQueues,
      invoker: {
        invoke: async () => ({ kind: 'function-error', errorType: hostile('reported-error'), message: 'it failed' }),
        probe: async () => ({ kind: 'reached' }),
        close: () => {},
      },
      functionUrls: {
        list: async () => ({
          urls: [{ functionArn: mappingOf('jobs').functionArn, url: `https://x/${hostile('function-url')}` }],
          hint: hostile('function-url-hint'),
        }),
      },
    },
  );
  const queueOfName = (name: string): Queue => {
    const queue = karin.directory.byKey(keyOf(name));
    if (queue === undefined) throw new Error(`there is no queue ${name}`);
    return queue;
  };
  const message = () => ({
    id: crypto.randomUUID(),
    body: hostile('body'),
    senderId: hostile('sender'),
    attributes: {},
  });

  await queueOfName('jobs').send([
    {
      ...message(),
      traceHeader: hostile('trace-header'),
      attributes: {
        [hostile('attribute-name')]: {
          dataType: `String.${hostile('attribute-type')}`,
          stringValue: hostile('attribute-value'),
        },
      },
      deadLetterSourceArn: `arn:aws:sqs:eu-west-1:111122223333:${hostile('dead-letter-of')}`,
    },
  ]);
  await queueOfName('jobs.fifo').send([
    { ...message(), groupId: hostile('group'), deduplicationId: hostile('deduplication') },
  ]);
  const received = await queueOfName('jobs').receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
  const failure = {
    errorType: hostile('error-type'),
    message: hostile('error-message'),
    trace: hostile('error-trace'),
    functionArn: `arn:aws:lambda:eu-west-1:111122223333:function:${hostile('error-function')}`,
    requestId: hostile('error-request'),
    durationMs: 1,
    attempt: 1,
  };
  await queueOfName('jobs').keepFailures(new Map(received.map(({ id }) => [id, failure])));
  const failed = new Promise<void>((resolve) => {
    const stop = karin.events.subscribe(({ kind }) => {
      if (kind !== 'failed') return;
      stop();
      resolve();
    });
  });
  await queueOfName('letters').send([message()]);
  await failed;

  const from = { 'x-forwarded-for': hostile('address'), 'user-agent': hostile('agent'), host: hostile('host') };
  const logIn = request(`${karin.url}/ops/login`, { method: 'POST', headers: { ...from, 'content-type': FORM } });
  logIn.end(new URLSearchParams({ password: PASSWORD }).toString());
  const [answer]: IncomingMessage[] = await once(logIn, 'response');
  answer?.resume();
  const authorization = `Bearer ${PASSWORD}`;
  const body = JSON.stringify({ scopes: 'send', name: hostile('token') });
  await fetch(`${karin.url}/tokens`, { method: 'POST', headers: { authorization }, body });
  const toQueue = encodeURIComponent(hostile('to-queue'));
  await fetch(`${karin.url}/in/111122223333/${toQueue}`, { method: 'POST', headers: { authorization }, body: '{}' });
  source.found = new DiscoveryError(hostile('failed-sync'));
  await karin.sync().catch(() => {});
  return { karin, queues: karin.directory.all() };
}
