/**
 * `POST /in/<account>/<queue>`: any body becomes a message. For senders that do not speak the SQS API: SNS,
 * EventBridge, API Gateway, Step Functions, IoT, web hooks of anybody.
 *
 * A delivery goes the way of every request (`edge.ts`): the head proves a credential with the scope `send`, then the
 * body is read, then SendMessage itself judges and stores the message. 200 means that it is stored. What may become
 * true later is answered with 503 or 429, what never can with another 4xx: see `refusal.ts`.
 *
 * This is the one boundary at which errors of a delivery become answers.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Places } from '../../aws/scope.ts';
import type { Log } from '../../log.ts';
import { queueKey } from '../../queue/names.ts';
import { authorize } from '../../sqs/actions/action.ts';
import type { SqsApi } from '../../sqs/api.ts';
import { echo, SqsError } from '../../sqs/errors.ts';
import { MAX_MESSAGE_BYTES, QUEUE_NAME } from '../../sqs/limits.ts';
import type { Input, MessageInput } from '../../sqs/protocol/model.ts';
import { queueArn } from '../../sqs/queue-url.ts';
import type { Caller, SendSource, SqsRequest } from '../../sqs/request.ts';
import type { Audit } from '../audit.ts';
import type { Credential } from '../auth/credentials.ts';
import { ClientGoneError, readBody } from '../body.ts';
import type { Edge } from '../edge.ts';
import type { Location } from '../location.ts';
import { regionOf } from '../region.ts';
import { Arrival, NO_BODY } from '../sqs-endpoint.ts';
import { answerTo, DeliveryRefusal } from './refusal.ts';
import { type DeliverySettings, messageOf, PARAMETERS, readSettings } from './settings.ts';
import { rawAttributes, type Sns } from './sns.ts';
import type { Sources } from './sources.ts';

/** A message of the full size in an envelope of JSON; a larger one is refused unread. */
const LARGEST_DELIVERY = 2 * MAX_MESSAGE_BYTES;

const PATH = /^\/in\/(\d{12})\/([^/]+)\/?$/;

export interface IngestParts {
  readonly api: SqsApi;
  readonly edge: Edge;
  readonly sns: Sns;
  readonly sources: Sources;
  readonly places: Places;
  readonly uuid: () => string;
  readonly audit: Audit;
  readonly log: Log;
}

/** Serves one request below `/in/`; never rejects. */
export type IngestEndpoint = (request: IncomingMessage, response: ServerResponse, location: Location) => Promise<void>;

/** Whether this endpoint answers a path, which stands below the base path and without a capability. */
export function isIngestPath(path: string): boolean {
  return path.startsWith('/in/');
}

/** A delivery on its way. */
interface Delivery {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly location: Location;
  readonly account: string;
  readonly queue: string;
  readonly header: (name: string) => string | undefined;
}

/** What was done, for the sender. */
type Outcome = Readonly<Record<string, string | undefined>>;

/** A sender uses one URL, and most servers have few senders. */
const KEPT_SETTINGS = 256;

export function createIngestEndpoint(parts: IngestParts): IngestEndpoint {
  const { api, edge, sns, sources, places, log } = parts;
  const kept = new Map<string, DeliverySettings>();

  const settingsOf = (query: string): DeliverySettings => {
    const known = kept.get(query);
    if (known !== undefined) return known;
    const settings = readSettings(query);
    // All at once: whoever makes up queries costs the others one reading each.
    if (kept.size >= KEPT_SETTINGS) kept.clear();
    kept.set(query, settings);
    return settings;
  };

  /** Stores the message of a delivery whose sender may send. Errors: `SqsError`, `DeliveryRefusal`. */
  const take = async (delivery: Delivery, body: Uint8Array, caller: Caller): Promise<Outcome> => {
    const { header, location } = delivery;
    const settings = settingsOf(location.query);
    const said = header('x-amz-sns-message-type');
    const withoutEnvelope = header('x-amz-sns-rawdelivery') === 'true';
    if (withoutEnvelope && settings.topics.length === 0) {
      // SNS itself took the envelope off, and with it the signature and the attributes: all that vouches for it is the
      // credential.
      const id = header('x-amz-sns-message-id');
      return store(delivery, caller, messageOf(settings, { body, header, ...deduplication(delivery, id) }), {
        kind: 'sns',
        name: 'not verified',
      });
    }
    if (said === undefined && settings.topics.length === 0 && !settings.raw) {
      return store(delivery, caller, messageOf(settings, { body, header }), sourceOf(settings, header));
    }
    const message = await sns.open(body, settings.topics);
    const key = queueKey(queueArn(delivery.account, delivery.queue, caller.region));
    if (message.Type === 'SubscriptionConfirmation') {
      await sns.confirm(message, key);
      return { Confirmed: message.TopicArn };
    }
    if (message.Type === 'UnsubscribeConfirmation') {
      sns.ended(message, key);
      return { Ended: message.TopicArn };
    }
    const input = messageOf(settings, {
      body: settings.raw ? message.Message : body,
      ...(settings.raw ? { attributes: rawAttributes(message) } : {}),
      ...deduplication(delivery, message.MessageId),
      header,
    });
    return store(delivery, caller, input, { kind: 'sns', name: message.TopicArn });
  };

  const store = async (
    delivery: Delivery,
    caller: Caller,
    input: MessageInput,
    source: SendSource,
  ): Promise<Outcome> => {
    // What is kept of a QueueUrl must mean the same queue to every caller.
    const inRegion = places.regions.size > 1 ? `/r/${caller.region}` : '';
    const QueueUrl = `${inRegion}/${delivery.account}/${delivery.queue}`;
    const message: Input<'SendMessage'> = Object.assign(input, { QueueUrl });
    const request = new SendRequest(edge, delivery, caller, source, parts.uuid());
    const { MessageId, MD5OfMessageBody, SequenceNumber } = await api.perform('SendMessage', message, request);
    return { MessageId, MD5OfMessageBody, SequenceNumber };
  };

  const deliver = async (delivery: Delivery): Promise<void> => {
    const { incoming, outgoing, location, account, queue } = delivery;
    let credential: Credential | undefined;
    let isRead = false;
    let release = (): void => {};
    const address = edge.clientAddress(incoming);
    const authorized = (one: Credential, head: Arrival): Caller => {
      edge.connections.proven(incoming);
      const region = regionOf(places, { head, location, credential: one });
      const caller = callerOf(one, { account, region, address });
      authorize('SendMessage', 'send', { caller }, { account, region, name: queue });
      return caller;
    };
    try {
      const arrival = new Arrival(edge, incoming, outgoing, location, parts.uuid());
      const verdict = edge.authenticator.fromHead(arrival);
      credential = verdict.credential;
      // A body proves its sender only by a signature over it.
      if (verdict.sender === 'stranger') credential = edge.authenticator.authenticate(arrival);
      let caller = credential === undefined ? undefined : authorized(credential, arrival);
      const sender = verdict.sender === 'stranger' ? 'proven' : verdict.sender;
      const body = await readBody(incoming, edge.memory, sender, LARGEST_DELIVERY);
      release = body.release;
      isRead = true;
      if (credential === undefined || caller === undefined) {
        arrival.body = body.bytes;
        arrival.bodyHash = body.hashAlone;
        credential = edge.authenticator.authenticate(arrival);
        body.proven();
        caller = authorized(credential, arrival);
      }
      answer(outgoing, 200, await take(delivery, body.bytes, caller));
    } catch (error) {
      if (error instanceof ClientGoneError) return;
      release();
      await edge.pauseBefore(error, outgoing);
      const refusal = answerTo(known(error, log), queue, credential !== undefined);
      if (credential !== undefined) {
        const { status, code: reason } = refusal;
        sources.refused({ queue: `${account}/${queue}`, reason, status, text: refusal.error });
        parts.audit({
          what: 'delivery-refused',
          who: credential.senderId,
          from: address,
          to: { queue, status, reason },
        });
      }
      if (refusal.retryAfter !== undefined) outgoing.setHeader('Retry-After', refusal.retryAfter);
      // SNS sends the user and password of a URL only when it is asked for them.
      if (refusal.status === 401)
        outgoing.setHeader('WWW-Authenticate', ['Basic realm="karin"', 'Bearer realm="karin"']);
      if (!isRead) outgoing.setHeader('Connection', 'close');
      answer(outgoing, refusal.status, { error: refusal.error, code: refusal.code });
    } finally {
      release();
    }
  };

  return async (incoming, outgoing, location) => {
    const { method = 'GET' } = incoming;
    const [, account = '', queue = ''] = PATH.exec(location.path) ?? [];
    if (!QUEUE_NAME.test(queue)) {
      outgoing.setHeader('Connection', 'close');
      answer(outgoing, 404, {
        error: `There is no queue at ${echo(location.path)}: the path of a delivery is /in/<account, twelve digits>/<queue>.`,
        code: 'InvalidAddress',
      });
    } else if (method === 'GET' || method === 'HEAD') {
      text(outgoing, describe(location.query, queue), method === 'HEAD');
    } else if (method === 'POST') {
      await deliver({ incoming, outgoing, location, account, queue, header: (name) => headerOf(incoming, name) });
    } else {
      outgoing.setHeader('Allow', 'GET, HEAD, POST').setHeader('Connection', 'close');
      answer(outgoing, 405, {
        error: `Deliveries are sent by POST, not by ${echo(method)}.`,
        code: 'MethodNotAllowed',
      });
    }
  };
}

/** A delivery as the API sees it. What a send never asks for is made only if something does. */
class SendRequest implements SqsRequest {
  readonly method = 'POST';
  readonly body = NO_BODY;
  readonly endpoint = '';
  readonly headers: Delivery['header'];
  readonly requestId: string;
  readonly caller: Caller;
  readonly source: SendSource;
  readonly #edge: Edge;
  readonly #delivery: Delivery;

  constructor(edge: Edge, delivery: Delivery, caller: Caller, source: SendSource, requestId: string) {
    this.headers = delivery.header;
    this.requestId = requestId;
    this.caller = caller;
    this.source = source;
    this.#edge = edge;
    this.#delivery = delivery;
  }

  get path(): string {
    return this.#delivery.location.path;
  }

  get query(): string {
    return this.#delivery.location.query;
  }

  get signal(): AbortSignal {
    return this.#edge.endOf(this.#delivery.outgoing);
  }
}

function callerOf(credential: Credential, rest: Pick<Caller, 'account' | 'region' | 'address'>): Caller {
  const { senderId, allows, share } = credential;
  return { senderId, allows, ...rest, ...(share === undefined ? {} : { share }) };
}

const EVENT_BRIDGE: SendSource = { kind: 'eventbridge' };
const ANYBODY: SendSource = { kind: 'ingest' };

/** EventBridge says who it is by its User-Agent, `Amazon/EventBridge/ApiDestinations`. */
function sourceOf({ from }: DeliverySettings, header: Delivery['header']): SendSource {
  const isEventBridge = header('user-agent')?.startsWith('Amazon/EventBridge/') === true;
  if (from === undefined) return isEventBridge ? EVENT_BRIDGE : ANYBODY;
  return { kind: isEventBridge ? 'eventbridge' : 'ingest', name: from };
}

/** A retry of SNS has the id of the first try; only FIFO queues take it. */
function deduplication({ queue }: Delivery, id: string | undefined): { readonly deduplicationId?: string } {
  return id === undefined || !queue.endsWith('.fifo') ? {} : { deduplicationId: id };
}

function known(error: unknown, log: Log): SqsError | DeliveryRefusal {
  if (error instanceof SqsError || error instanceof DeliveryRefusal) return error;
  log.error({ err: error }, 'a delivery failed unexpectedly');
  return new SqsError('InternalFailure');
}

/** What a person reads who opens the address: needs no credential, and tells nothing that is not in the URL. */
function describe(query: string, queue: string): string {
  const lines = [
    `POST to this address, and the body becomes a message of queue ${queue}. It needs a capability with the scope send in its path, or a header Authorization: Bearer <token>.`,
    '',
    'Parameters:',
    ...[...PARAMETERS].map(([name, meaning]) => `  ${name.padEnd(14)}${meaning}`),
    '',
  ];
  try {
    const { unknown } = readSettings(query);
    lines.push(
      unknown.length === 0
        ? 'This URL is well formed.'
        : `Not known here, and left alone: ${echo(unknown.join(', '))}.`,
    );
  } catch (error) {
    if (!(error instanceof DeliveryRefusal)) throw error;
    lines.push(error.message);
  }
  return `${lines.join('\n')}\n`;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** Several of one name are joined by a comma. Node reads headers as latin1; what is valid UTF-8 was meant as that. */
function headerOf(incoming: IncomingMessage, name: string): string | undefined {
  const given = incoming.headers[name.toLowerCase()];
  const value = Array.isArray(given) ? given.join(',') : given;
  if (value === undefined || /^[ -~\t]*$/.test(value)) return value;
  try {
    return UTF8.decode(Buffer.from(value, 'latin1'));
  } catch {
    return value;
  }
}

function answer(outgoing: ServerResponse, status: number, body: Outcome): void {
  if (outgoing.destroyed || outgoing.headersSent) return;
  const json = JSON.stringify(body);
  outgoing.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(json) });
  outgoing.end(json);
}

function text(outgoing: ServerResponse, body: string, headOnly: boolean): void {
  outgoing.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'X-Content-Type-Options': 'nosniff',
  });
  outgoing.end(headOnly ? undefined : body);
}
