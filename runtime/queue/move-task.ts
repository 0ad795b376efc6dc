/**
 * Message move tasks: what is in a dead-letter queue goes back to where it came from, or to another queue, at a bounded rate.
 * Source: StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks; "Configure a dead-letter queue redrive".
 *
 * @module
 */
import type { Queue } from './queue.ts';

/** `CANCELLING`: the one that runs it has yet to hear of the cancellation. */
export type MoveTaskStatus = 'RUNNING' | 'COMPLETED' | 'CANCELLING' | 'CANCELLED' | 'FAILED';

/** Why a task failed, in the words of SQS: the queue to move to does not exist (any more), or a message that was sent to the dead-letter queue directly has no source to go back to. */
export type MoveTaskFailure = 'AWS.SimpleQueueService.NonExistentQueue' | 'CouldNotDetermineMessageSource';

export interface MoveTask {
  /** Opaque; names the task for `cancel`. */
  readonly handle: string;
  readonly sourceArn: string;
  /** Absent: each message goes back to the queue that it came from. */
  readonly destinationArn?: string;
  /** 1 to 500; absent: as fast as the store takes them. */
  readonly maxPerSecond?: number;
  readonly status: MoveTaskStatus;
  /** Messages moved so far, as last written down. */
  readonly moved: number;
  /** Messages that could be received from the source when the task began; no more are moved. */
  readonly toMove: number;
  readonly failure?: MoveTaskFailure;
  /** Epoch ms. */
  readonly startedAt: number;
}

/** Why a call was refused. */
export type MoveTaskRefusal =
  /** No queue names the source as its dead-letter queue. */
  | 'not-a-dead-letter-queue'
  /** The destination is of the other type, or the source itself. */
  | 'unfit-destination'
  /** A source has one active task at most. */
  | 'already-running'
  | 'invalid-handle'
  | 'no-such-task'
  /** Only a running task can be cancelled. */
  | 'not-running';

export class MoveTaskError extends Error {
  override readonly name = 'MoveTaskError';
  readonly refusal: MoveTaskRefusal;
  constructor(refusal: MoveTaskRefusal, message: string) {
    super(message);
    this.refusal = refusal;
  }
}

export interface MoveTasks {
  /**
   * Begins to move messages out of `source`; resolves as soon as that is written down. A moved message is a new one: new id, new sent time, never received.
   * `sources`: ARNs of the only queues to which messages may go back, for a caller who reaches no others; those from elsewhere are as if their source were
   * gone. Errors: `MoveTaskError` (`not-a-dead-letter-queue`, also if `sources` is empty, `unfit-destination`, `already-running`), `StoreUnavailableError`.
   */
  start(source: Queue, destination?: Queue, maxPerSecond?: number, sources?: readonly string[]): Promise<MoveTask>;
  /** Stops a running task; what was moved stays moved. Errors: `MoveTaskError` (`invalid-handle`, `no-such-task`, `not-running`), `StoreUnavailableError`. */
  cancel(handle: string): Promise<MoveTask>;
  /** The latest ten tasks of this source, newest first. Errors: `StoreUnavailableError`. */
  list(source: Queue): Promise<readonly MoveTask[]>;
}
