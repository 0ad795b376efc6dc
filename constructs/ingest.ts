import { Fn, type IResolvable, type IResolveContext, Token, Tokenization } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { isLoopback } from './endpoint';
import type { AnchoredQueue, IKarinQueue, KarinIngestUrlOptions } from './queue-interface';

/** The parameters of an address, by their names in the query; those of `KarinIngestUrlOptions` that were given. */
export type IngestQuery = Readonly<Record<string, string>>;

/** Every parameter that the server understands; a sender in front of strangers leaves none of them to the stranger. */
export const INGEST_PARAMETERS: readonly string[] = [
  'delay',
  'group',
  'dedup',
  'headers',
  'encoding',
  'content-type',
  'topic',
  'raw',
  'from',
];

const MARK = Symbol.for('karin-queue.IngestUrl');
/**
 * Between the endpoint and the queue in an address; as the delimiter of a join it tells an address from other uses of
 * the anchor's name.
 */
const PATH = '/in/';

/** How a delivery is known again when it is repeated. */
export interface Repeats {
  /** What the server, or the caller, takes where no `messageDeduplicationId` is given. */
  readonly known: boolean;
}

/** The address with all its parameters. Throws as `checkIngest`. */
export function ingestUrlOf(queue: AnchoredQueue, options: KarinIngestUrlOptions): string {
  checkIngest(queue, options, { known: options.topic !== undefined });
  return withQuery(ingestAddress(queue, options.withCapability ?? true), ingestQuery(options));
}

/** The address alone, without parameters. */
export function ingestAddress(queue: AnchoredQueue, withCapability: boolean): string {
  const { endpoint, server, regionPath } = queue._access;
  const before = `${withCapability ? endpoint : server}${regionPath}`;
  return Token.asString(new IngestAddress(before, queue), { displayHint: 'IngestUrl' });
}

export function ingestQuery(options: KarinIngestUrlOptions): IngestQuery {
  const { topic, attributeHeaders = [] } = options;
  const query: Record<string, string | undefined> = {
    delay: options.delay?.toSeconds().toString(),
    group: options.messageGroupId,
    dedup: options.messageDeduplicationId,
    headers: attributeHeaders.length === 0 ? undefined : attributeHeaders.join(','),
    encoding: options.base64 === true ? 'base64' : undefined,
    'content-type': options.keepContentType === true ? 'keep' : undefined,
    topic: topic?.topicArn,
    raw: options.rawMessageDelivery === true ? 'true' : undefined,
    from: options.senderName,
  };
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function withQuery(address: string, query: IngestQuery): string {
  const parameters = Object.entries(query).map(([name, value]) => `${name}=${encoded(value)}`);
  return parameters.length === 0 ? address : `${address}?${parameters.join('&')}`;
}

/** What only CloudFormation knows stays as it is: an ARN has no character that a query would have to escape. */
function encoded(value: string): string {
  if (Token.isUnresolved(value)) return value;
  return encodeURIComponent(value).replaceAll('%3A', ':').replaceAll('%2F', '/').replaceAll('%2C', ',');
}

/**
 * `<endpoint>/in/<account>/<queue>`, or `<endpoint>/r/<region>/in/...`, as a token that the anchor's guard knows: it
 * names the queue to the server, and delivers nothing to the anchor.
 *
 * Account and name come out of the ARN, whose export stays when a subscription in another stack becomes one of Amazon
 * SQS again.
 */
class IngestAddress implements IResolvable {
  public readonly creationStack: string[] = [];
  public readonly [MARK] = true;
  readonly #endpoint: string;
  readonly #queue: AnchoredQueue;

  constructor(endpoint: string, queue: AnchoredQueue) {
    this.#endpoint = endpoint;
    this.#queue = queue;
  }

  public resolve(_context: IResolveContext): unknown {
    const arn = this.#queue.queueArn;
    const [account, name] = Token.isUnresolved(arn)
      ? [Fn.select(4, Fn.split(':', arn)), Fn.select(5, Fn.split(':', arn))]
      : arn.split(':').slice(4);
    return Fn.join(PATH, [this.#endpoint, `${account}/${name}`]);
  }

  public toString(): string {
    return Token.asString(this);
  }
}

/** Whether a token is an address of this module. */
export function isIngestAddress(token: IResolvable): boolean {
  return MARK in token;
}

/** Whether a value in a template is the join that an address became. */
export function isIngestJoin(value: object): boolean {
  const join: unknown = Reflect.get(value, 'Fn::Join');
  return Array.isArray(join) && join[0] === PATH;
}

const SELECTOR = /^(?:header:[\w.!#$%&'*+^`|~-]+|json:(?:\/(?:[^~/]|~[01])*)*)$/;
const HEADER = /^[A-Za-z0-9_.-]{1,256}$/;
const SENDER = /^[A-Za-z0-9_.:/-]{1,64}$/;
const MAX_ATTRIBUTES = 10;
const MAX_DELAY_SECONDS = 900;

/** Throws where the server would refuse each delivery, or SQS would not take such a message. */
export function checkIngest(queue: IKarinQueue & IConstruct, options: KarinIngestUrlOptions, repeats: Repeats): void {
  const fail = (text: string): never => {
    throw new Error(`${queue.node.path}: ${text}`);
  };
  const { delay, messageGroupId: group, messageDeduplicationId: dedup, attributeHeaders = [], senderName } = options;
  if (delay !== undefined && queue.fifo)
    fail("'delay' is not possible on a FIFO queue; set 'deliveryDelay' of the queue");
  if (delay !== undefined && !delay.isUnresolved() && delay.toSeconds() > MAX_DELAY_SECONDS) {
    fail(`delay must be between 0 and ${MAX_DELAY_SECONDS} seconds, but ${delay.toSeconds()} was provided`);
  }
  if (queue.fifo && group === undefined) {
    fail("a FIFO queue needs a message group; pass 'messageGroupId': a text, 'header:<name>' or 'json:<pointer>'");
  }
  if (!queue.fifo && dedup !== undefined) {
    fail("only a FIFO queue knows deduplication ids; leave 'messageDeduplicationId' out");
  }
  if (queue.fifo && dedup === undefined && !repeats.known && deduplicatesByContent(queue) === false) {
    fail(
      "a FIFO queue must tell a repeated delivery; pass 'messageDeduplicationId', for example 'header:x-request-id', or set 'contentBasedDeduplication' of the queue",
    );
  }
  for (const [name, value] of Object.entries({ messageGroupId: group, messageDeduplicationId: dedup })) {
    if (value === undefined || Token.isUnresolved(value)) continue;
    if (/^(?:header|json):/.test(value) && !SELECTOR.test(value)) {
      fail(`${name} must be a text, 'header:<name>' or 'json:/path/in/the/body', but '${value}' was provided`);
    }
  }
  for (const header of attributeHeaders) {
    if (!HEADER.test(header) || /^(?:aws|amazon)\./i.test(header)) {
      fail(`attributeHeaders must be names of headers that can be names of message attributes, but has '${header}'`);
    }
    if (header.toLowerCase() === 'authorization') {
      fail("attributeHeaders must not have 'Authorization': credentials are not stored in messages");
    }
  }
  if (attributeHeaders.length + (options.keepContentType === true ? 1 : 0) > MAX_ATTRIBUTES) {
    fail(`a message has at most ${MAX_ATTRIBUTES} attributes; name fewer 'attributeHeaders'`);
  }
  if (senderName !== undefined && !Token.isUnresolved(senderName) && !SENDER.test(senderName)) {
    fail(`senderName must be 1 to 64 letters, digits or '_.:/-', but '${senderName}' was provided`);
  }
  if (options.topic?.fifo === true) fail(FIFO_TOPIC);
}

/** AWS: https://docs.aws.amazon.com/sns/latest/dg/fifo-topic-message-delivery.html */
const FIFO_TOPIC =
  'a FIFO topic delivers to Amazon SQS alone, not over HTTPS; publish to the queue itself (queue.bindEnvironment(fn)), use a standard topic, or an sqs.Queue for this subscription';

/** Undefined where it is not known: of imported queues. */
function deduplicatesByContent(queue: IConstruct): boolean | undefined {
  const anchor: unknown = Reflect.get(queue, '_anchor');
  if (typeof anchor !== 'object' || anchor === null) return undefined;
  return Reflect.get(anchor, 'contentBasedDeduplication') === true;
}

/**
 * Throws unless a service of AWS could deliver to the queue: it needs an address that the internet reaches over https,
 * and a credential. Addresses on this machine are let through, for `karin dev`.
 */
export function checkReachable(queue: AnchoredQueue, who: string): void {
  const { server, capability } = queue._access;
  if (isLoopback(server)) return;
  if (!Tokenization.isResolvable(server) && !Token.isUnresolved(server) && !server.startsWith('https://')) {
    throw new Error(
      `${queue.node.path}: ${who} must deliver over https, but the endpoint of the queue is '${server}'; give the server a certificate and the queue an endpoint that begins with https://`,
    );
  }
  if (capability === undefined) {
    throw new Error(
      `${queue.node.path}: ${who} has no key of the server, so the queue needs a capability to let it send; make one by 'karin token create --scope send', keep it in Secrets Manager, and pass capability: SecretValue.secretsManager('karin/capability') to the queue`,
    );
  }
}

/** Throws if a dead-letter queue of a service of AWS is a Karin queue: the service delivers to its anchor. */
export function checkDeadLetterQueue(queue: IConstruct, deadLetterQueue: IConstruct | undefined, who: string): void {
  if (deadLetterQueue === undefined || !Reflect.has(deadLetterQueue, Symbol.for('karin-queue.KarinQueue'))) return;
  throw new Error(
    `${queue.node.path}: ${who} itself puts what it could not deliver into 'deadLetterQueue', and can only reach Amazon SQS; make '${deadLetterQueue.node.path}' an sqs.Queue, which costs nothing while it is idle, as no mapping polls it`,
  );
}
