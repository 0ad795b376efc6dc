/**
 * What a transfer between Karin and SQS reports while it runs: for the command line, the ops page and the log. Never a message body.
 *
 * @module
 */
import type { QueueKey } from '../queue/arn.ts';
import type { QueueMode } from '../queue/queue-definition.ts';

export type TransferEvent = { readonly queue: QueueKey } & (
  | { readonly kind: 'mode-changed'; readonly from: QueueMode; readonly to: QueueMode }
  /** Held messages were accepted by SQS and deleted here. `total`: since this drain, or this server's forwarding of the queue, began. */
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
