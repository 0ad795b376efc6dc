/**
 * What a stranger, or a caller who means harm, sends to a server: each attack is raw bytes on sockets, and holds what
 * it opened until it is ended.
 *
 * @module
 */
import { createConnection, type Socket } from 'node:net';

/** An attack under way. */
export interface Attack {
  readonly sockets: readonly Socket[];
  /** Closes all it has open. */
  end(): void;
}

/**
 * One connection: writes `bytes` as fast as they are taken, and gives what came back when the server closed it, or
 * answered.
 */
export async function sendRaw(port: number, bytes: Buffer | string, from?: string): Promise<string> {
  const socket = open(port, from);
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
    // One answer is all that is asked for.
    socket.destroy();
  });
  socket.write(bytes);
  // Not `once`: an error before is no failure here.
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return received;
}

/** `count` connections that each send `bytes` and nothing more. Resolves when all were taken or closed. */
export async function holdOpen(port: number, count: number, bytes: Buffer | string, from?: string): Promise<Attack> {
  const sockets = Array.from({ length: count }, () => open(port, from));
  await Promise.all(
    sockets.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.once('close', () => resolve());
          if (bytes.length === 0) socket.once('connect', () => resolve());
          else socket.write(bytes, () => resolve());
        }),
    ),
  );
  return { sockets, end: () => void sockets.map((socket) => socket.destroy()) };
}

/**
 * A connection whose end, however it comes, is no error of the test. `from`: an address of this machine (127.0.0.2,
 * ...).
 */
export function open(port: number, from?: string): Socket {
  const socket = createConnection({ port, host: '127.0.0.1', ...(from === undefined ? {} : { localAddress: from }) });
  socket.on('error', () => {});
  return socket;
}

/** A request with a body of which `withheld` bytes never come. */
export function post(path: string, body: string, options: PostOptions = {}): string {
  const { headers = [], withheld = 0, type = 'application/x-www-form-urlencoded' } = options;
  const length = Buffer.byteLength(body) + withheld;
  return [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    `Content-Type: ${type}`,
    `Content-Length: ${length}`,
    ...headers,
    '',
    body,
  ].join('\r\n');
}

export interface PostOptions {
  readonly headers?: readonly string[];
  readonly withheld?: number;
  readonly type?: string;
}

/** A body of chunks of one byte. */
export function chunksOfOneByte(path: string, count: number, headers: readonly string[] = []): string {
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Content-Type: application/x-www-form-urlencoded',
    'Transfer-Encoding: chunked',
    ...headers,
  ];
  return `${head.join('\r\n')}\r\n\r\n${'1\r\na\r\n'.repeat(count)}0\r\n\r\n`;
}

/** A head with nothing behind it. */
export function head(line: string, headers: readonly string[] = []): string {
  return `${[`${line} HTTP/1.1`, 'Host: 127.0.0.1', ...headers].join('\r\n')}\r\n\r\n`;
}

/**
 * The headers of a signature of now that names a key and was made without its secret. `tellsHash`: whether it may be
 * proven by the head alone.
 */
export function forgedSignature(keyId: string, tellsHash: boolean, signedHeaders = 'host'): readonly string[] {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${keyId}/${stamp.slice(0, 8)}/eu-west-1/sqs/aws4_request`;
  return [
    `X-Amz-Date: ${stamp}`,
    ...(tellsHash ? [`X-Amz-Content-Sha256: ${'0'.repeat(64)}`] : []),
    `Authorization: AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=${signedHeaders}, Signature=${'a'.repeat(64)}`,
  ];
}
