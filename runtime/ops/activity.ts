/**
 * What this process records of the events of its consumer and its queues. Each event goes to the log, to the counters,
 * to what happened lately and to the history of its queue; traces, alerts and tests listen beside them.
 *
 * Never a body, never a secret.
 *
 * @module
 */
import type { ConsumerEvent, EventBus, EventListener } from '../consumer/events.ts';
import type { Log } from '../log.ts';
import type { Notify, QueueEvent } from '../queue/queue.ts';
import type { Documents, QueueKey, Signal } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';
import type { OnTransfer, TransferEvent } from '../transfer/transfer.ts';
import { countMetrics, type MetricCounts } from './counts.ts';
import { createHistory, type History } from './history.ts';

export interface Recording {
  /** Takes the events of the consumer. */
  readonly bus: EventBus;
  /** Takes what queues do by themselves. */
  readonly notify: Notify;
  /** Takes the steps of transfers. */
  readonly onTransfer: OnTransfer;
  readonly counts: MetricCounts;
  readonly activity: ActivityLog;
  /** To be closed by the caller. */
  readonly history: History;
}

/** Records from now on. */
export function recordEvents(documents: Documents, time: Time, log: Log): Recording {
  const bus = createEventBus((error, event) =>
    log.error({ err: error, kind: event.kind }, 'a listener of events failed'),
  );
  bus.subscribe(logEvents(log));
  const counts = countMetrics(bus);
  const activity = createActivityLog(bus, () => time.now());
  const history = createHistory({ documents, bus, time, log });
  activity.onChange((event) => {
    // A start of the server serves every mapping; noting that would write a document for each.
    if (!event.kind.startsWith('mapping-')) history.noted(event.queue, event);
  });
  return {
    bus,
    notify: (event) => {
      if (event.kind !== 'queue-warning') return bus.emit(event);
      activity.queueWarned(event);
      logQueueWarning(log, event);
    },
    onTransfer: (event) => {
      logTransfer(log, event);
      activity.transferred(event);
    },
    counts,
    activity,
    history,
  };
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

/*
 * What happened lately: the last events of the consumer and the warnings that still stand, for the ops page.
 */

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

/*
 * Writes the events of the consumer into the log. What a function itself said is left out: an error message often
 * quotes the message it failed on.
 */

type Level = 'debug' | 'info' | 'warn';

const LEVELS: Readonly<Record<ConsumerEvent['kind'], Level>> = {
  leased: 'debug',
  'filtered-out': 'debug',
  invoked: 'debug',
  answered: 'debug',
  retrying: 'info',
  succeeded: 'debug',
  failed: 'warn',
  deleted: 'debug',
  released: 'debug',
  'dead-lettered': 'warn',
  expired: 'info',
  'lambda-trouble': 'warn',
  'lambda-reached': 'info',
  'mapping-started': 'info',
  'mapping-stopped': 'info',
  'mapping-removed': 'debug',
  warning: 'warn',
};

/** Reasons whose detail was written by the function, not by Karin or AWS. */
const FUNCTION_SAID: ReadonlySet<string> = new Set(['function-error', 'malformed-report']);

/** A value for each message of a batch, of which there may be ten thousand; sums of them stand in the metrics. */
const NOT_LOGGED = { traceHeaders: undefined, lateMs: undefined, agesMs: undefined };

/** A listener for the event bus. */
export function logEvents(log: Log): EventListener {
  return (event) => {
    const level = LEVELS[event.kind];
    if (!log.isLevelEnabled(level)) return;
    const { kind, ...all } = event;
    const members = { ...all, ...('traceHeaders' in all && NOT_LOGGED) };
    if (kind === 'failed' && FUNCTION_SAID.has(event.reason)) log[level]({ ...members, detail: undefined }, kind);
    else log[level](members, kind);
  };
}

/** Writes what a queue warns of by itself. */
function logQueueWarning(log: Log, event: QueueEvent & { readonly kind: 'queue-warning' }): void {
  const { kind, ...members } = event;
  log.warn(members, kind);
}

const TRANSFER_LEVELS: Readonly<Record<TransferEvent['kind'], Level>> = {
  'mode-changed': 'info',
  moved: 'info',
  pulled: 'info',
  waiting: 'debug',
  retrying: 'warn',
  refused: 'warn',
};

/** Writes what moves between here and SQS. */
function logTransfer(log: Log, { kind, ...members }: TransferEvent): void {
  log[TRANSFER_LEVELS[kind]](members, kind);
}

/** Writes what the store lost, and what was made of it. */
export function logStoreLoss(log: Log, signal: Signal): void {
  if (signal.kind === 'emptied') {
    const { queues, tokens, restored } = signal;
    log.error(
      { queues, tokens, restored },
      'the store came back empty: every message in it is lost. Queues, modes, tokens and secrets that the servers had in memory are written again, and AWS is read anew',
    );
  } else if (signal.kind === 'unreadable') {
    const { name, asideAs, fault, restored } = signal;
    log.error(
      { document: name, asideAs, fault, restored },
      'a stored document cannot be read and was set aside under another name',
    );
  }
}
