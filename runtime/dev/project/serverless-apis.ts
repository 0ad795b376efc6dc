/**
 * The `httpApi` and `http` events of a serverless.yml, written out as one HTTP API and one REST API for all functions
 * of the service, as the Serverless Framework does it.
 *
 * Sources: https://www.serverless.com/framework/docs/providers/aws/events/http-api and
 * https://www.serverless.com/framework/docs/providers/aws/events/apigateway
 *
 * @module
 */
import {
  type Authorization,
  type Entry,
  httpRoute,
  RestPaths,
  restMethod,
  restPreflight,
} from '../template/api-resources.ts';
import { isObject, type JsonObject, objectOr, scalarText, textOr } from '../template/model.ts';

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

/** The routes of all events, and the APIs that they belong to. `idOf`: the logical id of a function by its key. */
export function serverlessApis(
  events: readonly ServerlessApiEvent[],
  provider: JsonObject,
  stage: string,
  idOf: (key: string) => string,
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
      const authorization = httpAuthorization(stated['authorizer'], objectOr(settings['authorizers']), idOf);
      const route = { id, apiId: HTTP_API, method, path, target, authorization };
      entries.push(...httpRoute(route, payload ?? scalarText(settings['payload']) ?? '2.0'));
      methods.add(method);
    } else {
      const integration = textOr(stated['integration'], 'lambda-proxy').toLowerCase();
      const authorization = restAuthorization(stated['authorizer'], idOf);
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

function httpAuthorization(stated: unknown, authorizers: JsonObject, idOf: (key: string) => string): Authorization {
  if (stated === undefined) return { type: 'NONE' };
  const name = textOr(stated, textOr(objectOr(stated)['name'], ''));
  const authorizer = objectOr(authorizers[name]);
  const type = textOr(objectOr(stated)['type'], textOr(authorizer['type'], 'jwt'));
  if (type !== 'request') return { type: type.toUpperCase() };
  const lambda = {
    ...{ name, isToken: false, target: serverlessTarget(authorizer['functionArn'], authorizer['functionName'], idOf) },
    payload: authorizer['payloadVersion'] ?? '2.0',
    simple: authorizer['enableSimpleResponses'] === true,
    sources: serverlessSources(authorizer['identitySource']),
  };
  return { type: 'CUSTOM', lambda };
}

function restAuthorization(stated: unknown, idOf: (key: string) => string): Authorization {
  if (stated === undefined) return { type: 'NONE' };
  const text = JSON.stringify(stated).toLowerCase();
  if (text.includes('aws_iam')) return { type: 'AWS_IAM' };
  if (/cognito[-_](idp|user_pools)/.test(text)) return { type: 'COGNITO_USER_POOLS' };
  const settings = objectOr(stated);
  const short = textOr(stated, undefined);
  const isArn = short?.startsWith('arn:') ?? false;
  const key = short ?? textOr(settings['name'], '');
  const type = textOr(settings['type'], 'token').toLowerCase();
  const sources = serverlessSources(settings['identitySource'] ?? 'method.request.header.Authorization');
  const lambda = {
    // Each event states its own: two of one function may differ.
    name: [key, type, ...sources].join(' '),
    target: serverlessTarget(isArn ? short : settings['arn'], key, idOf),
    isToken: type === 'token',
    ...{ payload: undefined, simple: false, sources },
  };
  return { type: 'CUSTOM', lambda };
}

/** A function by its ARN, or by its key in the file. */
function serverlessTarget(arn: unknown, key: unknown, idOf: (key: string) => string): unknown {
  return arn ?? { 'Fn::GetAtt': [idOf(textOr(key, '')), 'Arn'] };
}

/** `$request.header.Authorization` -> `header.Authorization` */
function serverlessSources(stated: unknown): readonly string[] {
  const texts = [stated ?? []].flat().flatMap((one) => String(one).split(','));
  return texts.map((text) => text.trim().replace(/^(\$request|method\.request)\./, ''));
}
