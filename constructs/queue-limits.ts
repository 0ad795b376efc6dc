import { type Duration, Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import type { KarinQueueProps } from './karin-queue-props';

interface Range {
  readonly label: string;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  readonly of: (props: KarinQueueProps) => number | undefined;
}

const seconds = (duration: Duration | undefined): number | undefined =>
  duration === undefined || duration.isUnresolved() ? undefined : duration.toSeconds();

/** The ranges of https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html */
const RANGES: readonly Range[] = [
  { label: 'delivery delay', unit: 'seconds', min: 0, max: 900, of: (p) => seconds(p.deliveryDelay) },
  { label: 'maximum message size', unit: 'bytes', min: 1_024, max: 1_048_576, of: (p) => p.maxMessageSizeBytes },
  {
    label: 'message retention period',
    unit: 'seconds',
    min: 60,
    max: 1_209_600,
    of: (p) => seconds(p.retentionPeriod),
  },
  { label: 'receive wait time', unit: 'seconds', min: 0, max: 20, of: (p) => seconds(p.receiveMessageWaitTime) },
  { label: 'visibility timeout', unit: 'seconds', min: 0, max: 43_200, of: (p) => seconds(p.visibilityTimeout) },
  { label: 'data key reuse period', unit: 'seconds', min: 60, max: 86_400, of: (p) => seconds(p.dataKeyReuse) },
  {
    label: 'maximum receive count of the dead-letter queue',
    unit: 'receives',
    min: 1,
    max: 1_000,
    of: (p) => p.deadLetterQueue?.maxReceiveCount,
  },
];

/** What AWS takes as the name of a queue; the ending `.fifo` counts. */
const NAME = /^[\w-]+(\.fifo)?$/;
const MAX_NAME_LENGTH = 80;

/** Throws one error that lists every property outside its range. Values only known at deployment are not looked at. */
export function validateQueueProps(scope: IConstruct, props: KarinQueueProps): void {
  const problems = [...nameProblems(props.queueName), ...rangeProblems(props)];
  if (problems.length > 0) throw new Error(`${scope.node.path}: ${problems.join('; ')}`);
}

function nameProblems(name: string | undefined): string[] {
  if (name === undefined || Token.isUnresolved(name)) return [];
  if (NAME.test(name) && name.length <= MAX_NAME_LENGTH) return [];
  return [
    `queue name must be 1 to ${MAX_NAME_LENGTH} letters, digits, hyphens and underscores, with '.fifo' at the end of a FIFO queue's, but '${name}' was provided`,
  ];
}

function rangeProblems(props: KarinQueueProps): string[] {
  return RANGES.flatMap(({ label, unit, min, max, of }) => {
    const value = of(props);
    if (value === undefined || Token.isUnresolved(value)) return [];
    if (Number.isInteger(value) && value >= min && value <= max) return [];
    const allowed = `${min.toLocaleString('en-US')} and ${max.toLocaleString('en-US')} ${unit}`;
    return [`${label} must be a whole number between ${allowed}, but ${value} was provided`];
  });
}

/**
 * Whether the queue is FIFO, by the same rules as `sqs.Queue`: said outright, or implied by its name or by a property
 * only FIFO queues have.
 */
export function determineFifo(scope: IConstruct, props: KarinQueueProps): boolean {
  const name = props.queueName;
  const nameIsFifo = name !== undefined && !Token.isUnresolved(name) && name.endsWith('.fifo');
  const onlyForFifo = {
    'content-based deduplication': props.contentBasedDeduplication === true,
    'deduplication scope': props.deduplicationScope !== undefined,
    'FIFO throughput limit': props.fifoThroughputLimit !== undefined,
  };
  const fifo = props.fifo ?? (nameIsFifo || Object.values(onlyForFifo).includes(true));

  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  if (name !== undefined && !Token.isUnresolved(name)) {
    if (fifo && !nameIsFifo) throw fail(`FIFO queue names must end in '.fifo', but '${name}' was provided`);
    if (!fifo && nameIsFifo) throw fail(`only FIFO queue names may end in '.fifo', but '${name}' was provided`);
  }
  for (const [label, used] of Object.entries(onlyForFifo)) {
    if (used && !fifo) throw fail(`${label} can only be set on FIFO queues; set 'fifo: true' or leave it out`);
  }
  return fifo;
}
