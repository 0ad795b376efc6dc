/**
 * Puts queues on hold while AWS itself consumes them, and lets them go on when it no longer does.
 *
 * Two parties have a say in the mode of a queue, and neither undoes the other. A sync says whether AWS consumes it (a
 * mapping of it is AWS's: `mapping-state.ts`). The operator says what he wants of it: consume, hold, or forward. The
 * definition of the queue keeps both, in one document that is changed by compare-and-set:
 *
 *   the operator wants    AWS consumes it    it does not any more
 *   consume               hold               consume
 *   hold                  hold               hold, until the operator ends it
 *   forward (drained)     forward consume if a mapping of it is served here again, else forward: nobody here would take
 *                         its messages
 *
 * An empty queue that AWS no longer names is forgotten with what the operator wanted of it. If its mapping comes back,
 * it is consumed.
 *
 * Earlier versions kept a list of the queues that they held, without what the operator wanted. It is read once, taken
 * over and removed.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { QueueDirectory } from '../../queue/directory.ts';
import { type QueueArn, queueKey } from '../../queue/names.ts';
import type { Documents } from '../../store/store.ts';
import type { Discovery } from '../discovery/discovery.ts';

export type OnHold = (queue: QueueArn, isHeld: boolean) => void;

/** Applies what syncs find; one for each process. */
export interface Holds {
  /**
   * Sets the modes that `discovery` asks for; answers the queues that AWS consumes. `isRead`: whether it tells of this
   * queue; others stay as they are. Errors: `StoreUnavailableError`.
   */
  apply(discovery: Discovery, isRead: (queue: QueueArn) => boolean): Promise<readonly QueueArn[]>;
}

/** `onHold` is told of each queue that a sync puts on hold, or whose hold it ends. */
export function createHolds(directory: QueueDirectory, documents: Documents, onHold?: OnHold): Holds {
  let takenOver = false;
  return {
    async apply(discovery, isRead) {
      if (!takenOver) await takeOver(directory, documents);
      takenOver = true;
      const foreign = new Set(discovery.foreign.map((mapping) => queueKey(mapping.queueArn)));
      const served = new Set(discovery.mappings.map((mapping) => queueKey(mapping.queueArn)));
      const consumedByAws: QueueArn[] = [];
      for (const queue of directory.all()) {
        const consumed = foreign.has(queue.key);
        if (!consumed && !isRead(queue.arn)) continue;
        if (consumed) consumedByAws.push(queue.arn);
        if (consumed !== (queue.definition.modeAfterAws !== undefined)) {
          const { mode: before } = queue.definition;
          await directory.setConsumedByAws(queue, consumed, served.has(queue.key));
          const { mode } = queue.definition;
          if (mode !== before && (mode === 'hold' || before === 'hold')) onHold?.(queue.arn, mode === 'hold');
        }
      }
      return consumedByAws;
    },
  };
}

/** The list of earlier versions: keys of the queues that a sync held, or that were drained meanwhile. */
const EARLIER = 'sync:held';
const earlierList = z.array(z.string());

async function takeOver(directory: QueueDirectory, documents: Documents): Promise<void> {
  const text = await documents.get(EARLIER);
  if (text === undefined) return;
  for (const key of readEarlier(text)) {
    const queue = directory.byKey(key);
    if (queue === undefined || queue.definition.modeAfterAws !== undefined) continue;
    const { mode } = queue.definition;
    await directory.setConsumedByAws(queue, true);
    // Those versions ended every hold of such a queue, whoever had begun it.
    if (mode === 'hold') await directory.setMode(queue, 'consume');
  }
  await documents.remove(EARLIER, text);
}

function readEarlier(text: string): readonly string[] {
  try {
    return earlierList.parse(JSON.parse(text));
  } catch {
    // What it held then is held on, and the operator sees it.
    return [];
  }
}
