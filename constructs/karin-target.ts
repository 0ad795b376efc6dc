import { type Duration, Lazy, Names, SecretValue, Stack, Token } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import { defined } from './defined';
import { checkDeadLetterQueue, checkIngest, checkReachable, ingestAddress, ingestQuery } from './ingest';
import { type KarinQueueBase, requireKarinQueue } from './karin-queue-base';
import type { IKarinQueue, KarinDeliveryOptions, KarinIngestOptions } from './queue-interface';

/** EventBridge: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html */
const RATE = { smallest: 1, default: 300 } as const;

/**
 * How a rule sends to a Karin queue: the properties of `SqsQueueProps`, the rate, and what becomes of a message.
 */
export interface KarinTargetProps extends KarinDeliveryOptions {
  /**
   * What is sent.
   *
   * @default - the event as JSON
   */
  readonly message?: events.RuleTargetInput;

  /**
   * For how long EventBridge tries to deliver an event.
   *
   * From 60 to 86,400 seconds.
   *
   * @default Duration.hours(24)
   */
  readonly maxEventAge?: Duration;

  /**
   * How often EventBridge tries again.
   *
   * From 0 to 185 times.
   *
   * @default 185
   */
  readonly retryAttempts?: number;

  /**
   * The largest number of events per second; EventBridge keeps what is more for later.
   *
   * It holds for all rules of the stack that send to the queue, so all that give it must give the same.
   *
   * @default 300
   */
  readonly rateLimitPerSecond?: number;
}

/**
 * Use a Karin queue as the target of a rule.
 *
 * `rule.addTarget(new KarinTarget(queue))` gives the messages that `targets.SqsQueue` gives. EventBridge posts them to
 * the server by an API destination, whose connection holds the capability of the queue; there is one of each for a
 * queue and a stack, however many rules use it.
 */
export class KarinTarget implements events.IRuleTarget {
  /**
   * The queue that events are sent to.
   */
  public readonly queue: IKarinQueue;

  private readonly karin: KarinQueueBase;
  private readonly props: KarinTargetProps;

  constructor(queue: IKarinQueue, props: KarinTargetProps = {}) {
    this.queue = queue;
    this.karin = requireKarinQueue(queue, 'KarinTarget', 'targets.SqsQueue');
    this.props = props;
  }

  /**
   * Called by `rule.addTarget()`; not meant to be called directly.
   *
   * @param rule the rule
   * @param id the id of the target within the rule
   */
  public bind(rule: events.IRuleRef, id?: string): events.RuleTargetConfig {
    const { karin: queue, props } = this;
    const options = this.ingestOptions();
    checkIngest(queue, options, { known: false });
    checkReachable(queue, 'EventBridge');
    checkDeadLetterQueue(queue, props.deadLetterQueue, 'EventBridge');
    const query = ingestQuery(options);
    const target = new targets.ApiDestination(
      // The class has an optional member that may be undefined, where the interface says absent.
      this.destinationIn(Stack.of(rule)) as events.IApiDestination,
      defined<targets.ApiDestinationProps>({
        event: props.message,
        deadLetterQueue: props.deadLetterQueue,
        maxEventAge: props.maxEventAge,
        retryAttempts: props.retryAttempts,
        // Of the target and not of the destination, which all rules share.
        queryStringParameters: Object.keys(query).length === 0 ? undefined : { ...query },
      }),
    );
    return target.bind(rule, id);
  }

  /** EventBridge repeats an event with its id; a message of one's own making may have none. */
  private ingestOptions(): KarinIngestOptions {
    const { message, messageDeduplicationId } = this.props;
    if (!this.karin.fifo || messageDeduplicationId !== undefined || message !== undefined) return this.props;
    return { ...this.props, messageDeduplicationId: 'json:/id' };
  }

  private destinationIn(stack: Stack): events.ApiDestination {
    const id = `KarinTarget${Names.nodeUniqueId(this.karin.node)}`;
    const existing = stack.node.tryFindChild(id);
    const shared = existing instanceof SharedDestination ? existing : new SharedDestination(stack, id, this.karin);
    return shared.withRate(this.props.rateLimitPerSecond);
  }
}

/** The connection and the API destination by which the rules of a stack reach a queue. */
class SharedDestination extends Construct {
  private readonly queue: KarinQueueBase;
  private readonly destination: events.ApiDestination;
  private rate?: number;

  constructor(scope: Construct, id: string, queue: KarinQueueBase) {
    super(scope, id);
    this.queue = queue;
    // `karin dev` lets everybody in; a server elsewhere has a capability, or the target was refused.
    const capability = queue._access.capability ?? SecretValue.unsafePlainText('none');
    const connection = new events.Connection(this, 'Connection', {
      description: `Lets EventBridge send to the Karin queue ${queue.node.path}`,
      authorization: events.Authorization.apiKey(
        'Authorization',
        SecretValue.unsafePlainText(`Bearer ${capability.unsafeUnwrap()}`),
      ),
    });
    this.destination = new events.ApiDestination(this, 'Destination', {
      description: `The Karin queue ${queue.node.path}`,
      connection,
      endpoint: ingestAddress(queue, false),
      httpMethod: events.HttpMethod.POST,
      rateLimitPerSecond: Lazy.number({ produce: () => this.rate ?? RATE.default }),
    });
  }

  public withRate(rate: number | undefined): events.ApiDestination {
    if (rate === undefined) return this.destination;
    if (!Token.isUnresolved(rate) && (!Number.isInteger(rate) || rate < RATE.smallest)) {
      throw new Error(
        `${this.queue.node.path}: rateLimitPerSecond must be a whole number of at least ${RATE.smallest}, but ${rate} was provided`,
      );
    }
    if (this.rate !== undefined && this.rate !== rate) {
      throw new Error(
        `${this.queue.node.path}: all rules of a stack send to the queue by one API destination, but rateLimitPerSecond is ${this.rate} for one and ${rate} for another; give one of them`,
      );
    }
    this.rate = rate;
    return this.destination;
  }
}
