/**
 * A queue in the place of the real ones, without HTTP between, so that a test with a clock that stands still sees every
 * step.
 *
 * @module
 */

import type { RealQueues, RealSendOutcome } from '../../../runtime/aws/real-queues.ts';
import type { StoredQueue } from '../../../runtime/queue/stored-queue.ts';

/** `accepts`: asked for each message that is sent, whether SQS takes it this time; by default it always does. */
export function queueAsSqs(queue: StoredQueue, accepts: () => boolean = () => true): RealQueues {
  return {
    send: async (_arn, entries) => {
      const outcomes: RealSendOutcome[] = [];
      for (const { delaySeconds, ...message } of entries) {
        if (!accepts()) {
          outcomes.push({ kind: 'failed', reason: 'InternalError: try again' });
          continue;
        }
        const [sent] = await queue.send([
          {
            ...message,
            id: crypto.randomUUID(),
            senderId: 'AROASERVER',
            ...(delaySeconds !== undefined && { delayMs: delaySeconds * 1000 }),
          },
        ]);
        outcomes.push({ kind: 'sent', messageId: sent?.id ?? '' });
      }
      return outcomes;
    },
    receive: (_arn, { maxMessages, waitSeconds, visibilityTimeoutSeconds, signal }) =>
      queue.receive({
        maxMessages,
        waitMs: waitSeconds * 1000,
        visibilityTimeoutMs: visibilityTimeoutSeconds * 1000,
        ...(signal !== undefined && { signal }),
      }),
    delete: async (_arn, handles) =>
      (await queue.delete(handles)).map((outcome) => outcome === 'done' || outcome === 'missing'),
    depth: () => queue.depth(),
    close: () => {},
  };
}
