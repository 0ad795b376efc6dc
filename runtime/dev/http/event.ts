/**
 * An HTTP request becomes the event that a function of an HTTP API, of a REST API or behind a function URL gets.
 *
 * Payload format 2.0 is that of HTTP APIs and of function URLs, 1.0 that of REST APIs and, where it is asked for, of
 * HTTP APIs. HTTP APIs decode the path and put the stage before it; REST APIs and function URLs pass it on as it came.
 *
 * Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html and
 * https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 *
 * @module
 */
import { type ApiAuthorizer, isObject, type JsonObject } from '../template/model.ts';

/** A request as it came. */
export interface HttpCall {
  readonly method: string;
  /** Percent-encoded, without the query, with a slash at its beginning. */
  readonly path: string;
  /** Without its question mark; empty if there is none. */
  readonly query: string;
  /** In the order and with the names that the client sent. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
  /** `host:port` that the request was sent to. */
  readonly host: string;
  readonly sourceIp: string;
  readonly requestId: string;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** Where a request landed. */
export interface Landing {
  readonly kind: 'http' | 'rest' | 'url';
  readonly apiId: string;
  readonly account: string;
  /** `$default` for HTTP APIs without a stage of another name, and for function URLs. */
  readonly stage: string;
  readonly stageVariables?: Readonly<Record<string, string>>;
  /** `GET`, `ANY`. */
  readonly method: string;
  /** `/items/{id}`, or `$default`. */
  readonly route: string;
  readonly pathParameters: Readonly<Record<string, string>>;
  readonly payload: '1.0' | '2.0';
  /** Media types whose bodies a REST API passes on in base64: `image/*`. */
  readonly binaryTypes?: readonly string[];
  /** What an authorizer knows of the caller. */
  readonly authorizer?: JsonObject;
}

/** What HTTP APIs and function URLs pass on as text; all else, forms included, is in base64. */
const TEXT_TYPE = /^(text\/.+|application\/(json|xml|javascript))$/;
/** Headers of one connection, which the gateway ends. */
const OF_THE_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'te', 'upgrade', 'expect']);
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export function eventOf(call: HttpCall, landing: Landing): JsonObject {
  return landing.payload === '2.0' ? eventOf2(call, landing) : eventOf1(call, landing);
}

function eventOf2(call: HttpCall, landing: Landing): JsonObject {
  const { kind, apiId, account, stage, stageVariables, pathParameters, authorizer } = landing;
  const { cookie: cookies, ...headers } = byLowerName(headersOf(call));
  const path = pathOf(call, landing);
  const routeKey = routeKeyOf(landing);
  const query = queryOf(call);
  const { body, isBase64Encoded } = bodyOf(call, landing);
  return {
    version: '2.0',
    routeKey,
    rawPath: path,
    rawQueryString: call.query,
    ...(cookies === undefined ? {} : { cookies: cookies.flatMap((one) => one.split(/;\s*/)) }),
    headers: each(headers, (values) => values.join(',')),
    ...(isEmpty(query) ? {} : { queryStringParameters: each(query, (values) => values.join(',')) }),
    ...(isEmpty(pathParameters) ? {} : { pathParameters }),
    ...(stageVariables === undefined || isEmpty(stageVariables) ? {} : { stageVariables }),
    requestContext: {
      accountId: kind === 'url' ? 'anonymous' : account,
      apiId,
      ...(authorizer === undefined ? {} : { authorizer }),
      domainName: call.host,
      domainPrefix: apiId,
      http: {
        method: call.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: call.sourceIp,
        userAgent: headers['user-agent']?.[0] ?? '',
      },
      requestId: call.requestId,
      routeKey,
      stage,
      time: clfTime(new Date(call.now)),
      timeEpoch: call.now,
    },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded,
  };
}

function eventOf1(call: HttpCall, landing: Landing): JsonObject {
  const { kind, apiId, account, stage, stageVariables = {}, route, pathParameters, authorizer } = landing;
  const isRest = kind === 'rest';
  const headers = isRest ? byFirstName(headersOf(call)) : byNameOfHttpApi(headersOf(call));
  const userAgent = byLowerName(headersOf(call))['user-agent']?.[0];
  const path = pathOf(call, landing);
  const query = queryOf(call);
  const { body, isBase64Encoded } = bodyOf(call, landing);
  const last = (values: readonly string[]): string => values.at(-1) ?? '';
  return {
    ...(isRest ? {} : { version: '1.0' }),
    resource: route,
    path,
    httpMethod: call.method,
    headers: each(headers, last),
    multiValueHeaders: headers,
    queryStringParameters: orNull(each(query, last)),
    multiValueQueryStringParameters: orNull(query),
    pathParameters: orNull(pathParameters),
    stageVariables: orNull(stageVariables),
    requestContext: {
      accountId: account,
      apiId,
      ...(authorizer === undefined ? {} : { authorizer }),
      domainName: call.host,
      domainPrefix: apiId,
      extendedRequestId: call.requestId,
      httpMethod: call.method,
      identity: { ...NOBODY, sourceIp: call.sourceIp, userAgent: userAgent ?? null },
      path: isRest ? `/${stage}${call.path}` : path,
      protocol: 'HTTP/1.1',
      requestId: call.requestId,
      requestTime: clfTime(new Date(call.now)),
      requestTimeEpoch: call.now,
      resourceId: routeKeyOf(landing),
      resourcePath: route,
      stage,
    },
    body: body ?? null,
    isBase64Encoded,
  };
}

/** `identity` of a caller who did not sign. */
const NOBODY = {
  accessKey: null,
  accountId: null,
  caller: null,
  cognitoAuthenticationProvider: null,
  cognitoAuthenticationType: null,
  cognitoIdentityId: null,
  cognitoIdentityPoolId: null,
  principalOrgId: null,
  user: null,
  userArn: null,
};

function routeKeyOf({ method, route }: Landing): string {
  return route === '$default' ? route : `${method} ${route}`;
}

function pathOf({ path }: HttpCall, { kind, stage }: Landing): string {
  if (kind !== 'http') return path;
  return (stage === '$default' ? '' : `/${stage}`) + decoded(path);
}

/** Percent-decoded, if it can be. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function queryOf({ query }: HttpCall): Readonly<Record<string, readonly string[]>> {
  return grouped([...new URLSearchParams(query)], (name) => name);
}

/** What the client sent, less what belongs to the connection, and what the gateway adds to it. */
function headersOf(call: HttpCall): readonly (readonly [string, string])[] {
  const { host, sourceIp, requestId, now } = call;
  const sent = call.headers.filter(([name]) => !OF_THE_CONNECTION.has(name.toLowerCase()));
  const value = (wanted: string): string | undefined => sent.find(([name]) => name.toLowerCase() === wanted)?.[1];
  const forwarded = value('x-forwarded-for');
  const seconds = Math.floor(now / 1000).toString(16);
  const added: [string, string][] = [
    ['X-Amzn-Trace-Id', value('x-amzn-trace-id') ?? `Root=1-${seconds}-${requestId.replaceAll('-', '').slice(0, 24)}`],
    ['X-Forwarded-For', forwarded === undefined ? sourceIp : `${forwarded}, ${sourceIp}`],
    ['X-Forwarded-Port', /:(\d+)$/.exec(host)?.[1] ?? '80'],
    ['X-Forwarded-Proto', 'http'],
  ];
  const replaced = new Set(added.map(([name]) => name.toLowerCase()));
  return [...sent.filter(([name]) => !replaced.has(name.toLowerCase())), ...added];
}

type Grouped = Readonly<Record<string, readonly string[]>>;

function byLowerName(headers: readonly (readonly [string, string])[]): Grouped {
  return grouped(headers, (name) => name.toLowerCase());
}

/** REST APIs keep the names as the client wrote them. */
function byFirstName(headers: readonly (readonly [string, string])[]): Grouped {
  const first = new Map<string, string>();
  for (const [name] of headers) if (!first.has(name.toLowerCase())) first.set(name.toLowerCase(), name);
  return grouped(headers, (name) => first.get(name.toLowerCase()) ?? name);
}

/** In format 1.0, HTTP APIs write their own headers with capitals, and all others in lower case. */
const OF_HTTP_API = ['Content-Length', 'Host', 'User-Agent', 'X-Amzn-Trace-Id', 'X-Forwarded-For'].concat([
  'X-Forwarded-Port',
  'X-Forwarded-Proto',
]);

function byNameOfHttpApi(headers: readonly (readonly [string, string])[]): Grouped {
  const own = new Map(OF_HTTP_API.map((name) => [name.toLowerCase(), name]));
  return grouped(headers, (name) => own.get(name.toLowerCase()) ?? name.toLowerCase());
}

function grouped(pairs: readonly (readonly [string, string])[], named: (name: string) => string): Grouped {
  const groups = new Map<string, string[]>();
  for (const [name, value] of pairs) groups.set(named(name), [...(groups.get(named(name)) ?? []), value]);
  return Object.fromEntries(groups);
}

function each(groups: Grouped, one: (values: readonly string[]) => string): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(groups).map(([name, values]) => [name, one(values)]));
}

function isEmpty(object: object): boolean {
  return Object.keys(object).length === 0;
}

function orNull<T extends object>(object: T): T | null {
  return isEmpty(object) ? null : object;
}

interface EventBody {
  /** Absent: the request has none. */
  readonly body?: string;
  readonly isBase64Encoded: boolean;
}

function bodyOf(call: HttpCall, { kind, binaryTypes = [] }: Landing): EventBody {
  if (call.body.length === 0) return { isBase64Encoded: false };
  const type = mediaType(byLowerName(call.headers)['content-type']?.[0]);
  const isText = kind === 'rest' ? !isAmong(type, binaryTypes) : TEXT_TYPE.test(type);
  return { body: Buffer.from(call.body).toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText };
}

/** `Text/HTML; charset=utf-8` -> `text/html`; of several (`Accept`) the first. */
export function mediaType(value: string | undefined): string {
  return (value ?? '').split(/[;,]/)[0]?.trim().toLowerCase() ?? '';
}

/** Whether a media type is one of `types`, in which `*` stands for anything. */
export function isAmong(type: string, types: readonly string[]): boolean {
  const [main] = type.split('/');
  return types.some((one) => one === '*/*' || one.toLowerCase() === type || one.toLowerCase() === `${main}/*`);
}

/** `12/Mar/2020:19:03:58 +0000` */
function clfTime(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}

/*
 * What a token says of its bearer, as JWT authorizers of HTTP APIs and Cognito authorizers of REST APIs hand it on.
 * Nobody proves the token here: on this machine whoever calls is the developer.
 */

/** `authorizer` of the request context; `undefined`: there is none, or no token that can be read. */
export function claimsOf(
  authorizer: ApiAuthorizer['kind'] | undefined,
  payload: '1.0' | '2.0',
  authorization: string | undefined,
): JsonObject | undefined {
  if (authorizer !== 'jwt' && authorizer !== 'cognito') return undefined;
  const content = (authorization ?? '').replace(/^Bearer\s+/i, '').split('.')[1];
  if (content === undefined) return undefined;
  let token: unknown;
  try {
    token = JSON.parse(Buffer.from(content, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(token)) return undefined;
  const claims = Object.fromEntries(Object.entries(token).map(([name, value]) => [name, claimText(value)]));
  if (authorizer === 'cognito') return { claims };
  const scopes = typeof token['scope'] === 'string' ? token['scope'].split(' ') : null;
  return payload === '2.0' ? { jwt: { claims, scopes } } : { claims, scopes };
}

/** Every claim is a text: a list as `[a b]`. */
function claimText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(claimText).join(' ')}]`;
  return isObject(value) ? JSON.stringify(value) : String(value);
}
