/**
 * The way of an SQS request from the socket to the API and back, straight on node:http: this is the hot path, and a
 * detour through Request and Response objects costs a fifth of it.
 *
 * This is also the one boundary at which errors of such a request become answers.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Places } from '../aws/scope.ts';
import type { Log } from '../log.ts';
import type { CallerSignal } from '../queue/queue.ts';
import type { SqsApi } from '../sqs/api.ts';
import { SqsError } from '../sqs/errors.ts';
import { findQueueUrl } from '../sqs/queue-url.ts';
import { type Caller, isForm, isJson, type SqsRequest, type SqsRequestHead, type SqsResponse } from '../sqs/request.ts';
import type { AuthenticationHead, AuthenticationRequest } from './auth/authenticator.ts';
import type { Credential } from './auth/credentials.ts';
import { splitCapability } from './auth/credentials.ts';
import { ClientGoneError, type ReadBody, readBody, type Sender } from './body.ts';
import type { Edge } from './edge.ts';
import { endpointOf, type Location, signerViews } from './location.ts';
import { type RegionalRequest, regionOf } from './region.ts';

export interface SqsEndpointParts {
  readonly api: Pick<SqsApi, 'handle' | 'refuse'>;
  readonly edge: Edge;
  /** The account of callers, twelve digits; may become known only by a discovery. Errors: `InvalidAddress`. */
  readonly account: () => string;
  readonly places: Places;
  readonly uuid: () => string;
  readonly log: Log;
}

/** Serves one request; never rejects. */
export type SqsEndpoint = (request: IncomingMessage, response: ServerResponse, location: Location) => Promise<void>;

export function createSqsEndpoint(parts: SqsEndpointParts): SqsEndpoint {
  const { api, edge, log } = parts;
  const { authenticator, connections } = edge;
  const severalRegions = parts.places.regions.size > 1;
  return async (incoming, outgoing, location) => {
    const arrival = new Arrival(edge, incoming, outgoing, location, parts.uuid());
    let body: ReadBody | undefined;
    try {
      if (arrival.token === undefined && location.query !== '') arrival.token = tokenIn(arrival);
      const verdict = authenticator.fromHead(arrival);
      let { credential } = verdict;
      if (verdict.sender === 'stranger' && !mayHoldQueueUrl(arrival)) credential = authenticator.authenticate(arrival);
      const sender: Sender =
        verdict.sender !== 'stranger'
          ? verdict.sender
          : {
              proves: (beginning) => {
                const { query } = arrival;
                const headers = (name: string) => arrival.headers(name);
                const url = findQueueUrl({ query, headers, body: beginning }, false);
                // It may stand further on.
                if (url === undefined) return false;
                arrival.token = splitCapability(url)?.token;
                credential = authenticator.authenticate(arrival);
                connections.proven(incoming);
                return true;
              },
            };
      body = await readBody(incoming, edge.memory, sender);
      arrival.body = body.bytes;
      if (credential === undefined || credential.kind === 'access-key') {
        // A capability wins over a signature, also over one that holds.
        arrival.token ??= tokenIn(arrival);
        if (credential === undefined || arrival.token !== undefined) {
          arrival.bodyHash = body.hashAlone;
          credential = authenticator.authenticate(arrival);
          body.proven();
        }
      }
      connections.proven(incoming);
      arrival.credential = credential;
      arrival.caller =
        severalRegions || location.region !== undefined
          ? new Regional(arrival, credential, parts, location)
          : new Authenticated(arrival, credential, parts);
      answer(outgoing, await api.handle(arrival), false);
    } catch (error) {
      if (error instanceof ClientGoneError) return;
      body?.release();
      await edge.pauseBefore(error, outgoing);
      answer(outgoing, await api.refuse(arrival, toSqsError(error, arrival, log)), body === undefined);
    } finally {
      body?.release();
    }
  };
}

export const NO_BODY: Uint8Array = new Uint8Array(0);

/** The capability in a QueueUrl of the query string or of the body. */
function tokenIn(arrival: Arrival): string | undefined {
  const url = findQueueUrl(arrival);
  return url === undefined ? undefined : splitCapability(url)?.token;
}

/** Whether a capability may stand in the body. */
function mayHoldQueueUrl(arrival: Arrival): boolean {
  const contentType = arrival.headers('content-type');
  return arrival.method === 'POST' && (isJson(contentType) || isForm(contentType));
}

/** Nothing is allowed before somebody is authenticated. */
const NOBODY: Caller = { senderId: '', account: '', region: '', allows: () => false };

/**
 * One request, for whoever asks for its credential and for the API. What a send by a capability never asks for (views
 * of its address for a signature, the signal, the endpoint) is made only where something does.
 */
export class Arrival implements SqsRequest, AuthenticationRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly requestId: string;
  /** The capability, from the path or from where it was found. */
  token: string | undefined;
  /** Empty until it is read. */
  body: Uint8Array;
  bodyHash: string | undefined;
  caller: Caller;
  /** What its sender has proven; absent: nothing yet. */
  credential: Credential | undefined;
  readonly #edge: Edge;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #location: Location;
  #signal: Departure | undefined;

  constructor(edge: Edge, incoming: IncomingMessage, outgoing: ServerResponse, location: Location, requestId: string) {
    this.method = incoming.method ?? 'GET';
    this.path = location.path;
    this.query = location.query;
    this.requestId = requestId;
    this.token = location.token;
    this.body = NO_BODY;
    this.caller = NOBODY;
    this.#edge = edge;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#location = location;
  }

  /** `name`: in lower case. */
  headers(name: string): string | undefined {
    const value = this.#incoming.headers[name];
    return typeof value === 'object' ? value.join(',') : value;
  }

  get rawHeaders(): readonly string[] {
    return this.#incoming.rawHeaders;
  }

  get authorization(): string | undefined {
    return this.#incoming.headers.authorization;
  }

  get address(): string {
    return this.#edge.clientAddress(this.#incoming);
  }

  get views(): AuthenticationHead['views'] {
    return signerViews(this.#edge.address, this.#location);
  }

  get resource(): string {
    return `${this.#origin}${this.path}`;
  }

  /** A caller gets back URLs that work for it: with its own capability, wherever that was found. */
  get endpoint(): string {
    const token = this.credential?.token;
    return token === undefined ? this.#origin : `${this.#origin}/k/${token}`;
  }

  get signal(): CallerSignal {
    this.#signal ??= new Departure(this.#edge, this.#outgoing);
    return this.#signal;
  }

  /** What URLs in answers begin with, without a capability. */
  get #origin(): string {
    const { address } = this.#edge;
    const { host } = this.#incoming.headers;
    return endpointOf(address, host, this.#edge.forwardedProto(this.#incoming), this.#edge.fallbackHost());
  }
}

/**
 * Whether the client has gone, or must not wait any longer because the server stops or another connection needs its
 * place. The signal itself is made by the first listener, so for a long poll: until then the request works.
 */
class Departure implements CallerSignal {
  readonly #edge: Edge;
  readonly #outgoing: ServerResponse;
  #wait: AbortSignal | undefined;

  constructor(edge: Edge, outgoing: ServerResponse) {
    this.#edge = edge;
    this.#outgoing = outgoing;
  }

  get aborted(): boolean {
    return this.#wait?.aborted ?? this.#outgoing.destroyed;
  }

  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: boolean }): void {
    this.#wait ??= this.#edge.endOf(this.#outgoing, 'poll');
    // As an event comes: never while its listener is still being added.
    if (this.#wait.aborted) queueMicrotask(listener);
    else this.#wait.addEventListener(type, listener, options);
  }

  removeEventListener(type: 'abort', listener: () => void): void {
    this.#wait?.removeEventListener(type, listener);
  }
}

/**
 * Who sent a request. Few ask for address and account: the audit trail, and a queue without an account. They are
 * getters of a class, because an object with getters of its own has a shape of its own, which the collector must keep.
 */
class Authenticated implements Caller {
  readonly senderId: string;
  readonly allows: Caller['allows'];
  readonly share: Caller['share'];
  readonly #arrival: Arrival;
  readonly #home: Credential['home'];
  readonly #parts: Pick<SqsEndpointParts, 'account' | 'places'>;

  constructor(
    arrival: Arrival,
    { senderId, allows, share, home }: Credential,
    parts: Pick<SqsEndpointParts, 'account' | 'places'>,
  ) {
    this.senderId = senderId;
    this.allows = allows;
    this.share = share;
    this.#home = home;
    this.#arrival = arrival;
    this.#parts = parts;
  }

  get address(): string {
    return this.#arrival.address;
  }

  get account(): string {
    return this.#home?.account ?? this.#parts.account();
  }

  get region(): string {
    return this.#parts.places.region;
  }
}

/** Who sent a request to a server of several regions, or one that names its region. */
class Regional extends Authenticated {
  readonly #places: Places;
  readonly #request: RegionalRequest;

  constructor(
    arrival: Arrival,
    credential: Credential,
    parts: Pick<SqsEndpointParts, 'account' | 'places'>,
    location: Location,
  ) {
    super(arrival, credential, parts);
    this.#places = parts.places;
    this.#request = { head: arrival, location, credential };
  }

  override get region(): string {
    return this.regionOf(undefined);
  }

  regionOf(named: string | undefined): string {
    return regionOf(this.#places, this.#request, named);
  }
}

/** `close`: the rest of the request was not read, so the connection cannot be used again. */
function answer(outgoing: ServerResponse, { status, headers, body }: SqsResponse, close: boolean): void {
  if (outgoing.destroyed || outgoing.headersSent) return;
  if (close) outgoing.setHeader('Connection', 'close');
  // As SQS does; without it Node would send the answer in chunks.
  outgoing.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  outgoing.end(body);
}

function toSqsError(error: unknown, head: SqsRequestHead, log: Log): SqsError {
  if (error instanceof SqsError) return error;
  log.error({ err: error, requestId: head.requestId, method: head.method }, 'a request failed unexpectedly');
  return new SqsError('InternalFailure');
}
