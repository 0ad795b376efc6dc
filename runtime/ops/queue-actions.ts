/**
 * What the buttons on the page of a queue do.
 *
 * @module
 */

import type { Log } from '../log.ts';
import { formatQueueArn } from '../queue/arn.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { Queue } from '../queue/queue.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { OnTransfer } from '../transfer/transfer-events.ts';
import type { Transfers } from '../transfers.ts';
import type { ApiClient, ApiOutcome } from './api-client.ts';

export interface ActionParts {
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

export type QueueAction = (queue: Queue, parts: ActionParts, form: FormFields) => Promise<ApiOutcome>;

/** By the last segment of the path. */
export const QUEUE_ACTIONS: Readonly<Record<string, QueueAction>> = {
  send: (queue, { api, uuid }, form) => {
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
  purge: (queue, { api }) => api.call('PurgeQueue', { QueueUrl: urlOf(queue) }),
  redrive: (queue, { api }) => api.call('StartMessageMoveTask', { SourceArn: formatQueueArn(queue.arn) }),
  drain: (queue, parts) => transfer('drain', queue, parts),
  pull: (queue, parts) => transfer('pull', queue, parts),
  hold: (queue, { directory }) => setMode(queue, directory, 'hold'),
  consume: (queue, { directory }) => setMode(queue, directory, 'consume'),
};

async function setMode(queue: Queue, directory: QueueDirectory, mode: 'hold' | 'consume'): Promise<ApiOutcome> {
  try {
    await directory.setMode(queue, mode);
    return { ok: true };
  } catch (error) {
    if (!(error instanceof StoreUnavailableError)) throw error;
    return { ok: false, message: 'The store of messages cannot be reached. Try again.' };
  }
}

/** Begins a transfer; how it goes is in the log, what it does in the numbers of the page. */
async function transfer(kind: 'drain' | 'pull', queue: Queue, parts: ActionParts): Promise<ApiOutcome> {
  const { transfers, onTransfer, log } = parts;
  if (transfers === undefined) return { ok: false, message: 'This queue has no counterpart in AWS.' };
  const begun = transfers[kind](transfers.find(queue.key), { onEvent: onTransfer });
  begun.then(
    (result) => log.info({ queue: queue.key, kind, ...result }, 'a transfer has ended'),
    (error: unknown) => log.error({ err: error, queue: queue.key, kind }, 'a transfer has failed'),
  );
  return { ok: true };
}

/** The API looks at account and name of a QueueUrl only. */
function urlOf(queue: Queue): string {
  return `http://karin/${queue.arn.account}/${queue.arn.name}`;
}

/** A field that was filled in. */
function field(form: FormFields, name: string): string | undefined {
  const value = form[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
