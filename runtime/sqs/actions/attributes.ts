import type { QueueDefinition } from '../../queue/definition.ts';
import { formatQueueArn } from '../../queue/names.ts';
import type { QueueDepth } from '../../queue/queue.ts';
import { applyAttributes, SETTABLE, unknownAttribute } from '../queue-attributes.ts';
import { attributesFor, authorizeSources, checkRedriveTarget } from '../redrive.ts';
import { queueAction, requireOwn } from './action.ts';
export const getQueueAttributes = queueAction('GetQueueAttributes', 'any', async (queue, input, call) => {
  const definition = { ...queue.definition, attributes: attributesFor(call, queue.definition.attributes) };
  return {
    Attributes: await reportAttributes(definition, input.AttributeNames ?? [], () => queue.depth()),
  };
});

export const setQueueAttributes = queueAction('SetQueueAttributes', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'SetQueueAttributes');
  const { attributes: present, fifo } = queue.definition;
  const given = input.Attributes;
  if (given.has('RedrivePolicy')) {
    await checkRedriveTarget(call, queue.arn, applyAttributes(present, given, fifo));
  }
  if (given.has('RedriveAllowPolicy')) {
    authorizeSources('SetQueueAttributes', call, applyAttributes(present, given, fifo));
  }
  await call.directory.setAttributes(queue, (attributes) => applyAttributes(attributes, given, fifo));
  return undefined;
});

/*
 * What GetQueueAttributes answers. Source: SQS API reference, GetQueueAttributes.
 */

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
 * The attributes that GetQueueAttributes answers for `names` (`All`: every one that is set). `depth` is asked only if a
 * count is wanted.
 * Errors: `InvalidAttributeName`.
 */
async function reportAttributes(
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
