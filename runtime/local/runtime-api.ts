/**
 * The Lambda Runtime API for one worker process, on a loopback port of its own: clients are only told a host and a port.
 *
 * The process asks for its next invocation and waits; the worker hands one over when it has one. Both may be first.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { comesFromForeignPage, isOwnHost } from '../http/browser-guard.ts';
import { type Invocation, type InvocationResult, LARGEST_RESPONSE, responseTooLarge } from './invocation.ts';

/** What the process tells; called in the order in which it does. */
export interface RuntimeApiListener {
  /** It waits for an invocation. */
  ready(): void;
  /** It answered the invocation with this id. */
  answered(requestId: string, result: InvocationResult): void;
  /** It could not start; the payload is the JSON of the error. */
  initFailed(result: InvocationResult): void;
}

export interface RuntimeApi {
  /** `host:port`, for `AWS_LAMBDA_RUNTIME_API`. */
  readonly address: string;
  /** Hands an invocation to the process; false: it does not wait for one. `deadline`: epoch milliseconds. */
  deliver(invocation: Invocation, deadline: number): boolean;
  close(): Promise<void>;
}

const PREFIX = '/2018-06-01/runtime/';

export async function startRuntimeApi(listener: RuntimeApiListener): Promise<RuntimeApi> {
  let waiting: ServerResponse | undefined;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').replace(PREFIX, '');
    if (request.method === 'GET' && path === 'invocation/next') {
      waiting = response;
      response.once('close', () => {
        if (waiting === response) waiting = undefined;
      });
      return listener.ready();
    }
    const [, requestId, outcome] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    if (request.method !== 'POST' || (requestId === undefined && path !== 'init/error')) {
      return answer(response, 404, { errorType: 'NotFound', errorMessage: `no such call: ${request.method} ${path}` });
    }
    const { body, bytes } = await readBody(request);
    if (requestId === undefined) listener.initFailed({ kind: 'function-error', payload: body });
    else if (outcome === 'error') listener.answered(requestId, { kind: 'function-error', payload: body });
    else if (bytes > LARGEST_RESPONSE) listener.answered(requestId, responseTooLarge(bytes));
    else listener.answered(requestId, { kind: 'response', payload: body });
    answer(response, 202, { status: 'OK' });
  };

  const server = createServer((request, response) => {
    // Only the process asks, by the address that it was told.
    if (!isOwnHost(request.headers.host) || comesFromForeignPage(request.headers)) {
      return answer(response, 403, { errorType: 'Forbidden', errorMessage: 'requests of web sites are refused' });
    }
    handle(request, response).catch((error: unknown) => {
      // The process went away in the middle of its call; its end is noticed elsewhere.
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  // The process waits for its next invocation as long as it takes.
  server.requestTimeout = 0;
  server.keepAliveTimeout = 0;
  const port = await listen(server);
  return {
    address: `127.0.0.1:${port}`,
    deliver(invocation, deadline) {
      const response = waiting;
      if (response === undefined) return false;
      waiting = undefined;
      response.writeHead(200, {
        'Content-Type': 'application/json',
        'Lambda-Runtime-Aws-Request-Id': invocation.requestId,
        'Lambda-Runtime-Deadline-Ms': String(deadline),
        'Lambda-Runtime-Invoked-Function-Arn': invocation.functionArn,
        ...(invocation.traceId === undefined ? {} : { 'Lambda-Runtime-Trace-Id': invocation.traceId }),
        ...(invocation.clientContext === undefined
          ? {}
          : { 'Lambda-Runtime-Client-Context': invocation.clientContext }),
      });
      response.end(invocation.payload);
      return true;
    },
    async close() {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** The body, as much of it as may ever be passed on, and its whole size. */
async function readBody(request: IncomingMessage): Promise<{ readonly body: Buffer; readonly bytes: number }> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes <= LARGEST_RESPONSE) chunks.push(piece);
  }
  return { body: Buffer.concat(chunks), bytes };
}

/** Listens on a free loopback port and returns it. */
export async function listen(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  // Listening on a TCP port: the address is never the name of a pipe.
  return (server.address() as AddressInfo).port;
}
