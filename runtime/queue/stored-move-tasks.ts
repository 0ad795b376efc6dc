/**
 * Runs message move tasks: one instance at a time, progress written down after every step, taken over when the instance
 * that ran it is gone.
 *
 * A task is a line of steps with a pause between them that keeps the rate. After each step the runner writes the
 * progress by compare-and-set. That write is also its sign of life, and how it hears of a cancellation: if the text is
 * no longer the one it wrote last, it reads again, and goes on, cancels, or lets go, as the document says.
 *
 * Taking over. Whoever hears that a tasks document changed, and does not run that source itself, looks at the document
 * after a silence. A runner that left in good order has taken its name off: then the task is begun at once. If its name
 * is still there, and the text is the same after another silence, the runner is gone, and the compare-and-set on that
 * very text decides who goes on. So nothing is asked while there is no task, and a running one costs the others
 * nothing.
 *
 * @module
 */
import type { Documents, QueueKey, Signal, Store } from '../store/store.ts';
import type { Cancel, Randomness, Time } from '../time.ts';
import {
  activeTask,
  arnOf,
  canRun,
  describeTask,
  MOST_SELECTED,
  MOVE_TASKS_PREFIX,
  type MoveTask,
  MoveTaskError,
  type MoveTaskFailure,
  type MoveTaskOptions,
  type MoveTasks,
  moveStep,
  moveTasksName,
  readMoveTasks,
  readNameText,
  readTaskHandle,
  STEP_LEASE_MS,
  type StoredMoveTask,
  selectionOf,
  writeMoveTasks,
} from './move-task.ts';
import type { Notify, Queue } from './queue.ts';
import type { StoredDirectory } from './stored-directory.ts';
import type { StoredQueue } from './stored-queue.ts';

export interface MoveTasksOptions {
  readonly store: Store;
  readonly directory: StoredDirectory;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly notify: Notify;
}

/** Messages per step at most. */
const STEP_MESSAGES = 100;
/** Silence after which a tasks document is looked at. */
const SILENCE_MS = 30_000;
/** After a fault of the store: when the leases of the step are over, so that its messages are met again. */
const AFTER_FAULT_MS = STEP_LEASE_MS + 1_000;

/**
 * Looks for tasks that were left unfinished and begins to listen. Call `close` before the directory is closed. Errors:
 * `StoreUnavailableError`.
 */
export async function createMoveTasks(options: MoveTasksOptions): Promise<StoredMoveTasks> {
  const tasks = new StoredMoveTasks(options);
  try {
    await tasks.load();
  } catch (error) {
    await tasks.close();
    throw error;
  }
  return tasks;
}

export class StoredMoveTasks implements MoveTasks {
  readonly #options: MoveTasksOptions;
  readonly #documents: Documents;
  /** Identifies this process as a runner. */
  readonly #runner: string;
  readonly #running = new Map<QueueKey, Promise<void>>();
  readonly #silences = new Map<QueueKey, Cancel>();
  /** Ends the pauses of running tasks. */
  readonly #wakers = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #closed = false;

  constructor(options: MoveTasksOptions) {
    this.#options = options;
    this.#documents = options.store.documents;
    this.#runner = options.randomness.uuid();
    this.#unsubscribe = options.store.subscribe((signal) => this.#hear(signal));
  }

  async start(source: Queue, options: MoveTaskOptions = {}): Promise<MoveTask> {
    const { destination, maxPerSecond, sources, messages } = options;
    this.#checkQueues(source, destination, sources);
    if (messages !== undefined && (messages.length < 1 || messages.length > MOST_SELECTED)) {
      throw new RangeError(`1 to ${MOST_SELECTED} messages can be selected, not ${messages.length}`);
    }
    const { randomness, time } = this.#options;
    const task: StoredMoveTask = {
      id: randomness.uuid(),
      sourceArn: arnOf(source),
      ...(destination === undefined ? {} : { destinationArn: arnOf(destination) }),
      ...(maxPerSecond === undefined ? {} : { maxPerSecond }),
      ...(sources === undefined ? {} : { sources: [...sources] }),
      ...(messages === undefined ? { toMove: (await source.depth()).visible } : selectionOf(messages)),
      status: 'RUNNING',
      moved: 0,
      startedAt: time.now(),
      runner: this.#runner,
    };
    const text = await this.#change(source.key, (tasks) => {
      if (activeTask(tasks) === undefined) return [task, ...tasks];
      throw new MoveTaskError(
        'already-running',
        'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
      );
    });
    this.#begin(source.key, text);
    return describeTask(task);
  }

  async cancel(handle: string): Promise<MoveTask> {
    const { id, source } = readTaskHandle(handle);
    let cancelled: StoredMoveTask | undefined;
    await this.#change(source, (tasks) => {
      const task = tasks.find((candidate) => candidate.id === id);
      if (task === undefined) throw new MoveTaskError('no-such-task', 'Task does not exist.');
      if (task.status !== 'RUNNING') {
        throw new MoveTaskError('not-running', `Only a RUNNING task can be cancelled; this one is ${task.status}.`);
      }
      const next: StoredMoveTask = { ...task, status: 'CANCELLING' };
      cancelled = next;
      return tasks.map((candidate) => (candidate.id === id ? next : candidate));
    });
    if (cancelled === undefined) throw new MoveTaskError('no-such-task', 'Task does not exist.');
    return describeTask(cancelled);
  }

  async list(source: Queue): Promise<readonly MoveTask[]> {
    return readMoveTasks(await this.#documents.get(moveTasksName(source.key))).map(describeTask);
  }

  onChange(listener: () => void): Cancel {
    return this.#options.store.subscribe((signal) => {
      if (signal.kind === 'document' && signal.name.startsWith(MOVE_TASKS_PREFIX)) listener();
    });
  }

  /** Goes on with tasks that nobody runs. Errors: `StoreUnavailableError`. */
  async load(): Promise<void> {
    const documents = await this.#documents.list(MOVE_TASKS_PREFIX);
    await Promise.all([...documents.keys()].map((name) => this.#look(name.slice(MOVE_TASKS_PREFIX.length), undefined)));
  }

  /** Lets steps under way finish and takes this process's name off its tasks, so that another goes on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe();
    for (const cancel of this.#silences.values()) cancel();
    this.#silences.clear();
    for (const wake of [...this.#wakers]) wake();
    await Promise.all(this.#running.values());
  }

  #hear(signal: Signal): void {
    if (signal.kind === 'document' && signal.name.startsWith(MOVE_TASKS_PREFIX)) {
      const source = signal.name.slice(MOVE_TASKS_PREFIX.length);
      if (!this.#running.has(source)) this.#lookAfterSilence(source);
    } else if (signal.kind === 'gap') {
      // A store that cannot be read now gives another gap when it is back.
      this.load().catch(() => undefined);
    }
  }

  #checkQueues(source: Queue, destination: Queue | undefined, sources: readonly string[] | undefined): void {
    const sourceArn = arnOf(source);
    const named =
      sources?.length !== 0 &&
      this.#options.directory
        .all()
        .some((queue) => queue.definition.attributes.redrivePolicy?.deadLetterTargetArn === sourceArn);
    if (!named) {
      throw new MoveTaskError('not-a-dead-letter-queue', 'Source queue must be configured as a Dead Letter Queue.');
    }
    if (destination === undefined) return;
    if (destination.definition.fifo !== source.definition.fifo || destination.key === source.key) {
      throw new MoveTaskError(
        'unfit-destination',
        `Messages of ${sourceArn} cannot be moved to ${arnOf(destination)}: the destination must be another queue of the same type (standard or FIFO).`,
      );
    }
  }

  /** Writes what `next` makes of the tasks of a source, again if another was faster; the text written. */
  async #change(
    source: QueueKey,
    next: (tasks: readonly StoredMoveTask[]) => readonly StoredMoveTask[],
  ): Promise<string> {
    const name = moveTasksName(source);
    for (;;) {
      const present = await this.#documents.get(name);
      const text = writeMoveTasks(next(readMoveTasks(present)));
      if (await this.#documents.put(name, text, present ?? null)) return text;
    }
  }

  #lookAfterSilence(source: QueueKey, seen?: string): void {
    this.#silences.get(source)?.();
    if (this.#closed) return;
    const cancel = this.#options.time.after(SILENCE_MS, () => {
      this.#silences.delete(source);
      this.#look(source, seen).catch(() => this.#lookAfterSilence(source, seen));
    });
    this.#silences.set(source, cancel);
  }

  /**
   * Takes over the active task of a source if nobody runs it: no runner, or the text is still the one `seen` a silence
   * ago. One that asks for what this version does not know is left to others.
   */
  async #look(source: QueueKey, seen: string | undefined): Promise<void> {
    const text = await this.#documents.get(moveTasksName(source));
    const tasks = readMoveTasks(text);
    const task = activeTask(tasks);
    if (text === undefined || task === undefined || !canRun(task) || this.#closed || this.#running.has(source)) return;
    if (task.runner !== undefined && text !== seen) {
      this.#lookAfterSilence(source, text);
      return;
    }
    const mine = writeMoveTasks([{ ...task, runner: this.#runner }, ...tasks.slice(1)]);
    if (await this.#documents.put(moveTasksName(source), mine, text)) this.#begin(source, mine);
    else this.#lookAfterSilence(source);
  }

  #begin(source: QueueKey, text: string): void {
    if (this.#closed || this.#running.has(source)) return;
    this.#silences.get(source)?.();
    this.#silences.delete(source);
    const run = this.#run(source, text).finally(() => {
      this.#running.delete(source);
    });
    this.#running.set(source, run);
  }

  /** The life of a task in this process. Never rejects. `text`: the document as this process wrote it. */
  async #run(source: QueueKey, text: string): Promise<void> {
    let held = text;
    for (;;) {
      try {
        const begunAt = this.#options.time.monotonic();
        const [task, ...older] = readMoveTasks(held);
        if (task === undefined) return;
        const next = this.#closed ? letGo(task) : await this.#step(source, task);
        const written: string | undefined = await this.#report(source, held, [next, ...older]);
        if (written === undefined) return;
        held = written;
        const active = activeTask(readMoveTasks(held));
        if (active?.runner === undefined) return;
        // A cancellation that came meanwhile is carried out at once.
        if (active.status === 'RUNNING') await this.#pause(begunAt + stepMs(active) - this.#options.time.monotonic());
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error);
        this.#options.notify({ kind: 'queue-warning', queue: source, what: 'move-task-interrupted', detail });
        // The name stays on the task: another instance, or this one after a restart, takes over after a silence.
        if (this.#closed) return;
        await this.#pause(AFTER_FAULT_MS);
      }
    }
  }

  /** What the task is after its next step. */
  async #step(source: QueueKey, task: StoredMoveTask): Promise<StoredMoveTask> {
    if (task.status === 'CANCELLING') return { ...task, status: 'CANCELLED' };
    const queue = this.#options.directory.byKey(source);
    if (queue === undefined) return failed(task, 'AWS.SimpleQueueService.NonExistentQueue');
    const selection = task.messages?.map(readNameText);
    const remaining = selection?.length ?? task.toMove - task.moved;
    if (remaining <= 0) return { ...task, status: 'COMPLETED' };
    const { moved, expired, met, failure } = await moveStep({
      taskId: task.id,
      source: queue,
      destinationArn: task.destinationArn,
      sources: task.sources,
      maxMessages: Math.min(remaining, stepMessages(task)),
      ...(selection === undefined ? {} : { selection }),
      byKey: (key): StoredQueue | undefined => this.#options.directory.byKey(key),
    });
    if (expired > 0) this.#options.notify({ kind: 'expired', queue: source, count: expired });
    const next: StoredMoveTask = {
      ...task,
      moved: task.moved + moved,
      ...(task.messages === undefined
        ? {}
        : { messages: task.messages.slice(met), left: (task.left ?? 0) + met - moved }),
    };
    if (failure !== undefined) return failed(next, failure);
    const isOver = selection === undefined ? met === 0 || next.moved >= task.toMove : met >= selection.length;
    return isOver ? { ...next, status: 'COMPLETED' } : next;
  }

  /**
   * Writes the progress; the text written, or `undefined` if the task is another's now. A cancellation that came
   * meanwhile is kept.
   */
  async #report(source: QueueKey, held: string, tasks: readonly StoredMoveTask[]): Promise<string | undefined> {
    const name = moveTasksName(source);
    const text = writeMoveTasks(tasks);
    if (text === held || (await this.#documents.put(name, text, held))) return text;
    const [mine] = tasks;
    const present = await this.#documents.get(name);
    const [theirs, ...older] = readMoveTasks(present);
    if (present === undefined || theirs === undefined || theirs.id !== mine?.id || theirs.runner !== this.#runner) {
      return undefined;
    }
    const merged = mine.status === 'RUNNING' ? { ...mine, status: theirs.status } : mine;
    return this.#report(source, present, [merged, ...older]);
  }

  #pause(ms: number): Promise<void> {
    if (ms <= 0 || this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        this.#wakers.delete(wake);
        resolve();
      };
      const cancel = this.#options.time.after(ms, wake);
      this.#wakers.add(wake);
    });
  }
}

function failed(task: StoredMoveTask, failure: MoveTaskFailure): StoredMoveTask {
  return { ...task, status: 'FAILED', failure };
}

function letGo({ runner: _, ...task }: StoredMoveTask): StoredMoveTask {
  return task;
}

function stepMessages(task: StoredMoveTask): number {
  return Math.min(STEP_MESSAGES, task.maxPerSecond ?? STEP_MESSAGES);
}

/** How long a step must take at least, so that the rate holds. */
function stepMs(task: StoredMoveTask): number {
  return task.maxPerSecond === undefined ? 0 : (stepMessages(task) / task.maxPerSecond) * 1000;
}
