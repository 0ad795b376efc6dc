/**
 * A load generator on raw sockets. It does as little as can be done per request, so that on a small machine the server is what is measured.
 */
import { connect, type Socket } from 'node:net';

export interface LoadResult {
  readonly perSecond: number;
  /** Milliseconds from writing a request to its whole answer. */
  readonly latencies: readonly number[];
}

const HEADER_END = Buffer.from('\r\n\r\n');

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
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    try {
      while (next < total) {
        const n = next++;
        const before = performance.now();
        const answer = await exchange(socket, request(n));
        latencies.push(performance.now() - before);
        if (!answer.subarray(0, 12).toString('latin1').endsWith(' 200'))
          throw new Error(`request ${n}: ${answer.subarray(0, 400).toString()}`);
      }
    } finally {
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: connections }, run));
  return { perSecond: (total / (performance.now() - started)) * 1000, latencies };
}

/** Writes one request and resolves with its answer (status line, headers, body), which must have a Content-Length. */
export function exchange(socket: Socket, request: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    const done = (): void => {
      socket.off('data', onData);
      socket.off('error', reject);
      socket.off('close', onClose);
    };
    const onClose = (): void => reject(new Error('the server closed the connection'));
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const end = received.indexOf(HEADER_END);
      if (end < 0) return;
      const length = /content-length: *(\d+)/i.exec(received.subarray(0, end).toString('latin1'))?.[1];
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
