/**
 * The invoker over the Lambda Invoke API.
 *
 * Lambda's own trigger calls Invoke synchronously and knows afterwards what became of the batch; so does this. What matters here is never to run a function twice for
 * one lease by accident:
 *
 * - The SDK's own retries are off: it would send the request again after a connection reset, while the first run may still be under way.
 * - An error counts as "did not run" only when the request surely never left this process (no credentials, no connection) or when Lambda itself says so.
 *   Everything else is `connection-lost`.
 * - A call is given up only after the longest time that AWS lets an Invoke last. What was read of the function's own timeout may be old by then.
 * - A running Invoke is a silent TCP connection, and gateways drop those after some minutes: TCP keep-alive probes hold it open, and end it within minutes if the other
 *   side is gone. A connection that waits for its next request is closed after a few seconds, before the other side closes it and the next request runs into the reset.
 *
 * Where an Invoke found no way to Lambda, a probe finds out when there is one again: an Invoke of the type `DryRun`, for which Lambda checks credentials and function and runs nothing.
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
import type { InvokeOutcome, InvokeRequest, Invoker, ProbeOutcome } from './invoker.ts';

export interface InvokerOptions {
  /** Default: as the AWS SDK finds it (`AWS_REGION`, profile). */
  readonly region?: string;
  /** Where Lambda is, for a local Lambda; default: as the AWS SDK finds it (`AWS_ENDPOINT_URL_LAMBDA`, ...). */
  readonly endpoint?: string;
  /** Default: as the AWS SDK finds them. */
  readonly credentials?: LambdaClientConfig['credentials'];
  /** Connections at one time; default: no bound, as Invokes that waited inside the agent would wait while their lease runs. */
  readonly maxSockets?: number;
  /** Milliseconds for a connection to be made; default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Bytes of a response that are read before the call is given up as a function error; default 6 MiB and some room, as Lambda's own limit. */
  readonly maxResponseBytes?: number;
  readonly time: Time;
}

/** How long after the longest run of the function a call is given up, ms: start-up and transport are not counted in it. */
export const TIMEOUT_MARGIN_MS = 15_000;

const DEFAULT_CONNECT_TIMEOUT_MS = 3_000;
/** How long a probe may take, ms: Lambda answers it at once. */
const PROBE_TIMEOUT_MS = 5_000;
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

/** Every answer of Lambda that says nothing against the way to the function counts as reached; so does one of an endpoint that does not know probes. */
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
