import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import * as rest from 'aws-cdk-lib/aws-apigateway';
import * as http from 'aws-cdk-lib/aws-apigatewayv2';
import {
  HttpJwtAuthorizer,
  HttpLambdaAuthorizer,
  HttpLambdaResponseType,
} from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration, HttpUrlIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dev, startDev } from '../../runtime/cli/dev.ts';
import { readServerlessFile } from '../../runtime/dev/project/serverless.ts';
import { findStacks, readApplication } from '../../runtime/dev/template/application.ts';
import type { TemplateApi, TemplateApplication } from '../../runtime/dev/template/model.ts';

const SETTINGS = {
  account: '000000000000',
  region: 'eu-west-1',
  sqsOrigin: 'http://127.0.0.1:4000',
  functionUrl: () => 'http://127.0.0.1:4001/functions/x/',
};
/** Synthesizing and starting handlers take their time where several suites share two cores. */
const PATIENCE_MS = 120_000;
/** A handler that tells its event. */
const ECHO = 'exports.handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event) });';

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-http-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (path: string, text: string): void => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
};
const readTemplate = (text: string): TemplateApplication => {
  put('template.yaml', text);
  return readApplication(findStacks(folder), SETTINGS);
};
const readServerless = (text: string): TemplateApplication => {
  put('serverless.yml', text);
  const stack = readServerlessFile(join(folder, 'serverless.yml'), { ...SETTINGS, folder, environment: {} });
  return readApplication([stack], SETTINGS);
};
/** `GET /items -> List 2.0`, one line for each route. */
const routesOf = (api: TemplateApi | undefined): readonly string[] =>
  (api?.routes ?? []).map(({ method, path, target, authorizer }) => {
    const to = target.kind === 'function' ? `${target.name} ${target.payload}` : `answer ${target.status}`;
    const asked = authorizer?.kind === 'lambda' ? `${authorizer.name}, ${authorizer.form}` : authorizer?.kind;
    return `${method} ${path} -> ${to}${asked === undefined ? '' : ` (${asked})`}`;
  });

describe('the APIs of a SAM template', () => {
  it('are those that it names and those that events imply, with globals, CORS and authorizers', () => {
    const { web, functions } = readTemplate(`
Globals:
  Function: { Runtime: nodejs22.x, Handler: index.handler, InlineCode: x }
  HttpApi: { CorsConfiguration: { AllowOrigins: [https://app.example.com], MaxAge: 60 } }
  Api: { Cors: "'*'", BinaryMediaTypes: [image~1png] }
Resources:
  Named:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: dev
      StageVariables: { colour: red }
      Auth: { DefaultAuthorizer: Pool, Authorizers: { Pool: { JwtConfiguration: { issuer: x } } } }
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      AutoPublishAlias: live
      Environment:
        Variables: { BASE: !Sub "https://\${ServerlessRestApi}.execute-api.\${AWS::Region}.amazonaws.com/Prod/x" }
      Events:
        All: { Type: HttpApi }
        Old: { Type: HttpApi, Properties: { Path: /old, Method: GET, PayloadFormatVersion: "1.0", TimeoutInMillis: 500 } }
        Mine: { Type: HttpApi, Properties: { ApiId: !Ref Named, Path: "/me/{id}", Method: any } }
        Open: { Type: HttpApi, Properties: { ApiId: !Ref Named, Path: /open, Method: get, Auth: { Authorizer: NONE } } }
        One: { Type: Api, Properties: { Path: "/items/{id}", Method: get } }
        Rest: { Type: Api, Properties: { Path: "/{proxy+}", Method: ANY } }
        Gone: { Type: Api, Properties: { RestApiId: !ImportValue Other, Path: /x, Method: get } }
`);
    const byId = new Map(web.apis.map((api) => [api.id, api]));
    expect(routesOf(byId.get('ServerlessHttpApi'))).toEqual(['ANY $default -> Fn 2.0', 'GET /old -> Fn 1.0']);
    expect(byId.get('ServerlessHttpApi')).toMatchObject({
      stage: '$default',
      cors: { origins: ['https://app.example.com'], maxAge: 60 },
      routes: [{ target: { timeoutMs: 30_000, arn: `${functions[0]?.arn}:live` } }, { target: { timeoutMs: 500 } }],
    });
    expect(routesOf(byId.get('Named'))).toEqual(['ANY /me/{id} -> Fn 2.0 (jwt)', 'GET /open -> Fn 2.0']);
    expect(byId.get('Named')).toMatchObject({ stage: 'dev', stageVariables: { colour: 'red' } });
    expect(routesOf(byId.get('ServerlessRestApi'))).toEqual([
      'GET /items/{id} -> Fn 1.0',
      'ANY /{proxy+} -> Fn 1.0',
      'OPTIONS /items/{id} -> answer 200',
      'OPTIONS /{proxy+} -> answer 200',
    ]);
    expect(byId.get('ServerlessRestApi')).toMatchObject({ stage: 'Prod', binaryTypes: ['image/png'] });
    expect(byId.get('ServerlessRestApi')?.routes[2]?.target).toMatchObject({
      headers: { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Methods': 'OPTIONS,GET' },
    });
    expect(web.notes).toEqual(['API Named: its authorizers of type JWT are not asked (one route): nobody is refused']);
  });

  it('may be an OpenAPI document, in the template or in a file of its own', () => {
    put(
      'openapi.yaml',
      `
openapi: 3.0.1
security: [{ keys: [] }]
components: { securitySchemes: { keys: { type: apiKey, x-amazon-apigateway-authtype: custom } } }
paths:
  /included:
    get:
      x-amazon-apigateway-integration:
        type: aws_proxy
        uri: !Sub arn:aws:apigateway:\${AWS::Region}:lambda:path/2015-03-31/functions/\${Fn.Arn}/invocations
    options:
      security: []
      x-amazon-apigateway-integration:
        type: mock
        responses: { default: { statusCode: "204", responseParameters: { method.response.header.X-Said: "'so'" } } }
  /queue: { post: { x-amazon-apigateway-integration: { type: aws, uri: "arn:aws:apigateway:eu-west-1:sqs:path/1/q" } } }
  /nothing: { get: {} }
`,
    );
    const { web } = readTemplate(`
Resources:
  Fn: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs22.x, Handler: index.handler, InlineCode: x } }
  File:
    Type: AWS::Serverless::Api
    Properties: { StageName: v1, DefinitionUri: openapi.yaml }
  Transform:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      DefinitionBody: { Fn::Transform: { Name: AWS::Include, Parameters: { Location: s3://bucket/openapi.yaml } } }
  Inline:
    Type: AWS::Serverless::HttpApi
    Properties:
      DefinitionBody:
        openapi: 3.0.1
        x-amazon-apigateway-cors: { allowOrigins: ["*"], allowMethods: [GET] }
        paths:
          /$default:
            x-amazon-apigateway-any-method:
              x-amazon-apigateway-integration: { type: AWS_PROXY, uri: !GetAtt Fn.Arn, payloadFormatVersion: "2.0" }
`);
    const byId = new Map(web.apis.map((api) => [api.id, api]));
    expect(routesOf(byId.get('File'))).toEqual(['GET /included -> Fn 1.0 (other)', 'OPTIONS /included -> answer 204']);
    expect(byId.get('File')?.routes[1]?.target).toMatchObject({ headers: { 'X-Said': 'so' } });
    expect(routesOf(byId.get('Inline'))).toEqual(['ANY $default -> Fn 2.0']);
    expect(byId.get('Inline')?.cors).toMatchObject({ origins: ['*'], methods: ['GET'] });
    expect(web.notes).toEqual([
      'route POST /queue of API File: its integration (AWS) is no proxy of a function; it is not served',
      'route GET /nothing of API File: it has no x-amazon-apigateway-integration; it is not served',
      'API Transform: its OpenAPI document s3://bucket/openapi.yaml is not on this machine',
      'API File: its authorizers of type CUSTOM are not asked (one route): nobody is refused',
      'API Transform: it has no route to a function',
    ]);
  });
});

describe('the APIs of a serverless.yml', () => {
  it('are one HTTP API and one REST API, in every short form', () => {
    const { web, problems } = readServerless(`
service: shop
provider:
  name: aws
  runtime: nodejs22.x
  stage: live
  httpApi: { cors: true, payload: '1.0', authorizers: { pool: { issuerUrl: x }, own: { type: request } } }
functions:
  fn:
    handler: index.handler
    httpApi: { payload: '2.0' }
    events:
      - httpApi: '*'
      - httpApi: GET /items/{id}
      - httpApi: { method: post, path: /items, authorizer: { name: pool } }
      - httpApi: { method: '*', path: /own, authorizer: { name: own } }
      - websocket: $connect
      - sns: topic
  old:
    handler: index.handler
    events:
      - http: get orders/{id}
      - http: { method: any, path: "{proxy+}", cors: { origin: "https://app.example.com", headers: [x-mine] } }
      - http: { method: post, path: /orders, authorizer: aws_iam, private: true }
      - http: { method: put, path: /plain, integration: lambda }
`);
    const [httpApi, restApi] = web.apis;
    expect(routesOf(httpApi)).toEqual([
      'ANY $default -> shop-live-fn 2.0',
      'GET /items/{id} -> shop-live-fn 2.0',
      'POST /items -> shop-live-fn 2.0 (jwt)',
      'ANY /own -> shop-live-fn 2.0 (other)',
    ]);
    expect(httpApi).toMatchObject({ id: 'HttpApi', stage: '$default', cors: { origins: ['*'] } });
    expect(routesOf(restApi)).toEqual([
      'GET /orders/{id} -> shop-live-old 1.0',
      'ANY /{proxy+} -> shop-live-old 1.0',
      'POST /orders -> shop-live-old 1.0 (other)',
      'OPTIONS /{proxy+} -> answer 200',
    ]);
    expect(restApi).toMatchObject({ id: 'ApiGatewayRestApi', stage: 'live' });
    expect(restApi?.routes[3]?.target).toMatchObject({
      headers: {
        'Access-Control-Allow-Origin': 'https://app.example.com',
        'Access-Control-Allow-Headers': 'x-mine',
        'Access-Control-Allow-Methods': 'OPTIONS,ANY',
      },
    });
    expect(web.notes).toContain(
      'route PUT /plain of API ApiGatewayRestApi: its integration (AWS) is no proxy of a function; it is not served',
    );
    expect(problems).toEqual([
      'function shop-live-fn: WebSockets are not served here; serverless-offline serves them',
      'function shop-live-fn: its sns event does not happen here',
    ]);
  });
});

/** A stack with both kinds of API, as the CDK writes it. */
function cdkAssembly(): string {
  // As karin dev synthesizes it.
  const app = new App({ outdir: join(folder, 'cdk.out'), context: { 'aws:cdk:enable-path-metadata': true } });
  const stack = new Stack(app, 'Shop');
  const define = (id: string, source: string): LambdaFunction =>
    new LambdaFunction(stack, id, {
      runtime: Runtime.NODEJS_22_X,
      handler: 'index.handler',
      code: Code.fromInline(source),
    });
  const echo = define('Echo', ECHO);
  const httpApi = new http.HttpApi(stack, 'Web', {
    corsPreflight: { allowOrigins: ['https://app.example.com'], allowMethods: [http.CorsHttpMethod.GET] },
  });
  const integration = new HttpLambdaIntegration('EchoIntegration', echo);
  httpApi.addRoutes({ path: '/items/{id}', methods: [http.HttpMethod.GET], integration });
  httpApi.addRoutes({
    path: '/me',
    methods: [http.HttpMethod.GET],
    integration,
    authorizer: new HttpJwtAuthorizer('Jwt', 'https://issuer.example', { jwtAudience: ['me'] }),
  });
  const guard = define('Guard', 'exports.handler = async () => ({ isAuthorized: true });');
  const responseTypes = [HttpLambdaResponseType.SIMPLE];
  httpApi.addRoutes({
    path: '/guarded',
    methods: [http.HttpMethod.GET],
    integration,
    authorizer: new HttpLambdaAuthorizer('Lambda', guard, { responseTypes }),
  });
  httpApi.addRoutes({
    path: '/elsewhere',
    integration: new HttpUrlIntegration('Elsewhere', 'https://elsewhere.example'),
  });
  const restApi = new rest.RestApi(stack, 'Old', {
    deployOptions: { stageName: 'v1' },
    binaryMediaTypes: ['image/*'],
    defaultCorsPreflightOptions: { allowOrigins: ['https://app.example.com'] },
  });
  const token = new rest.TokenAuthorizer(stack, 'Token', { handler: guard });
  restApi.root.addResource('guarded').addMethod('GET', new rest.LambdaIntegration(echo), { authorizer: token });
  restApi.root.addResource('items').addResource('{id}').addMethod('GET', new rest.LambdaIntegration(echo));
  restApi.root.addProxy({ defaultIntegration: new rest.LambdaIntegration(echo) });
  define('Reader', 'exports.handler = async () => ({ web: process.env.WEB, old: process.env.OLD });')
    .addEnvironment('WEB', `${httpApi.apiEndpoint}/items/1`)
    .addEnvironment('OLD', restApi.urlForPath('/items/1'));
  app.synth();
  return join(folder, 'cdk.out');
}

describe('the APIs of a CDK app', { timeout: PATIENCE_MS }, () => {
  it('are read from the resources that its constructs make', () => {
    const { web } = readApplication(findStacks(cdkAssembly()), SETTINGS);
    const byKind = new Map(web.apis.map((api) => [api.kind, api]));
    expect(routesOf(byKind.get('http')).toSorted()).toEqual([
      'GET /guarded -> Echo 2.0 (Guard, 2.0)',
      'GET /items/{id} -> Echo 2.0',
      'GET /me -> Echo 2.0 (jwt)',
    ]);
    expect(routesOf(byKind.get('rest')).toSorted()).toEqual([
      'ANY / -> answer 500',
      'ANY /{proxy+} -> Echo 1.0',
      'GET /guarded -> Echo 1.0 (Guard, token)',
      'GET /items/{id} -> Echo 1.0',
      'OPTIONS / -> answer 204',
      'OPTIONS /guarded -> answer 204',
      'OPTIONS /items -> answer 204',
      'OPTIONS /items/{id} -> answer 204',
      'OPTIONS /{proxy+} -> answer 204',
    ]);
    expect(byKind.get('rest')).toMatchObject({ stage: 'v1', binaryTypes: ['image/*'] });
    expect(byKind.get('http')?.cors).toMatchObject({ origins: ['https://app.example.com'], methods: ['GET'] });
    expect(web.notes).toEqual([
      'route ANY /elsewhere of API Web: its integration (HTTP_PROXY) is no function; it is not served',
      'API Web: its authorizers of type JWT are not asked (one route): nobody is refused',
    ]);
  });
});

describe('Lambda authorizers', () => {
  const source = (name: string, place = 'header') => ({ place, name });

  it('are those of a SAM template, of both kinds of API', () => {
    const { web } = readTemplate(`
Globals: { Function: { Runtime: nodejs22.x, Handler: index.handler, InlineCode: x } }
Resources:
  Guard: { Type: AWS::Serverless::Function }
  Web:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Simple:
            FunctionArn: !GetAtt Guard.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            Identity: { Headers: [Authorization], QueryStrings: [key] }
  Old:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token: { FunctionArn: !GetAtt Guard.Arn }
          Request: { FunctionArn: !GetAtt Guard.Arn, FunctionPayloadType: REQUEST, Identity: { Headers: [X-Key] } }
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        A: { Type: HttpApi, Properties: { ApiId: !Ref Web, Path: /a, Method: GET, Auth: { Authorizer: Simple } } }
        B: { Type: Api, Properties: { RestApiId: !Ref Old, Path: /b, Method: GET } }
        C: { Type: Api, Properties: { RestApiId: !Ref Old, Path: /c, Method: GET, Auth: { Authorizer: Request } } }
`);
    const byId = new Map(web.apis.map((api) => [api.id, api]));
    expect(routesOf(byId.get('Web'))).toEqual(['GET /a -> Fn 2.0 (Guard, 2.0)']);
    expect(byId.get('Web')?.routes[0]?.authorizer).toMatchObject({
      simple: true,
      sources: [source('Authorization'), source('key', 'querystring')],
    });
    expect(routesOf(byId.get('Old'))).toEqual(['GET /b -> Fn 1.0 (Guard, token)', 'GET /c -> Fn 1.0 (Guard, request)']);
    expect(byId.get('Old')?.routes.map(({ authorizer }) => authorizer)).toMatchObject([
      { simple: false, sources: [source('Authorization')] },
      { sources: [source('X-Key')] },
    ]);
    expect(web.notes).toEqual([]);
  });

  it('are those of a serverless.yml, by key or by ARN', () => {
    const { web } = readServerless(`
service: shop
provider:
  name: aws
  runtime: nodejs22.x
  httpApi:
    authorizers:
      mine: { type: request, functionName: my-guard, enableSimpleResponses: true, identitySource: $request.header.X-Key }
functions:
  my-guard: { handler: index.guard }
  fn:
    handler: index.handler
    events:
      - httpApi: { method: get, path: /a, authorizer: { name: mine } }
      - http: { method: get, path: b, authorizer: my-guard }
      - http:
          method: get
          path: c
          authorizer: { name: my-guard, type: request, identitySource: "method.request.header.A, method.request.querystring.b" }
`);
    const [httpApi, restApi] = web.apis;
    expect(routesOf(httpApi)).toEqual(['GET /a -> shop-dev-fn 2.0 (shop-dev-my-guard, 2.0)']);
    expect(httpApi?.routes[0]?.authorizer).toMatchObject({ simple: true, sources: [source('X-Key')] });
    expect(routesOf(restApi)).toEqual([
      'GET /b -> shop-dev-fn 1.0 (shop-dev-my-guard, token)',
      'GET /c -> shop-dev-fn 1.0 (shop-dev-my-guard, request)',
    ]);
    expect(restApi?.routes[1]?.authorizer).toMatchObject({ sources: [source('A'), source('b', 'querystring')] });
    expect(web.notes).toEqual([]);
  });
});

describe('karin dev serves', { timeout: PATIENCE_MS }, () => {
  let dev: Dev | undefined;
  const lines: string[] = [];
  beforeEach(() => {
    lines.length = 0;
    dev = undefined;
  });
  afterEach(() => dev?.stop());

  const listeners = new Set<() => void>();
  /** Resolves with the first line that is like this, as soon as it was said. */
  const said = (pattern: RegExp): Promise<string> =>
    new Promise((resolve) => {
      const look = (): void => {
        const line = lines.find((one) => pattern.test(one));
        if (line === undefined) return;
        listeners.delete(look);
        resolve(line);
      };
      listeners.add(look);
      look();
    });
  const start = async (template?: string, watch = false): Promise<void> => {
    const { PATH = '', HOME = '' } = process.env;
    dev = await startDev({
      project: folder,
      port: 0,
      watch,
      environment: { PATH, HOME },
      write: (text) => {
        lines.push(...text.split('\n').slice(0, -1));
        for (const look of listeners) look();
      },
      ...(template === undefined ? {} : { template }),
    });
  };
  /** The address that stands in the line of a route. */
  const addressOf = (route: RegExp): string => {
    const line = lines.find((one) => route.test(one)) ?? '';
    const [url] = /http:\S+/.exec(line) ?? [];
    if (url === undefined) throw new Error(`no line is like ${route}:\n${lines.join('\n')}`);
    return url;
  };

  it('the httpApi and http events of a serverless.yml', async () => {
    put(
      'serverless.yml',
      `
service: shop
provider: { name: aws, runtime: nodejs22.x, httpApi: { cors: true } }
functions:
  echo:
    handler: index.handler
    events: [{ httpApi: 'GET /items/{id}' }, { http: 'post /orders/{id}' }]
  home:
    handler: index.home
    events: [{ httpApi: 'GET /' }]
  wrong:
    handler: index.wrong
    events: [{ httpApi: { method: GET, path: /wrong } }, { http: get wrong }, { http: get failing }]
`,
    );
    put(
      'index.js',
      `${ECHO}
       exports.home = async () => ({ hello: 'world' });
       exports.wrong = async (event) => { if (event.path === '/failing') throw new Error('no'); return { statusCode: 200, body: {} }; };`,
    );
    await start();
    const item = await fetch(addressOf(/GET +\S+\/items/).replace('{id}', 'a%20b?x=1&x=2'));
    expect(item.status).toBe(200);
    expect(await item.json()).toMatchObject({
      version: '2.0',
      rawPath: '/items/a b',
      pathParameters: { id: 'a b' },
      queryStringParameters: { x: '1,2' },
      requestContext: { routeKey: 'GET /items/{id}', http: { method: 'GET' } },
    });
    const home = await fetch(addressOf(/GET +\S+ +-> +shop-dev-home/));
    expect([home.headers.get('content-type'), await home.json()]).toEqual(['application/json', { hello: 'world' }]);

    const order = await fetch(addressOf(/POST +\S+\/orders/).replace('{id}', '7'), { method: 'POST', body: 'text' });
    expect(await order.json()).toMatchObject({
      resource: '/orders/{id}',
      path: '/orders/7',
      pathParameters: { id: '7' },
      body: 'text',
      requestContext: { stage: 'dev', path: '/dev/orders/7' },
    });

    const web = new URL(addressOf(/GET +\S+\/items/)).origin;
    const old = new URL(addressOf(/POST +\S+\/orders/)).origin;
    const answer = async (url: string): Promise<[number, unknown]> => {
      const response = await fetch(url);
      return [response.status, await response.json()];
    };
    expect(await answer(`${web}/wrong`)).toEqual([500, { message: 'Internal Server Error' }]);
    expect(await answer(`${old}/wrong`)).toEqual([502, { message: 'Internal server error' }]);
    expect(await answer(`${old}/failing`)).toEqual([502, { message: 'Internal server error' }]);
    expect(await answer(`${web}/nothing`)).toEqual([404, { message: 'Not Found' }]);
    expect(await answer(`${old}/dev/wrong`)).toEqual([403, { message: 'Missing Authentication Token' }]);
    expect(lines.filter((line) => line.includes('] ! '))).toEqual([
      '[shop-dev-wrong] ! GET /wrong is answered with 500: what the function returned is no response of /wrong: its body must be a text (JSON.stringify makes one), but is {}',
      '[shop-dev-wrong] ! GET /wrong is answered with 502: what the function returned is no response of /wrong: its body must be a text (JSON.stringify makes one), but is {}',
      '[shop-dev-wrong] ! GET /failing is answered with 502: the function failed',
      '[HttpApi] ! no route takes GET /nothing',
      '[ApiGatewayRestApi] ! no route takes GET /dev/wrong; the stage dev is served at the root, so leave it out of the path',
    ]);
  });

  it('the events of a SAM template, with binary bodies, cookies and bounds', async () => {
    put(
      'template.yaml',
      `
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: { Runtime: nodejs22.x, Handler: index.handler, CodeUri: . }
  Api: { BinaryMediaTypes: [image~1*] }
Resources:
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Web: { Type: HttpApi, Properties: { Path: /echo, Method: ANY } }
        Image: { Type: Api, Properties: { Path: /image, Method: POST } }
  Slow:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.slow
      Events:
        Slow: { Type: HttpApi, Properties: { Path: /slow, Method: GET, TimeoutInMillis: 50 } }
`,
    );
    put(
      'index.js',
      `exports.handler = async (event) => event.httpMethod === 'POST'
         ? { statusCode: 200, headers: { 'content-type': 'image/png' }, body: event.body, isBase64Encoded: event.isBase64Encoded }
         : { statusCode: 201, cookies: ['a=1', 'b=2'], body: JSON.stringify([event.cookies, event.isBase64Encoded]) };
       exports.slow = () => new Promise(() => {});`,
    );
    await start();
    const echo = addressOf(/ANY +\S+\/echo/);
    const made = await fetch(echo, {
      method: 'PUT',
      headers: { cookie: 'c=3' },
      body: new URLSearchParams({ a: '1' }),
    });
    expect([made.status, made.headers.getSetCookie()]).toEqual([201, ['a=1', 'b=2']]);
    expect(await made.json()).toEqual([['c=3'], true]);

    const bytes = new Uint8Array([0, 255, 1]);
    const headers = { 'content-type': 'image/png', accept: 'image/png' };
    const image = await fetch(addressOf(/POST +\S+\/image/), { method: 'POST', headers, body: bytes });
    expect(new Uint8Array(await image.arrayBuffer())).toEqual(bytes);

    const late = await fetch(addressOf(/GET +\S+\/slow/));
    expect([late.status, await late.json()]).toEqual([503, { message: 'Service Unavailable' }]);
    const large = await fetch(echo, { method: 'POST', body: new Uint8Array(10 * 1024 * 1024 + 1) });
    expect([large.status, await large.json()]).toEqual([413, { message: 'Request Entity Too Large' }]);
  });

  it('the project of the guide, from the request to the function that consumes its message', async () => {
    const guide = readFileSync('docs/guides/http-on-one-machine.md', 'utf8');
    const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(guide) ?? [];
    const [, js = ''] = /```js\n(.*?)```/s.exec(guide) ?? [];
    put('serverless.yml', yaml);
    put('order.js', js);
    await start();
    const order = addressOf(/POST +\S+\/orders/).replace('{id}', '7');
    const headers = { 'content-type': 'application/json' };
    const taken = await fetch(order, { method: 'POST', headers, body: '{"size":"large"}' });
    expect([taken.status, await taken.text()]).toEqual([202, 'taken 7\n']);
    expect(await said(/pack order/)).toBe('[shop-dev-pack] pack order 7: {"size":"large"}');
  });

  it('a route only for whom a Lambda authorizer lets pass, with what it says of him', async () => {
    put(
      'serverless.yml',
      `
service: shop
provider:
  name: aws
  runtime: nodejs22.x
  httpApi: { authorizers: { guard: { type: request, functionName: guard, enableSimpleResponses: true, identitySource: [$request.header.x-key] } } }
functions:
  guard: { handler: index.guard }
  fn: { handler: index.handler, events: [{ httpApi: { method: get, path: /a, authorizer: { name: guard } } }] }
`,
    );
    put(
      'index.js',
      `${ECHO}
       exports.guard = async (event) => {
         const [key] = event.identitySource;
         if (key === 'odd') throw new Error('odd');
         return { isAuthorized: key === 'good', context: { routeArn: event.routeArn, list: [1] } };
       };`,
    );
    await start();
    const url = addressOf(/GET +\S+\/a/);
    const passing = await fetch(url, { headers: { 'x-key': 'good' } });
    const routeArn = 'arn:aws:execute-api:us-east-1:000000000000:HttpApi/$default/GET/a';
    expect(await passing.json()).toMatchObject({
      requestContext: { authorizer: { lambda: { routeArn, list: [1] } } },
    });
    const statusFor = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(url, { headers })).status;
    expect([await statusFor({}), await statusFor({ 'x-key': 'bad' }), await statusFor({ 'x-key': 'odd' })]).toEqual([
      401, 403, 500,
    ]);
    expect(lines.filter((line) => line.startsWith('[shop-dev-guard] ! '))).toEqual([
      '[shop-dev-guard] ! GET /a is answered with 401: the request has no header x-key',
      '[shop-dev-guard] ! GET /a is answered with 403: its authorizer refuses',
      '[shop-dev-guard] ! GET /a is answered with 500: its authorizer failed',
    ]);
  });

  it('a route whose function cannot run, with the reason at the start and where it is asked for', async () => {
    put(
      'serverless.yml',
      'service: shop\nprovider: { name: aws, runtime: nodejs22.x }\n' +
        "functions: { fn: { handler: gone.handler, events: [{ httpApi: 'GET /a' }] } }\n",
    );
    await start();
    const reason = `there is no file for its handler 'gone.handler' in ${folder}`;
    expect(lines.filter((line) => line.includes(reason))).toEqual([
      `! the function shop-dev-fn cannot be run on this machine: ${reason}; is it yet to be built?`,
    ]);
    const answer = await fetch(addressOf(/GET +\S+\/a/));
    expect([answer.status, await answer.json()]).toEqual([500, { message: 'Internal Server Error' }]);
    expect(await said(/GET \/a is answered with 500: the function failed/)).toContain('[shop-dev-fn]');
  });

  it('a route that is added later, at the origin that its API has', async () => {
    const functions = "functions: { fn: { handler: index.handler, events: [{ httpApi: 'GET /one' }";
    const file = (more: string): string =>
      `service: shop\nprovider: { name: aws, runtime: nodejs22.x }\n${functions}${more}] } }\n`;
    put('index.js', ECHO);
    put('serverless.yml', file(''));
    await start(undefined, true);
    const one = addressOf(/GET +\S+\/one/);
    put('serverless.yml', file(", { httpApi: 'GET /two' }"));
    const [two = ''] = /http:\S+/.exec(await said(/GET +\S+\/two/)) ?? [];
    expect(new URL(two).origin).toBe(new URL(one).origin);
    expect(await (await fetch(two)).json()).toMatchObject({ rawPath: '/two' });
  });

  it('the template of a CDK app, to pages as its CORS settings say, and tells functions where its APIs are', async () => {
    await start(cdkAssembly());
    const item = addressOf(/GET +\S+\/items\/\{id\} +-> +Echo/).replace('{id}', '1');
    const page = { origin: 'https://app.example.com' };
    const preflight = await fetch(item, {
      method: 'OPTIONS',
      headers: { ...page, 'access-control-request-method': 'GET' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-methods')]).toEqual([204, 'GET']);
    expect((await fetch(item, { headers: page })).headers.get('access-control-allow-origin')).toBe(page.origin);
    const evil = { origin: 'https://evil.example' };
    expect((await fetch(item, { headers: evil })).status).toBe(403);
    expect((await fetch(item, { headers: { origin: 'http://localhost:5173' } })).status).toBe(200);

    const old = addressOf(/ANY +\S+\/\{proxy\+\}/).replace('{proxy+}', 'some/where');
    const ofRest = await fetch(old, { method: 'OPTIONS', headers: page });
    expect([ofRest.status, ofRest.headers.get('access-control-allow-origin')]).toEqual([204, page.origin]);
    expect((await fetch(old, { headers: evil })).status).toBe(403);
    expect(await (await fetch(old, { headers: page })).json()).toMatchObject({
      resource: '/{proxy+}',
      pathParameters: { proxy: 'some/where' },
      requestContext: { stage: 'v1', path: '/v1/some/where' },
    });

    const read = await fetch(`${dev?.lambdaUrl}/2015-03-31/functions/Reader/invocations`, { method: 'POST' });
    const { web, old: oldUrl } = Object(await read.json());
    expect(web).toBe(item);
    expect(await (await fetch(oldUrl)).json()).toMatchObject({ resource: '/items/{id}', path: '/items/1' });
  });
});
