/**
 * What happened lately: the last events of the consumer and the warnings that still stand, for the ops page. Never a
 * body, never a secret.
 *
 * @module
 */
import type { ConsumerEvent, EventBus } from '../consumer/events.ts';
import type { QueueEvent } from '../queue/queue.ts';
import type { QueueKey } from '../store/store.ts';
import type { Cancel } from '../time.ts';
import type { TransferEvent } from '../transfer/transfer.ts';

/** How many events are kept; at about 200 bytes each they weigh nothing. */
const KEPT_EVENTS = 200;
const KEPT_WARNINGS = 100;
/** Of an event that is about messages, how many of them are remembered: most batches have no more. */
const KEPT_IDS = 100;

export interface Activity {
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number;
  readonly kind: ConsumerEvent['kind'] | TransferEvent['kind'] | 'queue-warning' | 'transfer-ended';
  /** `region:account:name`. */
  readonly queue: string;
  readonly mapping?: string;
  /** A sentence without message bodies. */
  readonly text: string;
  readonly level: 'info' | 'good' | 'bad';
}

export interface ActivityLog {
  /** Newest first. */
  recent(): readonly Activity[];
  /** What the last events of this process say of one message, oldest first. */
  ofMessage(queue: QueueKey, id: string): readonly Activity[];
  /** Warnings, newest first, each cause once. */
  warnings(): readonly Activity[];
  /** The last failure of each mapping whose last batch failed, by its UUID. */
  failing(): ReadonlyMap<string, Activity>;
  /** Calls `listener` after each event that is shown, until the returned function is called. */
  onChange(listener: (activity: Activity) => void): Cancel;
  /** Takes what a queue warns of by itself, beside the events of the consumer. */
  queueWarned(event: QueueEvent & { readonly kind: 'queue-warning' }): void;
  /**
   * Takes a step of a transfer. Steps that only count on are one activity, or a long drain would push out all others.
   */
  transferred(event: TransferEvent): void;
  /** Takes how a transfer ended. */
  transferEnded(queue: QueueKey, text: string, level: Activity['level']): void;
}

/** Listens to `bus` from now on. `now`: wall clock, milliseconds since the epoch. */
export function createActivityLog(bus: EventBus, now: () => number): ActivityLog {
  const ring: Activity[] = [];
  /** Activities about messages, and which. */
  const traced: { readonly activity: Activity; readonly ids: readonly string[] }[] = [];
  const failing = new Map<string, Activity>();
  const listeners = new Set<(activity: Activity) => void>();
  const warnings = new Map<string, Activity>();
  /** The last step of the transfer of a queue, and how many messages it stands for. */
  const steps = new Map<string, { readonly activity: Activity; readonly count: number }>();

  const keep = (activity: Activity): void => {
    ring.push(activity);
    if (ring.length > KEPT_EVENTS) ring.shift();
    for (const listener of [...listeners]) listener(activity);
  };
  const warn = (cause: string, activity: Activity): void => {
    warnings.delete(cause);
    warnings.set(cause, activity);
    for (const oldest of warnings.keys()) {
      if (warnings.size <= KEPT_WARNINGS) break;
      warnings.delete(oldest);
    }
  };

  const forgetWarnings = (mapping: string): void => {
    for (const [cause, warning] of warnings) if (warning.mapping === mapping) warnings.delete(cause);
  };

  bus.subscribe((event) => {
    if (event.kind === 'mapping-removed') {
      forgetWarnings(event.mapping);
      failing.delete(event.mapping);
    }
    const described = describe(event);
    if (described === undefined) return;
    const activity: Activity = {
      at: now(),
      kind: event.kind,
      queue: event.queue,
      ...('mapping' in event ? { mapping: event.mapping } : {}),
      ...described,
    };
    if (event.kind === 'failed' || event.kind === 'succeeded') {
      if (described.level === 'bad') failing.set(event.mapping, activity);
      else failing.delete(event.mapping);
    }
    keep(activity);
    if ('messageIds' in event) {
      traced.push({ activity, ids: event.messageIds.slice(0, KEPT_IDS) });
      if (traced.length > KEPT_EVENTS) traced.shift();
    }
    if (event.kind === 'warning') warn(`${event.mapping} ${event.what}`, activity);
    if (event.kind === 'lambda-trouble') warn(`${event.mapping} ${event.kind}`, activity);
    if (event.kind === 'lambda-reached') warnings.delete(`${event.mapping} lambda-trouble`);
    if (event.kind === 'mapping-stopped') forgetWarnings(event.mapping);
  });
  return {
    recent: () => [...ring].reverse(),
    ofMessage: (queue, id) =>
      traced.flatMap(({ activity, ids }) => (activity.queue === queue && ids.includes(id) ? [activity] : [])),
    warnings: () => [...warnings.values()].reverse(),
    failing: () => failing,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    queueWarned: ({ queue, what, detail }) => {
      const activity: Activity = { at: now(), kind: 'queue-warning', queue, text: `${what}: ${detail}`, level: 'bad' };
      keep(activity);
      warn(`${queue} ${what}`, activity);
    },
    transferred: (event) => {
      const before = steps.get(event.queue);
      const counts = before?.activity.kind === event.kind ? before.count : 0;
      const count = 'count' in event ? counts + event.count : 0;
      const described = describeTransfer(event, count);
      if (described === undefined) return;
      const activity: Activity = { at: now(), kind: event.kind, queue: event.queue, ...described };
      const place = before !== undefined && counts > 0 ? ring.indexOf(before.activity) : -1;
      if (place >= 0) ring.splice(place, 1);
      keep(activity);
      steps.set(event.queue, { activity, count });
    },
    transferEnded: (queue, text, level) => {
      steps.delete(queue);
      keep({ at: now(), kind: 'transfer-ended', queue, text, level });
    },
  };
}

/** `count`: messages of this step and of those before it that it continues. */
function describeTransfer(event: TransferEvent, count: number): Pick<Activity, 'text' | 'level'> | undefined {
  switch (event.kind) {
    case 'mode-changed':
      return { text: `mode ${event.from} became ${event.to}`, level: 'info' };
    case 'moved':
      return { text: `${counted(count)} moved to SQS`, level: 'good' };
    case 'pulled':
      return { text: `${counted(count)} brought here from SQS`, level: 'good' };
    case 'retrying':
      return { text: `${event.reason}; again in ${Math.round(event.inMs)} ms`, level: 'info' };
    case 'refused':
      return { text: `SQS refused message ${event.messageId}: ${event.reason}`, level: 'bad' };
    // Said again every second, and the numbers of the page say it too.
    case 'waiting':
      return undefined;
  }
}

function describe(event: ConsumerEvent): Pick<Activity, 'text' | 'level'> | undefined {
  switch (event.kind) {
    case 'invoked':
      return event.attempt === 1
        ? {
            text: `${counted(event.messageIds.length)} sent to ${nameOf(event.functionArn)}, ${event.payloadBytes} bytes`,
            level: 'info',
          }
        : { text: `attempt ${event.attempt} for ${counted(event.messageIds.length)}`, level: 'info' };
    case 'retrying':
      return { text: `${event.reason}; again in ${Math.round(event.inMs)} ms`, level: 'info' };
    case 'succeeded':
      return event.failedIds.length === 0
        ? { text: `${counted(event.messageIds.length)} handled in ${Math.round(event.durationMs)} ms`, level: 'good' }
        : { text: `${event.failedIds.length} of ${counted(event.messageIds.length)} reported as failed`, level: 'bad' };
    case 'failed':
      return { text: `${counted(event.messageIds.length)} failed, ${event.reason}: ${event.detail}`, level: 'bad' };
    case 'filtered-out':
      return { text: `${counted(event.messageIds.length)} deleted: no filter matched`, level: 'info' };
    case 'released':
      return { text: `${counted(event.messageIds.length)} given back: ${event.why}`, level: 'info' };
    case 'dead-lettered':
      return { text: `${counted(event.messageIds.length)} moved to ${event.target.split(':').at(-1)}`, level: 'bad' };
    case 'expired':
      return { text: `${event.count} past the retention period, removed`, level: 'bad' };
    case 'mapping-started':
      return { text: 'mapping served', level: 'good' };
    case 'mapping-stopped':
      return { text: `mapping no longer served: ${event.why}`, level: 'info' };
    case 'lambda-trouble':
      return {
        text: `invocations do not get through, so nothing is received until they do: ${event.detail}`,
        level: 'bad',
      };
    case 'lambda-reached':
      return { text: 'invocations get through again', level: 'good' };
    case 'warning':
      return { text: `${event.what}: ${event.detail}`, level: 'bad' };
    // Part of every successful batch; showing them would hide the rest.
    case 'leased':
    case 'answered':
    case 'deleted':
    // `mapping-stopped` was shown before it.
    case 'mapping-removed':
      return undefined;
  }
}

function counted(count: number): string {
  return count === 1 ? '1 message' : `${count} messages`;
}

/** The name of a function, with its alias or version if it has one. */
export function nameOf(functionArn: string): string {
  return functionArn.split(':').slice(6).join(':') || functionArn;
}
