/**
 * Reads request bodies, in the share of memory that their senders may use (`memory.ts`).
 *
 * A body is kept in one buffer that grows by doubling, and what is counted is that buffer. Bytes come in chunks of the
 * sender's choosing: kept as they come, a chunk of one byte takes some three hundred. Handling a chunk takes time as
 * well, so the bound of a body counts each as `CHUNK_COST` bytes at least.
 *
 * Before its sender is proven no more than `LARGEST_UNPROVEN_BODY` of a body is kept. A signature is proven by the head
 * where that says the hash of the body (`x-amz-content-sha256`); the body is then compared with it. Some SDKs do not
 * send that header, so their bodies must be read first. The few that are longer are hashed as they come, and nothing of
 * them is kept: if the hash proves the sender, it is told to send the request again, as SDKs do by themselves, and from
 * then on its network is known to hold the key.
 *
 * @module
 */
import { createHash, type Hash, hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { SqsError } from '../sqs/errors.ts';
import type { KnownSender } from './auth/authenticator.ts';
import { signatureDoesNotMatch } from './auth/sigv4.ts';
import { FREE_BYTES, type Holding, type Memory, STRANGERS_FREE_BYTES } from './memory.ts';

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
const PREFIX_BYTES = STRANGERS_FREE_BYTES;

/**
 * The most of a body that is kept while its sender is not proven, bytes: a message of the full size before the
 * QueueUrl, not inflated.
 */
export const LARGEST_UNPROVEN_BODY = MIB + 64 * KIB;

/**
 * What a chunk counts at least, bytes; a thousand small ones are not counted, because the network may cut a body as it
 * likes.
 */
const CHUNK_COST = 64;
const FREE_COST = 1_000 * CHUNK_COST;

const EMPTY: Buffer = Buffer.alloc(0);

/** The client went away before its request was complete; there is nobody to answer. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
}

export interface ReadBody {
  readonly bytes: Uint8Array;
  /**
   * SHA-256 of the body, hex, where nothing else is left of it: it claims a key, and is too long to be kept before
   * that is proven. `bytes` is empty then.
   */
  readonly hashAlone?: string;
  /**
   * The whole body proved its sender: it is a caller's from now on. Errors: `SqsError` ServiceUnavailable, also if
   * `hashAlone` is all that is left of it.
   */
  proven(): void;
  /** To be called once the request is answered. */
  release(): void;
}

/** Who sends; a stranger with the way in which the beginning of the body may prove it. */
export type Sender = KnownSender | { readonly proves: Look };

/**
 * Looks at a beginning of the body of up to `PREFIX_BYTES`, once: whether it proves the sender. Errors: those to refuse
 * the request with.
 */
type Look = (beginning: Uint8Array) => boolean;

const NOTHING: ReadBody = { bytes: new Uint8Array(0), proven: () => {}, release: () => {} };

/**
 * Reads the whole body. Errors: `SqsError` RequestEntityTooLarge as soon as it is known to be larger than `limit`,
 * ServiceUnavailable if there is no room or it had to make room, SignatureDoesNotMatch if it is not the body that was
 * signed; those of `proves`; `ClientGoneError`. After another error than that the connection must be closed: what is
 * left of the body was not read.
 */
export function readBody(
  request: IncomingMessage,
  memory: Memory,
  sender: Sender,
  limit = LARGEST_BODY,
): Promise<ReadBody> {
  const announced = request.headers['content-length'];
  const isStranger = typeof sender === 'object' && 'proves' in sender;
  const bodyHash = typeof sender === 'object' && 'bodyHash' in sender ? sender.bodyHash : undefined;
  if (announced === '0' || (announced === undefined && request.headers['transfer-encoding'] === undefined)) {
    return hasHash(NOTHING.bytes, bodyHash) ? Promise.resolve(NOTHING) : Promise.reject(signatureDoesNotMatch());
  }
  const length = announced === undefined ? undefined : Number(announced);
  // Chunks take time as well as memory, and no SDK sends a request in chunks.
  if (length === undefined && (isStranger || sender === 'claimed')) return Promise.reject(unannounced());
  if (length !== undefined && length > limit) return Promise.reject(tooLarge(limit));

  return new Promise((resolve, reject) => {
    // Most bodies are small, of a known sender, and come in one piece: nothing of them is counted, so nobody need
    // count.
    const isUncounted = !isStranger && length !== undefined && length <= FREE_BYTES;
    let whole: Buffer | undefined;
    let reading: Reading | undefined;
    let isOver = false;
    const counted = (): Reading => {
      reading ??= new Reading(memory, sender, limit, length, fail);
      return reading;
    };
    const fail = (error: Error): void => {
      if (isOver) return;
      isOver = true;
      reading?.release();
      // What still comes until the connection is closed is thrown away; paused, it would be kept, chunk by chunk.
      request.resume();
      reject(error);
    };
    const onClose = (): void =>
      fail(new ClientGoneError('the client closed the connection before its request was complete'));
    request.on('data', (chunk: Buffer) => {
      if (isOver) return;
      if (isUncounted && chunk.length === length) {
        whole = chunk;
        return;
      }
      try {
        counted().add(chunk);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)));
      }
    });
    request.on('end', () => {
      if (isOver) return;
      const body = whole === undefined ? counted().whole() : { ...NOTHING, bytes: whole };
      if (bodyHash !== undefined && !hasHash(body.bytes, bodyHash)) return fail(signatureDoesNotMatch());
      isOver = true;
      // Every request is closed after its end.
      request.off('close', onClose);
      resolve(body);
    });
    request.on('close', onClose).on('error', onClose);
  });
}

/** Whether bytes have a hash; also where none is asked for. */
function hasHash(bytes: Uint8Array, sha256: string | undefined): boolean {
  return sha256 === undefined || hash('sha256', bytes, 'hex') === sha256;
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
  #proves: Look | undefined;
  #largest: number;
  /** Present: nothing else is kept. */
  readonly #hash: Hash | undefined;
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
    this.#proves = typeof sender === 'object' && 'proves' in sender ? sender.proves : undefined;
    this.#largest = this.#proves === undefined ? limit : Math.min(limit, LARGEST_UNPROVEN_BODY);
    const isTooLongToKeep = sender === 'claimed' && (announced ?? 0) > LARGEST_UNPROVEN_BODY;
    this.#hash = isTooLongToKeep ? createHash('sha256') : undefined;
    const share =
      this.#proves !== undefined ? memory.strangers : sender === 'claimed' ? memory.claimed : memory.callers;
    const isProven = sender === 'proven' || (typeof sender === 'object' && 'bodyHash' in sender);
    this.#holding = share.hold(isProven ? undefined : () => this.#makeRoom());
  }

  /** Errors: as of `readBody`. */
  add(chunk: Buffer): void {
    this.#cost += Math.max(chunk.length, CHUNK_COST);
    const length = this.#length + chunk.length;
    if (this.#hash !== undefined) {
      this.#hash.update(chunk);
    } else if (this.#length === 0 && chunk.length === this.#announced) {
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
      ...(this.#hash === undefined ? {} : { hashAlone: this.#hash.digest('hex') }),
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
    if (this.#hash !== undefined) throw sendAgain();
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
    'A request whose head does not prove who sends it needs a Content-Length. Put the capability into the endpoint, or send the length.',
  );
}

function sendAgain(): SqsError {
  return new SqsError(
    'ServiceUnavailable',
    `The request is right, but it is the first of its key from this address, and larger than ${LARGEST_UNPROVEN_BODY} bytes, so it was not kept. Send it again.`,
  );
}

function tooBusy(): SqsError {
  return new SqsError('ServiceUnavailable', 'Too many large requests at one time. Try again.');
}
