/**
 * What this process records of the events of its consumer and its queues. Each event goes to the log, to the counters,
 * to what happened lately and to the history of its queue; traces, alerts and tests listen beside them.
 *
 * @module
 */
import type { ConsumerEvent, EventBus, EventListener } from '../consumer/events.ts';
import type { Log } from '../log.ts';
import type { Notify, QueueEvent } from '../queue/queue.ts';
import type { Documents, Signal } from '../store/store.ts';
import type { Time } from '../time.ts';
import type { OnTransfer, TransferEvent } from '../transfer/transfer.ts';
import { type ActivityLog, createActivityLog } from './activity.ts';
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
