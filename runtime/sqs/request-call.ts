/**
 * A request as the actions see it.
 *
 * @module
 */
import type { Call, Services } from './actions/action.ts';
import { FORBIDDEN_CHARACTER, MAX_TRACE_HEADER_LENGTH } from './limits.ts';
import type { Caller, SqsRequest } from './request.ts';

/** What most actions never ask for (the signal, the trace header) is looked up only when one does: a send should not pay for it. */
export class RequestCall implements Call {
  readonly directory: Services['directory'];
  readonly moveTasks: Services['moveTasks'];
  readonly purges: Services['purges'];
  readonly randomness: Services['randomness'];
  readonly maxDelaySeconds: number;
  readonly maxQueues: number;
  readonly caller: Caller;
  readonly endpoint: string;
  readonly #request: SqsRequest;

  constructor(services: Services, request: SqsRequest) {
    this.directory = services.directory;
    this.moveTasks = services.moveTasks;
    this.purges = services.purges;
    this.randomness = services.randomness;
    this.maxDelaySeconds = services.maxDelaySeconds;
    this.maxQueues = services.maxQueues;
    this.caller = request.caller;
    this.endpoint = request.endpoint;
    this.#request = request;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  /** Set by X-Ray and by API Gateway; anything that could not be given back as text is not one. */
  get traceHeader(): string | undefined {
    const header = this.#request.headers('x-amzn-trace-id');
    if (header === undefined || header === '' || header.length > MAX_TRACE_HEADER_LENGTH) return undefined;
    return FORBIDDEN_CHARACTER.test(header) ? undefined : header;
  }
}
