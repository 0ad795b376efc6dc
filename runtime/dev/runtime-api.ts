/**
 * The Lambda Runtime API for one worker process, on a loopback port of its own: clients are only told a host and a
 * port.
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
        ...(invocation.tenantId === undefined ? {} : { 'Lambda-Runtime-Aws-Tenant-Id': invocation.tenantId }),
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

/*
 * One event on its way to a function and back, and the failures that Lambda itself reports.
 */

export interface Invocation {
  readonly requestId: string;
  /** As invoked, with its qualifier. */
  readonly functionArn: string;
  /** UTF-8 JSON. */
  readonly payload: Uint8Array;
  /** `X-Amzn-Trace-Id`. */
  readonly traceId?: string;
  /** `X-Amz-Client-Context`, decoded from base64. */
  readonly clientContext?: string;
  /** `X-Amz-Tenant-Id`, for functions that isolate tenants. */
  readonly tenantId?: string;
  /** What the process prints is told with the result. */
  readonly logTail?: boolean;
}

/** A result with the end of what the process printed meanwhile, if that was asked for. */
export type LoggedResult = InvocationResult & { readonly log?: string };

export type InvocationResult =
  | { readonly kind: 'response'; readonly payload: Uint8Array }
  /**
   * `X-Amz-Function-Error: Unhandled`; the payload is the JSON of the error. `advice`: what may mend it.
   */
  | { readonly kind: 'function-error'; readonly payload: Uint8Array; readonly advice?: readonly string[] };

/** Lambda's limit of a synchronous request, bytes. */
export const LARGEST_PAYLOAD = 6_291_456;
/** Lambda's limit of a synchronous response, bytes. */
const LARGEST_RESPONSE = LARGEST_PAYLOAD + 100;

/** A failure that Lambda reports, not the function. */
export function sandboxError(errorType: string, errorMessage: string): InvocationResult {
  return {
    kind: 'function-error',
    payload: Buffer.from(JSON.stringify({ errorType, errorMessage })),
  };
}

/** `Task timed out after N.NN seconds`, in the words of Lambda. */
export function timedOut(requestId: string, timeoutSeconds: number): InvocationResult {
  const seconds = timeoutSeconds.toFixed(2);
  return sandboxError('Sandbox.Timedout', `RequestId: ${requestId} Error: Task timed out after ${seconds} seconds`);
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The process ended instead of answering. */
export function exited(requestId: string, { code, signal }: ProcessEnd): InvocationResult {
  const how =
    signal !== null
      ? `Runtime exited with error: signal: ${SIGNALS.get(signal) ?? signal.toLowerCase()}`
      : code === 0
        ? 'Runtime exited without providing a reason'
        : `Runtime exited with error: exit status ${code}`;
  return sandboxError('Runtime.ExitError', `RequestId: ${requestId} Error: ${how}`);
}

/** The names that Go, in which Lambda's supervisor is written, gives to signals. */
const SIGNALS: ReadonlyMap<string, string> = new Map([
  ['SIGKILL', 'killed'],
  ['SIGTERM', 'terminated'],
  ['SIGABRT', 'aborted'],
  ['SIGSEGV', 'segmentation fault'],
  ['SIGINT', 'interrupt'],
]);

/** The response is larger than Lambda lets through. */
function responseTooLarge(bytes: number): InvocationResult {
  return sandboxError(
    'Function.ResponseSizeTooLarge',
    `Response payload size (${bytes} bytes) exceeded maximum allowed payload size (${LARGEST_RESPONSE} bytes).`,
  );
}
