/**
 * Bad input over HTTP, on Redis: the exact answer of SQS in either protocol, a request id in each, and nothing stored.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../runtime/log.ts';
import { type Karin, startKarin } from '../../runtime/main.ts';
import { readConfig } from '../../runtime/settings.ts';
import { sqsCall } from '../http/running-karin.ts';
import { RedisServer } from '../support/redis-server.ts';

const JSON_TYPE = 'application/x-amz-json-1.0';
const FORM_TYPE = 'application/x-www-form-urlencoded';
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;

let redis: RedisServer;
let client: Redis;
let karin: Karin;

beforeAll(async () => {
  redis = await RedisServer.start();
  client = new Redis(redis.url);
  const config = readConfig({ REDIS_URL: redis.url, PORT: '0', AWS_REGION: 'eu-west-1', KARIN_DISCOVERY: 'none' });
  karin = await startKarin(config, { log: createLog({ level: 'silent' }) });
  await sqsCall(karin.url, 'CreateQueue', { QueueName: 'jobs' });
});
afterAll(async () => {
  await karin.stop();
  client.disconnect();
  await redis.stop();
});

/** Everything that Redis holds. */
async function contents(): Promise<ReadonlyMap<string, string | undefined>> {
  const keys = (await client.keys('*')).toSorted();
  const dumps = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
  return new Map(keys.map((key, index) => [key, dumps[index]?.toString('base64')]));
}

interface Wrong {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A call in the JSON protocol, its body as an object or as it is. */
function json(action: string, input: object | string): Wrong {
  const body = typeof input === 'string' ? input : JSON.stringify(input);
  return { headers: { 'content-type': JSON_TYPE, 'x-amz-target': `AmazonSQS.${action}` }, body };
}

/** A call in the Query protocol, its body as parameters or as it is. */
function form(input: Readonly<Record<string, string>> | string): Wrong {
  const body = typeof input === 'string' ? input : new URLSearchParams(input).toString();
  return { headers: { 'content-type': FORM_TYPE }, body };
}

interface Answer {
  readonly status: number;
  /** `__type`, and the `x-amzn-query-error` header. */
  readonly json: readonly [type: string, queryError: string];
  /** `Type` and `Code`. */
  readonly query: readonly [type: string, code: string];
  readonly message: string;
  /** Where SQS words it differently. */
  readonly queryMessage?: string;
}

function modelled(shape: string, code: string, status: number, message: string, queryMessage?: string): Answer {
  return {
    status,
    json: [`com.amazonaws.sqs#${shape}`, `${code};Sender`],
    query: ['Sender', code],
    message,
    ...(queryMessage !== undefined && { queryMessage }),
  };
}
function common(shape: string, code: string, message: string): Answer {
  return {
    status: 400,
    json: [`com.amazon.coral.service#${shape}`, `${code};Sender`],
    query: ['Sender', code],
    message,
  };
}

const large = 'x'.repeat(1_048_577);
const unnamed = { QueueUrl: 'jobs', MessageBody: 'x' };

const CASES: readonly (readonly [what: string, Answer, json: Wrong, query: Wrong])[] = [
  [
    'an unknown action',
    common('UnknownOperationException', 'InvalidAction', 'The action Foo is not valid for this endpoint.'),
    json('Foo', {}),
    form({ Action: 'Foo' }),
  ],
  [
    'a queue that does not exist',
    modelled(
      'QueueDoesNotExist',
      'AWS.SimpleQueueService.NonExistentQueue',
      400,
      'The specified queue does not exist.',
      'The specified queue does not exist for this wsdl version.',
    ),
    json('SendMessage', { ...unnamed, QueueUrl: 'nope' }),
    form({ Action: 'SendMessage', ...unnamed, QueueUrl: 'nope' }),
  ],
  [
    'no queue at all',
    modelled(
      'QueueDoesNotExist',
      'AWS.SimpleQueueService.NonExistentQueue',
      400,
      'The specified queue does not exist.',
      'The specified queue does not exist for this wsdl version.',
    ),
    json('SendMessage', { MessageBody: 'x' }),
    form({ Action: 'SendMessage', MessageBody: 'x' }),
  ],
  [
    'an oversized message',
    common(
      'InvalidParameterValueException',
      'InvalidParameterValue',
      'One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.',
    ),
    json('SendMessage', { QueueUrl: 'jobs', MessageBody: large }),
    form({ Action: 'SendMessage', QueueUrl: 'jobs', MessageBody: large }),
  ],
  [
    'a message attribute without a type',
    common(
      'InvalidParameterValueException',
      'InvalidParameterValue',
      "The message (user) attribute 'kind' must contain a non-empty message attribute type.",
    ),
    json('SendMessage', { ...unnamed, MessageAttributes: { kind: { StringValue: 'x' } } }),
    form({
      ...{ Action: 'SendMessage', ...unnamed },
      ...{ 'MessageAttribute.1.Name': 'kind', 'MessageAttribute.1.Value.StringValue': 'x' },
    }),
  ],
  [
    'a queue attribute that does not exist',
    modelled('InvalidAttributeName', 'InvalidAttributeName', 400, 'Unknown Attribute Foo.'),
    json('CreateQueue', { QueueName: 'new', Attributes: { Foo: '1' } }),
    form({ Action: 'CreateQueue', QueueName: 'new', 'Attribute.1.Name': 'Foo', 'Attribute.1.Value': '1' }),
  ],
  [
    'a value that a queue attribute cannot have',
    modelled('InvalidAttributeValue', 'InvalidAttributeValue', 400, 'Invalid value for the parameter DelaySeconds.'),
    json('SetQueueAttributes', { QueueUrl: 'jobs', Attributes: { DelaySeconds: '901' } }),
    form({
      ...{ Action: 'SetQueueAttributes', QueueUrl: 'jobs' },
      ...{ 'Attribute.1.Name': 'DelaySeconds', 'Attribute.1.Value': '901' },
    }),
  ],
  [
    'a delay beyond fifteen minutes',
    common(
      'InvalidParameterValueException',
      'InvalidParameterValue',
      'Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.',
    ),
    json('SendMessage', { ...unnamed, DelaySeconds: 901 }),
    form({ Action: 'SendMessage', ...unnamed, DelaySeconds: '901' }),
  ],
];

/** What only one of the protocols can get wrong. */
const MALFORMED: readonly (readonly [what: string, message: string, Wrong])[] = [
  ['JSON that ends early', 'The request body is not valid JSON.', json('SendMessage', '{"QueueUrl":"jobs"')],
  [
    'JSON of another type',
    'NUMBER_VALUE can not be converted to a String',
    json('SendMessage', { ...unnamed, MessageBody: 5 }),
  ],
  [
    'a form that is not percent-encoded',
    'A parameter of the request is not valid percent-encoded UTF-8.',
    form('Action=SendMessage&QueueUrl=jobs&MessageBody=%F'),
  ],
  [
    'a form with a word for a number',
    'STRING_VALUE can not be converted to an Integer',
    form({ Action: 'SendMessage', ...unnamed, DelaySeconds: 'soon' }),
  ],
];

/** The answer to a request that leaves Redis as it was. */
async function refused({ headers, body }: Wrong): Promise<{ answer: Response; text: string }> {
  const before = await contents();
  const answer = await fetch(`${karin.url}/`, { method: 'POST', headers, body });
  const text = await answer.text();
  expect(answer.headers.get('x-amzn-requestid')).toMatch(UUID);
  expect(await contents()).toEqual(before);
  return { answer, text };
}

async function expectJson(wrong: Wrong, { status, json: [type, queryError], message }: Answer): Promise<void> {
  const { answer, text } = await refused(wrong);
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe(JSON_TYPE);
  expect(answer.headers.get('x-amzn-query-error')).toBe(queryError);
  expect(JSON.parse(text)).toEqual({ __type: type, message });
}

async function expectXml(wrong: Wrong, expected: Answer): Promise<void> {
  const { answer, text } = await refused(wrong);
  const [type, code] = expected.query;
  const message = escaped(expected.queryMessage ?? expected.message);
  const requestId = answer.headers.get('x-amzn-requestid');
  expect(answer.status).toBe(expected.status);
  expect(answer.headers.get('content-type')).toBe('text/xml');
  expect(text).toBe(
    `<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><Error><Type>${type}</Type><Code>${code}</Code><Message>${message}</Message><Detail/></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
  );
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll("'", '&apos;');
}

describe.each(CASES)('%s', (_, answer, asJson, asForm) => {
  it('in JSON', () => expectJson(asJson, answer));
  it('in XML', () => expectXml(asForm, answer));
});

describe('what cannot be read', () => {
  it.each(MALFORMED)('%s', (_, message, wrong) => {
    const answer = common('SerializationException', 'MalformedInput', message);
    return wrong.headers['content-type'] === JSON_TYPE ? expectJson(wrong, answer) : expectXml(wrong, answer);
  });

  it.each(['text/plain', 'application/json', 'multipart/form-data; boundary=x', 'application/xml'])(
    'a body of the content type %s names no action',
    async (type) => {
      const { answer, text } = await refused({ headers: { 'content-type': type }, body: form(unnamed).body });
      expect([answer.status, text]).toEqual([404, '<UnknownOperationException/>']);
    },
  );
});
