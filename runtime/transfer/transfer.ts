/**
 * What both directions of a transfer between Karin and SQS share: a run of calls that are tried again until they
 * succeed or the run ends, and what it reports meanwhile.
 *
 * @module
 */
import { type RealQueues, TransferError } from '../aws/real-queues.ts';
import type { QueueMode } from '../queue/definition.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';
import { Attempts, type AttemptsOptions } from '../retry.ts';
import type { QueueKey } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';

/** What a transfer reports while it runs: for the command line, the ops page and the log. Never a message body. */
export type TransferEvent = { readonly queue: QueueKey } & (
  | { readonly kind: 'mode-changed'; readonly from: QueueMode; readonly to: QueueMode }
  /**
   * Held messages were accepted by SQS and deleted here. `total`: since this drain, or this server's forwarding of the
   * queue, began.
   */
  | { readonly kind: 'moved'; readonly count: number; readonly total: number }
  /** Messages of the real queue were stored here and deleted there. `total`: since this pull began. */
  | { readonly kind: 'pulled'; readonly count: number; readonly total: number }
  /** Nothing can be taken now, but there are messages: in flight (a function or another client has them) or delayed. */
  | { readonly kind: 'waiting'; readonly visible: number; readonly delayed: number; readonly inFlight: number }
  /** SQS or the store did not answer as it should; tried again after a pause. */
  | { readonly kind: 'retrying'; readonly inMs: number; readonly reason: string }
  /** SQS will never accept this message as it is; it stays here. */
  | { readonly kind: 'refused'; readonly messageId: string; readonly reason: string }
);

/** Takes the events of a transfer. It must not throw. */
export type OnTransfer = (event: TransferEvent) => void;

/** What a transfer needs, in whichever direction it goes. */
export interface TransferOptions {
  /** With its store below the rules: a message that was accepted by one side is not judged again by the other. */
  readonly queue: StoredQueue;
  readonly directory: Pick<QueueDirectory, 'setMode'>;
  readonly realQueues: RealQueues;
  readonly time: Time;
  readonly randomness: Randomness;
  /** Ends the transfer after the calls under way. */
  readonly signal?: AbortSignal;
  readonly onEvent?: OnTransfer;
  /** Calls to SQS at one time, 1 to 32; default 4. */
  readonly parallel?: number;
}

interface TransferRunOptions extends Pick<TransferOptions, 'queue' | 'time' | 'randomness' | 'signal'> {
  readonly onEvent: OnTransfer;
  /** Whether trying again changes nothing, beside a `TransferError`; default: never. */
  readonly isPermanent?: (error: unknown) => boolean;
}

/**
 * One transfer under way. Its workers end together: when one of them has found that all is done, when one fails for
 * good, or when the caller's signal says so.
 */
export class TransferRun {
  /** For the workers: no further attempt once the run has ended. */
  readonly attempts: Attempts;
  /** For what is asked after the workers have ended: no further attempt once the caller ended the run. */
  readonly closing: Attempts;
  readonly #end = new AbortController();

  constructor({ queue, time, randomness, onEvent, signal, isPermanent }: TransferRunOptions) {
    const caller = signal ?? new AbortController().signal;
    const common: Omit<AttemptsOptions, 'signal'> = {
      time,
      randomness,
      isPermanent: (error) => error instanceof TransferError || isPermanent?.(error) === true,
      onRetry: (inMs, reason) => onEvent({ kind: 'retrying', queue: queue.key, inMs, reason }),
    };
    this.attempts = new Attempts({ ...common, signal: this.#end.signal });
    this.closing = new Attempts({ ...common, signal: caller });
    if (caller.aborted) this.end();
    // The listener ends with the run, so that a signal that outlives it keeps nothing.
    caller.addEventListener('abort', () => this.end(), { once: true, signal: this.#end.signal });
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get ended(): boolean {
    return this.#end.signal.aborted;
  }

  /** Ends all workers, after the calls under way. */
  end(): void {
    this.#end.abort();
  }
}
