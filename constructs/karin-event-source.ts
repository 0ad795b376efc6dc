import type { Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sources from 'aws-cdk-lib/aws-lambda-event-sources';
import { defined } from './defined';
import type { IKarinQueue } from './queue-interface';

/**
 * How a function consumes from a Karin queue.
 *
 * The same settings as `SqsEventSourceProps`, without those that belong to AWS's own pollers: `enabled`,
 * `filterEncryption`, `metricsConfig` and `provisionedPollerConfig`.
 */
export interface KarinEventSourceProps {
  /**
   * The largest number of messages in one invocation.
   *
   * From 1 to 10; up to 10,000 on a standard queue with a `maxBatchingWindow`.
   *
   * @default 10
   */
  readonly batchSize?: number;

  /**
   * The longest time to gather messages before the function is invoked.
   *
   * From 0 to 300 seconds; not on FIFO queues.
   *
   * @default - no window, the function is invoked at once with what is there
   */
  readonly maxBatchingWindow?: Duration;

  /**
   * Whether the function returns the messages of a batch that failed, so that the others are deleted.
   *
   * @see https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
   *
   * @default false
   */
  readonly reportBatchItemFailures?: boolean;

  /**
   * Only messages that match one of these patterns reach the function; the others are deleted.
   *
   * At most 10 patterns; build them with `lambda.FilterCriteria.filter()`.
   *
   * @default - every message reaches the function
   */
  readonly filters?: Array<{ [key: string]: unknown }>;

  /**
   * The largest number of invocations of this function by this queue at one time.
   *
   * From 2 to 1,000.
   *
   * @default - no limit of its own
   */
  readonly maxConcurrency?: number;
}

/**
 * Use a Karin queue as an event source of a Lambda function.
 *
 * Defines the same event source mapping as `SqsEventSource`, disabled: the Karin server reads it from AWS, and invokes
 * the function as AWS Lambda's poller would.
 */
export class KarinEventSource implements lambda.IEventSource {
  /**
   * The queue that is consumed.
   */
  public readonly queue: IKarinQueue;

  private readonly source: sources.SqsEventSource;

  constructor(queue: IKarinQueue, props: KarinEventSourceProps = {}) {
    this.queue = queue;
    const settings: sources.SqsEventSourceProps = defined<sources.SqsEventSourceProps>({
      batchSize: props.batchSize,
      maxBatchingWindow: props.maxBatchingWindow,
      reportBatchItemFailures: props.reportBatchItemFailures,
      filters: props.filters,
      maxConcurrency: props.maxConcurrency,
      enabled: false,
    });
    this.source = new sources.SqsEventSource(queue, settings);
  }

  /**
   * Called by `fn.addEventSource()`; not meant to be called directly.
   *
   * @param target the consuming function
   */
  public bind(target: lambda.IFunction): void {
    // SqsEventSource also names the mapping: the same construct id, hence the same logical id, is what makes the swap
    // an update in place.
    this.source.bind(target);
  }

  /**
   * The identifier (UUID) of the event source mapping.
   *
   * Throws before the event source is bound to a function.
   */
  public get eventSourceMappingId(): string {
    return this.source.eventSourceMappingId;
  }

  /**
   * The ARN of the event source mapping.
   *
   * Throws before the event source is bound to a function.
   */
  public get eventSourceMappingArn(): string {
    return this.source.eventSourceMappingArn;
  }
}
