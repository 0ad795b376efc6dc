/**
 * Hands every event of the consumer to all who listen: metrics, the ops page, the log, tests.
 *
 * @module
 */
import type { ConsumerEvent, EventSink } from './events.ts';

export type EventListener = (event: ConsumerEvent) => void;

/** An {@link EventSink} that can be listened to. */
export interface EventBus extends EventSink {
  /** Calls `listener` with every later event, in the order of subscription, until the returned function is called. */
  subscribe(listener: EventListener): () => void;
}

/**
 * Creates a bus without listeners.
 *
 * @param report Told of a listener that threw; the other listeners and the emitter go on as if it had not.
 */
export function createEventBus(report: (error: unknown, event: ConsumerEvent) => void): EventBus {
  const subscriptions = new Set<{ readonly listener: EventListener }>();
  return {
    emit: (event) => {
      for (const subscription of subscriptions) {
        try {
          subscription.listener(event);
        } catch (error) {
          report(error, event);
        }
      }
    },
    subscribe: (listener) => {
      // An object per subscription: the same function may listen twice, and each end stops its own.
      const subscription = { listener };
      subscriptions.add(subscription);
      return () => {
        subscriptions.delete(subscription);
      };
    },
  };
}
