/**
 * Queues whose mapping was enabled, or is being changed: Karin does not consume them now, but callers may still send to them here.
 *
 * @module
 */
import type { Discovery } from '../lambda/discovery/source.ts';
import { parseQueueArn, type QueueKey, queueKey } from '../queue/arn.ts';
import type { DiscoveredQueue } from '../queue/directory.ts';

/**
 * `after`, with queues of `before` whose mapping AWS consumes by now, or nobody for a moment. Callers still send to them, and what they hold must not be lost, so they exist until their
 * mapping is gone or disabled again.
 */
export function keepForeign(before: Discovery | undefined, after: Discovery): Discovery {
  const known = new Set(after.queues.map((queue) => queueKey(queue.arn)));
  const listed = [...after.foreign, ...(after.settling ?? [])];
  const sources = listed.map((mapping) => queueKey(mapping.queueArn)).filter((key) => !known.has(key));
  const kept = withTargets(before?.queues ?? [], sources).filter((queue) => !known.has(queueKey(queue.arn)));
  return kept.length === 0 ? after : { ...after, queues: [...after.queues, ...kept] };
}

/** The queues with these keys and their redrive targets, transitively. */
function withTargets(queues: readonly DiscoveredQueue[], keys: readonly QueueKey[]): readonly DiscoveredQueue[] {
  const byKey = new Map(queues.map((queue) => [queueKey(queue.arn), queue]));
  const wanted = new Set<DiscoveredQueue>();
  const open = [...keys];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const queue = byKey.get(key);
    if (queue === undefined || wanted.has(queue)) continue;
    wanted.add(queue);
    const target = parseQueueArn(queue.attributes.redrivePolicy?.deadLetterTargetArn ?? '');
    if (target !== undefined) open.push(queueKey(target));
  }
  return queues.filter((queue) => wanted.has(queue));
}
