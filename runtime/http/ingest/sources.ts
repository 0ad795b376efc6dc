/**
 * Where messages come from: counts by queue and kind of sender, the last deliveries that were refused, and
 * subscriptions to topics. In memory, since the server began, and bounded whatever senders name; each server knows
 * what came to itself.
 *
 * @module
 */

import type { SendSource, SourceKind } from '../../sqs/request.ts';
import type { QueueKey } from '../../store/store.ts';

export interface SourceCount {
  readonly queue: QueueKey;
  readonly kind: SourceKind;
  /** A topic, or what the URL says of its sender; absent: nothing is known beyond the kind. */
  readonly name?: string;
  readonly messages: number;
}

export interface RefusedDelivery {
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number;
  /** The queue as the URL named it. */
  readonly queue: string;
  /** The code of the answer. */
  readonly reason: string;
  readonly status: number;
  /** A sentence without a body and without a secret. */
  readonly text: string;
}

export const SUBSCRIPTION_STATES = ['waiting', 'confirmed', 'ended'] as const;
export type SubscriptionState = (typeof SUBSCRIPTION_STATES)[number];

export interface TopicSubscription {
  readonly queue: string;
  readonly topic: string;
  readonly state: SubscriptionState;
  /** Since when, wall clock, milliseconds since the epoch. */
  readonly since: number;
}

export interface Sources {
  /** Messages were stored. */
  sent(queue: QueueKey, source: SendSource, messages: number): void;
  refused(refusal: Omit<RefusedDelivery, 'at'>): void;
  subscription(queue: string, topic: string, state: SubscriptionState): void;
  counts(): readonly SourceCount[];
  /** Refused deliveries by reason, since the server began. */
  refusals(): ReadonlyMap<string, number>;
  /** Newest first. */
  lastRefused(): readonly RefusedDelivery[];
  subscriptions(): readonly TopicSubscription[];
}

/** Queues with a count of their own. */
const KEPT_QUEUES = 5_000;
/** Named senders; those that come later are counted without a name. */
const KEPT_NAMES = 200;
const KEPT_REFUSALS = 20;
const KEPT_SUBSCRIPTIONS = 100;
/** The text of a refusal may repeat what was sent. */
const LONGEST_TEXT = 300;

/** How many messages were stored since it was last called. */
export type TakeSent = () => number;

interface QueueCounts {
  /** Messages that the history was not told of. */
  untold: number;
  /** Without a name. */
  readonly plain: Map<SourceKind, number>;
  readonly named: Map<string, { readonly kind: SourceKind; readonly name: string; messages: number }>;
}

/**
 * `now`: wall clock, milliseconds since the epoch. `sending` is told of the first messages for a queue since `take` was
 * last called, so that many sends cost it one call.
 */
export function createSources(now: () => number, sending?: (queue: QueueKey, take: TakeSent) => void): Sources {
  const queues = new Map<QueueKey, QueueCounts>();
  const reasons = new Map<string, number>();
  const refusals: RefusedDelivery[] = [];
  const subscriptions = new Map<string, TopicSubscription>();
  let names = 0;

  const newCounts = (queue: QueueKey): QueueCounts => {
    const counts: QueueCounts = { untold: 0, plain: new Map(), named: new Map() };
    queues.set(queue, counts);
    for (const [oldest, { named }] of queues) {
      if (queues.size <= KEPT_QUEUES) break;
      queues.delete(oldest);
      names -= named.size;
    }
    return counts;
  };

  const tell = (queue: QueueKey, counts: QueueCounts): void =>
    sending?.(queue, () => {
      const { untold } = counts;
      counts.untold = 0;
      return untold;
    });

  return {
    sent: (queue, { kind, name }, messages) => {
      const counts = queues.get(queue) ?? newCounts(queue);
      const { plain, named } = counts;
      counts.untold += messages;
      if (counts.untold === messages) tell(queue, counts);
      const key = name === undefined ? undefined : `${kind} ${name}`;
      const known = key === undefined ? undefined : named.get(key);
      if (known !== undefined) known.messages += messages;
      else if (key === undefined || name === undefined || names >= KEPT_NAMES) {
        plain.set(kind, (plain.get(kind) ?? 0) + messages);
      } else {
        names += 1;
        named.set(key, { kind, name, messages });
      }
    },
    refused: (refusal) => {
      reasons.set(refusal.reason, (reasons.get(refusal.reason) ?? 0) + 1);
      refusals.unshift({ ...refusal, text: refusal.text.slice(0, LONGEST_TEXT), at: now() });
      if (refusals.length > KEPT_REFUSALS) refusals.pop();
    },
    subscription: (queue, topic, state) => {
      const key = `${queue} ${topic}`;
      subscriptions.delete(key);
      subscriptions.set(key, { queue, topic, state, since: now() });
      for (const oldest of subscriptions.keys()) {
        if (subscriptions.size <= KEPT_SUBSCRIPTIONS) break;
        subscriptions.delete(oldest);
      }
    },
    counts: () =>
      [...queues].flatMap(([queue, { plain, named }]) => [
        ...[...plain].map(([kind, messages]) => ({ queue, kind, messages })),
        ...[...named.values()].map((one) => ({ queue, ...one })),
      ]),
    refusals: () => reasons,
    lastRefused: () => refusals,
    subscriptions: () => [...subscriptions.values()].reverse(),
  };
}
