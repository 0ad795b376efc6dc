/**
 * A load generator on raw sockets. It does as little as can be done per request, so that on a small machine the server
 * is what is measured.
 */
import { connect, type Socket } from 'node:net';

export interface LoadResult {
  readonly perSecond: number;
  /** Milliseconds from writing a request to its whole answer. */
  readonly latencies: readonly number[];
}

/** A request without an answer after this time ends the run: a server that hangs is not measured. */
const PATIENCE_MS = 30_000;

const HEADER_END = Buffer.from('\r\n\r\n');
const CLOSING = /^connection: *close/im;
const CHUNKED = /transfer-encoding: *chunked/i;
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** A complete HTTP/1.1 request as bytes. */
export function httpRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Buffer {
  const lines = Object.entries({ ...headers, 'content-length': String(Buffer.byteLength(body)) }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}

/**
 * Sends `total` requests over `connections` keep-alive connections, one at a time on each.
 * Throws on any status but 200, with the beginning of the answer: a fast refusal is not throughput.
 */
export async function load(
  port: number,
  request: (n: number) => Buffer,
  total: number,
  connections: number,
): Promise<LoadResult> {
  const latencies: number[] = [];
  let next = 0;
  const started = performance.now();
  const run = async (): Promise<void> => {
    const line = new Line(port);
    try {
      while (next < total) {
        const n = next++;
        const before = performance.now();
        const answer = await line.ask(request(n));
        latencies.push(performance.now() - before);
        if (!answer.subarray(0, 12).toString('latin1').endsWith(' 200'))
          throw new Error(`request ${n}: ${answer.subarray(0, 400).toString()}`);
      }
    } finally {
      line.close();
    }
  };
  await Promise.all(Array.from({ length: connections }, run));
  return { perSecond: (total / (performance.now() - started)) * 1000, latencies };
}

/**
 * One connection at a time to a server on 127.0.0.1: kept, and made anew where an answer says that the server closes
 * it.
 */
export class Line {
  readonly #port: number;
  #socket: Socket | undefined;

  constructor(port: number) {
    this.#port = port;
  }

  /** Errors: `Error` when the connection breaks or the answer does not come. */
  async ask(request: Buffer): Promise<Buffer> {
    this.#socket ??= connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    const answer = await exchange(this.#socket, request);
    if (CLOSING.test(answer.subarray(0, answer.indexOf(HEADER_END)).toString('latin1'))) this.close();
    return answer;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}

/**
 * Writes one request and resolves with its answer (status line, headers, body as it travels), which must have a
 * Content-Length or be chunked.
 */
export function exchange(socket: Socket, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const done = (): void => {
      clearTimeout(patience);
      socket.off('data', onData);
      socket.off('error', reject);
      socket.off('close', onClose);
    };
    const onClose = (): void => reject(new Error('the server closed the connection'));
    const patience = setTimeout(() => {
      done();
      reject(
        new Error(`no whole answer within ${PATIENCE_MS / 1000} s, only: ${received.subarray(0, 400).toString()}`),
      );
    }, PATIENCE_MS);
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const end = received.indexOf(HEADER_END);
      if (end < 0) return;
      const head = received.subarray(0, end).toString('latin1');
      if (CHUNKED.test(head)) {
        if (!received.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) return;
        done();
        resolve(received);
        return;
      }
      const length = /content-length: *(\d+)/i.exec(head)?.[1];
      if (length === undefined) {
        done();
        reject(new Error(`the answer has no Content-Length: ${received.subarray(0, 400).toString()}`));
        return;
      }
      if (received.length < end + HEADER_END.length + Number(length)) return;
      done();
      resolve(received);
    };
    socket.on('data', onData);
    socket.on('error', reject);
    socket.on('close', onClose);
    socket.write(request);
  });
}
