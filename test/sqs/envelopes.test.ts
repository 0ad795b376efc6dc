import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SQS_ERROR_CODES, SqsError } from '../../runtime/sqs/errors.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { ManualTime } from '../support/manual-time.ts';
import { ACCOUNT, Harness, queueUrl } from './support/harness.ts';

const XMLNS = 'xmlns="http://queue.amazonaws.com/doc/2012-11-05/"';
const JSON_TYPE = 'application/x-amz-json-1.0';
const FORM_TYPE = 'application/x-www-form-urlencoded';

describe('answers, byte by byte', () => {
  let api: Harness;

  beforeEach(async () => {
    const time = new ManualTime();
    api = await Harness.open({ store: new MemoryStore({ time }), time });
    await api.ok('json', 'CreateQueue', { QueueName: 'jobs' });
  });
  afterEach(() => api.close());

  const json = (action: string, body: string) =>
    api.send({ headers: { 'content-type': JSON_TYPE, 'x-amz-target': `AmazonSQS.${action}` }, body });
  const form = (body: string) => api.send({ headers: { 'content-type': FORM_TYPE }, body });
  const get = (query: string, path = '/', accept = '*/*') =>
    api.send({ method: 'GET', path, query, headers: { accept } });

  it('a result in JSON', async () => {
    expect(await json('GetQueueUrl', '{"QueueName":"jobs"}')).toEqual({
      status: 200,
      headers: { 'content-type': JSON_TYPE, 'x-amzn-RequestId': '00000000-0000-4000-8000-000000000002' },
      body: `{"QueueUrl":"${queueUrl('jobs')}"}`,
    });
  });

  it('no result in JSON', async () => {
    expect(await json('PurgeQueue', '{"QueueUrl":"jobs"}')).toEqual({
      status: 200,
      headers: { 'content-type': JSON_TYPE, 'x-amzn-RequestId': '00000000-0000-4000-8000-000000000002' },
      body: '',
    });
  });

  it('empty results in JSON', async () => {
    expect((await json('ReceiveMessage', '{"QueueUrl":"jobs"}')).body).toBe('{}');
    expect((await json('ListQueueTags', '{"QueueUrl":"jobs"}')).body).toBe('{}');
    expect((await json('GetQueueAttributes', '{"QueueUrl":"jobs"}')).body).toBe('{}');
    expect((await json('ListQueues', '{"QueueNamePrefix":"x"}')).body).toBe('{}');
    expect((await json('ListDeadLetterSourceQueues', '{"QueueUrl":"jobs"}')).body).toBe('{}');
  });

  it('an error in JSON', async () => {
    expect(await json('GetQueueUrl', '{"QueueName":"nope"}')).toEqual({
      status: 400,
      headers: {
        'content-type': JSON_TYPE,
        'x-amzn-RequestId': '00000000-0000-4000-8000-000000000002',
        'x-amzn-query-error': 'AWS.SimpleQueueService.NonExistentQueue;Sender',
      },
      body: '{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}',
    });
  });

  it('a result in XML', async () => {
    expect(await form('Action=GetQueueUrl&Version=2012-11-05&QueueName=jobs')).toEqual({
      status: 200,
      headers: { 'content-type': 'text/xml', 'x-amzn-RequestId': '00000000-0000-4000-8000-000000000002' },
      body: `<?xml version="1.0"?><GetQueueUrlResponse ${XMLNS}><GetQueueUrlResult><QueueUrl>${queueUrl('jobs')}</QueueUrl></GetQueueUrlResult><ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000002</RequestId></ResponseMetadata></GetQueueUrlResponse>`,
    });
  });

  it('no result in XML', async () => {
    expect((await form('Action=PurgeQueue&QueueUrl=jobs')).body).toBe(
      `<?xml version="1.0"?><PurgeQueueResponse ${XMLNS}><ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000002</RequestId></ResponseMetadata></PurgeQueueResponse>`,
    );
  });

  it('an empty result in XML', async () => {
    expect((await form('Action=ReceiveMessage&QueueUrl=jobs')).body).toBe(
      `<?xml version="1.0"?><ReceiveMessageResponse ${XMLNS}><ReceiveMessageResult/><ResponseMetadata><RequestId>00000000-0000-4000-8000-000000000002</RequestId></ResponseMetadata></ReceiveMessageResponse>`,
    );
  });

  it('lists, maps and special characters in XML', async () => {
    await form(
      'Action=SendMessage&QueueUrl=jobs&MessageBody=%3C%26%3E%22%27%0D%0A%5D%5D%3E&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Binary&MessageAttribute.1.Value.BinaryValue=AP8%3D',
    );
    const { body } = await form(
      'Action=ReceiveMessage&QueueUrl=jobs&AttributeName.1=ApproximateReceiveCount&AttributeName.2=SenderId&MessageAttributeName.1=All',
    );
    expect(body).toContain(
      '<Body>&lt;&amp;&gt;&quot;&apos;&#xD;\n]]&gt;</Body><Attribute><Name>SenderId</Name><Value>AIDATESTER</Value></Attribute><Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>',
    );
    expect(body).toContain(
      '<MessageAttribute><Name>n</Name><Value><BinaryValue>AP8=</BinaryValue><DataType>Binary</DataType></Value></MessageAttribute>',
    );
  });

  it('an error in XML', async () => {
    expect(await form('Action=GetQueueUrl&QueueName=nope')).toEqual({
      status: 400,
      headers: { 'content-type': 'text/xml', 'x-amzn-RequestId': '00000000-0000-4000-8000-000000000002' },
      body: `<?xml version="1.0"?><ErrorResponse ${XMLNS}><Error><Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code><Message>The specified queue does not exist for this wsdl version.</Message><Detail/></Error><RequestId>00000000-0000-4000-8000-000000000002</RequestId></ErrorResponse>`,
    });
  });

  it('an error in XML that repeats what XML cannot hold', async () => {
    const { body } = await form('Action=%00%3Cx%3E%EF%BF%BE');
    expect(body).toContain('<Message>The action \uFFFD&lt;x&gt;\uFFFD is not valid for this endpoint.</Message>');
  });

  it('a GET on the queue URL, in XML and in JSON', async () => {
    const path = `/${ACCOUNT}/jobs`;
    const query = 'Action=SendMessage&MessageBody=a+b%2Bc';
    expect((await get(query, path)).body).toContain('<SendMessageResponse');
    const plain = await get(query, path, 'application/json');
    expect(plain.headers['content-type']).toBe('application/json');
    expect(JSON.parse(plain.body)).toEqual({
      SendMessageResponse: {
        SendMessageResult: {
          MD5OfMessageBody: expect.any(String),
          MD5OfMessageAttributes: null,
          MD5OfMessageSystemAttributes: null,
          MessageId: expect.any(String),
          SequenceNumber: null,
        },
        ResponseMetadata: { RequestId: plain.headers['x-amzn-RequestId'] },
      },
    });
    const received = await get('Action=ReceiveMessage&AttributeName=SenderId', path, 'text/html, application/json');
    expect(JSON.parse(received.body).ReceiveMessageResponse.ReceiveMessageResult).toEqual({
      messages: [
        {
          MessageId: expect.any(String),
          ReceiptHandle: expect.any(String),
          MD5OfBody: expect.any(String),
          Body: 'a b+c',
          Attributes: [{ Name: 'SenderId', Value: 'AIDATESTER' }],
          MD5OfMessageAttributes: null,
          MessageAttributes: null,
        },
      ],
    });
    expect(JSON.parse((await get('Action=ListQueues', '/', 'application/json')).body).ListQueuesResponse).toEqual({
      ListQueuesResult: { NextToken: null, queueUrls: [queueUrl('jobs')] },
      ResponseMetadata: { RequestId: expect.any(String) },
    });
    expect(JSON.parse((await get('Action=DeleteMessage', path, 'application/json')).body)).toEqual({
      Error: {
        Code: 'MissingParameter',
        Message: 'The request must contain the parameter ReceiptHandle.',
        Type: 'Sender',
      },
      RequestId: expect.any(String),
    });
  });

  it.each(['CreateQueue', 'ListQueues', 'FooBar'])('%s on the queue URL is no action', async (action) => {
    const { status, body } = await get(`Action=${action}&QueueName=x`, `/${ACCOUNT}/jobs`);
    expect(status).toBe(400);
    expect(body).toContain(
      `<Code>InvalidAction</Code><Message>The action ${action} is not valid for this endpoint.</Message>`,
    );
  });

  it('an unknown action in JSON', async () => {
    expect(await json('FooBar', '{}')).toMatchObject({
      status: 400,
      headers: { 'x-amzn-query-error': 'InvalidAction;Sender' },
      body: '{"__type":"com.amazon.coral.service#UnknownOperationException","message":"The action FooBar is not valid for this endpoint."}',
    });
  });

  it.each<[string, Parameters<Harness['send']>[0]]>([
    ['GET', { method: 'GET' }],
    ['GET on the queue URL', { method: 'GET', path: `/${ACCOUNT}/jobs` }],
    ['POST without an action', { headers: { 'content-type': FORM_TYPE }, body: 'Version=2012-11-05' }],
    ['POST of another content type', { headers: { 'content-type': 'text/plain' }, body: 'Action=ListQueues' }],
    [
      'JSON under another content type',
      { headers: { 'content-type': 'application/json', 'x-amz-target': 'AmazonSQS.ListQueues' }, body: '{}' },
    ],
    ['PUT', { method: 'PUT', query: 'Action=ListQueues' }],
  ])('a %s that names no action', async (_what, request) => {
    expect(await api.send(request)).toMatchObject({ status: 404, body: '<UnknownOperationException/>' });
  });

  it('parameters of a form in every place they may stand', async () => {
    const parameters =
      'Attribute.Name=DelaySeconds&Attribute.Value=5&QueueName=other&Tag.7.Key=b&Tag.7.Value=2&Tag.3.Key=a&Tag.3.Value=1&Tag.9.Value=x';
    await form(`Action=CreateQueue&${parameters}`);
    expect(await api.ok('json', 'ListQueueTags', { QueueUrl: 'other' })).toEqual({ Tags: { a: '1', b: '2' } });
    const { Attributes } = await api.ok('json', 'GetQueueAttributes', {
      QueueUrl: 'other',
      AttributeNames: ['DelaySeconds'],
    });
    expect(Attributes).toEqual({ DelaySeconds: '5' });
    const split = await api.send({
      query: 'Action=GetQueueUrl&QueueName=overruled',
      headers: { 'content-type': FORM_TYPE },
      body: 'QueueName=jobs',
    });
    expect(split.status).toBe(200);
  });

  describe('to what cannot be read', () => {
    it.each<[string, string, string]>([
      ['SendMessage', '{', 'The request body is not valid JSON.'],
      ['SendMessage', '[]', 'Start of list found where not expected'],
      ['SendMessage', '"x"', 'Expected structure or null'],
      ['SendMessage', '{"QueueUrl":1}', 'NUMBER_VALUE can not be converted to a String'],
      ['SendMessage', '{"MessageBody":true}', 'TRUE_VALUE can not be converted to a String'],
      ['SendMessage', '{"MessageBody":["x"]}', 'Start of list found where not expected'],
      ['SendMessage', '{"MessageBody":{}}', 'Start of structure or map found where not expected.'],
      ['SendMessage', '{"DelaySeconds":"5"}', 'STRING_VALUE can not be converted to an Integer'],
      ['SendMessage', '{"DelaySeconds":1.5}', 'DECIMAL_VALUE can not be converted to an Integer'],
      ['SendMessage', '{"DelaySeconds":false}', 'FALSE_VALUE can not be converted to an Integer'],
      ['SendMessage', '{"MessageAttributes":[]}', 'Start of list found where not expected'],
      ['SendMessage', '{"MessageAttributes":"x"}', 'Expected map or null'],
      ['SendMessage', '{"MessageAttributes":{"a":5}}', 'Expected structure or null'],
      ['SendMessage', '{"MessageAttributes":{"a":{"BinaryValue":"x"}}}', 'STRING_VALUE can not be converted to a Blob'],
      ['SendMessage', '{"MessageAttributes":{"a":{"BinaryValue":5}}}', 'NUMBER_VALUE can not be converted to a Blob'],
      ['SendMessageBatch', '{"Entries":{}}', 'Start of structure or map found where not expected.'],
      ['SendMessageBatch', '{"Entries":"x"}', 'Expected list or null'],
      ['SendMessageBatch', '{"Entries":[null]}', 'Expected structure or null'],
      ['GetQueueAttributes', '{"AttributeNames":[null]}', 'NULL_VALUE can not be converted to a String'],
    ])('%s %s', async (action, body, message) => {
      expect(await json(action, body)).toMatchObject({
        status: 400,
        headers: { 'x-amzn-query-error': 'MalformedInput;Sender' },
        body: JSON.stringify({ __type: 'com.amazon.coral.service#SerializationException', message }),
      });
    });

    it('more values than any request needs, before they are made', async () => {
      const asManyAsMay = `{"QueueUrl":"jobs","AttributeNames":[${'"All",'.repeat(4_093)}"All"]}`;
      expect((await json('ReceiveMessage', asManyAsMay)).status).toBe(200);
      const { body } = await json('ReceiveMessage', asManyAsMay.replace('[', '["All",'));
      expect(body).toContain('The request has more than 4096 values.');
      for (const tooMany of ['[['.repeat(1_000_000), `[${'{},'.repeat(1_000_000)}`, `[${'5,'.repeat(1_000_000)}`]) {
        expect((await json('ReceiveMessage', tooMany)).body).toContain('The request has more than 4096 values.');
      }
      // Within a text they are none, escaped quotes or not.
      const MessageBody = JSON.stringify(`["${'[{,"'.repeat(5_000)}`);
      const inText = JSON.stringify({ QueueUrl: 'jobs', MessageBody });
      expect((await json('SendMessage', inText)).status).toBe(200);
    });

    it('a name of a parameter as long as a request may be', async () => {
      const { status } = await form(`Action=SendMessage&a${'.'.repeat(4_000_000)}=x`);
      expect(status).toBe(400);
    });

    it('bytes that are no UTF-8, in either protocol', async () => {
      const bytes = (text: string) => Buffer.concat([Buffer.from(text), Buffer.from([0xff])]);
      const headers = { 'content-type': JSON_TYPE, 'x-amz-target': 'AmazonSQS.SendMessage' };
      expect((await api.send({ headers, body: bytes('{"MessageBody":"') })).body).toContain('not valid UTF-8');
      const asForm = { headers: { 'content-type': FORM_TYPE }, body: bytes('Action=SendMessage&MessageBody=') };
      expect((await api.send(asForm)).body).toContain('not valid UTF-8');
    });

    it.each<[string, string]>([
      ['Action=SendMessage&MessageBody=%FF', 'A parameter of the request is not valid percent-encoded UTF-8.'],
      ['Action=SendMessage&MessageBody=%', 'A parameter of the request is not valid percent-encoded UTF-8.'],
      ['Action=SendMessage&DelaySeconds=x', 'STRING_VALUE can not be converted to an Integer'],
      ['Action=SendMessage&DelaySeconds=', 'STRING_VALUE can not be converted to an Integer'],
      [
        'Action=SendMessage&MessageAttribute.1.Name=a&MessageAttribute.1.Value.BinaryValue=x',
        'STRING_VALUE can not be converted to a Blob',
      ],
      [`Action=SendMessage${'&a'.repeat(4_096)}`, 'The request has more than 4096 parameters.'],
      [
        'Action=SendMessage&a.2.3.4.5.6.7.8.9.a.b=',
        'The name of a parameter has more than 10 parts: a.2.3.4.5.6.7.8.9.a.b',
      ],
    ])('the form %s', async (body, message) => {
      const answer = await form(body);
      expect(answer.status).toBe(400);
      expect(answer.body).toContain(`<Code>MalformedInput</Code><Message>${message}</Message>`);
    });
  });

  it('of every error, as decided before the API was asked', async () => {
    const head = { path: '/', query: '', requestId: 'id-1' };
    for (const code of SQS_ERROR_CODES) {
      const error = new SqsError(code);
      const jsonHead = {
        ...head,
        method: 'POST',
        headers: (name: string) => (name === 'content-type' ? JSON_TYPE : ''),
      };
      const asJson = await api.api.refuse(jsonHead, error);
      expect(asJson.status).toBe(error.status);
      expect(asJson.headers['x-amzn-query-error']).toBe(`${error.queryCode};${error.fault}`);
      expect(JSON.parse(asJson.body)).toEqual({ __type: error.type, message: error.message });

      const asXml = await api.api.refuse({ ...head, method: 'GET', headers: () => undefined }, error);
      expect(asXml.status).toBe(error.status);
      expect(asXml.body).toContain(`<Type>${error.fault}</Type><Code>${error.queryCode}</Code>`);
      expect(asXml.body).toContain('<RequestId>id-1</RequestId>');
    }
  });

  it('of the errors that SQS numbers, with their numbers', () => {
    const rows = SQS_ERROR_CODES.map((code) => {
      const { type, queryCode, status, fault } = new SqsError(code);
      return `${code}: ${type} | ${queryCode} | ${status} | ${fault}`;
    });
    expect(rows).toMatchInlineSnapshot(`
      [
        "QueueDoesNotExist: com.amazonaws.sqs#QueueDoesNotExist | AWS.SimpleQueueService.NonExistentQueue | 400 | Sender",
        "QueueNameExists: com.amazonaws.sqs#QueueNameExists | QueueAlreadyExists | 400 | Sender",
        "QueueDeletedRecently: com.amazonaws.sqs#QueueDeletedRecently | AWS.SimpleQueueService.QueueDeletedRecently | 400 | Sender",
        "PurgeQueueInProgress: com.amazonaws.sqs#PurgeQueueInProgress | AWS.SimpleQueueService.PurgeQueueInProgress | 403 | Sender",
        "ReceiptHandleIsInvalid: com.amazonaws.sqs#ReceiptHandleIsInvalid | ReceiptHandleIsInvalid | 404 | Sender",
        "MessageNotInflight: com.amazonaws.sqs#MessageNotInflight | AWS.SimpleQueueService.MessageNotInflight | 400 | Sender",
        "OverLimit: com.amazonaws.sqs#OverLimit | OverLimit | 403 | Sender",
        "ResourceNotFoundException: com.amazonaws.sqs#ResourceNotFoundException | ResourceNotFoundException | 404 | Sender",
        "InvalidAttributeName: com.amazonaws.sqs#InvalidAttributeName | InvalidAttributeName | 400 | Sender",
        "InvalidAttributeValue: com.amazonaws.sqs#InvalidAttributeValue | InvalidAttributeValue | 400 | Sender",
        "InvalidMessageContents: com.amazonaws.sqs#InvalidMessageContents | InvalidMessageContents | 400 | Sender",
        "BatchEntryIdsNotDistinct: com.amazonaws.sqs#BatchEntryIdsNotDistinct | AWS.SimpleQueueService.BatchEntryIdsNotDistinct | 400 | Sender",
        "BatchRequestTooLong: com.amazonaws.sqs#BatchRequestTooLong | AWS.SimpleQueueService.BatchRequestTooLong | 400 | Sender",
        "EmptyBatchRequest: com.amazonaws.sqs#EmptyBatchRequest | AWS.SimpleQueueService.EmptyBatchRequest | 400 | Sender",
        "InvalidBatchEntryId: com.amazonaws.sqs#InvalidBatchEntryId | AWS.SimpleQueueService.InvalidBatchEntryId | 400 | Sender",
        "TooManyEntriesInBatchRequest: com.amazonaws.sqs#TooManyEntriesInBatchRequest | AWS.SimpleQueueService.TooManyEntriesInBatchRequest | 400 | Sender",
        "UnsupportedOperation: com.amazonaws.sqs#UnsupportedOperation | AWS.SimpleQueueService.UnsupportedOperation | 400 | Sender",
        "InvalidAddress: com.amazonaws.sqs#InvalidAddress | InvalidAddress | 404 | Sender",
        "InvalidSecurity: com.amazonaws.sqs#InvalidSecurity | InvalidSecurity | 403 | Sender",
        "RequestThrottled: com.amazonaws.sqs#RequestThrottled | RequestThrottled | 403 | Sender",
        "InvalidParameterValue: com.amazon.coral.service#InvalidParameterValueException | InvalidParameterValue | 400 | Sender",
        "MissingParameter: com.amazon.coral.service#MissingRequiredParameterException | MissingParameter | 400 | Sender",
        "InvalidAction: com.amazon.coral.service#UnknownOperationException | InvalidAction | 400 | Sender",
        "MalformedInput: com.amazon.coral.service#SerializationException | MalformedInput | 400 | Sender",
        "AccessDenied: com.amazon.coral.service#AccessDeniedException | AccessDenied | 403 | Sender",
        "InvalidClientTokenId: com.amazon.coral.service#UnrecognizedClientException | InvalidClientTokenId | 403 | Sender",
        "SignatureDoesNotMatch: com.amazon.coral.service#InvalidSignatureException | SignatureDoesNotMatch | 403 | Sender",
        "IncompleteSignature: com.amazon.coral.service#IncompleteSignatureException | IncompleteSignature | 400 | Sender",
        "MissingAuthenticationToken: com.amazon.coral.service#MissingAuthenticationTokenException | MissingAuthenticationToken | 403 | Sender",
        "RequestExpired: com.amazon.coral.service#RequestExpired | RequestExpired | 400 | Sender",
        "RequestEntityTooLarge: com.amazon.coral.service#RequestEntityTooLargeException | RequestEntityTooLarge | 413 | Sender",
        "ServiceUnavailable: com.amazon.coral.service#ServiceUnavailableException | ServiceUnavailable | 503 | Receiver",
        "InternalFailure: com.amazon.coral.service#InternalFailure | InternalFailure | 500 | Receiver",
      ]
    `);
  });
});
