/**
 * The seam between the consumer and AWS Lambda: one synchronous Invoke, no retries, and an outcome for each row of the
 * decision table.
 *
 * @module
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { InvokeCommand, LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import { NodeHttpHandler, type NodeHttpHandlerOptions } from '@smithy/node-http-handler';
import type { Time } from '../time.ts';
import { classifyError, functionError, type InvokeOutcome, ResponseTooLargeError } from './invoke-outcome.ts';
import { type AwsScope, noScope, scopeFor } from './scope.ts';

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
  /**
   * Whether to ask for the end of the log of this run: its last 4 KB, in a header of the answer. Default: not. Source:
   * Lambda API, `Invoke`, `LogType`.
   */
  readonly logTail?: boolean;
  /** Ends the call: outcome `connection-lost`. */
  readonly signal?: AbortSignal;
}

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
  /** Lets few large responses be read at one time; shared by all invokers of a process. Default: one of its own. */
  readonly largeBodies?: LargeBodies;
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

/** An invoker for one region and account. Errors of calls are outcomes; `invoke` itself never rejects. */
export function createInvoker(options: InvokerOptions): Invoker {
  return new LambdaInvoker(options);
}

class LambdaInvoker implements Invoker {
  readonly #client: LambdaClient;
  readonly #time: Time;

  constructor(options: InvokerOptions) {
    this.#time = options.time;
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
      options.largeBodies ?? new LargeBodies(LARGE_AT_ONCE),
    );
    this.#client = new LambdaClient({
      ...(options.region !== undefined && { region: options.region }),
      ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
      ...(options.credentials !== undefined && { credentials: options.credentials }),
      maxAttempts: 1,
      // The adaptive mode would hold calls back while their lease runs.
      retryMode: 'standard',
      requestHandler: handler,
    });
  }

  async invoke(request: InvokeRequest): Promise<InvokeOutcome> {
    const abort = new AbortController();
    const limitMs = request.longestSeconds * 1000 + TIMEOUT_MARGIN_MS;
    let endedBy: string | undefined;
    const end = (why: string): void => {
      endedBy ??= why;
      abort.abort();
    };
    const cancelTimer = this.#time.after(limitMs, () =>
      end(`no answer within ${limitMs} ms (AWS ends an Invoke after ${request.longestSeconds} s)`),
    );
    const onSignal = (): void => end('the call was ended by this server');
    request.signal?.addEventListener('abort', onSignal, { once: true });
    const call = new Call(abort.signal, request.traceHeader);
    try {
      if (request.signal?.aborted) {
        return { kind: 'unreached', why: 'no-way', message: 'the call was ended by this server before it began' };
      }
      const command = new InvokeCommand({
        FunctionName: request.functionArn,
        InvocationType: 'RequestResponse',
        LogType: request.logTail === true ? 'Tail' : 'None',
        Payload: request.payload,
      });
      const answer = await this.#client.send(command, call);
      const payload = answer.Payload ?? new Uint8Array();
      const { requestId } = answer.$metadata;
      const logTail = answer.LogResult === undefined ? '' : Buffer.from(answer.LogResult, 'base64').toString('utf8');
      const named = { ...(requestId === undefined ? {} : { requestId }), ...(logTail === '' ? {} : { logTail }) };
      if (answer.FunctionError !== undefined) return { ...functionError(payload), ...named };
      return {
        kind: 'success',
        response: payload,
        ...named,
        ...(answer.ExecutedVersion !== undefined && { executedVersion: answer.ExecutedVersion }),
      };
    } catch (error) {
      if (endedBy !== undefined) return { kind: 'connection-lost', message: endedBy };
      return classifyError(error, call.handedOver);
    } finally {
      cancelTimer();
      request.signal?.removeEventListener('abort', onSignal);
    }
  }

  /**
   * Every answer of Lambda that says nothing against the way to the function counts as reached; so does one of an
   * endpoint that does not know probes.
   */
  async probe(functionArn: string): Promise<ProbeOutcome> {
    const abort = new AbortController();
    const cancelTimer = this.#time.after(PROBE_TIMEOUT_MS, () => abort.abort());
    try {
      const command = new InvokeCommand({ FunctionName: functionArn, InvocationType: 'DryRun' });
      await this.#client.send(command, new Call(abort.signal));
      return { kind: 'reached' };
    } catch (error) {
      if (abort.signal.aborted) {
        return { kind: 'unreached', why: 'no-way', message: `Lambda did not answer within ${PROBE_TIMEOUT_MS} ms` };
      }
      const outcome = classifyError(error, true);
      if (outcome.kind === 'connection-lost') return { kind: 'unreached', why: 'no-way', message: outcome.message };
      return outcome.kind === 'unreached' ? outcome : { kind: 'reached' };
    } finally {
      cancelTimer();
    }
  }

  close(): void {
    this.#client.destroy();
  }
}

/**
 * The invoker of all scopes: a function is invoked with the credentials of its account and in its region. The client of
 * a scope is made by its first Invoke.
 */
export function createScopedInvoker(scopes: readonly AwsScope[], time: Time): Invoker {
  const largeBodies = new LargeBodies(LARGE_AT_ONCE);
  const byScope = new Map<AwsScope, LambdaInvoker>();
  /** By region and account, as an ARN has them. */
  const byPlace = new Map<string, LambdaInvoker>();
  const invokerOf = (functionArn: string): LambdaInvoker | { readonly missing: string } => {
    const [, , , region = '', account = ''] = functionArn.split(':', 5);
    const place = `${region}:${account}`;
    const known = byPlace.get(place);
    if (known !== undefined) return known;
    const scope = scopeFor(scopes, { account, region });
    if (scope === undefined) return { missing: noScope({ account, region }) };
    const { credentials } = scope;
    const invoker =
      byScope.get(scope) ??
      new LambdaInvoker({ region, time, largeBodies, ...(credentials === undefined ? {} : { credentials }) });
    byScope.set(scope, invoker);
    byPlace.set(place, invoker);
    return invoker;
  };
  return {
    invoke: async (request) => {
      const invoker = invokerOf(request.functionArn);
      if ('missing' in invoker) return { kind: 'unreached', why: 'no-way', message: invoker.missing };
      return invoker.invoke(request);
    },
    probe: async (functionArn) => {
      const invoker = invokerOf(functionArn);
      if ('missing' in invoker) return { kind: 'unreached', why: 'no-way', message: invoker.missing };
      return invoker.probe(functionArn);
    },
    close: () => {
      for (const invoker of byScope.values()) invoker.close();
    },
  };
}

/** What an HTTP header may carry, bounded; anything else in a sender's trace header stays behind. */
const TRACE_HEADER = /^[\x21-\x7e][\x20-\x7e]{0,1023}$/;

/**
 * One call: the options with which the SDK is given it, and which it hands on to the handler below. The trace header is
 * set there: it is no part of the signature.
 */
class Call {
  readonly abortSignal: AbortSignal;
  readonly traceHeader: string | undefined;
  /** The request was handed to the HTTP layer; before that it cannot have left the process. */
  handedOver: boolean;

  constructor(abortSignal: AbortSignal, traceHeader?: string) {
    this.abortSignal = abortSignal;
    this.traceHeader = traceHeader !== undefined && TRACE_HEADER.test(traceHeader) ? traceHeader : undefined;
    this.handedOver = false;
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

class CappedHandler {
  readonly metadata: { readonly handlerProtocol: string };
  readonly #inner: NodeHttpHandler;
  readonly #maxBytes: number;
  readonly #large: LargeBodies;

  /** `maxBytes`: of the body of one response. */
  constructor(inner: NodeHttpHandler, maxBytes: number, large: LargeBodies) {
    this.#large = large;
    this.metadata = inner.metadata;
    this.#inner = inner;
    this.#maxBytes = maxBytes;
  }

  /**
   * Errors: those of the inner handler, `ResponseTooLargeError`, and `TypeError` if the SDK hands on other options than
   * those of the call: nothing is sent then, because nobody would know that it was.
   */
  async handle(request: Request, call?: RequestOptions): Promise<Response> {
    if (!(call instanceof Call)) throw new TypeError('the AWS SDK did not hand on the options of the call');
    if (call.traceHeader !== undefined) request.headers['X-Amzn-Trace-Id'] = call.traceHeader;
    call.handedOver = true;
    const answer = await this.#inner.handle(request, call);
    // The SDK types the body as `any`; the inner handler always gives the IncomingMessage.
    const body: Readable = answer.response.body;
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
      answer.response.body = Buffer.concat(chunks, bytes);
      return answer;
    } finally {
      endTurn?.();
    }
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
}

/**
 * Lets few large bodies be read at one time; those that wait stay with their sender, because a stream that is not read
 * holds little.
 */
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
