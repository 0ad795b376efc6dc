/**
 * Mappings and queues as AWS has them: the one configuration there is.
 *
 * The list is asked without a filter, because `FunctionName` as a filter misses the mappings of aliases and versions,
 * and AWS filters by neither state nor kind of source. The list of functions tells which of them a deployment changed.
 * Details (function, tags, encrypted filters, queues) are asked only for what is new, changed, broken or unknown, or on
 * a full read, so that an idle server costs AWS the list pages alone.
 *
 * One mapping that cannot be read becomes a broken mapping or a problem; only the list itself can make a discovery
 * fail.
 *
 * @module
 */
import { LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import type { SQSClientConfig } from '@aws-sdk/client-sqs';
import { formatQueueArn, queueKey } from '../../queue/names.ts';
import type { Time } from '../../time.ts';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import type { AwsScope } from '../scope.ts';
import { createPacer } from './calls.ts';
import {
  compareTexts,
  type Discovery,
  type DiscoveryProblem,
  type DiscoverySource,
  type ForeignMapping,
  sortedByKey,
} from './discovery.ts';
import { isServedOn, karinsOf, type Standing, standingOf } from './mapping-state.ts';
import {
  type ListedFunction,
  type ListedMapping,
  listFunctions,
  listSqsMappings,
  MappingDetails,
  type NoFunctionList,
  unqualifiedArn,
} from './mappings.ts';
import { type QueueReading, readQueues } from './queues.ts';

export interface AwsDiscoveryOptions {
  /** Mappings live in the region of their function and of their queue: one source per scope. */
  readonly scope: AwsScope;
  readonly time: Time;
  /** Beside the SDK's own configuration (environment, profile, role); for an emulator or a proxy. */
  readonly lambda?: LambdaClientConfig;
  readonly sqs?: SQSClientConfig;
}

/**
 * Lambda grants 15 control-plane requests a second to the whole account and region; all but one of them may be Karin's,
 * for seconds, while nobody else asks.
 */
const LAMBDA_PACE = { parallel: 10, perSecond: 10, mostPerSecond: 14, burst: 5 };
/** SQS states no such quota for reading queues. */
const SQS_PACE = { parallel: 20, perSecond: 100, mostPerSecond: 200, burst: 50 };

/**
 * A call that hangs must not hold up a sync without end; what throttles is the pacer's to repeat, which slows down all
 * calls.
 */
const CALL_LIMITS = {
  requestHandler: { connectionTimeout: 3000, requestTimeout: 20_000, throwOnRequestTimeout: true },
  maxAttempts: 1,
};

/**
 * How long one discovery asks for details, ms. What is left then is read by the next look, within seconds: whoever
 * waits for a sync gets an answer before he gives up, and with thousands of mappings those that changed are served
 * while the others are read.
 */
const DETAILS_MS = 20_000;

/** A source that reads one scope with the standard SDK configuration; nothing is called before `discover`. */
export function createAwsDiscovery(options: AwsDiscoveryOptions): DiscoverySource {
  const { scope, time } = options;
  const { region } = scope;
  const client = { region, ...CALL_LIMITS, ...(scope.credentials && { credentials: scope.credentials }) };
  const pacer = createPacer({ time, ...LAMBDA_PACE });
  const queuePacer = createPacer({ time, ...SQS_PACE });
  return {
    description: scope.description,
    place: scope,
    document: scope.document,
    async discover(previous, full, onProgress = () => {}) {
      const lambda = new LambdaClient({ ...client, ...options.lambda });
      try {
        const listed = await listSqsMappings(lambda, pacer, scope, (done) => onProgress({ step: 'lists', done }));
        const wasKarins = karinsOf(previous);
        const standing = (mapping: ListedMapping): Standing => standingOf(stateOf(mapping), wasKarins(mapping));
        const disabled = listed.mappings.filter((mapping) => standing(mapping) === 'karin');
        const settling = listed.mappings.filter((mapping) => standing(mapping) === 'settling');
        const functions = await namedFunctions(lambda, disabled);
        const until = time.monotonic() + DETAILS_MS;
        const details = new MappingDetails({
          lambda,
          pacer,
          previous,
          full,
          until,
          functions: functions instanceof Map ? functions : undefined,
        });
        let done = 0;
        const onRead = (): void => {
          done += 1;
          onProgress({ step: 'details', done, total: disabled.length });
        };
        const servedOn = settling.filter((mapping) => isServedOn(stateOf(mapping)));
        const kept = servedOn.flatMap(({ uuid }) => details.asBefore(uuid) ?? []);
        const [asked, queues] = await Promise.all([
          details.readAll(disabled, onRead),
          // What is sent to the queue of a broken mapping is kept until it is mended, as SQS would.
          readQueues(
            [
              ...disabled.map((mapping) => ({ arn: mapping.queueArn, fresh: details.isStale(mapping) })),
              ...servedOn.map(({ queueArn }) => ({ arn: queueArn, fresh: false })),
            ],
            previous,
            full,
            { ...client, ...options.sqs },
            queuePacer,
            until,
          ),
        ]);
        const read = [...asked, ...kept];
        const mappings: Mapping[] = [];
        const broken: BrokenMapping[] = [];
        for (const found of read) {
          const reason = 'mapping' in found ? unservable(found.mapping, queues) : found.reason;
          if ('mapping' in found && reason === undefined) mappings.push(found.mapping);
          else if ('mapping' in found) broken.push(brokenBecause(found.mapping, reason ?? ''));
          else broken.push(found);
        }
        const unread = read.flatMap((found) => ('mapping' in found && found.unread ? [found.mapping.uuid] : []));
        const problems = [
          ...listed.problems,
          ...('problem' in functions ? [functions.problem] : []),
          ...details.problems,
          ...queues.problems,
          ...unreadProblem(unread.length),
        ];
        return {
          mappings: sorted(mappings),
          broken: sorted(broken),
          foreign: listed.mappings.filter((mapping) => standing(mapping) === 'aws').map(foreignMapping),
          ...(settling.length === 0 ? {} : { settling: settling.map(foreignMapping) }),
          queues: queues.queues,
          waitingInSqs: queues.waitingInSqs,
          ...(problems.length === 0
            ? {}
            : { problems: problems.sort((one, other) => compareTexts(one.text, other.text)) }),
          ...(unread.length === 0 ? {} : { unread }),
          ...revisions(functions, previous),
          detailsReadAt: full || previous === undefined ? time.now() : previous.detailsReadAt,
        };
      } finally {
        lambda.destroy();
      }
    },
  };

  function namedFunctions(lambda: LambdaClient, mappings: readonly ListedMapping[]) {
    const wanted = new Set(mappings.map(({ functionArn }) => unqualifiedArn(functionArn)));
    return listFunctions(lambda, pacer, region, wanted);
  }
}

function stateOf({ configuration }: ListedMapping): string {
  return configuration.State ?? 'unknown';
}

/**
 * The next discovery compares with these. Without a list the last ones stay, so that a list that fails for once makes
 * no change go unnoticed.
 */
function revisions(
  functions: ReadonlyMap<string, ListedFunction> | NoFunctionList,
  previous: Discovery | undefined,
): Pick<Discovery, 'functions'> {
  const known =
    'problem' in functions
      ? previous?.functions
      : Object.fromEntries([...functions].map(([arn, { revision }]): [string, string] => [arn, revision]));
  return known === undefined ? {} : { functions: sortedByKey(known) };
}

function unreadProblem(mappings: number): readonly DiscoveryProblem[] {
  if (mappings === 0) return [];
  const text = `${mappings} mappings are served as last known: AWS grants few calls a second, and the next look, within seconds, goes on reading them`;
  return [{ about: 'details', text }];
}

/** Why a mapping cannot be served although all is known of it but its queue. */
function unservable({ queueArn }: Mapping, queues: QueueReading): string | undefined {
  const key = queueKey(queueArn);
  const arn = formatQueueArn(queueArn);
  if (queues.missing.has(key)) {
    return `the queue ${arn} does not exist in AWS any more; deploy the stack that defines it, or delete the mapping, then sync`;
  }
  if (queues.unknown.has(key)) {
    return `the attributes of queue ${arn} were never read, so nobody knows its visibility timeout and its dead-letter queue; they are asked for again soon`;
  }
  return undefined;
}

function brokenBecause({ uuid, queueArn, functionArn }: Mapping, reason: string): BrokenMapping {
  return { uuid, queueArn, functionArn, reason };
}

function sorted<T extends { readonly uuid: string }>(all: readonly T[]): readonly T[] {
  return [...all].sort((one, other) => compareTexts(one.uuid, other.uuid));
}

function foreignMapping(mapping: ListedMapping): ForeignMapping {
  const { uuid, queueArn, functionArn } = mapping;
  return { uuid, queueArn, functionArn, state: stateOf(mapping) };
}
