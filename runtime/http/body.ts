/**
 * Reads request bodies, and counts what memory they and the answers really take.
 *
 * The rule that this and `edge.ts` keep: what a stranger sends costs little memory, and strangers make room for each
 * other, never callers for strangers.
 *
 * Memory is handed out in three shares. `strangers`: bodies whose sender nobody knows yet. `callers`: bodies of senders
 * who are known, or who named a key that this server has. `answers`: what was answered and not yet taken by its reader.
 * Each holder of a share may keep a little that is not counted, so that ordinary requests pass even where a share is
 * used up; the number of connections bounds the sum of that. Where more is wanted than a share has left, the oldest
 * holder that may be ended is ended: a stranger's unfinished body, a body whose signature is not proven yet, an answer
 * that is not read. An honest one is done within milliseconds, so the oldest is the one that holds on purpose. Where
 * none may be ended, the newcomer is refused.
 *
 * A body is kept in one buffer that grows by doubling, and what is counted is that buffer. Bytes come in chunks of the
 * sender's choosing: kept as they come, a chunk of one byte takes some three hundred. Handling a chunk takes time as
 * well, so the bound of a body counts each as `CHUNK_COST` bytes at least.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { SqsError } from '../sqs/errors.ts';

const MIB = 1_048_576;
const KIB = 1_024;

/**
 * The largest body that is read of a known sender, bytes. A batch holds at most 1 MiB of message bodies and attributes
 * (SQS quotas, "Message size"), but travels encoded. The worst inflation is sixfold: a character of one byte as an
 * escape of JSON (`\u007f`, which Python writes for U+007F). Base64 that is percent-encoded in a form is fourfold,
 * percent-encoded text threefold. A quarter MiB is left for names, ids, receipt handles and the QueueUrl.
 */
export const LARGEST_BODY = 6 * MIB + MIB / 4;

/**
 * The first bytes of a stranger's body, in which a capability should stand. SDKs write members in the order in which
 * the program names them, and most programs begin with the QueueUrl.
 */
export const PREFIX_BYTES = 2 * KIB;

/**
 * The most of a body that is read while its sender is unknown, bytes: a message of the full size before the QueueUrl,
 * not inflated.
 */
export const LARGEST_UNPROVEN_BODY = MIB + 64 * KIB;

/**
 * What a chunk counts at least, bytes; a thousand small ones are not counted, because the network may cut a body as it
 * likes.
 */
export const CHUNK_COST = 64;
const FREE_COST = 1_000 * CHUNK_COST;

const EMPTY: Buffer = Buffer.alloc(0);

/** What one holder keeps of a share. */
export interface Holding {
  /** Says that the holder keeps `bytes` in all; `false`: there is no room, and it keeps what it had. */
  resize(bytes: number): boolean;
  /** From now on it is not ended to make room. */
  keep(): void;
  /** Gives everything back. To be called at least once. */
  release(): void;
}

/** A part of the memory, for holders of one kind. */
export interface Share {
  /**
   * A new holder, of nothing yet. `end`: what ends it when it has to make room; it must call `release`. Absent: it is
   * never ended.
   */
  hold(end?: () => void): Holding;
  readonly total: number;
}

/** `total`: bytes of all holders together. `freeBytes`: what each may keep besides, uncounted. */
export function createShare(total: number, freeBytes: number): Share {
  let used = 0;
  /** Holders that may be ended and have something counted, oldest first. */
  const endable = new Map<object, () => void>();

  const makeRoom = (wanted: number, asking: object): boolean => {
    for (const [holder, end] of endable) {
      if (used + wanted <= total) break;
      if (holder !== asking) end();
    }
    return used + wanted <= total;
  };

  return {
    total,
    hold: (end) => {
      let counted = 0;
      let endIt = end;
      const holding: Holding = {
        resize: (bytes) => {
          const more = Math.max(0, bytes - freeBytes) - counted;
          if (more === 0) return true;
          if (more > 0 && used + more > total && !makeRoom(more, holding)) return false;
          used += more;
          counted += more;
          if (endIt !== undefined && !endable.has(holding)) endable.set(holding, endIt);
          return true;
        },
        keep: () => {
          endIt = undefined;
          endable.delete(holding);
        },
        release: () => {
          endable.delete(holding);
          used -= counted;
          counted = 0;
        },
      };
      return holding;
    },
  };
}

export interface Memory {
  readonly strangers: Share;
  readonly callers: Share;
  readonly answers: Share;
}

/**
 * What each share may hold, bytes. Together they are a good part of what a 256 MB machine has left beside the server
 * and its Redis.
 */
export interface MemoryBudget {
  readonly strangers: number;
  readonly callers: number;
  readonly answers: number;
}

/** Seven of the largest unproven bodies; five of the largest bodies; eight answers of the largest receive. */
export const MEMORY_BUDGET: MemoryBudget = { strangers: 8 * MIB, callers: 32 * MIB, answers: 16 * MIB };

/** What a known sender's body and each answer may hold uncounted, bytes: more than most messages are. */
export const FREE_BYTES = 16 * KIB;

export function createMemory(budget: Partial<MemoryBudget> = {}): Memory {
  const { strangers, callers, answers } = { ...MEMORY_BUDGET, ...budget };
  return {
    strangers: createShare(strangers, PREFIX_BYTES),
    callers: createShare(callers, FREE_BYTES),
    answers: createShare(answers, FREE_BYTES),
  };
}

/** The client went away before its request was complete; there is nobody to answer. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
}

export interface ReadBody {
  readonly bytes: Uint8Array;
  /** The whole body proved its sender: it is a caller's from now on. Errors: `SqsError` ServiceUnavailable. */
  proven(): void;
  /** To be called once the request is answered. */
  release(): void;
}

/**
 * Who sends, as far as it is known before the body: `proven`; `claimed`: the body will prove it; else a stranger, with
 * the way in which the beginning of a body may prove it.
 */
export type Sender =
  | 'proven'
  | 'claimed'
  | {
      /**
       * Looks at a beginning of the body of up to `PREFIX_BYTES`, once: whether it proves the sender. Errors: those to
       * refuse the request with.
       */
      readonly proves: (beginning: Uint8Array) => boolean;
    };

const NOTHING: ReadBody = { bytes: new Uint8Array(0), proven: () => {}, release: () => {} };

/**
 * Reads the whole body. Errors: `SqsError` RequestEntityTooLarge as soon as it is known to be larger than `limit`,
 * ServiceUnavailable if there is no room or it had to make room; those of `proves`; `ClientGoneError`. After another
 * error than that the connection must be closed: what is left of the body was not read.
 */
export function readBody(
  request: IncomingMessage,
  memory: Memory,
  sender: Sender,
  limit = LARGEST_BODY,
): Promise<ReadBody> {
  const announced = request.headers['content-length'];
  if (announced === undefined && request.headers['transfer-encoding'] === undefined) return Promise.resolve(NOTHING);
  if (announced === '0') return Promise.resolve(NOTHING);
  const length = announced === undefined ? undefined : Number(announced);
  // Chunks take time as well as memory, and no SDK sends a request in chunks.
  if (length === undefined && typeof sender === 'object') return Promise.reject(unannounced());
  if (length !== undefined && length > limit) return Promise.reject(tooLarge(limit));

  return new Promise((resolve, reject) => {
    // Most bodies are small, of a known sender, and come in one piece: nothing of them is counted, so nobody need
    // count.
    const isUncounted = typeof sender === 'string' && length !== undefined && length <= FREE_BYTES;
    let whole: Buffer | undefined;
    let reading: Reading | undefined;
    const counted = (): Reading => {
      reading ??= new Reading(memory, sender, limit, length, (error) => fail(error));
      return reading;
    };
    const stop = (): void => {
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    };
    const fail = (error: Error): void => {
      stop();
      reading?.release();
      // What still comes until the connection is closed is thrown away; paused, it would be kept, chunk by chunk.
      request.on('error', () => {});
      request.resume();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      if (isUncounted && chunk.length === length) {
        whole = chunk;
        return;
      }
      try {
        counted().add(chunk);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    };
    const onEnd = (): void => {
      stop();
      resolve(whole === undefined ? counted().whole() : { ...NOTHING, bytes: whole });
    };
    const onClose = (): void =>
      fail(new ClientGoneError('the client closed the connection before its request was complete'));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

/** One body on its way. */
class Reading {
  readonly #memory: Memory;
  readonly #limit: number;
  /** Bytes that were announced. */
  readonly #announced: number | undefined;
  readonly #fail: (error: Error) => void;
  #holding: Holding;
  /** Absent: the sender is known, or its body was looked at. */
  #proves: ((beginning: Uint8Array) => boolean) | undefined;
  #largest: number;
  #bytes: Buffer = EMPTY;
  #length = 0;
  #cost = 0;

  constructor(
    memory: Memory,
    sender: Sender,
    limit: number,
    announced: number | undefined,
    fail: (error: Error) => void,
  ) {
    this.#memory = memory;
    this.#limit = limit;
    this.#announced = announced;
    this.#fail = fail;
    const known = typeof sender === 'string';
    this.#proves = known ? undefined : sender.proves;
    this.#largest = known ? limit : Math.min(limit, LARGEST_UNPROVEN_BODY);
    const share = known ? memory.callers : memory.strangers;
    this.#holding = share.hold(sender === 'proven' ? undefined : () => this.#makeRoom());
  }

  /** Errors: as of `readBody`. */
  add(chunk: Buffer): void {
    this.#cost += Math.max(chunk.length, CHUNK_COST);
    const length = this.#length + chunk.length;
    if (this.#length === 0 && chunk.length === this.#announced) {
      // It came in one piece, as most do.
      this.#hold(length);
      this.#bytes = chunk;
    } else {
      this.#append(chunk, length);
    }
    this.#length = length;
    if (this.#proves !== undefined && (length >= PREFIX_BYTES || length === this.#announced)) this.#lookAtBeginning();
    if (length > this.#largest || this.#cost > this.#largest + FREE_COST) {
      throw this.#largest < this.#limit ? unproven() : tooLarge(this.#limit);
    }
  }

  whole(): ReadBody {
    this.#holding.keep();
    return {
      bytes: this.#length === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#length),
      proven: () => this.#moveToCallers(),
      release: () => this.#holding.release(),
    };
  }

  release(): void {
    this.#holding.release();
  }

  #append(chunk: Buffer, length: number): void {
    if (length > this.#bytes.length) {
      const most = Math.min(this.#announced ?? this.#limit, this.#limit);
      const capacity = Math.max(length, Math.min(most, Math.max(KIB, this.#bytes.length * 2)));
      this.#hold(capacity);
      // Not from the pool of small buffers, a piece of which keeps all of it.
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    chunk.copy(this.#bytes, this.#length);
  }

  #lookAtBeginning(): void {
    const proves = this.#proves;
    this.#proves = undefined;
    if (proves?.(this.#bytes.subarray(0, Math.min(this.#length, PREFIX_BYTES))) !== true) {
      // It will be too large: why read it until then.
      if ((this.#announced ?? 0) > this.#largest) throw unproven();
      return;
    }
    this.#largest = this.#limit;
    this.#moveToCallers();
  }

  #moveToCallers(): void {
    this.#holding.release();
    this.#holding = this.#memory.callers.hold();
    this.#hold(this.#bytes.length);
  }

  #hold(bytes: number): void {
    if (!this.#holding.resize(bytes)) throw tooBusy();
  }

  #makeRoom(): void {
    this.#bytes = EMPTY;
    this.#fail(tooBusy());
  }
}

function tooLarge(limit: number): SqsError {
  return new SqsError(
    'RequestEntityTooLarge',
    `The request is larger than ${limit} bytes, more than any valid request needs.`,
  );
}

function unproven(): SqsError {
  return new SqsError(
    'RequestEntityTooLarge',
    `The first ${PREFIX_BYTES} bytes of the request do not tell who sends it, so no more than ${LARGEST_UNPROVEN_BODY} are read. Put the capability into the endpoint, or the QueueUrl before the message.`,
  );
}

function unannounced(): SqsError {
  return new SqsError(
    'RequestEntityTooLarge',
    'A request whose head does not tell who sends it needs a Content-Length. Put the capability into the endpoint, or send the length.',
  );
}

function tooBusy(): SqsError {
  return new SqsError('ServiceUnavailable', 'Too many large requests at one time. Try again.');
}
