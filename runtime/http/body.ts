/**
 * Reads request bodies within bounds.
 *
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { SqsError } from '../sqs/errors.ts';

const MIB = 1_048_576;

/**
 * The largest body that is read, bytes. A batch holds at most 1 MiB of message bodies and attributes (SQS quotas, "Message size"), but travels encoded. The worst
 * honest inflation is fourfold: bytes of an attribute as Base64 (4/3), all of whose characters happen to be percent-encoded in a form (3). JSON escapes
 * and percent-encoded text stay at threefold. A quarter MiB is left for names, ids, receipt handles and the QueueUrl.
 */
export const LARGEST_BODY = 4 * MIB + MIB / 4;

/** Bytes of bodies that all requests together may hold, beyond what each may hold anyway. */
export interface BodyBudget {
  /** Reserves `bytes` and answers whether there was room. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** 32 MiB: eight of the largest bodies at one time, a good part of what a 256 MB machine has left. */
export const BODY_BUDGET = 32 * MIB;

/**
 * What every body may hold without a share of the budget, bytes: more than most messages are. Bodies are read before anybody is authorized (the capability may stand in
 * them), so eight strangers who send the largest ones slowly can hold the whole budget; they must not be able to keep ordinary requests out. The number of connections bounds the sum.
 */
export const FREE_BYTES = 16_384;

export function createBodyBudget(total = BODY_BUDGET): BodyBudget {
  let free = total;
  return {
    take: (bytes) => {
      if (bytes > free) return false;
      free -= bytes;
      return true;
    },
    give: (bytes) => {
      free += bytes;
    },
  };
}

/** The client went away before its request was complete; there is nobody to answer. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
}

export interface ReadBody {
  readonly bytes: Uint8Array;
  /** To be called once the request is answered. */
  release(): void;
}

const NOTHING: ReadBody = { bytes: new Uint8Array(0), release: () => {} };

/**
 * Reads the whole body. Errors: `SqsError` RequestEntityTooLarge as soon as it is known to be larger than `limit`, ServiceUnavailable if all bodies
 * together would be too much; `ClientGoneError`. After an `SqsError` the connection must be closed: what is left of the body was not read.
 */
export function readBody(request: IncomingMessage, budget: BodyBudget, limit = LARGEST_BODY): Promise<ReadBody> {
  const announced = request.headers['content-length'];
  if (announced === undefined && request.headers['transfer-encoding'] === undefined) return Promise.resolve(NOTHING);
  if (announced === '0') return Promise.resolve(NOTHING);
  if (announced !== undefined && Number(announced) > limit) return Promise.reject(tooLarge(limit));

  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    // Reserved as it arrives, not as it is announced: an announcement costs an attacker nothing.
    let length = 0;
    let taken = 0;
    const give = (): void => {
      budget.give(taken);
      taken = 0;
    };
    const fail = (error: Error): void => {
      request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      request.pause();
      give();
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      const more = Math.max(0, length - FREE_BYTES) - taken;
      if (length > limit) fail(tooLarge(limit));
      else if (!budget.take(more)) fail(tooBusy());
      else {
        taken += more;
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => {
      request.off('close', onClose);
      const [only] = chunks;
      resolve({ bytes: chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks), release: give });
    };
    const onClose = (): void =>
      fail(new ClientGoneError('the client closed the connection before its request was complete'));
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

function tooLarge(limit: number): SqsError {
  return new SqsError(
    'RequestEntityTooLarge',
    `The request is larger than ${limit} bytes, more than any valid request needs.`,
  );
}

function tooBusy(): SqsError {
  return new SqsError('ServiceUnavailable', 'Too many large requests at one time. Try again.');
}
