/**
 * Requests of an API as events of functions, the way SAM and the Serverless Framework state them, written out as the
 * resources of API Gateway that they stand for.
 *
 * Sources:
 * https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-api.html,
 * https://www.serverless.com/framework/docs/providers/aws/events/http-api and
 * https://www.serverless.com/framework/docs/providers/aws/events/apigateway
 *
 * @module
 */
import { isObject, type JsonObject, objectOr, scalarText, textOr } from './model.ts';

export type Entry = readonly [logicalId: string, resource: JsonObject];

/** A route to a function. */
interface RouteToWrite {
  /** What the logical ids of its resources begin with. */
  readonly id: string;
  /** Logical id of the API. */
  readonly apiId: string;
  /** In capitals. */
  readonly method: string;
  /** `$default`: all that no other route of an HTTP API takes. */
  readonly path: string;
  /** The function, or its alias. */
  readonly target: unknown;
  /** `AuthorizationType`. */
  readonly authorization: string;
  readonly timeoutMs?: unknown;
  /** `Condition` of the function, if it has one. */
  readonly shared?: JsonObject;
}

function httpRoute(route: RouteToWrite, PayloadFormatVersion: unknown): readonly Entry[] {
  const { id, apiId, method, path, target, authorization, shared = {} } = route;
  const ApiId = { Ref: apiId };
  const integration = { ApiId, IntegrationType: 'AWS_PROXY', IntegrationUri: target, PayloadFormatVersion };
  const RouteKey = path === '$default' ? path : `${method} ${path}`;
  const Target = { 'Fn::Join': ['/', ['integrations', { Ref: `${id}.Integration` }]] };
  const Properties = { ApiId, RouteKey, Target, AuthorizationType: authorization };
  return [
    [
      `${id}.Integration`,
      {
        Type: 'AWS::ApiGatewayV2::Integration',
        Properties: { ...integration, TimeoutInMillis: route.timeoutMs },
        ...shared,
      },
    ],
    [`${id}.Route`, { Type: 'AWS::ApiGatewayV2::Route', Properties, ...shared }],
  ];
}

/** `integration`: the `Type` of one that is no proxy of the function. */
function restMethod(route: RouteToWrite, integration = 'AWS_PROXY', ApiKeyRequired = false): readonly Entry[] {
  const { id, apiId, method, path, target, authorization, timeoutMs, shared = {} } = route;
  const { entries, id: ResourceId } = restResources(apiId, path);
  const Integration = { Type: integration, Uri: target, TimeoutInMillis: timeoutMs };
  const Properties = {
    ...{ RestApiId: { Ref: apiId }, ResourceId, HttpMethod: method, Integration, ApiKeyRequired },
    AuthorizationType: authorization,
  };
  return [...entries, [`${id}.Method`, { Type: 'AWS::ApiGateway::Method', Properties, ...shared }]];
}

/** The resources that a path of a REST API is made of, and how the last one is referred to. */
function restResources(apiId: string, path: string): { readonly entries: readonly Entry[]; readonly id: unknown } {
  const entries: Entry[] = [];
  let id: unknown = { 'Fn::GetAtt': [apiId, 'RootResourceId'] };
  let prefix = '';
  for (const PathPart of path.split('/').filter((part) => part !== '')) {
    prefix += `/${PathPart}`;
    const logicalId = `${apiId}.Resource${prefix}`;
    const Properties = { RestApiId: { Ref: apiId }, ParentId: id, PathPart };
    entries.push([logicalId, { Type: 'AWS::ApiGateway::Resource', Properties }]);
    id = { Ref: logicalId };
  }
  return { entries, id };
}

/** An OPTIONS method with a MOCK integration; `headers`: constants in quotes, those that are undefined are left out. */
function restPreflight(apiId: string, path: string, headers: JsonObject): readonly Entry[] {
  const { entries, id: ResourceId } = restResources(apiId, path);
  const ResponseParameters = Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[`method.response.header.${name}`, value]],
    ),
  );
  const Integration = { Type: 'MOCK', IntegrationResponses: [{ StatusCode: '200', ResponseParameters }] };
  const Properties = { RestApiId: { Ref: apiId }, ResourceId, HttpMethod: 'OPTIONS', Integration };
  return [...entries, [`${apiId}.Options${path}`, { Type: 'AWS::ApiGateway::Method', Properties }]];
}

/** The methods that paths of REST APIs have, to say them in the answer to a preflight request. */
class RestPaths {
  readonly #methods = new Map<string, Set<string>>();

  add(apiId: string, path: string, method: string): void {
    const key = `${apiId} ${path}`;
    this.#methods.set(key, (this.#methods.get(key) ?? new Set<string>()).add(method));
  }

  /** As a constant in quotes; `undefined`: the path answers OPTIONS by itself. */
  allowed(apiId: string, path: string): string | undefined {
    const methods = [...(this.#methods.get(`${apiId} ${path}`) ?? [])];
    return methods.includes('OPTIONS') ? undefined : `'${['OPTIONS', ...methods].join(',')}'`;
  }
}

/*
 * SAM: APIs that a template names, and those that its events imply.
 */

/** Names of the sections of `Globals`, of `AWS::Serverless::` types, and of events. */
export type ApiKind = 'HttpApi' | 'Api';

const IMPLICIT = { HttpApi: 'ServerlessHttpApi', Api: 'ServerlessRestApi' } as const;
const ANY_METHOD = 'x-amazon-apigateway-any-method';

/** An event of a function of type `HttpApi` or `Api`. */
export interface SamApiEvent extends Pick<RouteToWrite, 'target' | 'shared'> {
  readonly functionId: string;
  readonly name: string;
  readonly kind: ApiKind;
  readonly properties: JsonObject;
}

/** An `AWS::Serverless::HttpApi` or `AWS::Serverless::Api`; `properties` with the globals under them. */
export function expandSamApi(id: string, kind: ApiKind, body: JsonObject, properties: JsonObject): readonly Entry[] {
  const shared = 'Condition' in body ? { Condition: body['Condition'] } : {};
  const { Name, DefinitionBody, DefinitionUri, StageName, BinaryMediaTypes, StageVariables, Variables } = properties;
  const document = DefinitionBody ?? included(DefinitionUri);
  const Body = document === undefined ? {} : { Body: document };
  if (kind === 'HttpApi') {
    const cors = properties['CorsConfiguration'];
    const all = { AllowOrigins: ['*'], AllowMethods: ['*'], AllowHeaders: ['*'] };
    // `true` lets everybody in, a text one origin.
    const CorsConfiguration = cors === true ? all : typeof cors === 'string' ? { AllowOrigins: [cors] } : cors;
    const Properties = { Name, ProtocolType: 'HTTP', CorsConfiguration, ...Body };
    const stage = { ApiId: { Ref: id }, StageName: StageName ?? '$default', StageVariables };
    return [
      [id, { ...body, Type: 'AWS::ApiGatewayV2::Api', Properties }],
      [`${id}.Stage`, { Type: 'AWS::ApiGatewayV2::Stage', Properties: stage, ...shared }],
    ];
  }
  const stage = { RestApiId: { Ref: id }, StageName: StageName ?? 'Prod', Variables };
  return [
    [id, { ...body, Type: 'AWS::ApiGateway::RestApi', Properties: { Name, BinaryMediaTypes, ...Body } }],
    [`${id}.Stage`, { Type: 'AWS::ApiGateway::Stage', Properties: stage, ...shared }],
  ];
}

/** A path, or an object with bucket and key, which only AWS can read. */
function included(uri: unknown): unknown {
  if (uri === undefined) return undefined;
  const Location = isObject(uri) && 'Bucket' in uri ? `s3://${String(uri['Bucket'])}/${String(uri['Key'])}` : uri;
  return { 'Fn::Transform': { Name: 'AWS::Include', Parameters: { Location } } };
}

/**
 * The routes of all events, and the APIs that they imply. `settings`: those of an API of the template, or of an implied
 * one, with the globals; `undefined`: the template has no such API. `notes`: what is not served.
 */
export function expandSamEvents(
  events: readonly SamApiEvent[],
  settings: (apiId: string, kind: ApiKind) => JsonObject | undefined,
  globals: (kind: ApiKind) => JsonObject,
  notes: string[],
): readonly Entry[] {
  const entries: Entry[] = [];
  const paths = new RestPaths();
  const preflights = new Map<string, readonly [apiId: string, path: string, cors: unknown]>();
  const implied = new Set<ApiKind>();
  for (const { kind, functionId, name, properties, target, shared } of events) {
    const reference = properties[kind === 'HttpApi' ? 'ApiId' : 'RestApiId'];
    const apiId =
      reference === undefined ? IMPLICIT[kind] : textOr(objectOr(reference)['Ref'], textOr(reference, undefined));
    const known = settings(apiId ?? '', kind);
    if (apiId === undefined || (known === undefined && apiId !== IMPLICIT[kind])) {
      notes.push(`function ${functionId}: the API of its event ${name} is not in this template; it is not served`);
      continue;
    }
    if (known === undefined) implied.add(kind);
    const api = known ?? globals(kind);
    const { Path, Method, PayloadFormatVersion = '2.0', TimeoutInMillis: timeoutMs } = properties;
    if ((Path !== undefined || kind === 'Api') && typeof Path !== 'string') {
      notes.push(`function ${functionId}: the path of its event ${name} cannot be read; it is not served`);
      continue;
    }
    const stated = textOr(Method, 'ANY');
    const method = stated.toLowerCase() === ANY_METHOD ? 'ANY' : stated.toUpperCase();
    const authorization = samAuthorization(objectOr(properties['Auth']), objectOr(api['Auth']));
    // Without a path an event of an HTTP API takes all that no other route takes.
    const path = Path ?? '$default';
    const id = `${functionId}${name}`;
    const route = { id, apiId, method, path, target, authorization, timeoutMs, ...(shared && { shared }) };
    if (kind === 'HttpApi') {
      entries.push(...httpRoute(route, PayloadFormatVersion));
    } else {
      entries.push(...restMethod(route));
      paths.add(apiId, path, method);
      if (api['Cors'] !== undefined) preflights.set(`${apiId} ${path}`, [apiId, path, api['Cors']]);
    }
  }
  for (const [apiId, path, cors] of preflights.values()) {
    const methods = paths.allowed(apiId, path);
    if (methods !== undefined) entries.push(...restPreflight(apiId, path, samCors(cors, methods)));
  }
  return [...[...implied].flatMap((kind) => expandSamApi(IMPLICIT[kind], kind, {}, globals(kind))), ...entries];
}

/** `cors`: the origin as a constant in quotes, or an object of such. */
function samCors(cors: unknown, methods: string): JsonObject {
  const stated: JsonObject = isObject(cors) ? cors : { AllowOrigin: cors };
  return {
    'Access-Control-Allow-Origin': stated['AllowOrigin'],
    'Access-Control-Allow-Headers': stated['AllowHeaders'],
    'Access-Control-Allow-Methods': stated['AllowMethods'] ?? methods,
    'Access-Control-Max-Age': stated['MaxAge'],
    'Access-Control-Allow-Credentials': stated['AllowCredentials'] === true ? "'true'" : undefined,
  };
}

/** How a route checks its caller: as its event says, or else the API. */
function samAuthorization(event: JsonObject, api: JsonObject): string {
  const name = textOr(event['Authorizer'], textOr(api['DefaultAuthorizer'], 'NONE'));
  if (name === 'NONE' || name === 'AWS_IAM') return name;
  const authorizer = objectOr(objectOr(api['Authorizers'])[name]);
  if ('JwtConfiguration' in authorizer) return 'JWT';
  return 'UserPoolArn' in authorizer ? 'COGNITO_USER_POOLS' : 'CUSTOM';
}

/*
 * The Serverless Framework: one HTTP API and one REST API for all functions of a service.
 */

/** An `httpApi` or `http` event. */
export interface ServerlessApiEvent {
  readonly kind: 'httpApi' | 'http';
  /** Logical id of the function. */
  readonly functionId: string;
  readonly functionName: string;
  /** As the function has it: `GET /items`, `*`, or an object. */
  readonly event: unknown;
  /** `httpApi.payload` of the function. */
  readonly payload?: string | undefined;
}

const HTTP_API = 'HttpApi';
const REST_API = 'ApiGatewayRestApi';
/** What the framework lets browsers send where `cors: true` stands. */
const CORS_HEADERS = [
  ...['Content-Type', 'X-Amz-Date', 'Authorization', 'X-Api-Key', 'X-Amz-Security-Token', 'X-Amz-User-Agent'],
  'X-Amzn-Trace-Id',
];
const INTEGRATIONS: Readonly<Record<string, string>> = { lambda: 'AWS', aws: 'AWS', http: 'HTTP', mock: 'MOCK' };

/** The routes of all events, and the APIs that they belong to. */
export function serverlessApis(
  events: readonly ServerlessApiEvent[],
  provider: JsonObject,
  stage: string,
  notes: string[],
): readonly Entry[] {
  const settings = objectOr(provider['httpApi']);
  const entries: Entry[] = [];
  const methods = new Set<string>();
  const paths = new RestPaths();
  const preflights: (readonly [path: string, cors: unknown])[] = [];
  for (const { kind, functionId, functionName, event, payload } of events) {
    const { method, path, stated } = serverlessRoute(event);
    if (path === undefined) {
      notes.push(`function ${functionName}: its ${kind} event has no path; it is not served`);
      continue;
    }
    const target = { 'Fn::GetAtt': [functionId, 'Arn'] };
    const id = `${functionId}.${kind}.${method}${path}`;
    if (kind === 'httpApi') {
      const authorization = httpAuthorization(stated['authorizer'], objectOr(settings['authorizers']));
      const route = { id, apiId: HTTP_API, method, path, target, authorization };
      entries.push(...httpRoute(route, payload ?? scalarText(settings['payload']) ?? '2.0'));
      methods.add(method);
    } else {
      const integration = textOr(stated['integration'], 'lambda-proxy').toLowerCase();
      const authorization = restAuthorization(stated['authorizer']);
      const route = { id, apiId: REST_API, method, path, target, authorization };
      const isProxy = integration === 'lambda-proxy' || integration === 'aws-proxy' || integration === 'aws_proxy';
      const type = isProxy ? 'AWS_PROXY' : (INTEGRATIONS[integration] ?? integration.toUpperCase());
      entries.push(...restMethod(route, type, stated['private'] === true));
      paths.add(REST_API, path, method);
      if (stated['cors'] !== undefined && stated['cors'] !== false) preflights.push([path, stated['cors']]);
    }
  }
  for (const [path, cors] of preflights) {
    const allowed = paths.allowed(REST_API, path);
    if (allowed !== undefined) entries.push(...restPreflight(REST_API, path, serverlessCors(cors, allowed)));
  }
  const apis: Entry[] = [];
  if (events.some(({ kind }) => kind === 'httpApi')) {
    const cors = settings['cors'];
    const { allowedOrigins = ['*'], allowedHeaders = CORS_HEADERS, allowedMethods, ...rest } = objectOr(cors);
    const CorsConfiguration = {
      AllowOrigins: allowedOrigins,
      AllowHeaders: allowedHeaders,
      AllowMethods: allowedMethods ?? ['OPTIONS', ...[...methods].map((one) => (one === 'ANY' ? '*' : one))],
      AllowCredentials: rest['allowCredentials'],
      ExposeHeaders: rest['exposedResponseHeaders'],
      MaxAge: rest['maxAge'],
    };
    const Properties = { ProtocolType: 'HTTP', ...(cors === true || isObject(cors) ? { CorsConfiguration } : {}) };
    apis.push([HTTP_API, { Type: 'AWS::ApiGatewayV2::Api', Properties }]);
  }
  if (events.some(({ kind }) => kind === 'http')) {
    const BinaryMediaTypes = objectOr(provider['apiGateway'])['binaryMediaTypes'];
    const deployment = { RestApiId: { Ref: REST_API }, StageName: stage };
    apis.push(
      [REST_API, { Type: 'AWS::ApiGateway::RestApi', Properties: { BinaryMediaTypes } }],
      ['ApiGatewayDeployment', { Type: 'AWS::ApiGateway::Deployment', Properties: deployment }],
    );
  }
  return [...apis, ...entries];
}

/** `GET /items`, `*`, or an object with `method` and `path`, which may begin without a slash. */
function serverlessRoute(event: unknown): {
  readonly method: string;
  readonly path: string | undefined;
  readonly stated: JsonObject;
} {
  const stated = objectOr(event);
  const text = textOr(event, `${textOr(stated['method'], '*')} ${textOr(stated['path'], '')}`).trim();
  const [first = '', second] = text.split(/\s+/);
  if (first === '*' && (second === undefined || second === '*')) return { method: 'ANY', path: '$default', stated };
  const method = first === '*' ? 'ANY' : first.toUpperCase();
  const path = second === undefined ? undefined : `/${second.replace(/^\//, '')}`;
  return { method, path, stated };
}

/** `cors: true`, or an object. */
function serverlessCors(cors: unknown, methods: string): JsonObject {
  const { origin, origins, headers, maxAge, allowCredentials } = objectOr(cors);
  const first = [origin ?? origins ?? '*'].flat()[0];
  return {
    'Access-Control-Allow-Origin': `'${String(first)}'`,
    'Access-Control-Allow-Headers': `'${[headers ?? CORS_HEADERS].flat().join(',')}'`,
    'Access-Control-Allow-Methods': methods,
    'Access-Control-Max-Age': maxAge === undefined ? undefined : `'${String(maxAge)}'`,
    'Access-Control-Allow-Credentials': allowCredentials === true ? "'true'" : undefined,
  };
}

function httpAuthorization(stated: unknown, authorizers: JsonObject): string {
  if (stated === undefined) return 'NONE';
  const name = textOr(stated, textOr(objectOr(stated)['name'], ''));
  const type = textOr(objectOr(stated)['type'], textOr(objectOr(authorizers[name])['type'], 'jwt'));
  return type === 'request' ? 'CUSTOM' : type.toUpperCase();
}

function restAuthorization(stated: unknown): string {
  if (stated === undefined) return 'NONE';
  const text = JSON.stringify(stated).toLowerCase();
  if (text.includes('aws_iam')) return 'AWS_IAM';
  return /cognito[-_](idp|user_pools)/.test(text) ? 'COGNITO_USER_POOLS' : 'CUSTOM';
}
