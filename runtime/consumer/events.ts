/**
 * The typed events of every step a message takes through the consumer. Tests await them; metrics, the ops page and the
 * log are fed by them; nothing else is.
 *
 * @module
 */
import type { InvokeOutcome } from '../aws/invoke-outcome.ts';
import type { QueueKey } from '../store/store.ts';

/** `undefined`: the message has none. */
type TraceHeaders = readonly (string | undefined)[];

interface OfMapping {
  /** UUID of the event source mapping. */
  readonly mapping: string;
  readonly queue: QueueKey;
}
interface OfBatch extends OfMapping {
  /** Identifies one batch from lease to outcome, in this process. */
  readonly batch: number;
  readonly messageIds: readonly string[];
}

/** Why an Invoke did not succeed; the rows of the outcome table. */
export type FailureReason =
  | 'function-error'
  | 'timeout'
  | 'throttled-past-lease'
  | 'unavailable'
  | 'unreached'
  | 'rejected'
  | 'connection-lost'
  | 'malformed-report'
  | 'oversize-record'
  | 'filter-too-costly';

/** Whether the message was never part of an Invoke: the fault is its own. */
export function neverInvoked(reason: FailureReason): boolean {
  return reason === 'oversize-record' || reason === 'filter-too-costly';
}

export type ConsumerEvent =
  /** An actor took messages from the queue, under a lease; `tookMs`: how long the store took. PolledEventCount. */
  | ({
      readonly kind: 'leased';
      readonly receiveCounts: readonly number[];
      /** Of each message, as in `invoked`. */
      readonly traceHeaders: TraceHeaders;
      readonly tookMs: number;
    } & OfBatch)
  /** Messages that no filter of the mapping matched were deleted. FilteredOutEventCount. */
  | ({ readonly kind: 'filtered-out' } & OfBatch)
  /** One attempt to invoke begins; `attempt` counts from 1 within the lease. InvokedEventCount. */
  | ({
      readonly kind: 'invoked';
      readonly attempt: number;
      readonly functionArn: string;
      readonly payloadBytes: number;
      /** `X-Amzn-Trace-Id` that the function gets. */
      readonly traceHeader: string;
      /** `AWSTraceHeader` of each message. */
      readonly traceHeaders: TraceHeaders;
      /** How long each message has been due, ms; empty from the second attempt on. */
      readonly lateMs: readonly number[];
      /** How old each message is that is shown for the first time, ms. */
      readonly agesMs: readonly number[];
    } & OfBatch)
  /** The attempt came to its end, however it ended; what follows from it is the next event of the batch. */
  | ({
      readonly kind: 'answered';
      readonly attempt: number;
      readonly outcome: InvokeOutcome['kind'];
      readonly durationMs: number;
      /** As in `invoked`. */
      readonly traceHeader: string;
    } & OfBatch)
  /** The function was throttled or unavailable; the next attempt follows inside the same lease. */
  | ({ readonly kind: 'retrying'; readonly attempt: number; readonly inMs: number; readonly reason: string } & OfBatch)
  /**
   * The function answered; these messages were handled. `failedIds`: those it reported as failed (partial batch
   * response).
   */
  | ({ readonly kind: 'succeeded'; readonly failedIds: readonly string[]; readonly durationMs: number } & OfBatch)
  /** Nothing of the batch is deleted: the lease runs out, or `released` follows. FailedInvokeEventCount. */
  | ({
      readonly kind: 'failed';
      readonly reason: FailureReason;
      readonly detail: string;
      readonly durationMs: number;
    } & OfBatch)
  /** Deleted after success; `tookMs`: how long the store took. DeletedEventCount (with filtered-out). */
  | ({ readonly kind: 'deleted'; readonly tookMs: number } & OfBatch)
  /** Given back without having been shown to the function; the receive is not counted. */
  | ({ readonly kind: 'released'; readonly why: string; readonly tookMs: number } & OfBatch)
  /** Moved to the dead-letter queue by a receive. */
  | {
      readonly kind: 'dead-lettered';
      readonly queue: QueueKey;
      readonly target: QueueKey;
      readonly messageIds: readonly string[];
    }
  /** Removed because they were older than the retention period. */
  | { readonly kind: 'expired'; readonly queue: QueueKey; readonly count: number }
  /** A mapping began or stopped being served, or its reason not to be changed. */
  | ({ readonly kind: 'mapping-started' } & OfMapping)
  | ({ readonly kind: 'mapping-stopped'; readonly why: string } & OfMapping)
  /** It is no longer given: what was remembered of it may be forgotten. */
  | ({ readonly kind: 'mapping-removed' } & OfMapping)
  /**
   * Invocations of the mapping do not get through: nothing is leased before `lambda-reached`. Once per trouble, however
   * many batches meet it.
   */
  | ({ readonly kind: 'lambda-trouble'; readonly detail: string } & OfMapping)
  /** The first batch got through again. */
  | ({ readonly kind: 'lambda-reached' } & OfMapping)
  /** Something the operator should know, once per cause. */
  | ({
      readonly kind: 'warning';
      readonly what:
        | 'execution-too-long'
        | 'filters-drop-everything'
        | 'probable-loop'
        | 'several-mappings'
        | 'store-error'
        | 'unknown-tag'
        | 'visibility-too-short';
      readonly detail: string;
    } & OfMapping);

/** Where events go. Listeners are called in order and must not throw; one that does is reported and skipped. */
export interface EventSink {
  emit(event: ConsumerEvent): void;
}

export type EventListener = (event: ConsumerEvent) => void;

/** An {@link EventSink} that can be listened to. */
export interface EventBus extends EventSink {
  /** Calls `listener` with every later event, in the order of subscription, until the returned function is called. */
  subscribe(listener: EventListener): () => void;
}
