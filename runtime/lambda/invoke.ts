/**
 * The invoker over the Lambda Invoke API.
 *
 * Lambda's own trigger calls Invoke synchronously and knows afterwards what became of the batch; so does this. What matters here is never to run a function twice for
 * one lease by accident:
 *
 * - The SDK's own retries are off: it would send the request again after a connection reset, while the first run may still be under way.
 * - An error counts as "did not run" only when the request surely never left this process (no credentials, no connection) or when Lambda itself says so.
 *   Everything else is `connection-lost`.
 * - A running Invoke is a silent TCP connection, and gateways drop those after some minutes: TCP keep-alive probes hold it open. A connection
 *   that waits for its next request is closed after a few seconds, before the other side closes it and the next request runs into the reset.
 *
 * @module
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { InvokeCommand, LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import * as z from 'zod/mini';
import type { Time } from '../time.ts';
import { CappedHandler } from './invoke/capped-handler.ts';
import { classifyError, type Progress } from './invoke/classify-error.ts';
import type { InvokeOutcome, InvokeRequest, Invoker } from './invoker.ts';

export interface InvokerOptions {
  /** Default: as the AWS SDK finds it (`AWS_REGION`, profile). */
  readonly region?: string;
  /** Where Lambda is, for a local Lambda; default: as the AWS SDK finds it (`AWS_ENDPOINT_URL_LAMBDA`, ...). */
  readonly endpoint?: string;
  /** Default: as the AWS SDK finds them. */
  readonly credentials?: LambdaClientConfig['credentials'];
  /** Connections at one time; at least the number of Invokes at one time, or some of them would wait inside the agent while their lease runs. */
  readonly maxSockets: number;
  /** Milliseconds for a connection to be made; default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Bytes of a response that are read before the call is given up as a function error; default 6 MiB and some room, as Lambda's own limit. */
  readonly maxResponseBytes?: number;
  readonly time: Time;
}

/** How long after the function's own timeout a call is given up, ms: start-up and transport are not counted in the function's timeout. */
export const TIMEOUT_MARGIN_MS = 15_000;

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000;
/** Lambda's own limit of a synchronous response is 6 MB (and 100 bytes). */
const DEFAULT_MAX_RESPONSE_BYTES = 6_291_456 + 65_536;
/** First probe of an idle connection, and time between probes, ms; network gateways of AWS drop connections that are silent for 350 s. */
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
    maxSockets: options.maxSockets,
    timeout: UNUSED_CONNECTION_MS,
    scheduling: 'lifo' as const,
  };
  const handler = new CappedHandler(
    new NodeHttpHandler({
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      // No limit on silence: the call as a whole is bounded by the function's timeout.
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
    close: () => client.destroy(),
  };
}

async function invoke(client: LambdaClient, time: Time, request: InvokeRequest): Promise<InvokeOutcome> {
  const abort = new AbortController();
  const limitMs = request.timeoutSeconds * 1000 + TIMEOUT_MARGIN_MS;
  let endedBy: string | undefined;
  const end = (why: string): void => {
    endedBy ??= why;
    abort.abort();
  };
  const cancelTimer = time.after(limitMs, () =>
    end(`no answer within ${limitMs} ms (the function's timeout of ${request.timeoutSeconds} s and a margin)`),
  );
  const onSignal = (): void => end('the call was ended by this server');
  request.signal?.addEventListener('abort', onSignal, { once: true });
  const progress: Progress = { handedOver: false };
  try {
    if (request.signal?.aborted) return { kind: 'connection-lost', message: 'the call was ended by this server' };
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
