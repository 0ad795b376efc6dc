/**
 * What the buttons on the page of a queue do.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Log } from '../log.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { Queue } from '../queue/queue.ts';
import type { SqsApi } from '../sqs/api.ts';
import type { Caller } from '../sqs/request.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { DrainResult } from '../transfer/drain.ts';
import type { PullResult } from '../transfer/pull.ts';
import type { OnTransfer } from '../transfer/transfer.ts';
import type { TransferKind, Transfers } from '../transfer/transfers.ts';
import type { ActivityLog } from './activity.ts';

export interface ActionParts {
  readonly activity: ActivityLog;
  readonly api: ApiClient;
  readonly directory: QueueDirectory;
  readonly uuid: () => string;
  /** Absent: the queues have no counterpart in AWS. */
  readonly transfers?: Transfers;
  readonly onTransfer: OnTransfer;
  readonly log: Log;
}

/** The fields of a form. */
export type FormFields = Readonly<Record<string, unknown>>;

export interface QueueAction {
  /** To be answered with yes before it runs, because it cannot be undone. */
  readonly question?: (name: string) => string;
  run(queue: Queue, parts: ActionParts, form: FormFields): Promise<ApiOutcome>;
}

const ACTIONS = {
  send: {
    run: (queue, { api, uuid }, form) => {
      const { fifo, attributes } = queue.definition;
      const delay = field(form, 'delay');
      return api.call('SendMessage', {
        QueueUrl: urlOf(queue),
        MessageBody: field(form, 'body') ?? '',
        ...(delay === undefined || fifo ? {} : { DelaySeconds: Number(delay) }),
        ...(fifo ? { MessageGroupId: field(form, 'group') ?? '' } : {}),
        ...(fifo && !attributes.contentBasedDeduplication
          ? { MessageDeduplicationId: field(form, 'deduplication') ?? uuid() }
          : {}),
      });
    },
  },
  purge: {
    question: (name) => `Delete every message of ${name}? They cannot be brought back.`,
    run: (queue, { api }) => api.call('PurgeQueue', { QueueUrl: urlOf(queue) }),
  },
  drain: {
    question: (name) => `Move all messages of ${name} to SQS, and those that are sent to it from now on?`,
    run: (queue, parts) => transfer('drain', queue, parts),
  },
  pull: {
    question: (name) => `Bring the messages of ${name} that wait in SQS here?`,
    run: (queue, parts) => transfer('pull', queue, parts),
  },
  hold: { run: (queue, { directory }) => setMode(queue, directory, 'hold') },
  consume: { run: (queue, { directory }) => setMode(queue, directory, 'consume') },
} satisfies Record<string, QueueAction>;

export type ActionName = keyof typeof ACTIONS;

/** By the last segment of the path. */
export const QUEUE_ACTIONS: ReadonlyMap<string, QueueAction> = new Map(Object.entries(ACTIONS));

async function setMode(queue: Queue, directory: QueueDirectory, mode: 'hold' | 'consume'): Promise<ApiOutcome> {
  try {
    await directory.setMode(queue, mode);
    if (mode === 'consume' && queue.definition.modeAfterAws !== undefined) {
      const message = 'AWS consumes this queue, because a mapping of it is not disabled. It goes on here once that is.';
      return { ok: false, message };
    }
    return { ok: true };
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    return { ok: false, message: 'The store of messages cannot be reached. Try again.' };
  }
}

/** Begins a transfer. How it goes on is told by the activity of the queue, and by the log. */
async function transfer(kind: TransferKind, queue: Queue, parts: ActionParts): Promise<ApiOutcome> {
  const { transfers, onTransfer, activity, log } = parts;
  if (transfers === undefined) return { ok: false, message: 'This queue has no counterpart in AWS.' };
  const current = transfers.current(queue.key);
  if (current !== undefined) return { ok: false, message: `A ${current} of this queue is already under way.` };
  const begun = transfers[kind](transfers.find(queue.key), { onEvent: onTransfer });
  begun.then(
    (result) => {
      log.info({ queue: queue.key, kind, ...result }, 'a transfer has ended');
      activity.transferEnded(queue.key, `the ${kind} is done: ${describeResult(result)}`, 'good');
    },
    (error: unknown) => {
      log.error({ err: error, queue: queue.key, kind }, 'a transfer has failed');
      activity.transferEnded(queue.key, `the ${kind} failed: ${error instanceof Error ? error.message : error}`, 'bad');
    },
  );
  return { ok: true };
}

function describeResult(result: DrainResult | PullResult): string {
  if ('pulled' in result) return `${result.pulled} brought here`;
  const left = result.left === undefined ? 0 : result.left.visible + result.left.delayed + result.left.inFlight;
  return [
    `${result.moved} moved`,
    ...(result.refused.size > 0 ? [`${result.refused.size} refused by SQS`] : []),
    ...(left > 0 ? [`${left} still here`] : []),
  ].join(', ');
}

/** The API looks at region, account and name of a QueueUrl only. */
export function urlOf({ arn }: Queue): string {
  return `http://karin/r/${arn.region}/${arn.account}/${arn.name}`;
}

/** A field that was filled in. */
export function field(form: FormFields, name: string): string | undefined {
  const value = form[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/*
 * Calls the SQS API inside the process, for the buttons of the ops page: they obey the same rules, and get the same
 * errors, as every other caller.
 */

type ApiOutcome =
  | { readonly ok: true /** Of a message that was sent. */; readonly messageId?: string }
  | { readonly ok: false; readonly message: string };

export interface ApiClient {
  call(action: string, input: Readonly<Record<string, unknown>>): Promise<ApiOutcome>;
}

export interface ApiClientParts {
  readonly api: SqsApi;
  readonly region: string;
  readonly uuid: () => string;
}

export function createApiClient(parts: ApiClientParts): ApiClient {
  return {
    call: async (action, input) => {
      const headers: Readonly<Record<string, string>> = {
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-target': `AmazonSQS.${action}`,
      };
      const caller: Caller = {
        senderId: 'ops',
        // No queue is named here without account and region.
        account: '',
        region: parts.region,
        regionOf: (named) => named ?? parts.region,
        allows: () => true,
      };
      const response = await parts.api.handle({
        method: 'POST',
        path: '/',
        query: '',
        headers: (name) => headers[name.toLowerCase()],
        requestId: parts.uuid(),
        body: Buffer.from(JSON.stringify(input)),
        endpoint: '',
        caller,
        source: { kind: 'page' },
        // None of the calls made here waits for messages.
        signal: new AbortController().signal,
      });
      if (response.status < 300) {
        const messageId = textIn(response.body, 'MessageId');
        return { ok: true, ...(messageId === undefined ? {} : { messageId }) };
      }
      return {
        ok: false,
        message: textIn(response.body, 'message') ?? `the call failed with status ${response.status}`,
      };
    },
  };
}

function textIn(body: string, member: string): string | undefined {
  const answer = z.record(z.string(), z.unknown()).safeParse(body === '' ? {} : JSON.parse(body));
  const value = answer.data?.[member];
  return typeof value === 'string' ? value : undefined;
}
