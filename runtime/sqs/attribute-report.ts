/**
 * What GetQueueAttributes answers. Source: SQS API reference, GetQueueAttributes.
 *
 * @module
 */
import { formatQueueArn } from '../queue/arn.ts';
import type { QueueDepth } from '../queue/queue.ts';
import type { QueueDefinition } from '../queue/queue-definition.ts';
import { SETTABLE, unknownAttribute } from './queue-attributes.ts';

/** Attributes that only GetQueueAttributes knows, besides `FifoQueue`. */
const REPORTED = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesDelayed',
  'ApproximateNumberOfMessagesNotVisible',
  'CreatedTimestamp',
  'LastModifiedTimestamp',
  'QueueArn',
] as const;
/** The three that the store must be asked for. */
const DEPTH_NAMES: readonly string[] = REPORTED.slice(0, 3);

/**
 * The attributes that GetQueueAttributes answers for `names` (`All`: every one that is set). `depth` is asked only if a count is wanted.
 * Errors: `InvalidAttributeName`.
 */
export async function reportAttributes(
  definition: QueueDefinition,
  names: readonly string[],
  depth: () => Promise<QueueDepth>,
): Promise<ReadonlyMap<string, string>> {
  const unknown = names.find((name) => !isReadable(name));
  if (unknown !== undefined) throw unknownAttribute(unknown);
  const wanted = (name: string): boolean => names.includes('All') || names.includes(name);
  const counts = DEPTH_NAMES.some(wanted) ? await depth() : undefined;
  const all: readonly (readonly [string, string | undefined])[] = [
    ['ApproximateNumberOfMessages', counts?.visible.toString()],
    ['ApproximateNumberOfMessagesNotVisible', counts?.inFlight.toString()],
    ['ApproximateNumberOfMessagesDelayed', counts?.delayed.toString()],
    ['CreatedTimestamp', seconds(definition.createdAt)],
    ['LastModifiedTimestamp', seconds(definition.modifiedAt)],
    ['QueueArn', formatQueueArn(definition.arn)],
    ['FifoQueue', definition.fifo ? 'true' : undefined],
    ...Object.entries(SETTABLE).map(([name, attribute]): readonly [string, string | undefined] => [
      name,
      attribute.fifoOnly && !definition.fifo ? undefined : attribute.write(definition.attributes),
    ]),
  ];
  return new Map(all.flatMap(([name, value]) => (value !== undefined && wanted(name) ? [[name, value] as const] : [])));
}

function isReadable(name: string): boolean {
  return (
    name === 'All' ||
    name === 'FifoQueue' ||
    Object.hasOwn(SETTABLE, name) ||
    (REPORTED as readonly string[]).includes(name)
  );
}

function seconds(epochMs: number): string {
  return Math.floor(epochMs / 1000).toString();
}
