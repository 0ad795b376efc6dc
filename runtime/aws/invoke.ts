/**
 * The seam between the consumer and AWS Lambda: one synchronous Invoke, no retries, and an outcome for each row of the
 * decision table.
 *
 * @module
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { InvokeCommand, LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import * as z from 'zod/mini';
import type { Time } from '../time.ts';
import { CappedHandler, ResponseTooLargeError } from './large-answers.ts';

export interface InvokeRequest {
  /** Passed to Lambda unchanged, qualifier included. */
  readonly functionArn: string;
  /** The event, UTF-8 JSON, at most 6,291,456 bytes. */
  readonly payload: Uint8Array;
  /**
   * The longest that AWS lets such an Invoke last, seconds; the call is given up that long, plus a margin, after it
   * began. Never the timeout of the function as last read: a deployment may have raised it since.
   */
  readonly longestSeconds: number;
  /** `X-Amzn-Trace-Id` of the sender, carried on. */
  readonly traceHeader?: string;
  /** Ends the call: outcome `connection-lost`. */
  readonly signal?: AbortSignal;
}

export type InvokeOutcome =
  /** 200 without `X-Amz-Function-Error`. */
  | { readonly kind: 'success'; readonly response: Uint8Array; readonly executedVersion?: string }
  /** 200 with `X-Amz-Function-Error`: exception, exit, out of memory, timeout of the function, response too large. */
  | { readonly kind: 'function-error'; readonly errorType: string; readonly message: string }
  /** 429. The message was not shown to the function; may be tried again inside the lease. */
  | { readonly kind: 'throttled'; readonly retryAfterMs?: number; readonly message: string }
  /** A 5xx, 409 or 408 of Lambda itself: the function did not run; may be tried again inside the lease. */
  | { readonly kind: 'unavailable'; readonly message: string }
  /**
   * The event surely reached no function, for a reason that holds for every event of the mapping: no connection, a
   * request that was not sent, credentials that were refused, a function that is not there. To be tried again when the
   * way is open, see `Invoker.probe`.
   */
  | { readonly kind: 'unreached'; readonly why: 'no-way' | 'not-found'; readonly message: string }
  /** Lambda refused this very event (recursion, content, size): another one may pass. */
  | { readonly kind: 'rejected'; readonly status: number; readonly message: string }
  /**
   * The connection broke, or the answer did not come in time, after the request may have been sent: the function may
   * have run. Never invoke again in this lease.
   */
  | { readonly kind: 'connection-lost'; readonly message: string };

/** Whether a function can be invoked now, found out without running it. */
export type ProbeOutcome =
  | { readonly kind: 'reached' }
  | { readonly kind: 'unreached'; readonly why: 'no-way' | 'not-found'; readonly message: string };

export interface Invoker {
  invoke(request: InvokeRequest): Promise<InvokeOutcome>;
  /** Asks Lambda whether the function could be invoked (`DryRun`); no function sees it. Never rejects. */
  probe(functionArn: string): Promise<ProbeOutcome>;
  close(): void;
}

/*
 * The invoker over the Lambda Invoke API.
 *
 * Lambda's own trigger calls Invoke synchronously and knows afterwards what became of the batch; so does this. What
 * matters here is never to run a function twice for one lease by accident:
 *
 * - The SDK's own retries are off: it would send the request again after a connection reset, while the first run may
 *   still be under way.
 * - An error counts as "did not run" only when the request surely never left this process (no credentials, no
 *   connection) or when Lambda itself says so. Everything else is `connection-lost`.
 * - A call is given up only after the longest time that AWS lets an Invoke last. What was read of the function's own
 *   timeout may be old by then.
 * - A running Invoke is a silent TCP connection, and gateways drop those after some minutes: TCP keep-alive probes hold
 *   it open, and end it within minutes if the other side is gone. A connection that waits for its next request is
 *   closed after a few seconds, before the other side closes it and the next request runs into the reset.
 *
 * Where an Invoke found no way to Lambda, a probe finds out when there is one again: an Invoke of the type `DryRun`,
 * for which Lambda checks credentials and function and runs nothing.
 */

export interface InvokerOptions {
  /** Default: as the AWS SDK finds it (`AWS_REGION`, profile). */
  readonly region?: string;
  /** Where Lambda is, for a local Lambda; default: as the AWS SDK finds it (`AWS_ENDPOINT_URL_LAMBDA`, ...). */
  readonly endpoint?: string;
  /** Default: as the AWS SDK finds them. */
  readonly credentials?: LambdaClientConfig['credentials'];
  /**
   * Connections at one time; default: no bound, as Invokes that waited inside the agent would wait while their lease
   * runs.
   */
  readonly maxSockets?: number;
  /** Milliseconds for a connection to be made; default 3,000. */
  readonly connectTimeoutMs?: number;
  /**
   * Bytes of a response that are read before the call is given up as a function error; default 6 MiB and some room, as
   * Lambda's own limit.
   */
  readonly maxResponseBytes?: number;
  readonly time: Time;
}

/**
 * How long after the longest run of the function a call is given up, ms: start-up and transport are not counted in it.
 */
export const TIMEOUT_MARGIN_MS = 15_000;

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000;
/** How long a probe may take, ms: Lambda answers it at once. */
const PROBE_TIMEOUT_MS = 5_000;
/** Lambda's own limit of a synchronous response is 6 MB (and 100 bytes). */
const DEFAULT_MAX_RESPONSE_BYTES = 6_291_456 + 65_536;
/**
 * First probe of an idle connection, and time between probes, ms; network gateways of AWS drop connections that are
 * silent for 350 s.
 */
const TCP_KEEP_ALIVE_MS = 60_000;
/** How long an unused connection is kept, ms; shorter than any server is likely to keep it. */
const UNUSED_CONNECTION_MS = 4_000;
/** What an HTTP header may carry, bounded; anything else in a sender's trace header stays behind. */
const TRACE_HEADER = /^[\x21-\x7e][\x20-\x7e]{0,1023}$/;

/** Characters of a function's error message that are kept. */
const MAX_MESSAGE_LENGTH = 1_000;

/** An invoker for one region and account. Errors of calls are outcomes; `invoke` itself never rejects. */
export function createInvoker(options: InvokerOptions): Invoker {
  const { time } = options;
  const agent = {
    keepAlive: true,
    keepAliveMsecs: TCP_KEEP_ALIVE_MS,
    maxSockets: options.maxSockets ?? Number.POSITIVE_INFINITY,
    timeout: UNUSED_CONNECTION_MS,
    scheduling: 'lifo' as const,
  };
  const handler = new CappedHandler(
    new NodeHttpHandler({
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      // No limit on silence: the call as a whole is bounded.
      requestTimeout: 0,
      socketTimeout: 0,
    }),
    options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES,
  );
  const client = new LambdaClient({
    ...(options.region !== undefined && { region: options.region }),
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.credentials !== undefined && { credentials: options.credentials }),
    maxAttempts: 1,
    // The adaptive mode would hold calls back while their lease runs.
    retryMode: 'standard',
    requestHandler: handler,
  });
  return {
    invoke: (request) => invoke(client, time, request),
    probe: (functionArn) => probe(client, time, functionArn),
    close: () => client.destroy(),
  };
}

async function invoke(client: LambdaClient, time: Time, request: InvokeRequest): Promise<InvokeOutcome> {
  const abort = new AbortController();
  const limitMs = request.longestSeconds * 1000 + TIMEOUT_MARGIN_MS;
  let endedBy: string | undefined;
  const end = (why: string): void => {
    endedBy ??= why;
    abort.abort();
  };
  const cancelTimer = time.after(limitMs, () =>
    end(`no answer within ${limitMs} ms (AWS ends an Invoke after ${request.longestSeconds} s)`),
  );
  const onSignal = (): void => end('the call was ended by this server');
  request.signal?.addEventListener('abort', onSignal, { once: true });
  const progress: Progress = { handedOver: false };
  try {
    if (request.signal?.aborted) {
      return { kind: 'unreached', why: 'no-way', message: 'the call was ended by this server before it began' };
    }
    const answer = await client.send(commandFor(request, progress), { abortSignal: abort.signal });
    const payload = answer.Payload ?? new Uint8Array();
    if (answer.FunctionError !== undefined) return functionError(payload);
    return {
      kind: 'success',
      response: payload,
      ...(answer.ExecutedVersion !== undefined && { executedVersion: answer.ExecutedVersion }),
    };
  } catch (error) {
    if (endedBy !== undefined) return { kind: 'connection-lost', message: endedBy };
    return classifyError(error, progress);
  } finally {
    cancelTimer();
    request.signal?.removeEventListener('abort', onSignal);
  }
}

/**
 * Every answer of Lambda that says nothing against the way to the function counts as reached; so does one of an
 * endpoint that does not know probes.
 */
async function probe(client: LambdaClient, time: Time, functionArn: string): Promise<ProbeOutcome> {
  const abort = new AbortController();
  const cancelTimer = time.after(PROBE_TIMEOUT_MS, () => abort.abort());
  try {
    await client.send(new InvokeCommand({ FunctionName: functionArn, InvocationType: 'DryRun' }), {
      abortSignal: abort.signal,
    });
    return { kind: 'reached' };
  } catch (error) {
    if (abort.signal.aborted) {
      return { kind: 'unreached', why: 'no-way', message: `Lambda did not answer within ${PROBE_TIMEOUT_MS} ms` };
    }
    const outcome = classifyError(error, { handedOver: true });
    if (outcome.kind === 'connection-lost') return { kind: 'unreached', why: 'no-way', message: outcome.message };
    return outcome.kind === 'unreached' ? outcome : { kind: 'reached' };
  } finally {
    cancelTimer();
  }
}

function commandFor(request: InvokeRequest, progress: Progress): InvokeCommand {
  const command = new InvokeCommand({
    FunctionName: request.functionArn,
    InvocationType: 'RequestResponse',
    LogType: 'None',
    Payload: request.payload,
  });
  const { traceHeader } = request;
  if (traceHeader !== undefined && TRACE_HEADER.test(traceHeader)) {
    command.middlewareStack.add(
      (next) => (args) => {
        if (hasHeaders(args.request)) args.request.headers['X-Amzn-Trace-Id'] = traceHeader;
        return next(args);
      },
      { step: 'build', name: 'karinTraceHeader' },
    );
  }
  command.middlewareStack.add(
    (next) => (args) => {
      progress.handedOver = true;
      return next(args);
    },
    { step: 'deserialize', priority: 'low', name: 'karinHandedOver' },
  );
  return command;
}

/** The SDK types the request of a middleware as unknown; after serialisation it is an HTTP request. */
function hasHeaders(request: unknown): request is { readonly headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request;
}

function functionError(payload: Uint8Array): InvokeOutcome {
  const { errorType, errorMessage } = FunctionErrorPayload.parse(parsed(payload));
  return { kind: 'function-error', errorType, message: errorMessage.slice(0, MAX_MESSAGE_LENGTH) };
}

/** What runtimes answer when a handler fails; members of other types, or none at all, are possible. */
const FunctionErrorPayload = z.catch(
  z.object({
    errorType: z.catch(z.string(), 'Error'),
    errorMessage: z.catch(z.string(), 'the function failed without a message'),
  }),
  { errorType: 'Error', errorMessage: 'the function failed without a message' },
);

function parsed(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    return undefined;
  }
}

/*
 * From an error of the AWS SDK to an outcome. The question behind every line: may the function have run?
 */

/** How far a call got. */
interface Progress {
  /** The request was handed to the HTTP layer; before that it cannot have left the process. */
  handedOver: boolean;
}

/** What is read of the SDK's errors, which carry more than their types say. */
const SdkError = z.object({
  name: z.catch(z.string(), ''),
  message: z.catch(z.string(), ''),
  code: z.catch(z.optional(z.string()), undefined),
  syscall: z.catch(z.optional(z.string()), undefined),
  $metadata: z.catch(z.optional(z.object({ httpStatusCode: z.optional(z.number()) })), undefined),
  $response: z.catch(z.optional(z.object({ headers: z.record(z.string(), z.string()) })), undefined),
});
type SdkError = z.infer<typeof SdkError>;

/** Errors of name look-up and connecting, and of the TLS handshake's certificate check. */
const CONNECTING = new Set(['connect', 'getaddrinfo']);
const NEVER_CONNECTED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EMFILE|EPROTO|ERR_SSL_.*|ERR_TLS_.*|UNABLE_TO_.*|.*CERT.*)$/;
/** What Node says of a connection that was closed before its TLS handshake was over; its code is that of any reset. */
const BEFORE_TLS = 'before secure TLS connection was established';
/** Errors of Lambda, beside those by status, that are about this one event. Source: Lambda API, `Invoke`, Errors. */
const ABOUT_THE_EVENT = new Set([
  'InvalidRequestContentException',
  'RecursiveInvocationException',
  'RequestTooLargeException',
  'SerializationException',
  'UnsupportedMediaTypeException',
]);

function classifyError(thrown: unknown, progress: Progress): InvokeOutcome {
  if (thrown instanceof ResponseTooLargeError) {
    return { kind: 'function-error', errorType: 'Function.ResponseSizeTooLarge', message: thrown.message };
  }
  const error = SdkError.parse(thrown instanceof Error ? thrown : new Error(String(thrown)));
  const message = describe(error);
  if (!progress.handedOver) return unreached(`the request was not sent: ${message}`);
  const status = error.$metadata?.httpStatusCode;
  if (status !== undefined && status >= 300) return classifyStatus(status, error, message);
  if (neverConnected(error)) return unreached(`no connection to Lambda: ${message}`);
  return { kind: 'connection-lost', message: `the answer was lost: ${message}` };
}

function classifyStatus(status: number, error: SdkError, message: string): InvokeOutcome {
  const headers = error.$response?.headers ?? {};
  if (status === 429) {
    const retryAfterMs = retryAfter(headers);
    return { kind: 'throttled', ...(retryAfterMs !== undefined && { retryAfterMs }), message };
  }
  // Lambda names its errors. A gateway error without a name comes from a proxy in between, which may have passed the
  // request on.
  const named = headers['x-amzn-errortype'] !== undefined;
  if ((status === 502 || status === 504) && !named) {
    return { kind: 'connection-lost', message: `${status} from a gateway in front of Lambda: ${message}` };
  }
  if (status >= 500 || status === 409 || status === 408) return { kind: 'unavailable', message };
  if (status === 413 || status === 415 || ABOUT_THE_EVENT.has(error.name)) return { kind: 'rejected', status, message };
  if (status === 404) return { kind: 'unreached', why: 'not-found', message: `${status}: ${message}` };
  return unreached(`${status}: ${message}`);
}

function unreached(message: string): InvokeOutcome {
  return { kind: 'unreached', why: 'no-way', message };
}

function neverConnected(error: SdkError): boolean {
  if (error.syscall !== undefined && CONNECTING.has(error.syscall)) return true;
  if (error.message.includes(BEFORE_TLS)) return true;
  if (error.code !== undefined) return NEVER_CONNECTED.test(error.code);
  // The SDK's limit on connecting is its only time limit in use here, and the only TimeoutError without a code.
  return error.name === 'TimeoutError';
}

/** `Retry-After` in whole seconds, as Lambda sends it; milliseconds. */
function retryAfter(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers['retry-after'];
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

function describe(error: SdkError): string {
  const name = error.code ?? error.name;
  const text = error.message.slice(0, 500);
  if (text === '') return name;
  return name === '' || text.includes(name) ? text : `${name}: ${text}`;
}
