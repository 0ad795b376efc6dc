/**
 * The real queues behind disabled mappings, read from SQS: attributes and tags, the redrive targets, and how many
 * messages still sit there.
 *
 * GetQueueAttributes is billed as an SQS request, so it is asked only for queues that are new, whose mapping or
 * function changed, or on a full read.
 *
 * @module
 */
import type { SQSClient, SQSClientConfig } from '@aws-sdk/client-sqs';
import {
  DEFAULT_ATTRIBUTES,
  type QueueAttributes,
  type RedriveAllowPolicy,
  type RedrivePolicy,
} from '../../queue/definition.ts';
import type { DiscoveredQueue } from '../../queue/directory.ts';
import { formatQueueArn, parseQueueArn, type QueueArn, queueKey, urlSuffixOf } from '../../queue/names.ts';
import type { QueueKey } from '../../store/store.ts';
import { awsFailure, describeAwsError, type Pacer } from './calls.ts';
import { compareTexts, type Discovery, type DiscoveryProblem, sortedByKey } from './discovery.ts';

/** What a reading of queues found. */
export interface QueueReading {
  /** Sources and redrive targets, transitively, sorted by identity. */
  readonly queues: readonly DiscoveredQueue[];
  readonly waitingInSqs: Readonly<Record<string, number>>;
  /** Sources that do not exist in AWS any more. */
  readonly missing: ReadonlySet<QueueKey>;
  /**
   * Sources of which nothing was ever read, for a passing reason: what is assumed of them is too little to serve a
   * mapping with.
   */
  readonly unknown: ReadonlySet<QueueKey>;
  readonly problems: readonly DiscoveryProblem[];
}

/** One queue to read: `fresh` asks SQS even if the previous discovery knows it. */
export interface QueueRequest {
  readonly arn: QueueArn;
  readonly fresh: boolean;
}

interface OneQueue {
  readonly queue: DiscoveredQueue;
  /** SQS was asked just now. */
  readonly asked: boolean;
  /** Messages in the real queue, as last read. */
  readonly waiting: number;
  readonly missing: boolean;
  readonly unknown: boolean;
  readonly problems: readonly DiscoveryProblem[];
}

/** What of a queue's messages would be stranded: those visible, those delayed and those in flight. */
const WAITING = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesDelayed',
  'ApproximateNumberOfMessagesNotVisible',
] as const;

/**
 * Reads `sources` and everything they redrive to. A queue that cannot be read keeps what `previous` knew of it, or
 * takes AWS's defaults, and is named in `problems`; it never makes the reading fail. What was not asked before `until`
 * on the monotonic clock is left for the next reading.
 */
export async function readQueues(
  sources: readonly QueueRequest[],
  previous: Discovery | undefined,
  full: boolean,
  config: SQSClientConfig,
  pacer: Pacer,
  until: number,
): Promise<QueueReading> {
  const reader = new QueueReader(config, pacer, previous, full, until);
  const found = new Map<QueueKey, OneQueue>();
  let round: readonly QueueRequest[] = distinct(sources);
  const sourceKeys = new Set(round.map(({ arn }) => queueKey(arn)));
  try {
    while (round.length > 0) {
      const read = await Promise.all(round.map((request) => reader.read(request)));
      for (const one of read) found.set(queueKey(one.queue.arn), one);
      round = distinct(
        read.flatMap(({ queue, asked }) => {
          const target = parseQueueArn(queue.attributes.redrivePolicy?.deadLetterTargetArn ?? '');
          return target === undefined || found.has(queueKey(target)) ? [] : [{ arn: target, fresh: asked }];
        }),
      );
    }
  } finally {
    reader.close();
  }
  const sorted = [...found].sort(([a], [b]) => compareTexts(a, b));
  const waiting = sorted.flatMap(([key, one]): [string, number][] =>
    sourceKeys.has(key) && one.waiting > 0 ? [[formatQueueArn(one.queue.arn), one.waiting]] : [],
  );
  return {
    queues: sorted.map(([, { queue }]) => queue),
    waitingInSqs: Object.fromEntries(waiting),
    unknown: new Set(sorted.flatMap(([key, { unknown }]) => (unknown && sourceKeys.has(key) ? [key] : []))),
    missing: new Set(sorted.flatMap(([key, { missing }]) => (missing && sourceKeys.has(key) ? [key] : []))),
    problems: sorted.flatMap(([, { problems }]) => problems),
  };
}

function distinct(requests: readonly QueueRequest[]): readonly QueueRequest[] {
  const byKey = new Map<QueueKey, QueueRequest>();
  for (const request of requests) {
    const key = queueKey(request.arn);
    byKey.set(key, { arn: request.arn, fresh: request.fresh || (byKey.get(key)?.fresh ?? false) });
  }
  return [...byKey.values()];
}

/** The SQS client is loaded and built by the first queue that must be asked: most syncs ask none. */
class QueueReader {
  readonly #config: SQSClientConfig;
  readonly #pacer: Pacer;
  readonly #previous: Discovery | undefined;
  readonly #full: boolean;
  readonly #until: number;
  readonly #known: ReadonlyMap<QueueKey, DiscoveredQueue>;
  #client: SQSClient | undefined;

  constructor(config: SQSClientConfig, pacer: Pacer, previous: Discovery | undefined, full: boolean, until: number) {
    this.#until = until;
    this.#config = config;
    this.#pacer = pacer;
    this.#previous = previous;
    this.#full = full;
    this.#known = new Map(previous?.queues.map((queue) => [queueKey(queue.arn), queue]));
  }

  async read({ arn, fresh }: QueueRequest): Promise<OneQueue> {
    const text = formatQueueArn(arn);
    const before = this.#known.get(queueKey(arn));
    const problemsBefore = (this.#previous?.problems ?? []).filter(({ about }) => about === text);
    const unsettled = problemsBefore.some(({ passing }) => passing);
    const waitingBefore = this.#previous?.waitingInSqs[text] ?? 0;
    if (before === undefined || this.#full || fresh || unsettled) return this.#ask(arn, before, waitingBefore);
    return {
      queue: before,
      asked: false,
      waiting: waitingBefore,
      missing: false,
      unknown: false,
      problems: problemsBefore,
    };
  }

  async #ask(arn: QueueArn, before: DiscoveredQueue | undefined, waitingBefore: number): Promise<OneQueue> {
    const { GetQueueAttributesCommand, ListQueueTagsCommand, SQSClient } = await import('@aws-sdk/client-sqs');
    // The queue's own URL names AWS; an endpoint in the environment (an emulator) has to win over it.
    this.#client ??= new SQSClient({ ...this.#config, useQueueUrlAsEndpoint: false });
    const client = this.#client;
    const QueueUrl = realQueueUrl(arn);
    const [stated, tags] = await Promise.all([
      this.#pacer
        .run(() => client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] })), this.#until)
        .then(({ Attributes }) => Attributes ?? {})
        .catch((error: unknown) => new Failure(error)),
      this.#pacer
        .run(() => client.send(new ListQueueTagsCommand({ QueueUrl })), this.#until)
        .then(({ Tags }) => Tags ?? {})
        .catch((error: unknown) => new Failure(error)),
    ]);
    const about = formatQueueArn(arn);
    if (stated instanceof Failure) {
      const kept = before === undefined ? "AWS's default attributes are assumed" : 'what was last read of them is kept';
      const what = `the attributes of queue ${about} cannot be read, ${kept}`;
      return {
        queue: before ?? { arn, attributes: DEFAULT_ATTRIBUTES, tags: {} },
        asked: true,
        waiting: waitingBefore,
        missing: stated.kind === 'not-found',
        unknown: before === undefined && stated.kind === 'transient',
        problems: [stated.problem(about, what, 'sqs:GetQueueAttributes')],
      };
    }
    return {
      queue: {
        arn,
        attributes: readQueueAttributes(stated),
        tags: tags instanceof Failure ? (before?.tags ?? {}) : sortedByKey(tags),
      },
      asked: true,
      waiting: WAITING.reduce((sum, name) => sum + (Number(stated[name]) || 0), 0),
      missing: false,
      unknown: false,
      problems:
        tags instanceof Failure
          ? [tags.problem(about, `the tags of queue ${about} cannot be read`, 'sqs:ListQueueTags')]
          : [],
    };
  }

  close(): void {
    this.#client?.destroy();
  }
}

class Failure {
  readonly kind: ReturnType<typeof awsFailure>;
  readonly #detail: string;

  constructor(error: unknown) {
    this.kind = awsFailure(error);
    this.#detail = describeAwsError(error);
  }

  /** What happened, and what mends it. */
  problem(about: string, what: string, action: string): DiscoveryProblem {
    const said = `${what}: ${this.#detail}`;
    switch (this.kind) {
      case 'not-found':
        return { about, text: `${said}; deploy the stack that defines it, then sync` };
      case 'refused':
        return { about, text: `${said}; allow ${action} on it to the identity of this server, then sync` };
      case 'transient':
        return { about, text: `${said}; the next sync asks again`, passing: true };
    }
  }
}

/*
 * The attributes of a queue as AWS states them, read leniently: what AWS has accepted is not judged a second time, and
 * what cannot be read takes AWS's default.
 */

/**
 * Attribute values by name: texts, as `sqs:GetQueueAttributes` returns them, or JSON values, as the properties of an
 * `AWS::SQS::Queue`; the names are the same.
 */
export type StatedAttributes = Readonly<Record<string, unknown>>;

/** Reads the attributes of a queue. */
export function readQueueAttributes(stated: StatedAttributes): QueueAttributes {
  const redrivePolicy = redrivePolicyOf(stated['RedrivePolicy']);
  const redriveAllowPolicy = redriveAllowPolicyOf(stated['RedriveAllowPolicy']);
  const policy = textOf(stated['Policy']);
  const kmsMasterKeyId = textOf(stated['KmsMasterKeyId']);
  const reuse = stated['KmsDataKeyReusePeriodSeconds'];
  return {
    visibilityTimeoutSeconds: numberOf(stated['VisibilityTimeout'], DEFAULT_ATTRIBUTES.visibilityTimeoutSeconds),
    delaySeconds: numberOf(stated['DelaySeconds'], DEFAULT_ATTRIBUTES.delaySeconds),
    messageRetentionPeriodSeconds: numberOf(
      stated['MessageRetentionPeriod'],
      DEFAULT_ATTRIBUTES.messageRetentionPeriodSeconds,
    ),
    maximumMessageSizeBytes: numberOf(stated['MaximumMessageSize'], DEFAULT_ATTRIBUTES.maximumMessageSizeBytes),
    receiveMessageWaitTimeSeconds: numberOf(
      stated['ReceiveMessageWaitTimeSeconds'],
      DEFAULT_ATTRIBUTES.receiveMessageWaitTimeSeconds,
    ),
    contentBasedDeduplication: booleanOf(stated['ContentBasedDeduplication'], false),
    deduplicationScope: stated['DeduplicationScope'] === 'messageGroup' ? 'messageGroup' : 'queue',
    fifoThroughputLimit: stated['FifoThroughputLimit'] === 'perMessageGroupId' ? 'perMessageGroupId' : 'perQueue',
    // A queue under a KMS key has no SQS-managed encryption, and AWS then says so.
    sqsManagedSseEnabled: booleanOf(stated['SqsManagedSseEnabled'], kmsMasterKeyId === undefined),
    ...(redrivePolicy === undefined ? {} : { redrivePolicy }),
    ...(redriveAllowPolicy === undefined ? {} : { redriveAllowPolicy }),
    ...(policy === undefined ? {} : { policy }),
    ...(kmsMasterKeyId === undefined ? {} : { kmsMasterKeyId }),
    ...(reuse === undefined ? {} : { kmsDataKeyReusePeriodSeconds: numberOf(reuse, 300) }),
  };
}

function redrivePolicyOf(value: unknown): RedrivePolicy | undefined {
  const policy = objectOf(value);
  const target = policy?.['deadLetterTargetArn'];
  const count = Number(policy?.['maxReceiveCount']);
  if (typeof target !== 'string' || !Number.isInteger(count) || count < 1) return undefined;
  return { deadLetterTargetArn: target, maxReceiveCount: count };
}

function redriveAllowPolicyOf(value: unknown): RedriveAllowPolicy | undefined {
  const policy = objectOf(value);
  switch (policy?.['redrivePermission']) {
    case 'allowAll':
      return { redrivePermission: 'allowAll' };
    case 'denyAll':
      return { redrivePermission: 'denyAll' };
    case 'byQueue': {
      const arns = policy['sourceQueueArns'];
      const sourceQueueArns = Array.isArray(arns) ? arns.filter((arn): arn is string => typeof arn === 'string') : [];
      return { redrivePermission: 'byQueue', sourceQueueArns };
    }
    default:
      return undefined;
  }
}

/** AWS returns policies as JSON text, templates hold them as objects. */
function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value === 'string') {
    try {
      return objectOf(JSON.parse(value));
    } catch {
      return undefined;
    }
  }
  // Narrowed to a non-array object: every key of one may be read.
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return value === undefined || value === null ? undefined : JSON.stringify(value);
}

function numberOf(value: unknown, fallback: number): number {
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN;
  return value !== '' && Number.isFinite(number) ? number : fallback;
}

function booleanOf(value: unknown, fallback: boolean): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 'true') return true;
  if (value === 'false') return false;
  return fallback;
}

/** The URL of the real queue in AWS. Account and name decide; the host is the one SQS documents for the region. */
export function realQueueUrl(arn: QueueArn): string {
  return `https://sqs.${arn.region}.${urlSuffixOf(arn.region)}/${arn.account}/${arn.name}`;
}
