/**
 * The way of an SQS request from the socket to the API and back, straight on node:http: this is the hot path, and a
 * detour through Request and Response objects costs a fifth of it.
 *
 * This is also the one boundary at which errors of such a request become answers.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../log.ts';
import type { SqsApi } from '../sqs/api.ts';
import { SqsError } from '../sqs/errors.ts';
import { findQueueUrl } from '../sqs/queue-url.ts';
import { type Caller, isForm, isJson, type SqsRequest, type SqsRequestHead, type SqsResponse } from '../sqs/request.ts';
import type { AuthenticationHead, AuthenticationRequest } from './auth/authenticator.ts';
import { splitCapability } from './auth/capability.ts';
import type { Credential } from './auth/credentials.ts';
import { ClientGoneError, readBody, type Sender } from './body.ts';
import type { Edge } from './edge.ts';
import { endpointOf, type Location, signerViews } from './location.ts';

export interface SqsEndpointParts {
  readonly api: Pick<SqsApi, 'handle' | 'refuse'>;
  readonly edge: Edge;
  /** The account of callers, twelve digits; may become known only by a discovery. */
  readonly account: () => string;
  readonly region: string;
  readonly uuid: () => string;
  readonly log: Log;
}

/** Serves one request; never rejects. */
export type SqsEndpoint = (request: IncomingMessage, response: ServerResponse, location: Location) => Promise<void>;

export function createSqsEndpoint(parts: SqsEndpointParts): SqsEndpoint {
  const { api, edge, log } = parts;
  return async (incoming, outgoing, location) => {
    const head: SqsRequestHead = {
      method: incoming.method ?? 'GET',
      path: location.path,
      query: location.query,
      headers: (name) => headerOf(incoming, name),
      requestId: parts.uuid(),
    };
    let bodyIsRead = false;
    let release = (): void => {};
    try {
      const token = location.token ?? (location.query === '' ? undefined : tokenIn(head, NO_BODY));
      const claim = new Claim(edge, incoming, location, token);
      const verdict = edge.authenticator.fromHead(claim);
      let { credential } = verdict;
      if (verdict.sender === 'stranger' && !mayHoldQueueUrl(head)) {
        credential = edge.authenticator.authenticate(claim.with(NO_BODY, token));
      }
      const sender: Sender =
        verdict.sender !== 'stranger'
          ? verdict.sender
          : {
              proves: (beginning) => {
                const url = findQueueUrl({ ...head, body: beginning }, false);
                // It may stand further on.
                if (url === undefined) return false;
                credential = edge.authenticator.authenticate(claim.with(NO_BODY, splitCapability(url)?.token));
                edge.proven(incoming);
                return true;
              },
            };
      const body = await readBody(incoming, edge.memory, sender);
      release = body.release;
      bodyIsRead = true;
      if (credential === undefined || credential.kind === 'access-key') {
        // A capability wins over a signature, also over one that holds.
        const found = token ?? tokenIn(head, body.bytes);
        if (credential === undefined || found !== undefined) {
          credential = edge.authenticator.authenticate(claim.with(body.bytes, found, body.hashAlone));
          body.proven();
        }
      }
      edge.proven(incoming);
      const caller = callerOf(credential, claim.address, parts);
      const request = new Request(head, body.bytes, caller, claim, credential, outgoing);
      send(outgoing, await api.handle(request), false);
    } catch (error) {
      if (error instanceof ClientGoneError) return;
      release();
      await edge.pauseBefore(error, outgoing);
      send(outgoing, await api.refuse(head, toSqsError(error, head, log)), !bodyIsRead);
    } finally {
      release();
    }
  };
}

const NO_BODY: Uint8Array = new Uint8Array(0);

/** The capability in a QueueUrl of the query string or of a body. */
function tokenIn(head: SqsRequestHead, body: Uint8Array): string | undefined {
  const url = findQueueUrl({ headers: head.headers, query: head.query, body });
  return url === undefined ? undefined : splitCapability(url)?.token;
}

/** Whether a capability may stand in the body. */
function mayHoldQueueUrl(head: SqsRequestHead): boolean {
  const contentType = head.headers('content-type');
  return head.method === 'POST' && (isJson(contentType) || isForm(contentType));
}

/**
 * What the head of a request says of its sender. A capability in the path needs none of what a signature needs, so that
 * is made when it is asked for.
 */
export class Claim implements AuthenticationRequest {
  readonly edge: Edge;
  /** Empty until it is read. */
  readonly body: Uint8Array;
  readonly bodyHash: string | undefined;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly token: string | undefined;
  readonly #incoming: IncomingMessage;
  readonly #location: Location;

  constructor(
    edge: Edge,
    incoming: IncomingMessage,
    location: Location,
    token: string | undefined,
    body = NO_BODY,
    bodyHash?: string,
  ) {
    this.edge = edge;
    this.body = body;
    this.bodyHash = bodyHash;
    this.method = incoming.method ?? 'GET';
    this.path = location.rawPath;
    this.query = location.query;
    this.token = token;
    this.#incoming = incoming;
    this.#location = location;
  }

  get rawHeaders(): readonly string[] {
    return this.#incoming.rawHeaders;
  }

  get authorization(): string | undefined {
    return this.#incoming.headers.authorization;
  }

  get address(): string {
    return this.edge.clientAddress(this.#incoming);
  }

  get views(): AuthenticationHead['views'] {
    return signerViews(this.edge.address, this.#location);
  }

  /** What URLs in answers begin with, without a capability. */
  get origin(): string {
    const { address } = this.edge;
    const { host } = this.#incoming.headers;
    return endpointOf(address, host, this.edge.forwardedProto(this.#incoming), this.edge.fallbackHost());
  }

  get resource(): string {
    return `${this.origin}${this.#location.path}`;
  }

  /** The whole request: with its body, and the capability that was found in it. */
  with(body: Uint8Array, token: string | undefined, bodyHash?: string): AuthenticationRequest {
    return new Claim(this.edge, this.#incoming, this.#location, token, body, bodyHash);
  }
}

/**
 * What most actions never ask for (the signal, the endpoint) is made only if one does: long polls and queue URLs do, a
 * send does not.
 */
class Request implements SqsRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: (name: string) => string | undefined;
  readonly requestId: string;
  readonly body: Uint8Array;
  readonly caller: Caller;
  readonly #claim: Claim;
  readonly #credential: Credential;
  readonly #outgoing: ServerResponse;
  #signal: AbortSignal | undefined;

  constructor(
    head: SqsRequestHead,
    body: Uint8Array,
    caller: Caller,
    claim: Claim,
    credential: Credential,
    outgoing: ServerResponse,
  ) {
    this.method = head.method;
    this.path = head.path;
    this.query = head.query;
    this.headers = head.headers;
    this.requestId = head.requestId;
    this.body = body;
    this.caller = caller;
    this.#claim = claim;
    this.#credential = credential;
    this.#outgoing = outgoing;
  }

  /** A caller gets back URLs that work for it: with its own capability, wherever that was found. */
  get endpoint(): string {
    const { token } = this.#credential;
    return token === undefined ? this.#claim.origin : `${this.#claim.origin}/k/${token}`;
  }

  get signal(): AbortSignal {
    this.#signal ??= this.#claim.edge.endOf(this.#outgoing, 'poll');
    return this.#signal;
  }
}

function callerOf(
  credential: Credential,
  address: string,
  parts: Pick<SqsEndpointParts, 'account' | 'region'>,
): Caller {
  return {
    senderId: credential.senderId,
    address,
    account: parts.account(),
    region: parts.region,
    allows: credential.allows,
    ...(credential.share === undefined ? {} : { share: credential.share }),
  };
}

function headerOf(incoming: IncomingMessage, name: string): string | undefined {
  const value = incoming.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(',') : value;
}

/** `close`: the rest of the request was not read, so the connection cannot be used again. */
function send(outgoing: ServerResponse, answer: SqsResponse, close: boolean): void {
  if (outgoing.destroyed || outgoing.headersSent) return;
  if (close) outgoing.setHeader('Connection', 'close');
  // As SQS does; without it Node would send the answer in chunks.
  const length = { 'Content-Length': Buffer.byteLength(answer.body) };
  outgoing.writeHead(answer.status, { ...answer.headers, ...length });
  outgoing.end(answer.body);
}

function toSqsError(error: unknown, head: SqsRequestHead, log: Log): SqsError {
  if (error instanceof SqsError) return error;
  log.error({ err: error, requestId: head.requestId, method: head.method }, 'a request failed unexpectedly');
  return new SqsError('InternalFailure');
}
