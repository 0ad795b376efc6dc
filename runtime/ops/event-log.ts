/**
 * Writes the events of the consumer into the log. What a function itself said is left out: an error message often quotes the message it failed on.
 *
 * @module
 */
import type { ConsumerEvent } from '../consumer/events.ts';
import type { Log } from '../log.ts';
import type { QueueEvent } from '../queue/queue-events.ts';
import type { Signal } from '../store/store.ts';
import type { OnTransfer, TransferEvent } from '../transfer/transfer-events.ts';

type Level = 'debug' | 'info' | 'warn';

const LEVELS: Readonly<Record<ConsumerEvent['kind'], Level>> = {
  leased: 'debug',
  'filtered-out': 'debug',
  invoked: 'debug',
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

/** A listener for the event bus. */
export function logEvents(log: Log): (event: ConsumerEvent) => void {
  return (event) => {
    const level = LEVELS[event.kind];
    if (!log.isLevelEnabled(level)) return;
    const { kind, ...members } = event;
    if (kind === 'failed' && FUNCTION_SAID.has(event.reason)) log[level]({ ...members, detail: undefined }, kind);
    else log[level](members, kind);
  };
}

/** Writes what a queue warns of by itself. */
export function logQueueWarning(log: Log, event: QueueEvent & { readonly kind: 'queue-warning' }): void {
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
export function logTransfers(log: Log): OnTransfer {
  return ({ kind, ...members }) => log[TRANSFER_LEVELS[kind]](members, kind);
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
