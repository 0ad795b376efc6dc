/**
 * Mappings and queues as AWS has them: the one configuration there is.
 *
 * The list is asked without a filter, because `FunctionName` as a filter misses the mappings of aliases and versions, and AWS filters by
 * neither state nor kind of source. Details (function, tags, encrypted filters, queues) are asked only for what is new or changed, or on a
 * full read, so that an idle server costs AWS the list pages alone.
 *
 * One mapping that cannot be read becomes a broken mapping or a problem; only the list itself can make a discovery fail.
 *
 * @module
 */
import { LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import type { SQSClientConfig } from '@aws-sdk/client-sqs';
import { formatQueueArn, queueKey } from '../../queue/arn.ts';
import type { Time } from '../../time.ts';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import { type ListedMapping, listSqsMappings } from './aws-list.ts';
import { MappingDetails } from './aws-mapping-details.ts';
import { readQueues } from './aws-queues.ts';
import { createPacer } from './pacer.ts';
import { compareTexts } from './sorting.ts';
import type { DiscoverySource, ForeignMapping } from './source.ts';

export interface AwsDiscoveryOptions {
  /** Mappings live in the region of their function and of their queue: one source per region. */
  readonly region: string;
  readonly time: Time;
  /** Beside the SDK's own configuration (environment, profile, role); for an emulator or a proxy. */
  readonly lambda?: LambdaClientConfig;
  readonly sqs?: SQSClientConfig;
}

/** Lambda grants 15 control-plane requests a second to the whole account and region; two thirds of it are for Karin. */
const LAMBDA_PACE = { parallel: 5, perSecond: 10, burst: 10 };
/** SQS has no such quota; this bounds sockets. */
const SQS_PACE = { parallel: 10, perSecond: 200, burst: 200 };

/** A call that hangs must not hold up a sync for ever. */
const CALL_LIMITS = { connectionTimeout: 3000, requestTimeout: 20_000, throwOnRequestTimeout: true };

/** A source that reads AWS with the standard SDK configuration; nothing is called before `discover`. */
export function createAwsDiscovery(options: AwsDiscoveryOptions): DiscoverySource {
  const { region, time } = options;
  const pacer = createPacer({ time, ...LAMBDA_PACE });
  const queuePacer = createPacer({ time, ...SQS_PACE });
  return {
    description: `AWS (${region})`,
    async discover(previous, full, onProgress = () => {}) {
      const lambda = new LambdaClient({ region, requestHandler: CALL_LIMITS, ...options.lambda });
      try {
        const listed = await listSqsMappings(lambda, pacer, region, (done) => onProgress({ step: 'lists', done }));
        const details = new MappingDetails(lambda, pacer, previous, full);
        const disabled = listed.mappings.filter(({ configuration }) => configuration.State === 'Disabled');
        let done = 0;
        const read = await Promise.all(
          disabled.map(async (mapping) => {
            const found = await details.read(mapping);
            done += 1;
            onProgress({ step: 'details', done, total: disabled.length });
            return found;
          }),
        );
        const servable = read.flatMap((found) => ('mapping' in found ? [found] : []));
        // What is sent to the queue of a broken mapping is kept until it is mended, as SQS would.
        const queues = await readQueues(
          read.map((found) =>
            'mapping' in found
              ? { arn: found.mapping.queueArn, fresh: found.fresh }
              : { arn: found.queueArn, fresh: false },
          ),
          previous,
          full,
          { region, requestHandler: CALL_LIMITS, ...options.sqs },
          queuePacer,
        );
        const [orphaned, mappings] = partition(
          servable.map(({ mapping }) => mapping),
          ({ queueArn }) => queues.missing.has(queueKey(queueArn)),
        );
        const broken = [...read.flatMap((found) => ('mapping' in found ? [] : [found])), ...orphaned.map(withoutQueue)];
        const problems = [...listed.problems, ...details.problems, ...queues.problems];
        return {
          mappings,
          broken: broken.sort((one, other) => compareTexts(one.uuid, other.uuid)),
          foreign: listed.mappings
            .filter(({ configuration }) => configuration.State !== 'Disabled')
            .map(foreignMapping),
          queues: queues.queues,
          waitingInSqs: queues.waitingInSqs,
          ...(problems.length === 0
            ? {}
            : { problems: problems.sort((one, other) => compareTexts(one.text, other.text)) }),
          detailsReadAt: full || previous === undefined ? time.now() : previous.detailsReadAt,
        };
      } finally {
        lambda.destroy();
      }
    },
  };
}

function foreignMapping({ uuid, queueArn, functionArn, configuration }: ListedMapping): ForeignMapping {
  return { uuid, queueArn, functionArn, state: configuration.State ?? 'unknown' };
}

function partition<T>(all: readonly T[], chosen: (one: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [all.filter(chosen), all.filter((one) => !chosen(one))];
}

function withoutQueue(mapping: Mapping): BrokenMapping {
  const { uuid, queueArn, functionArn, lastModified } = mapping;
  const reason = `the queue ${formatQueueArn(queueArn)} does not exist in AWS any more; deploy the stack that defines it, or delete the mapping, then sync`;
  return { uuid, queueArn, functionArn, reason, lastModified };
}
