/**
 * Lets few large bodies be read at one time; those that wait stay with their sender, because a stream that is not read
 * holds little.
 *
 * @module
 */
import type { Readable } from 'node:stream';
import type { NodeHttpHandler, NodeHttpHandlerOptions } from '@smithy/node-http-handler';

class LargeBodies {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** `atOnce`: bodies that may be read at one time, 1 or more. */
  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /**
   * Waits for its turn, or until `body` is closed: a call that was given up must not wait behind others.
   *
   * @returns What gives the turn back; to be called once.
   */
  async turn(body: Readable): Promise<() => void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return () => this.#giveBack();
    }
    return new Promise((resolve) => {
      const enter = (): void => {
        body.off('close', leave);
        resolve(() => this.#giveBack());
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        resolve(() => {});
      };
      this.#waiting.push(enter);
      if (body.closed) leave();
      else body.once('close', leave);
    });
  }

  #giveBack(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

/*
 * An HTTP handler for the AWS SDK that reads the whole response itself, up to a limit, and few large ones at one time,
 * so that no endpoint can fill this process's memory: fifty functions that answer with 6 MB each at one moment would
 * need more than a small machine has.
 */

type Request = Parameters<NodeHttpHandler['handle']>[0];
type RequestOptions = Parameters<NodeHttpHandler['handle']>[1];
type Response = Awaited<ReturnType<NodeHttpHandler['handle']>>;

/** A response of more bytes is large. A report on ten messages has less than a hundredth of it. */
const LARGE_BYTES = 65_536;
/** Large responses that are read at one time. */
const LARGE_AT_ONCE = 2;

/** The response is longer than was allowed; it was not read to its end. */
export class ResponseTooLargeError extends Error {
  override readonly name = 'ResponseTooLargeError';
}

export class CappedHandler {
  readonly #inner: NodeHttpHandler;
  readonly #maxBytes: number;
  readonly #large = new LargeBodies(LARGE_AT_ONCE);

  /** `maxBytes`: of the body of one response. */
  constructor(inner: NodeHttpHandler, maxBytes: number) {
    this.#inner = inner;
    this.#maxBytes = maxBytes;
  }

  get metadata(): { handlerProtocol: string } {
    return this.#inner.metadata;
  }

  /** Errors: those of the inner handler, and `ResponseTooLargeError`. */
  async handle(request: Request, options?: RequestOptions): Promise<Response> {
    const answer = await this.#inner.handle(request, options);
    // The SDK types the body as `any`; the inner handler always gives the IncomingMessage.
    const body: Readable = answer.response.body;
    answer.response.body = await this.#read(body);
    return answer;
  }

  updateHttpClientConfig(key: keyof NodeHttpHandlerOptions, value: NodeHttpHandlerOptions[typeof key]): void {
    this.#inner.updateHttpClientConfig(key, value);
  }

  httpHandlerConfigs(): NodeHttpHandlerOptions {
    return this.#inner.httpHandlerConfigs();
  }

  destroy(): void {
    this.#inner.destroy();
  }

  async #read(body: Readable): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    let endTurn: (() => void) | undefined;
    try {
      // Leaving the loop early destroys the stream and with it the connection.
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        bytes += chunk.byteLength;
        if (bytes > this.#maxBytes) {
          throw new ResponseTooLargeError(`the response is longer than ${this.#maxBytes} bytes`);
        }
        chunks.push(chunk);
        if (bytes > LARGE_BYTES) endTurn ??= await this.#large.turn(body);
      }
      return Buffer.concat(chunks, bytes);
    } finally {
      endTurn?.();
    }
  }
}
