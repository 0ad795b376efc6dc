/**
 * A Lambda whose every answer a test chooses: a real HTTP server that the real AWS SDK talks to.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { respond, type SeenInvoke, startScriptedLambda } from '../lambda/scripted-lambda.ts';

const Event = z.object({
  Records: z.array(
    z.object({
      messageId: z.string(),
      receiptHandle: z.string(),
      body: z.string(),
      attributes: z.record(z.string(), z.string()),
    }),
  ),
});

/** The parts of a record that tests look at. */
export type SeenRecord = z.infer<typeof Event>['Records'][number];

/** One Invoke. */
export interface LambdaCall {
  /** Counts from 0, in the order of arrival. */
  readonly index: number;
  /** As in the path of the request, decoded: ARN or name, with its qualifier. */
  readonly functionName: string;
  readonly headers: IncomingHttpHeaders;
  /** The whole event, read as JSON. */
  readonly event: unknown;
  readonly records: readonly SeenRecord[];
  readonly bodies: readonly string[];
  /** Bytes of the event. */
  readonly bytes: number;
  /** Resolves when the connection of this call is closed, by whichever side. */
  readonly closed: Promise<void>;
}

const INVOKE_PATH = /^\/2015-03-31\/functions\/([^/]+)\/invocations/;

/** How a call ends. */
export type Answer =
  /** 200 with this JSON value; `raw` instead of a value is sent as it is. */
  | { readonly kind: 'answer'; readonly value?: unknown; readonly raw?: string; readonly log?: string }
  /** 200 with `X-Amz-Function-Error`. */
  | {
      readonly kind: 'function-error';
      readonly errorType: string;
      readonly message: string;
      readonly trace?: readonly string[];
      /** Of the run; told if the call asks for its tail. */
      readonly log?: string;
    }
  /** An error of the Lambda service. */
  | { readonly kind: 'error'; readonly status: number; readonly type: string; readonly retryAfterSeconds?: number }
  /** The connection is reset after the request was read. */
  | { readonly kind: 'reset' }
  /** No answer ever. */
  | { readonly kind: 'hang' };

export type Behaviour = (call: LambdaCall) => Answer | Promise<Answer>;

export const SUCCESS: Answer = { kind: 'answer', value: null };
export const THROTTLED: Answer = { kind: 'error', status: 429, type: 'TooManyRequestsException' };
export const CRASH: Answer = { kind: 'function-error', errorType: 'Error', message: 'it did not work' };

/** The answer of a function that reports these messages as failed. */
export function reportFailures(ids: readonly string[]): Extract<Answer, { kind: 'answer' }> {
  return { kind: 'answer', value: { batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) } };
}

export class ScriptableLambda {
  readonly endpoint: string;
  /** All calls so far. */
  readonly calls: LambdaCall[] = [];
  /** Times that Lambda was asked, by a dry run, whether a function could be invoked. */
  probes = 0;
  readonly #close: () => Promise<void>;
  #behaviour: Behaviour = () => SUCCESS;
  #probed: () => Answer = () => SUCCESS;
  #taken = 0;
  #waiting: ((call: LambdaCall) => void)[] = [];

  private constructor(endpoint: string, close: () => Promise<void>) {
    this.endpoint = endpoint;
    this.#close = close;
  }

  static async start(): Promise<ScriptableLambda> {
    const server = await startScriptedLambda((invoke) => void lambda.#answer(invoke));
    const lambda = new ScriptableLambda(server.endpoint, async () => server[Symbol.asyncDispose]());
    return lambda;
  }

  /** How calls from now on end; default: success with `null`. */
  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour;
  }

  /** The first calls from now on end so, one after the other; the rest as before. */
  script(...answers: readonly Answer[]): void {
    const rest = this.#behaviour;
    const left = [...answers];
    this.#behaviour = (call) => left.shift() ?? rest(call);
  }

  /** How dry runs from now on end; default: the function could be invoked. */
  answerProbes(answer: () => Answer): void {
    this.#probed = answer;
  }

  /** Nothing gets through any more: Invokes and dry runs end so, until `mend`. */
  fail(answer: Answer): void {
    this.#behaviour = () => answer;
    this.#probed = () => answer;
  }

  mend(): void {
    this.#behaviour = () => SUCCESS;
    this.#probed = () => SUCCESS;
  }

  /** The next call that no earlier `next` gave; waits for it if need be. */
  next(): Promise<LambdaCall> {
    const call = this.calls[this.#taken];
    this.#taken += 1;
    return call === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(call);
  }

  close(): Promise<void> {
    return this.#close();
  }

  async #answer(invoke: SeenInvoke): Promise<void> {
    const name = INVOKE_PATH.exec(invoke.path)?.[1];
    if (invoke.headers['x-amz-invocation-type'] === 'DryRun') {
      this.probes += 1;
      give(invoke, this.#probed());
      return;
    }
    const event: unknown = invoke.body.length === 0 ? undefined : JSON.parse(invoke.body.toString('utf8'));
    const records = recordsOf(event);
    if (name === undefined || records === undefined) {
      // Not from here: a client of another test that still calls a port which is ours now.
      respond(invoke, 404, '{"Message":"no event of SQS"}');
      return;
    }
    const call: LambdaCall = {
      index: this.calls.length,
      functionName: decodeURIComponent(name),
      headers: invoke.headers,
      event,
      records,
      bodies: records.map((record) => record.body),
      bytes: invoke.body.byteLength,
      closed: new Promise<void>((resolve) => {
        invoke.response.once('close', () => resolve());
      }),
    };
    this.calls.push(call);
    const answering = this.#behaviour(call);
    this.#waiting.shift()?.(call);
    give(invoke, await answering);
  }
}

/** The records of an event; `undefined`: it is something else. */
function recordsOf(event: unknown): readonly SeenRecord[] | undefined {
  const read = Event.safeParse(event);
  return read.success ? read.data.Records : undefined;
}

function logOf(invoke: SeenInvoke, { log }: { readonly log?: string }): Readonly<Record<string, string>> {
  if (log === undefined || invoke.headers['x-amz-log-type'] !== 'Tail') return {};
  return { 'x-amz-log-result': Buffer.from(log).subarray(-4_096).toString('base64') };
}

function give(invoke: SeenInvoke, answer: Answer): void {
  switch (answer.kind) {
    case 'answer':
      respond(invoke, 200, answer.raw ?? JSON.stringify(answer.value ?? null), logOf(invoke, answer));
      return;
    case 'function-error': {
      const { errorType, message } = answer;
      respond(invoke, 200, JSON.stringify({ errorType, errorMessage: message, trace: answer.trace }), {
        'x-amz-function-error': 'Unhandled',
        ...logOf(invoke, answer),
      });
      return;
    }
    case 'error':
      respond(invoke, answer.status, JSON.stringify({ Type: 'User', Message: `${answer.type} of the test` }), {
        'x-amzn-errortype': answer.type,
        ...(answer.retryAfterSeconds !== undefined && { 'retry-after': String(answer.retryAfterSeconds) }),
      });
      return;
    case 'reset':
      invoke.socket.resetAndDestroy();
      return;
    case 'hang':
  }
}

/** A gate that a test holds shut: calls that wait for it hang until it is opened. */
export class Gate {
  readonly opened: Promise<void>;
  #open: () => void = () => {};

  constructor() {
    this.opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }
}
