/**
 * Metrics of queues for CloudWatch: every minute one line for each chosen queue on standard output, in the embedded
 * metric format. Where standard output goes to CloudWatch Logs (ECS, App Runner, an agent on EC2), that makes metrics
 * of them, in the namespace and with the dimension that `queue.metric...()` of the constructs names. No call to AWS is
 * made, so no permission is needed.
 *
 * What it costs. AWS: five custom metrics for each queue, $0.30 a month each, and about 20 MB of log a month for each
 * queue. Redis: what a look costs (`depths.ts`), once a minute; nothing for queues at rest in a process that is alone.
 *
 * Several servers each write the depths of the store: `Maximum` is right for them, `Sum` for what was sent. A minute in
 * which the store could not be asked has no lines.
 *
 * Source: "Specification: Embedded metric format", CloudWatch User Guide.
 *
 * @module
 */
import type { Sources } from '../http/ingest/sources.ts';
import type { QueueRef } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import { repeat } from '../retry.ts';
import type { Cancel, Time } from '../time.ts';
import type { Depths } from './depths.ts';

/** The namespace that the constructs name. */
const NAMESPACE = 'Karin';
const INTERVAL_MS = 60_000;

/** Names and units as those of Amazon SQS, as far as Karin knows the figure. */
const UNITS = {
  ApproximateNumberOfMessagesVisible: 'Count',
  ApproximateNumberOfMessagesNotVisible: 'Count',
  ApproximateNumberOfMessagesDelayed: 'Count',
  /** How long the first message that may be received has been due. */
  ApproximateAgeOfOldestMessage: 'Seconds',
  /** By this server since the line before. */
  NumberOfMessagesSent: 'Count',
} as const;

const METRICS = Object.entries(UNITS).map(([Name, Unit]) => ({ Name, Unit }));

export interface CloudWatchParts {
  readonly queues: () => readonly Pick<Queue, 'key' | 'arn'>[];
  /** Whether the queue is published. */
  readonly isChosen: (queue: QueueRef) => boolean;
  readonly depths: Pick<Depths, 'refresh' | 'of' | 'waitsMs'>;
  readonly sources: Pick<Sources, 'counts'>;
  readonly time: Time;
  /** Takes whole lines. */
  readonly write: (lines: string) => void;
}

/** Writes the first lines a minute from now, until the returned function is called. */
export function publishToCloudWatch(parts: CloudWatchParts): Cancel {
  const { queues, isChosen, depths, sources, time, write } = parts;
  let sentBefore: ReadonlyMap<string, number> = new Map();

  const publish = async (): Promise<void> => {
    await depths.refresh();
    const sent = new Map<string, number>();
    for (const { queue, messages } of sources.counts()) sent.set(queue, (sent.get(queue) ?? 0) + messages);
    const lines = queues().flatMap(({ key, arn }): string[] => {
      const depth = isChosen(arn) ? depths.of(key) : undefined;
      if (depth === undefined) return [];
      const values: Record<keyof typeof UNITS, number> = {
        ApproximateNumberOfMessagesVisible: depth.visible,
        ApproximateNumberOfMessagesNotVisible: depth.inFlight,
        ApproximateNumberOfMessagesDelayed: depth.delayed,
        ApproximateAgeOfOldestMessage: Math.floor((depths.waitsMs(key) ?? 0) / 1000),
        // Counts of a queue that was forgotten among thousands begin anew.
        NumberOfMessagesSent: Math.max(0, (sent.get(key) ?? 0) - (sentBefore.get(key) ?? 0)),
      };
      const directive = { Namespace: NAMESPACE, Dimensions: [['QueueName']], Metrics: METRICS };
      const _aws = { Timestamp: Math.floor(time.now()), CloudWatchMetrics: [directive] };
      return [`${JSON.stringify({ _aws, QueueName: arn.name, Queue: key, ...values })}\n`];
    });
    sentBefore = sent;
    if (lines.length > 0) write(lines.join(''));
  };

  return repeat(time, INTERVAL_MS, () => {
    // The loss of the store is in the log, and what was sent meanwhile is in the next lines.
    publish().catch(() => undefined);
  });
}
