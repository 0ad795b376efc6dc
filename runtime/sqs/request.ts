/**
 * The wall between HTTP and the SQS API: one request as the API needs it, who calls, and the answer. Nothing here knows
 * a socket, a route or a credential.
 *
 * @module
 */

import type { QueueRef } from '../queue/names.ts';
import type { CallerSignal, QueueDepth } from '../queue/queue.ts';
import type { QueueKey } from '../store/store.ts';

/**
 * What a credential may do. `send`: SendMessage and its batch. `consume`: receive, delete, change visibility. `manage`:
 * create, delete, purge and configure queues, tags, permissions, move tasks. Reading (GetQueueUrl, ListQueues,
 * GetQueueAttributes, ...) is open to each of the three.
 */
export type Scope = 'send' | 'consume' | 'manage';

/** Longer than any name and without a letter, so only wildcards match. */
const ANY = '*'.repeat(81);
/** Asked for as a queue: only a credential for every queue of every account and region reaches it. */
export const EVERY_QUEUE: QueueRef = { account: ANY, region: ANY, name: ANY };

/** What a credential may take for itself; a member that is absent is not bounded. */
export interface CallerShare {
  /** Takes so many messages from its share of this second; `false`: there is no room. */
  readonly takeSends?: (count: number) => boolean;
  /** Queues made with it that may exist at one time. */
  readonly maxQueues?: number;
  /**
   * Takes room for messages and their bytes in a queue; otherwise which of the two has none left. Errors:
   * `StoreUnavailableError`.
   */
  readonly takeRoom?: (
    queue: { readonly key: QueueKey; depth(): Promise<QueueDepth> },
    messages: number,
    bytes: number,
  ) => Promise<'messages' | 'bytes' | undefined>;
}

/**
 * What kind of sender a message has: a caller of the SQS API, the operator's page, a POST to the ingest endpoint, and
 * among those what is known to be EventBridge or was proven to be SNS.
 */
export type SourceKind = 'sdk' | 'page' | 'ingest' | 'eventbridge' | 'sns';

/** Where a message comes from, for the operator. */
export interface SendSource {
  readonly kind: SourceKind;
  /** A topic, or what the URL says of its sender. */
  readonly name?: string;
}

/** Who calls, decided before the API is asked. */
export interface Caller {
  /** `SenderId`, as ReceiveMessage reports it. */
  readonly senderId: string;
  /** Address of the client, for the audit trail; absent: a page of this server calls, and writes its own line. */
  readonly address?: string;
  /**
   * Twelve digits: the account in which a bare queue name is looked up and CreateQueue creates. Errors:
   * `InvalidAddress`, where a server of several accounts cannot know.
   */
  readonly account: string;
  /** The region of queues that are named without one, for example `us-east-1`. Errors: those of `regionOf`. */
  readonly region: string;
  /**
   * The region that a QueueUrl means which names this one, or none. Errors: `InvalidAddress`, if the request names
   * several, or one that is not served. Absent: the server has one region.
   */
  regionOf?(named: string | undefined): string;
  /** Absent: what it may take is not bounded. */
  readonly share?: CallerShare | undefined;
  /** Whether the credential has this scope for the queue; without a name: for at least one conceivable queue. */
  allows(scope: Scope, queue?: QueueRef): boolean;
}

/** What is known of a request before its body was read: enough to answer a refusal in the protocol of the request. */
export interface SqsRequestHead {
  /** `GET`, `POST`, ... in capitals. */
  readonly method: string;
  /**
   * The path below the base path and without `/k/<token>` and `/r/<region>`: `/` or `/000000000000/jobs`.
   * Percent-encoding as received.
   */
  readonly path: string;
  /** The query string without its question mark; empty: none. */
  readonly query: string;
  /** The header of this name (in lower case), several of one name joined by a comma; `undefined`: absent. */
  headers(name: string): string | undefined;
  /** Stands in the answer and in logs; a UUID. */
  readonly requestId: string;
}

/** One HTTP request as the SQS API needs it; the body is already read and bounded. */
export interface SqsRequest extends SqsRequestHead {
  readonly body: Uint8Array;
  /**
   * What QueueUrls in answers begin with: origin and base path, and `/k/<token>` if the caller used a capability
   * (wherever it was found, so that the URLs in the answer work for the same caller); no slash at the end.
   */
  readonly endpoint: string;
  readonly caller: Caller;
  /** Where the messages that it sends come from; absent: from a caller of the SQS API. */
  readonly source?: SendSource;
  /** The client went away, or the server is stopping: long polls end early. */
  readonly signal: CallerSignal;
}

/** One HTTP answer. `Content-Length` and `Connection` are left to the server. */
export interface SqsResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/*
 * Which protocol a request speaks, by its headers alone.
 */

export type Protocol = 'json' | 'query';

/** Whether a content type is that of the JSON protocol. */
export function isJson(contentType: string | undefined): boolean {
  return /^application\/x-amz-json-1\.[01]\s*(?:;|$)/i.test(contentType ?? '');
}

/** Whether a content type is that of form parameters. */
export function isForm(contentType: string | undefined): boolean {
  return /^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(contentType ?? '');
}

export function protocolOf(head: Pick<SqsRequestHead, 'method' | 'headers'>): Protocol {
  return head.method === 'POST' && isJson(head.headers('content-type')) ? 'json' : 'query';
}

/** How a caller of the Query protocol wants to read the answer. */
export type QueryFormat = 'xml' | 'json';

/** SQS answers a GET in JSON if that is what it accepts. */
export function queryFormatOf(head: Pick<SqsRequestHead, 'method' | 'headers'>): QueryFormat {
  return head.method === 'GET' && /\bapplication\/json\b/i.test(head.headers('accept') ?? '') ? 'json' : 'xml';
}
