import { describe, expect, it } from 'vitest';
import { questionOf, verdictOf } from '../../runtime/dev/http/authorizer.ts';
import { claimsOf, eventOf, type HttpCall, type Landing } from '../../runtime/dev/http/event.ts';
import { LocalGateway } from '../../runtime/dev/http/gateway.ts';
import { preflightAnswer, readResponse, withCors } from '../../runtime/dev/http/response.ts';
import { findRoute } from '../../runtime/dev/http/routes.ts';
import type { LoggedResult } from '../../runtime/dev/runtime-api.ts';
import type { ApiCors, LambdaAuthorizer, TemplateApi, TemplateRoute } from '../../runtime/dev/template/model.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';

const CALL: HttpCall = {
  method: 'POST',
  path: '/my%20shop/items/a%2Bb',
  query: 'tag=one&tag=two&name=x%20y&empty=',
  headers: [
    ['Host', '127.0.0.1:4002'],
    ['X-Twice', 'one'],
    ['Cookie', 'a=1; b=2'],
    ['User-Agent', 'curl/8'],
    ['Content-Type', 'application/json; charset=utf-8'],
    ['x-twice', 'two'],
    ['Connection', 'keep-alive'],
  ],
  body: Buffer.from('{"n":1}'),
  host: '127.0.0.1:4002',
  sourceIp: '127.0.0.1',
  requestId: '11111111-2222-4333-8444-555555555555',
  now: Date.UTC(2020, 2, 12, 19, 3, 58),
};

const HTTP: Landing = {
  kind: 'http',
  apiId: 'Shop',
  account: '000000000000',
  stage: '$default',
  method: 'POST',
  route: '/my shop/items/{id}',
  pathParameters: { id: 'a+b' },
  payload: '2.0',
};
const REST: Landing = { ...HTTP, kind: 'rest', stage: 'prod', payload: '1.0' };
const TRACE = 'Root=1-5e6a879e-111111112222433384445555';

describe('the event of a request', () => {
  it('has payload format 2.0 as an HTTP API writes it', () => {
    expect(eventOf(CALL, HTTP)).toEqual({
      version: '2.0',
      routeKey: 'POST /my shop/items/{id}',
      rawPath: '/my shop/items/a+b',
      rawQueryString: 'tag=one&tag=two&name=x%20y&empty=',
      cookies: ['a=1', 'b=2'],
      headers: {
        host: '127.0.0.1:4002',
        'x-twice': 'one,two',
        'user-agent': 'curl/8',
        'content-type': 'application/json; charset=utf-8',
        'x-amzn-trace-id': TRACE,
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-port': '4002',
        'x-forwarded-proto': 'http',
      },
      queryStringParameters: { tag: 'one,two', name: 'x y', empty: '' },
      pathParameters: { id: 'a+b' },
      requestContext: {
        accountId: '000000000000',
        apiId: 'Shop',
        domainName: '127.0.0.1:4002',
        domainPrefix: 'Shop',
        http: {
          method: 'POST',
          path: '/my shop/items/a+b',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'curl/8',
        },
        requestId: CALL.requestId,
        routeKey: 'POST /my shop/items/{id}',
        stage: '$default',
        time: '12/Mar/2020:19:03:58 +0000',
        timeEpoch: CALL.now,
      },
      body: '{"n":1}',
      isBase64Encoded: false,
    });
  });

  it('has payload format 1.0 as a REST API writes it', () => {
    expect(eventOf(CALL, REST)).toEqual({
      resource: '/my shop/items/{id}',
      path: '/my%20shop/items/a%2Bb',
      httpMethod: 'POST',
      headers: {
        Host: '127.0.0.1:4002',
        'X-Twice': 'two',
        Cookie: 'a=1; b=2',
        'User-Agent': 'curl/8',
        'Content-Type': 'application/json; charset=utf-8',
        'X-Amzn-Trace-Id': TRACE,
        'X-Forwarded-For': '127.0.0.1',
        'X-Forwarded-Port': '4002',
        'X-Forwarded-Proto': 'http',
      },
      multiValueHeaders: {
        Host: ['127.0.0.1:4002'],
        'X-Twice': ['one', 'two'],
        Cookie: ['a=1; b=2'],
        'User-Agent': ['curl/8'],
        'Content-Type': ['application/json; charset=utf-8'],
        'X-Amzn-Trace-Id': [TRACE],
        'X-Forwarded-For': ['127.0.0.1'],
        'X-Forwarded-Port': ['4002'],
        'X-Forwarded-Proto': ['http'],
      },
      queryStringParameters: { tag: 'two', name: 'x y', empty: '' },
      multiValueQueryStringParameters: { tag: ['one', 'two'], name: ['x y'], empty: [''] },
      pathParameters: { id: 'a+b' },
      stageVariables: null,
      requestContext: {
        accountId: '000000000000',
        apiId: 'Shop',
        domainName: '127.0.0.1:4002',
        domainPrefix: 'Shop',
        extendedRequestId: CALL.requestId,
        httpMethod: 'POST',
        identity: {
          accessKey: null,
          accountId: null,
          caller: null,
          cognitoAuthenticationProvider: null,
          cognitoAuthenticationType: null,
          cognitoIdentityId: null,
          cognitoIdentityPoolId: null,
          principalOrgId: null,
          sourceIp: '127.0.0.1',
          user: null,
          userAgent: 'curl/8',
          userArn: null,
        },
        path: '/prod/my%20shop/items/a%2Bb',
        protocol: 'HTTP/1.1',
        requestId: CALL.requestId,
        requestTime: '12/Mar/2020:19:03:58 +0000',
        requestTimeEpoch: CALL.now,
        resourceId: 'POST /my shop/items/{id}',
        resourcePath: '/my shop/items/{id}',
        stage: 'prod',
      },
      body: '{"n":1}',
      isBase64Encoded: false,
    });
  });

  it('has the decoded path and lower-case names where an HTTP API is asked for format 1.0', () => {
    expect(eventOf(CALL, { ...HTTP, payload: '1.0', stage: 'dev' })).toMatchObject({
      version: '1.0',
      path: '/dev/my shop/items/a+b',
      headers: { Host: '127.0.0.1:4002', 'User-Agent': 'curl/8', 'x-twice': 'two', cookie: 'a=1; b=2' },
      requestContext: { path: '/dev/my shop/items/a+b', stage: 'dev' },
    });
  });

  it('has the stage before the path of format 2.0, unless it is the default one', () => {
    const event = eventOf(CALL, { ...HTTP, stage: 'dev', stageVariables: { colour: 'red' } });
    expect(event).toMatchObject({
      rawPath: '/dev/my shop/items/a+b',
      stageVariables: { colour: 'red' },
      requestContext: { stage: 'dev', http: { path: '/dev/my shop/items/a+b' } },
    });
  });

  it('leaves out in format 2.0, and has null in 1.0, for what a request does not have', () => {
    const bare: HttpCall = { ...CALL, path: '/', query: '', headers: [], host: 'localhost', body: new Uint8Array() };
    const landing = { ...HTTP, method: 'ANY', route: '$default', pathParameters: {} };
    const event = eventOf(bare, landing);
    expect(event).toMatchObject({ routeKey: '$default', rawPath: '/', rawQueryString: '', isBase64Encoded: false });
    expect(event).toMatchObject({ headers: { 'x-forwarded-port': '80' } });
    for (const member of ['cookies', 'queryStringParameters', 'pathParameters', 'stageVariables', 'body']) {
      expect(event).not.toHaveProperty(member);
    }
    expect(eventOf(bare, { ...landing, kind: 'rest', payload: '1.0', stage: 'prod' })).toMatchObject({
      queryStringParameters: null,
      multiValueQueryStringParameters: null,
      pathParameters: null,
      body: null,
      requestContext: { identity: { userAgent: null } },
    });
  });

  it.each<[type: string | undefined, kind: Landing['kind'], binaryTypes: string[], isBase64Encoded: boolean]>([
    ['text/csv', 'http', [], false],
    ['application/json; charset=utf-8', 'http', [], false],
    ['application/xml', 'http', [], false],
    ['application/x-www-form-urlencoded', 'http', [], true],
    ['application/vnd.api+json', 'http', [], true],
    ['image/png', 'http', [], true],
    [undefined, 'http', [], true],
    ['application/x-www-form-urlencoded', 'url', [], true],
    ['image/png', 'rest', [], false],
    ['image/png', 'rest', ['image/png'], true],
    ['image/png', 'rest', ['image/*'], true],
    ['application/json', 'rest', ['image/*'], false],
    [undefined, 'rest', ['*/*'], true],
  ])('has a body of %s, for the kind %s with binary types %j, in base64: %s', (type, kind, binaryTypes, expected) => {
    const headers: [string, string][] = type === undefined ? [] : [['content-type', type]];
    const event = eventOf(
      { ...CALL, headers },
      { ...HTTP, kind, binaryTypes, payload: kind === 'rest' ? '1.0' : '2.0' },
    );
    const body = Buffer.from(CALL.body).toString(expected ? 'base64' : 'utf8');
    expect(event).toMatchObject({ body, isBase64Encoded: expected });
  });

  it('has the claims of a token where an authorizer of AWS would put them', () => {
    const content = Buffer.from(JSON.stringify({ sub: 'me', age: 3, groups: ['a', 'b'], scope: 'read write' }));
    const token = `Bearer header.${content.toString('base64url')}.signature`;
    const claims = { sub: 'me', age: '3', groups: '[a b]', scope: 'read write' };
    expect(claimsOf('jwt', '2.0', token)).toEqual({ jwt: { claims, scopes: ['read', 'write'] } });
    expect(claimsOf('jwt', '1.0', token)).toEqual({ claims, scopes: ['read', 'write'] });
    expect(claimsOf('cognito', '1.0', token)).toEqual({ claims });
    expect(claimsOf('other', '1.0', token)).toBeUndefined();
    for (const other of [undefined, 'Basic x', 'Bearer a.%%%.c', 'Bearer a.bnVsbA.c']) {
      expect(claimsOf('jwt', '2.0', other)).toBeUndefined();
    }
    expect(eventOf(CALL, { ...HTTP, authorizer: { jwt: { claims, scopes: null } } })).toMatchObject({
      requestContext: { authorizer: { jwt: { claims } } },
    });
  });
});

describe('the response of a function', () => {
  const read = (value: unknown, form: Partial<Parameters<typeof readResponse>[1]> = {}) =>
    readResponse(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), {
      kind: 'http',
      payload: '2.0',
      ...form,
    });
  const rest = { kind: 'rest', payload: '1.0' } as const;

  it('is inferred in format 2.0 from what has no statusCode', () => {
    const json = [['content-type', 'application/json']];
    expect(read('{"a":1}')).toEqual({ answer: { status: 200, headers: json, body: '{"a":1}' } });
    expect(read('"hello"')).toEqual({ answer: { status: 200, headers: json, body: 'hello' } });
    expect(read('[1]')).toEqual({ answer: { status: 200, headers: json, body: '[1]' } });
  });

  it('has its status, its headers, its cookies and its type', () => {
    expect(read({ statusCode: 201, headers: { 'X-A': 1 }, cookies: ['a=1', 'b=2'], body: 'x' })).toEqual({
      answer: {
        status: 201,
        headers: [
          ['X-A', '1'],
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['content-type', 'text/plain; charset=utf-8'],
        ],
        body: 'x',
      },
    });
    expect(read({ statusCode: 200, body: 'x' }, rest)).toMatchObject({
      answer: { headers: [['content-type', 'application/json']] },
    });
  });

  it('has every value of multiValueHeaders in format 1.0, each once', () => {
    const value = {
      statusCode: '200',
      headers: { 'Set-Cookie': 'c=3', 'X-One': 'a', 'Content-Type': 'text/html', 'Content-Length': 999 },
      multiValueHeaders: { 'set-cookie': ['a=1', 'b=2'], 'x-one': ['a'] },
    };
    expect(read(value, rest)).toEqual({
      answer: {
        status: 200,
        headers: [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['x-one', 'a'],
          ['Set-Cookie', 'c=3'],
          ['Content-Type', 'text/html'],
        ],
        body: '',
      },
    });
    expect(read(value)).toMatchObject({
      answer: { headers: [['Set-Cookie', 'c=3'], ['X-One', 'a'], expect.anything()] },
    });
  });

  it('is decoded from base64, by a REST API only for who accepts a binary type first', () => {
    const value = { statusCode: 200, body: 'AP8B', isBase64Encoded: true };
    const bytes = { answer: { body: Buffer.from([0, 255, 1]) } };
    expect(read(value)).toMatchObject(bytes);
    expect(read(value, { ...rest, binaryTypes: ['image/*'], accept: 'image/png, */*' })).toMatchObject(bytes);
    expect(read(value, { ...rest, binaryTypes: ['*/*'] })).toMatchObject(bytes);
    const text = { answer: { body: 'AP8B' } };
    expect(read(value, { ...rest, binaryTypes: ['image/*'], accept: 'text/html, image/png' })).toMatchObject(text);
    expect(read(value, rest)).toMatchObject(text);
  });

  it.each<[value: unknown, form: object, why: string]>([
    ['{"statusCode":"odd"}', {}, 'its statusCode must be a number from 200 to 599, but is odd'],
    [{ statusCode: 99 }, {}, 'its statusCode must be a number'],
    [{ statusCode: 200, body: { a: 1 } }, {}, 'its body must be a text (JSON.stringify makes one), but is {"a":1}'],
    [{ statusCode: 200, headers: { a: ['x'] } }, {}, 'its header a must be a text'],
    [{ statusCode: 200, headers: { 'a b': 'x' } }, {}, 'its header a b cannot be sent'],
    [{ statusCode: 200, headers: { a: 'x\r\ny: z' } }, {}, 'its header a cannot be sent'],
    [{ statusCode: 200, headers: { a: '\u20ac' } }, {}, 'its header a cannot be sent'],
    [{ statusCode: 200, cookies: ['a=\u20ac'] }, {}, 'its header set-cookie cannot be sent'],
    [{ body: 'x' }, rest, 'it has no statusCode: {"body":"x"}'],
    ['null', rest, 'it must be an object with a statusCode, but is null'],
    ['"text"', { payload: '1.0' }, 'it must be an object with a statusCode'],
    [{ statusCode: 200, message: 'x' }, rest, 'it has message, but a REST API takes only'],
    [{ statusCode: 200, multiValueHeaders: { a: 'x' } }, rest, 'its multiValueHeaders.a must be a list'],
    ['no json', rest, 'it is no JSON'],
  ])('is refused with the reason: %j', (value, form, why) => {
    expect(read(value, form)).toEqual({ wrong: expect.stringContaining(why) });
  });
});

describe('the CORS settings of an HTTP API', () => {
  const cors: ApiCors = {
    origins: ['https://app.example.com', 'http://*'],
    methods: ['GET', 'PUT'],
    headers: ['content-type'],
    exposed: ['x-total'],
    credentials: true,
    maxAge: 60,
  };
  const preflight = (origin: string, settings = cors) => preflightAnswer(settings, { origin });

  it('answer preflight requests', () => {
    expect(preflight('https://app.example.com')).toEqual({
      status: 204,
      headers: [
        ['access-control-allow-origin', 'https://app.example.com'],
        ['vary', 'Origin'],
        ['access-control-allow-credentials', 'true'],
        ['access-control-allow-methods', 'GET,PUT'],
        ['access-control-allow-headers', 'content-type'],
        ['access-control-max-age', '60'],
      ],
      body: '',
    });
    expect(preflight('http://any.example').headers[0]).toEqual(['access-control-allow-origin', 'http://any.example']);
    expect(preflight('https://other.example')).toEqual({ status: 204, headers: [], body: '' });
    const open = { ...cors, origins: ['*'], credentials: false };
    expect(preflight('https://x.example', open).headers[0]).toEqual(['access-control-allow-origin', '*']);
  });

  it('take the place of what the function says of origins', () => {
    const headers: [string, string][] = [
      ['Access-Control-Allow-Origin', 'https://mine.example'],
      ['x-total', '3'],
    ];
    const answer = { status: 200, headers, body: 'x' };
    expect(withCors(answer, cors, 'https://app.example.com').headers).toEqual([
      ['x-total', '3'],
      ['access-control-allow-origin', 'https://app.example.com'],
      ['vary', 'Origin'],
      ['access-control-allow-credentials', 'true'],
      ['access-control-expose-headers', 'x-total'],
    ]);
    expect(withCors(answer, cors, undefined).headers).toEqual([['x-total', '3']]);
  });
});

describe('the route of a request', () => {
  const route = (key: string): TemplateRoute => {
    const [method = '', path = '$default'] = key === '$default' ? ['ANY'] : key.split(' ');
    return { method, path, target: { kind: 'answer', status: 200, headers: {} } };
  };
  const find = (kind: TemplateApi['kind'], keys: readonly string[], request: string): unknown => {
    const [method = '', path = ''] = request.split(' ');
    const api = { id: 'Shop', kind, stage: 'dev', stageVariables: {}, binaryTypes: [], routes: keys.map(route) };
    const found = findRoute(api, method, path);
    return found === undefined ? undefined : [`${found.route.method} ${found.route.path}`, found.pathParameters];
  };
  // The example of the documentation, in the worst order.
  const documented = ['$default', 'ANY /{proxy+}', 'GET /pets/{proxy+}', 'GET /pets/dog/{id}', 'GET /pets/dog/1'];

  it.each<[request: string, route: string, parameters: object]>([
    ['GET /pets/dog/1', 'GET /pets/dog/1', {}],
    ['GET /pets/dog/2', 'GET /pets/dog/{id}', { id: '2' }],
    ['GET /pets/cat/1', 'GET /pets/{proxy+}', { proxy: 'cat/1' }],
    ['POST /pets/dog/1', 'ANY /{proxy+}', { proxy: 'pets/dog/1' }],
    ['GET /a%20b/c', 'ANY /{proxy+}', { proxy: 'a b/c' }],
    ['GET /', 'ANY $default', {}],
  ])('of an HTTP API is for %s %s', (request, expected, parameters) => {
    expect(find('http', documented, request)).toEqual([expected, parameters]);
  });

  it('of an HTTP API prefers one method to any, a full match to a greedy one, and knows a slash at the end', () => {
    expect(find('http', ['ANY /a', 'GET /a'], 'GET /a')).toEqual(['GET /a', {}]);
    expect(find('http', ['GET /a/{rest+}', 'GET /{x}/b'], 'GET /a/b')).toEqual(['GET /{x}/b', { x: 'a' }]);
    expect(find('http', ['GET /a'], 'GET /a/')).toBeUndefined();
    expect(find('http', ['GET /a/{rest+}'], 'GET /a/')).toBeUndefined();
    expect(find('http', ['GET /a'], 'POST /a')).toBeUndefined();
  });

  it('of a REST API is that of the most specific resource, a static part before a variable, or there is none', () => {
    const keys = ['ANY /{proxy+}', 'GET /items/{id}', 'GET /items/new', 'POST /items'];
    expect(find('rest', keys, 'GET /items/new')).toEqual(['GET /items/new', {}]);
    expect(find('rest', keys, 'GET /items/7/')).toEqual(['GET /items/{id}', { id: '7' }]);
    expect(find('rest', keys, 'GET /other')).toEqual(['ANY /{proxy+}', { proxy: 'other' }]);
    // The resource is there, and has no such method.
    expect(find('rest', keys, 'GET /items')).toBeUndefined();
    expect(find('rest', ['GET /a/{rest+}', 'GET /{x}/b'], 'GET /a/b')).toEqual(['GET /a/{rest+}', { rest: 'b' }]);
    expect(find('rest', ['GET /'], 'GET /')).toEqual(['GET /', {}]);
  });
});

describe('a Lambda authorizer', () => {
  const authorizer = (form: LambdaAuthorizer['form'], simple = false): LambdaAuthorizer => ({
    ...{ kind: 'lambda', name: 'guard', arn: 'arn:aws:lambda:eu-west-1:000000000000:function:guard', form, simple },
    sources: [{ place: 'header', name: 'x-twice' }],
  });
  const ask = (form: LambdaAuthorizer['form'], landing: Landing = REST): unknown =>
    questionOf(authorizer(form), CALL, landing, 'eu-west-1');
  const ARN = 'arn:aws:execute-api:eu-west-1:000000000000:Shop/prod/POST/my%20shop/items/a%2Bb';

  it('is asked in the form that its API has', () => {
    expect(ask('token')).toEqual({ event: { type: 'TOKEN', authorizationToken: 'one', methodArn: ARN } });
    const shared = { type: 'REQUEST', methodArn: ARN, resource: REST.route, pathParameters: { id: 'a+b' } };
    expect(ask('request')).toMatchObject({ event: shared });
    expect(ask('request')).not.toHaveProperty('event.body');
    const http = { ...HTTP, stage: 'prod' };
    expect(ask('1.0', http)).toMatchObject({
      event: { ...shared, version: '1.0', identitySource: 'one', authorizationToken: 'one' },
    });
    expect(ask('2.0', http)).toMatchObject({
      event: {
        version: '2.0',
        type: 'REQUEST',
        routeArn: ARN,
        identitySource: ['one'],
        rawPath: '/prod/my shop/items/a+b',
      },
    });
  });

  it('is not asked for a request that lacks what it goes by', () => {
    const lacking = { ...authorizer('2.0'), sources: [{ place: 'querystring', name: 'empty' }] as const };
    expect(questionOf(lacking, CALL, HTTP, 'eu-west-1')).toMatchObject({
      kind: 'stop',
      answer: { status: 401, body: '{"message":"Unauthorized"}' },
      why: 'the request has no querystring empty',
    });
  });

  const judge = (value: unknown, form: LambdaAuthorizer['form'], simple = false, kind: Landing['kind'] = 'rest') => {
    const result = { kind: 'response', payload: Buffer.from(JSON.stringify(value)) } as const;
    return verdictOf(authorizer(form, simple), { methodArn: ARN }, result, kind);
  };
  const policy = (Effect: string, Resource: unknown = '*', Action: unknown = 'execute-api:Invoke') => ({
    principalId: 'me',
    policyDocument: { Version: '2012-10-17', Statement: [{ Effect, Action, Resource }] },
    context: { number: 1, truth: true, text: 'x' },
  });

  it('lets pass by a policy that allows the call, with its context as texts', () => {
    const context = { number: '1', truth: 'true', text: 'x', principalId: 'me', integrationLatency: 0 };
    const there = 'arn:aws:execute-api:eu-west-1:*:Shop/prod/POST/my%20shop/*';
    for (const value of [policy('Allow'), policy('Allow', ['x', there], ['execute-api:*'])]) {
      expect(judge(value, 'token')).toEqual({ kind: 'pass', context });
    }
  });

  it.each<[value: unknown, form: LambdaAuthorizer['form'], simple: boolean, status: number, text: string]>([
    [policy('Deny'), 'token', false, 403, 'with an explicit deny'],
    [policy('Allow', 'arn:aws:execute-api:eu-west-1:*:Shop/prod/GET/*'), 'token', false, 403, 'not authorized'],
    [policy('Allow', '*', 's3:*'), 'token', false, 403, 'not authorized'],
    [{ principalId: 'me' }, 'token', false, 500, 'null'],
    [{ ...policy('Allow'), context: { list: [1] } }, 'token', false, 500, 'null'],
    [null, 'request', false, 500, 'null'],
    [{ isAuthorized: false }, '2.0', true, 403, 'Forbidden'],
    [{ isAuthorized: 'yes' }, '2.0', true, 500, 'null'],
  ])('stops the caller who gets %j', (value, form, simple, status, text) => {
    const verdict = judge(value, form, simple);
    expect(verdict).toMatchObject({ kind: 'stop', answer: { status } });
    expect(JSON.stringify(verdict)).toContain(text);
  });

  it('says Unauthorized by that error alone', () => {
    const failing = (errorMessage: string) =>
      verdictOf(
        authorizer('token'),
        {},
        { kind: 'function-error', payload: Buffer.from(JSON.stringify({ errorMessage })) },
        'http',
      );
    expect(failing('Unauthorized')).toMatchObject({ answer: { status: 401 } });
    expect(failing('something else')).toMatchObject({
      answer: { status: 500, body: '{"message":"Internal Server Error"}' },
      why: 'its authorizer failed',
    });
    expect(judge({ isAuthorized: true, context: { list: [1] } }, '2.0', true, 'http')).toEqual({
      kind: 'pass',
      context: { lambda: { list: [1] } },
    });
  });
});

describe('the connection to an API', () => {
  it('gets an answer whatever headers a function or a template has', async () => {
    const said: string[] = [];
    const returned = { statusCode: 200, headers: { Trailer: 'x', Upgrade: 'h2c', 'X-One': '1' }, body: 'fine' };
    const result: LoggedResult = { kind: 'response', payload: Buffer.from(JSON.stringify(returned)) };
    const gateway = new LocalGateway({
      ...{ account: '000000000000', region: 'eu-west-1', firstPort: 0, time: systemTime, randomness: systemRandomness },
      invoke: async () => result,
      output: { line: (name, text) => said.push(`${name} ${text}`) },
    });
    const target = { kind: 'function', name: 'f', arn: 'arn', payload: '2.0', timeoutMs: 30_000 } as const;
    const odd = { kind: 'answer', status: 204, headers: { 'x-odd': 'a\nb' } } as const;
    const routes: readonly TemplateRoute[] = [
      { method: 'GET', path: '/fine', target },
      { method: 'OPTIONS', path: '/odd', target: odd },
    ];
    await gateway.apply([{ id: 'Shop', kind: 'http', stage: '$default', stageVariables: {}, binaryTypes: [], routes }]);
    const origin = gateway.origin('Shop');
    const fine = await fetch(`${origin}/fine`);
    expect([fine.status, fine.headers.get('x-one'), fine.headers.get('trailer'), fine.headers.get('upgrade')]).toEqual([
      ...[200, '1', null, null],
    ]);
    expect(await fine.text()).toBe('fine');
    expect((await fetch(`${origin}/odd`, { method: 'OPTIONS' })).status).toBe(500);
    expect(said.at(-1)).toContain('Shop ! OPTIONS /odd cannot be answered: Invalid character in header content');
    await gateway.close();
  });
});
