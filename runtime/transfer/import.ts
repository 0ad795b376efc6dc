/**
 * `karin import`: puts back what `karin export` wrote, part by part.
 *
 * A part is the head of the file and some of its further lines, in their order. Every line of a part is read and
 * checked before anything is done, so a part with a wrong line changes nothing. What is done can be repeated: a queue
 * that is there stays as it is, and a message of one export comes into a queue at most once, whatever became of it
 * since (`Store.restore`). So an import that was interrupted is simply begun anew.
 *
 * Order. The messages of a queue are put back in the order of the file, in which those of a FIFO group have theirs. The
 * line of a FIFO queue sets its sequence number first, so that what is sent from then on stands behind.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';
import { type QueueDefinition, queueAttributes } from '../queue/definition.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { newFailure } from '../queue/failure.ts';
import { isFifoName, parseQueueArn, parseQueueKey, type QueueRef, queueKey } from '../queue/names.ts';
import { deduplicationKeyOf } from '../queue/record.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';
import type { KeptMessage, QueueKey, RestoredEntry, RestoreOutcome } from '../store/store.ts';
import {
  ExportFileError,
  type HeadLine,
  keptMessageOf,
  type MessageLine,
  type QueueLine,
  readExportLine,
} from './export-format.ts';

/** Messages and bytes of records that one call to the store takes. */
const MOST_MESSAGES = 500;
const MOST_BYTES = 4 * 1_048_576;

export interface ImportOptions {
  readonly directory: Pick<QueueDirectory, 'setMode'> & {
    find(key: QueueKey): Promise<StoredQueue | undefined>;
    restore(definition: QueueDefinition): Promise<{ readonly queue: StoredQueue; readonly exists: boolean }>;
  };
  /** Puts a token back as it was stored; whether there was none of its id. Errors: `TypeError` (it is none). */
  readonly restoreToken: (token: object, isTrial: boolean) => Promise<boolean>;
  /** Which queues are imported. */
  readonly chooses: (queue: QueueRef) => boolean;
  /** Checks, and changes nothing. */
  readonly isTrial: boolean;
  /** Number in the file of the line after the head; default: 2. */
  readonly firstLine?: number;
}

export interface ImportResult {
  /** Id of the export that the part is of. */
  readonly export: string;
  readonly queues: { created: number; present: number };
  readonly messages: {
    /** Put back; in a trial: would be, unless they are there. */
    imported: number;
    /** A message of that id is in the queue. */
    present: number;
    /** Imported from this export before. */
    earlier: number;
    /** Of queues that are not chosen. */
    passedOver: number;
  };
  readonly tokens: { imported: number; present: number };
  readonly warnings: string[];
}

interface ReadMessage {
  readonly line: MessageLine;
  /** Of the line in the file. */
  readonly number: number;
  readonly kept: KeptMessage;
}

type Act = (result: ImportResult) => Promise<void>;

/** Imports one part. Errors: `ExportFileError`, `StoreFullError`, `StoreUnavailableError`. */
export async function importPart(text: string, options: ImportOptions): Promise<ImportResult> {
  const part = new Part(options);
  const acts = await part.read(text);
  const result: ImportResult = {
    export: part.source,
    queues: { created: 0, present: 0 },
    messages: { imported: 0, present: 0, earlier: 0, passedOver: part.passedOver },
    tokens: { imported: 0, present: 0 },
    warnings: [],
  };
  for (const act of acts) await act(result);
  return result;
}

class Part {
  readonly #options: ImportOptions;
  /** Queues that a line of this part defines. */
  readonly #defined = new Set<QueueKey>();
  /** FIFO-ness of queues that messages of this part belong to. */
  readonly #fifo = new Map<QueueKey, boolean>();
  /** Id of the export. */
  source = '';
  passedOver = 0;

  constructor(options: ImportOptions) {
    this.#options = options;
  }

  /** What is to be done. Nothing is done yet. */
  async read(text: string): Promise<readonly Act[]> {
    const acts: Act[] = [];
    let messages: ReadMessage[] = [];
    const flush = (): void => {
      const together = messages;
      messages = [];
      if (together.length > 0) acts.push((result) => this.#restore(together, result));
    };
    let number = 0;
    let lastN = 0;
    for (const lineText of text.split('\n')) {
      number = number === 1 ? (this.#options.firstLine ?? 2) : number + 1;
      if (lineText === '') continue;
      const line = readExportLine(lineText, number);
      if ((number === 1) !== (line.kind === 'karin-export')) {
        throw new ExportFileError(number, 'the head must be the first line of each part, and only that');
      }
      if (line.kind === 'message') {
        if (line.n <= lastN) throw new ExportFileError(number, `its n is ${line.n}, after ${lastN}; n must grow`);
        lastN = line.n;
        const queue = parseQueueKey(line.queue);
        if (queue === undefined) throw new ExportFileError(number, `${line.queue} names no queue`);
        const kept = await this.#message(line, number);
        if (!this.#options.chooses(queue)) this.passedOver += 1;
        else {
          if (messages[0] !== undefined && messages[0].line.queue !== line.queue) flush();
          messages.push({ line, number, kept });
        }
      } else {
        flush();
        const act = await this.#actOf(line, number);
        if (act !== undefined) acts.push(act);
      }
    }
    if (this.source === '') throw new ExportFileError(1, 'there is nothing');
    flush();
    return acts;
  }

  async #actOf(
    line: Exclude<ReturnType<typeof readExportLine>, MessageLine>,
    number: number,
  ): Promise<Act | undefined> {
    switch (line.kind) {
      case 'karin-export':
        this.#begin(line);
        return undefined;
      case 'queue':
        return this.#queue(line, number);
      case 'token':
        return this.#token(line.token, number);
      case 'end':
        return undefined;
    }
  }

  #begin({ id }: HeadLine): void {
    this.source = id;
  }

  async #queue(line: QueueLine, number: number): Promise<Act | undefined> {
    const arn = parseQueueArn(line.arn);
    if (arn === undefined || queueKey(arn) !== line.queue) {
      throw new ExportFileError(number, `${line.arn} is not the ARN of queue ${line.queue}`);
    }
    const existing = await this.#options.directory.find(line.queue);
    if (line.fifo !== (existing?.definition.fifo ?? isFifoName(arn.name))) {
      const kinds = line.fifo ? ['a FIFO queue', 'a standard queue'] : ['a standard queue', 'a FIFO queue'];
      throw new ExportFileError(number, `${line.queue} is ${kinds[0]} in the file, and ${kinds[1]} here`);
    }
    this.#defined.add(line.queue);
    if (!this.#options.chooses(arn)) return undefined;
    const { fifo, origin, madeBy, mode, attributes, tags } = line;
    const definition: QueueDefinition = {
      ...{ arn, fifo, origin, mode, attributes, tags },
      ...(madeBy === undefined ? {} : { madeBy }),
      ...{ createdAt: Date.parse(line.createdAt), modifiedAt: Date.parse(line.modifiedAt) },
    };
    return (result) => this.#define(definition, Number(line.lastSequenceNumber ?? 0), existing, result);
  }

  async #define(
    definition: QueueDefinition,
    lastSequence: number,
    existing: StoredQueue | undefined,
    { queues, warnings }: ImportResult,
  ): Promise<void> {
    const { directory, isTrial } = this.#options;
    if (isTrial) {
      queues[existing === undefined ? 'created' : 'present'] += 1;
      return;
    }
    const { queue, exists } = await directory.restore(definition);
    queues[exists ? 'present' : 'created'] += 1;
    if (exists) {
      if (
        queue.definition.origin === 'api' &&
        !isDeepStrictEqual(queueAttributes.parse(queue.definition.attributes), definition.attributes)
      ) {
        warnings.push(`${queue.key} is there with other attributes; it keeps them`);
      }
      const { mode, modeAfterAws = mode } = queue.definition;
      // A hold here is not ended by a file.
      if (definition.mode !== 'consume' && modeAfterAws === 'consume') await directory.setMode(queue, definition.mode);
    }
    if (!definition.fifo) return;
    const { sentBefore } = await queue.store.restore({ source: this.source, entries: [], lastSequence });
    if (sentBefore) {
      warnings.push(
        `messages were sent to ${queue.key} before this import; in their groups they come before those of the file`,
      );
    }
  }

  async #message(line: MessageLine, number: number): Promise<KeptMessage> {
    let fifo = this.#fifo.get(line.queue);
    if (fifo === undefined) {
      const queue = await this.#options.directory.find(line.queue);
      // A trial creates no queue, and its parts know nothing of each other.
      if (queue === undefined && !this.#defined.has(line.queue) && !this.#options.isTrial) {
        throw new ExportFileError(number, `there is no queue ${line.queue}; the line of the queue must come first`);
      }
      fifo = isFifoName(line.queue);
      this.#fifo.set(line.queue, fifo);
    }
    return keptMessageOf(line, number, fifo);
  }

  async #restore(lines: readonly ReadMessage[], { messages }: ImportResult): Promise<void> {
    const key = lines[0]?.line.queue ?? '';
    if (this.#options.isTrial) {
      messages.imported += lines.length;
      return;
    }
    const queue = await this.#options.directory.find(key);
    // Somebody deleted it since the part was read.
    if (queue === undefined) throw new ExportFileError(lines[0]?.number ?? 1, `there is no queue ${key}`);
    for (const batch of batches(lines, queue)) {
      const { outcomes } = await queue.store.restore({ source: this.source, entries: batch.entries });
      for (const outcome of outcomes) messages[COUNTED[outcome]] += 1;
      await keepFailures(queue, batch.lines);
    }
  }

  async #token(token: object, number: number): Promise<Act> {
    const { restoreToken, isTrial } = this.#options;
    try {
      await restoreToken(token, true);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new ExportFileError(number, error.message);
    }
    return async ({ tokens }) => {
      tokens[(await restoreToken(token, isTrial)) ? 'imported' : 'present'] += 1;
    };
  }
}

const COUNTED = { restored: 'imported', present: 'present', earlier: 'earlier' } as const satisfies Record<
  RestoreOutcome,
  string
>;

interface Batch {
  readonly entries: RestoredEntry[];
  readonly lines: MessageLine[];
}

/** Messages of one queue as the store takes them at one time. */
function* batches(lines: readonly ReadMessage[], queue: StoredQueue): Generator<Batch> {
  const { fifo, attributes } = queue.definition;
  let batch: Batch = { entries: [], lines: [] };
  let bytes = 0;
  for (const { line, kept } of lines) {
    if (batch.entries.length === MOST_MESSAGES || (bytes > 0 && bytes + kept.record.length > MOST_BYTES)) {
      yield batch;
      batch = { entries: [], lines: [] };
      bytes = 0;
    }
    const { deduplicationId, group } = line;
    const isUnique = fifo && deduplicationId !== undefined && group !== undefined;
    batch.entries.push({
      ...kept,
      position: line.n,
      ...(isUnique ? { deduplicationKey: deduplicationKeyOf(deduplicationId, group, attributes) } : {}),
    });
    batch.lines.push(line);
    bytes += kept.record.length;
  }
  yield batch;
}

/**
 * Keeps what the file tells of failures, also of messages that were there: an import may have been interrupted between
 * the two. What failed here since is newer, and stays.
 */
async function keepFailures(queue: StoredQueue, lines: readonly MessageLine[]): Promise<void> {
  const failed = lines.filter((line) => line.failure !== undefined);
  const present = await queue.store.failures(failed.map(({ id }) => id));
  await queue.store.keepFailures(
    failed.flatMap(({ id, failure }) => {
      if (failure === undefined || present.has(id)) return [];
      const { at, ...rest } = failure;
      return [{ ...newFailure(id, rest), at: Date.parse(at) }];
    }),
  );
}
