import { DEFAULT_ATTRIBUTES } from '../../queue/definition.ts';
import { formatQueueArn, isFifoName, queueKey } from '../../queue/names.ts';
import type { Queue } from '../../queue/queue.ts';
import type { Documents, QueueKey } from '../../store/store.ts';
import type { Time } from '../../time.ts';
import { SqsError } from '../errors.ts';
import { MAX_PAGE, PURGE_INTERVAL_MS, QUEUE_NAME } from '../limits.ts';
import { applyAttributes, firstDifference, readBoolean } from '../queue-attributes.ts';
import { formatQueueUrl, queueArn } from '../queue-url.ts';
import { authorizeSources, checkRedriveTarget } from '../redrive.ts';
import { EVERY_QUEUE } from '../request.ts';
import type { PurgeInterval } from './action.ts';
import { type Action, authorize, type Call, mayRead, queueAction, requireOwn, requireQueue } from './action.ts';
import { mergeTags } from './tags.ts';
/** Idempotent: a queue that is there with the same values of the given attributes is answered, whoever made it. */
export const createQueue: Action<'CreateQueue'> = {
  async run(input, call) {
    const given = input.Attributes ?? new Map<string, string>();
    const name = checkName(input.QueueName, given);
    const arn = queueArn(call.caller.account, name, call.caller.region);
    authorize('CreateQueue', 'manage', call, arn);
    const answer = { QueueUrl: formatQueueUrl(call, arn) };

    const existing = await call.directory.find(queueKey(arn));
    if (existing !== undefined) {
      checkSame(existing, given);
      return answer;
    }
    const attributes = applyAttributes(DEFAULT_ATTRIBUTES, given, isFifoName(name));
    await checkRedriveTarget(call, arn, attributes);
    authorizeSources('CreateQueue', call, attributes);
    const tags = mergeTags({}, input.tags ?? new Map(), name);
    if (await call.directory.deletedRecently(queueKey(arn))) throw new SqsError('QueueDeletedRecently');
    const { queue, exists } = await asOneMore(queueKey(arn), call, () =>
      call.directory.create(arn, attributes, tags, call.caller.senderId),
    );
    // Another caller may have been faster.
    if (exists) checkSame(queue, given);
    return answer;
  },
};

/**
 * The part of the server's queues that a credential may make which reaches some names only, and whose share does not
 * say.
 */
const DEFAULT_PART = 0.25;

/** Makes a queue if there is room for one more, those that are being made counted. Errors: `OverLimit`. */
async function asOneMore<T>(key: QueueKey, call: Call, make: () => Promise<T>): Promise<T> {
  const { caller, creations, directory } = call;
  const makers = new Map(creations);
  makers.delete(key);
  for (const { key: present, definition } of directory.all()) {
    if (definition.origin === 'api') makers.set(present, definition.madeBy ?? '');
  }
  if (makers.size >= call.maxQueues) {
    throw new SqsError(
      'OverLimit',
      `No more than ${call.maxQueues} queues can be created on this server. Delete some, or ask its operator to raise KARIN_MAX_QUEUES.`,
    );
  }
  const most = caller.share?.maxQueues ?? Math.ceil(call.maxQueues * DEFAULT_PART);
  const isBounded = caller.share?.maxQueues !== undefined || !caller.allows('manage', EVERY_QUEUE);
  if (isBounded && [...makers.values()].filter((maker) => maker === caller.senderId).length >= most) {
    throw new SqsError(
      'OverLimit',
      `No more than ${most} queues can be created with ${caller.senderId}. Delete some, or ask the operator of this server for a larger share (queues=N).`,
    );
  }
  if (creations.has(key)) return make();
  creations.set(key, caller.senderId);
  try {
    return await make();
  } finally {
    creations.delete(key);
  }
}

/** The suffix `.fifo` and the attribute `FifoQueue` belong together. */
function checkName(name: string | undefined, given: ReadonlyMap<string, string>): string {
  if (name === undefined) {
    throw invalidName('Value for parameter QueueName is invalid. Reason: Must specify a queue name.');
  }
  if (name === '') throw invalidName('Queue name cannot be empty');
  const wantsFifo = readBoolean(given.get('FifoQueue')) === true;
  if (wantsFifo && !(QUEUE_NAME.test(name) && isFifoName(name))) {
    throw invalidName(
      'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length',
    );
  }
  if (!QUEUE_NAME.test(name) || (isFifoName(name) && !wantsFifo)) {
    throw invalidName('Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length');
  }
  return name;
}

function invalidName(text: string): SqsError {
  return new SqsError('InvalidParameterValue', text);
}

function checkSame(queue: Queue, given: ReadonlyMap<string, string>): void {
  const { attributes, fifo } = queue.definition;
  const different = firstDifference(given, attributes, applyAttributes(attributes, given, fifo));
  if (different === undefined) return;
  throw new SqsError(
    'QueueNameExists',
    `A queue already exists with the same name and a different value for attribute ${different}`,
  );
}

export const deleteQueue = queueAction('DeleteQueue', 'manage', async (queue, _input, call) => {
  requireOwn(queue, 'DeleteQueue');
  await call.directory.remove(queue);
  await call.purges.forget(queue.key);
  return undefined;
});

export const getQueueUrl: Action<'GetQueueUrl'> = {
  async run(input, call) {
    const { QueueName: name = '', QueueOwnerAWSAccountId: owner } = input;
    if (name === '') {
      throw new SqsError(
        'InvalidParameterValue',
        'Value for parameter QueueName is invalid. Reason: Must specify a queue name.',
      );
    }
    if (!QUEUE_NAME.test(name)) throw new SqsError('QueueDoesNotExist');
    const arn = queueArn(owner ?? call.caller.account, name, call.caller.region);
    authorize('GetQueueUrl', 'any', call, arn);
    await requireQueue(call, arn);
    return { QueueUrl: formatQueueUrl(call, arn) };
  },
};

/** The queues of the caller's account that his credential reaches, by name. */
export const listQueues: Action<'ListQueues'> = {
  async run(input, call) {
    authorize('ListQueues', 'any', call);
    const { account, region } = call.caller;
    const prefix = input.QueueNamePrefix ?? '';
    const reachable = call.directory.all().filter(({ arn }) => {
      return arn.account === account && arn.region === region && arn.name.startsWith(prefix) && mayRead(call, arn);
    });
    const { queues, nextToken } = pageOf(reachable, input);
    return { QueueUrls: queues.map(({ arn }) => formatQueueUrl(call, arn)), NextToken: nextToken };
  },
};

export const listDeadLetterSourceQueues = queueAction(
  'ListDeadLetterSourceQueues',
  'any',
  async (queue, input, call) => {
    const target = formatQueueArn(queue.arn);
    const sources = call.directory.all().filter(({ arn, definition }) => {
      return definition.attributes.redrivePolicy?.deadLetterTargetArn === target && mayRead(call, arn);
    });
    const { queues, nextToken } = pageOf(sources, input);
    return { queueUrls: queues.map(({ arn }) => formatQueueUrl(call, arn)), NextToken: nextToken };
  },
);

export const purgeQueue = queueAction('PurgeQueue', 'manage', async (queue, _input, call) => {
  if (!(await call.purges.run(queue.key, () => queue.purge()))) {
    throw new SqsError(
      'PurgeQueueInProgress',
      `Only one PurgeQueue operation on ${queue.arn.name} is allowed every 60 seconds.`,
    );
  }
  return undefined;
});

/*
 * One PurgeQueue a minute on each queue, whichever instance is asked. Source: SQS API reference, PurgeQueue.
 *
 * The last purge of a queue is a document that holds its wall-clock time. It stays until the next purge or the deletion
 * of the queue. It is written when the purge is done: a caller who was told that it failed must be able to try again.
 * Of two purges at one time both empty the queue, and one is told that it came second.
 */

export function createPurgeInterval(documents: Documents, time: Time): PurgeInterval {
  const nameOf = (queue: QueueKey): string => `purged-queue:${queue}`;
  return {
    async run(queue, purge) {
      const name = nameOf(queue);
      const now = time.now();
      const last = await documents.get(name);
      const elapsed = last === undefined ? undefined : now - Number(last);
      // A clock that was set back must not forbid purging until it has caught up.
      if (elapsed !== undefined && elapsed >= 0 && elapsed < PURGE_INTERVAL_MS) return false;
      await purge();
      return documents.put(name, String(now), last ?? null);
    },
    async forget(queue) {
      await documents.remove(nameOf(queue));
    },
  };
}

/*
 * Pages of queue URLs, for ListQueues and ListDeadLetterSourceQueues. A token says after which queue the next page
 * begins, so a page stays right when queues come and go.
 */

interface PageRequest {
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

export interface Page {
  readonly queues: readonly Queue[];
  /** Only if MaxResults was given: SQS pages for no one who did not ask. */
  readonly nextToken: string | undefined;
}

/** Errors: `InvalidParameterValue`. */
function pageOf(queues: readonly Queue[], request: PageRequest): Page {
  const asked = request.MaxResults === 0 ? undefined : request.MaxResults;
  if (asked !== undefined && (asked < 1 || asked > MAX_PAGE)) {
    throw new SqsError(
      'InvalidParameterValue',
      `Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and ${MAX_PAGE}.`,
    );
  }
  const after = request.NextToken === undefined ? '' : readToken(request.NextToken);
  const sorted = [...queues].sort((a, b) => compare(a.key, b.key)).filter((queue) => queue.key > after);
  const page = sorted.slice(0, asked ?? MAX_PAGE);
  const last = page.at(-1);
  const nextToken = asked !== undefined && last !== undefined && page.length < sorted.length ? token(last) : undefined;
  return { queues: page, nextToken };
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

const TOKEN_PREFIX = 'after:';

function token(queue: Queue): string {
  return Buffer.from(`${TOKEN_PREFIX}${queue.key}`).toString('base64url');
}

function readToken(text: string): string {
  const decoded = Buffer.from(text, 'base64url').toString();
  if (!decoded.startsWith(TOKEN_PREFIX)) {
    throw new SqsError('InvalidParameterValue', 'Invalid or expired next token.');
  }
  return decoded.slice(TOKEN_PREFIX.length);
}
