/**
 * `karin send`: one message for a queue of a running server, as a program would send it or as a service of AWS would.
 *
 * It speaks the SQS API, so it needs what any sender needs: `KARIN_TOKEN`, a capability in the address, an access key
 * of the server (`AWS_ACCESS_KEY_ID`), or the admin password. What SNS, S3 or EventBridge would put into the queue is
 * made here, because a signature of SNS can be made by nobody else; the consumer sees the same message.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import type { SendMessageCommandInput } from '@aws-sdk/client-sqs';
import { busEvent, type GivenAttribute, isTopicArn, type Occasion, s3Event, snsEnvelope } from '../dev/envelopes.ts';
import { editDistance } from '../queue/names.ts';
import { EnvironmentReader } from '../settings.ts';
import { systemRandomness, systemTime } from '../time.ts';
import { type CliContext, CliError } from './context.ts';
import { programAuthorizationOf, type ServerOptions, serverUrl } from './server-client.ts';

export interface SendOptions extends ServerOptions {
  readonly body?: string;
  /** Path of a file with the body; `-`: standard input. */
  readonly file?: string;
  /** Seconds. */
  readonly delay?: number;
  readonly group?: string;
  readonly dedup?: string;
  /** `name=value`, or `name:Type=value`. */
  readonly attribute?: readonly string[];
  readonly snsTopic?: string;
  readonly subject?: string;
  readonly raw?: boolean;
  /** `bucket/key`. */
  readonly s3?: string;
  readonly eventName?: string;
  /** Path of a file with a whole event, or with its detail. */
  readonly event?: string;
  readonly detailType?: string;
  readonly source?: string;
  readonly json?: boolean;
}

/** Where an event is said to come from, if no queue tells. */
interface Home {
  readonly region: string;
  readonly account: string;
}

interface Content {
  readonly body: string;
  readonly attributes: readonly GivenAttribute[];
}

/** How many names of queues a refusal lists. */
const MOST_NAMES = 10;

/** Prints the id of the message. Errors: `CliError`. */
export async function send(queue: string, options: SendOptions, context: CliContext): Promise<void> {
  checkOptions(options);
  const name = queue.split(':').at(-1) ?? queue;
  const sqs = await import('@aws-sdk/client-sqs');
  const client = clientFor(sqs, options, context);
  try {
    const url = await queueUrl(sqs, client, name, options);
    const home: Home = { region: regionOf(context), account: /\/(\d{12})\/[^/]+$/.exec(url)?.[1] ?? '000000000000' };
    const { body, attributes } = await contentOf(options, home, {
      now: systemTime.now(),
      uuid: () => systemRandomness.uuid(),
    });
    const isFifo = name.endsWith('.fifo');
    const group = options.group ?? (isFifo ? 'karin-send' : undefined);
    // Each call of this command is meant as a message of its own.
    const dedup = options.dedup ?? (isFifo ? systemRandomness.uuid() : undefined);
    const input: SendMessageCommandInput = {
      QueueUrl: url,
      MessageBody: body,
      ...(options.delay === undefined ? {} : { DelaySeconds: options.delay }),
      ...(group === undefined ? {} : { MessageGroupId: group }),
      ...(dedup === undefined ? {} : { MessageDeduplicationId: dedup }),
      ...(attributes.length === 0 ? {} : { MessageAttributes: Object.fromEntries(attributes.map(wireAttribute)) }),
    };
    const sent = await client.send(new sqs.SendMessageCommand(input)).catch((error: unknown) => {
      throw refusal(error, options, context);
    });
    const { MessageId = '', MD5OfMessageBody, SequenceNumber } = sent;
    const shown = { MessageId, MD5OfMessageBody, SequenceNumber };
    context.out(options.json === true ? `${JSON.stringify(shown, undefined, 2)}\n` : `${MessageId}\n`);
  } finally {
    client.destroy();
  }

  async function queueUrl(
    sdk: Sdk,
    from: InstanceType<Sdk['SQSClient']>,
    wanted: string,
    server: ServerOptions,
  ): Promise<string> {
    try {
      const { QueueUrl } = await from.send(new sdk.GetQueueUrlCommand({ QueueName: wanted }));
      if (QueueUrl !== undefined) return QueueUrl;
    } catch (error) {
      if (!(error instanceof Error) || !/QueueDoesNotExist|NonExistentQueue/.test(error.name)) {
        throw refusal(error, server, context);
      }
    }
    const names = await namesOf(sdk, from);
    const { origin } = new URL(serverUrl(server, context));
    throw new CliError(`there is no queue ${wanted} at ${origin}${suggestion(wanted, names)}`);
  }
}

type Sdk = typeof import('@aws-sdk/client-sqs');

function clientFor(sdk: Sdk, options: ServerOptions, context: CliContext): InstanceType<Sdk['SQSClient']> {
  const reader = new EnvironmentReader(context.env);
  const [id, secret] = [reader.text('AWS_ACCESS_KEY_ID'), reader.text('AWS_SECRET_ACCESS_KEY')];
  const client = new sdk.SQSClient({
    endpoint: serverUrl(options, context),
    region: regionOf(context),
    // A server that is open takes any; those of the person for AWS are of use only if the server knows the key.
    credentials: { accessKeyId: id ?? 'local', secretAccessKey: secret ?? 'local' },
    maxAttempts: 1,
  });
  const authorization = programAuthorizationOf(context);
  if (authorization !== undefined) {
    client.middlewareStack.add(
      (next) => (args) => {
        const { request } = args;
        if (typeof request === 'object' && request !== null && 'headers' in request) {
          // Every request of the SDK has its headers as an object of texts.
          const headers = request.headers as Record<string, string>;
          headers['authorization'] = authorization;
        }
        return next(args);
      },
      // Behind the signature, which it takes the place of.
      { step: 'finalizeRequest', priority: 'low', name: 'karinAuthorization' },
    );
  }
  return client;
}

function regionOf({ env }: CliContext): string {
  const reader = new EnvironmentReader(env);
  return reader.text('AWS_REGION') ?? reader.text('AWS_DEFAULT_REGION') ?? 'us-east-1';
}

/** Errors: `CliError` where options contradict each other. */
function checkOptions(options: SendOptions): void {
  if (options.body !== undefined && options.file !== undefined) {
    throw new CliError('--body and --file are two bodies; give one of them');
  }
  const { snsTopic, s3, event } = options;
  const origins = [
    ['--sns-topic', snsTopic],
    ['--s3', s3],
    ['--event', event],
  ].flatMap(([option, value]) => (value === undefined ? [] : [option]));
  if (origins.length > 1) throw new CliError(`a message comes from one place: give ${origins.join(' or ')}`);
  const needs = (given: unknown, option: string, of: unknown, ofOption: string): void => {
    if (given !== undefined && of === undefined) throw new CliError(`${option} belongs to ${ofOption}`);
  };
  needs(options.subject, '--subject', snsTopic, '--sns-topic');
  needs(options.raw, '--raw', snsTopic, '--sns-topic');
  needs(options.eventName, '--event-name', s3, '--s3');
  needs(options.detailType, '--detail-type', event, '--event');
  needs(options.source, '--source', event, '--event');
  const ownBody = options.body !== undefined || options.file !== undefined;
  const made = s3 === undefined ? (event === undefined ? undefined : '--event') : '--s3';
  if (made !== undefined && ownBody) throw new CliError(`${made} makes the body itself; leave --body and --file away`);
  if (origins.length === 0 && !ownBody) {
    throw new CliError('there is nothing to send: give --body, --file, --sns-topic, --s3 or --event');
  }
  if (snsTopic !== undefined && !isTopicArn(snsTopic)) {
    throw new CliError(`${snsTopic} is no ARN of a topic, such as arn:aws:sns:eu-west-1:111122223333:orders`);
  }
}

async function contentOf(options: SendOptions, home: Home, occasion: Occasion): Promise<Content> {
  const attributes = (options.attribute ?? []).map(parseAttribute);
  if (options.s3 !== undefined) {
    const [, bucket, key] = /^(?:s3:\/\/)?([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/(.+)$/s.exec(options.s3) ?? [];
    if (bucket === undefined || key === undefined) {
      throw new CliError(`${options.s3} names no object: write bucket/key, for example uploads/cats/one.jpg`);
    }
    const eventName = (options.eventName ?? 'ObjectCreated:Put').replace(/^s3:/, '');
    if (!/^[A-Z][A-Za-z]+:[A-Z][A-Za-z]+$/.test(eventName)) {
      throw new CliError(
        `${eventName} is no event of S3: one is for example ObjectCreated:Put or ObjectRemoved:Delete`,
      );
    }
    return { body: s3Event({ bucket, key, eventName, region: home.region }, occasion), attributes };
  }
  if (options.event !== undefined) return { body: await eventBody(options.event, options, home, occasion), attributes };
  const body = options.body ?? (options.file === undefined ? 'hello' : await textOf(options.file));
  if (options.snsTopic === undefined || options.raw === true) return { body, attributes };
  const { snsTopic: topicArn, subject } = options;
  const message = { topicArn, message: body, attributes, ...(subject === undefined ? {} : { subject }) };
  // SNS puts the attributes into the envelope, and none beside it.
  return { body: snsEnvelope(message, occasion), attributes: [] };
}

/** A whole event stays as it is, because it may be a recorded one; what is none becomes the detail of one. */
async function eventBody(path: string, options: SendOptions, home: Home, occasion: Occasion): Promise<string> {
  const text = await textOf(path);
  let detail: unknown;
  try {
    detail = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new CliError(`${path} is no JSON (${why}); an event, or the detail of one, is expected`);
  }
  const { detailType, source } = options;
  const isWhole = typeof detail === 'object' && detail !== null && 'detail-type' in detail && 'detail' in detail;
  if (isWhole) {
    if (detailType === undefined && source === undefined) return text.trim();
    const changed = {
      ...(detailType === undefined ? {} : { 'detail-type': detailType }),
      ...(source === undefined ? {} : { source }),
    };
    return JSON.stringify({ ...(detail as object), ...changed });
  }
  if (detailType === undefined || source === undefined) {
    throw new CliError(`${path} is the detail of an event; say with --detail-type and --source what it is of`);
  }
  return busEvent({ detailType, source, detail, ...home }, occasion);
}

async function textOf(path: string): Promise<string> {
  if (path !== '-') return readFile(path, 'utf8');
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

function parseAttribute(text: string): GivenAttribute {
  const [, name, type = 'String', value] = /^([^=:]+)(?::((?:String|Number|Binary)[^=]*))?=(.+)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new CliError(`"${text}" is no attribute: write name=value, or name:Number=5`);
  }
  return { name, type, value };
}

/** `String.Array` is a type of SNS, which raw delivery hands on; `Binary` is given as base64. */
function wireAttribute({ name, type, value }: GivenAttribute) {
  const content = type.startsWith('Binary') ? { BinaryValue: Buffer.from(value, 'base64') } : { StringValue: value };
  return [name, { DataType: type, ...content }] as const;
}

async function namesOf(sdk: Sdk, client: InstanceType<Sdk['SQSClient']>): Promise<readonly string[]> {
  try {
    const { QueueUrls = [] } = await client.send(new sdk.ListQueuesCommand({ MaxResults: 1000 }));
    return QueueUrls.map((url) => url.split('/').at(-1) ?? url);
  } catch {
    // Whoever may send may not be allowed to list; the name is wrong all the same.
    return [];
  }
}

/** The names that were most likely meant, or a few of those that there are. */
function suggestion(wanted: string, names: readonly string[]): string {
  const near = names
    .map((name) => [editDistance(wanted.toLowerCase(), name.toLowerCase()), name] as const)
    .filter(([steps, name]) => steps <= Math.max(2, wanted.length / 4) || name.startsWith(wanted))
    .sort(([one], [other]) => one - other)
    .map(([, name]) => name);
  if (near.length > 0) return `; did you mean ${near.slice(0, 3).join(' or ')}?`;
  if (names.length === 0) return '';
  const others = names.length - MOST_NAMES;
  return `; there are ${names.slice(0, MOST_NAMES).join(', ')}${others > 0 ? ` and ${others} others` : ''}`;
}

const CREDENTIAL_ERRORS: ReadonlySet<string> = new Set([
  'AccessDenied',
  'AccessDeniedException',
  'InvalidClientTokenId',
  'SignatureDoesNotMatch',
  'UnrecognizedClientException',
]);

/** What the server or the network said, and what mends it. */
function refusal(error: unknown, options: ServerOptions, context: CliContext): unknown {
  if (!(error instanceof Error)) return error;
  // Without its path, which may hold a capability.
  const server = new URL(serverUrl(options, context)).origin;
  const status = '$metadata' in error ? statusOf(error.$metadata) : undefined;
  if ('code' in error && typeof error.code === 'string' && status === undefined) {
    const said = error.message === '' ? error.code : error.message;
    return new CliError(`no server answers at ${server} (${said}); say where it is with --url or KARIN_URL`);
  }
  if (status === undefined || error.name === 'SyntaxError' || error.name === 'UnknownError') {
    return new CliError(`what answers at ${server} is not a Karin server; say where it is with --url or KARIN_URL`);
  }
  const hint = CREDENTIAL_ERRORS.has(error.name)
    ? '; a token with the scope send lets in: KARIN_TOKEN, or --url https://server/k/<token>'
    : '';
  return new CliError(`the server at ${server} refused: ${error.message}${hint}`);
}

function statusOf(metadata: unknown): number | undefined {
  const status =
    typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata
      ? metadata.httpStatusCode
      : undefined;
  return typeof status === 'number' ? status : undefined;
}
