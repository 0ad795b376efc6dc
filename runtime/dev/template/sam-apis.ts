/**
 * The APIs of a SAM template, those that it names and those that its events imply, written out as the resources of API
 * Gateway that they stand for.
 *
 * Source:
 * https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-api.html
 *
 * @module
 */
import {
  type Authorization,
  type Entry,
  httpRoute,
  RestPaths,
  type RouteToWrite,
  restMethod,
  restPreflight,
} from './api-resources.ts';
import { isObject, type JsonObject, objectOr, textOr } from './model.ts';

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
function samAuthorization(event: JsonObject, api: JsonObject): Authorization {
  const name = textOr(event['Authorizer'], textOr(api['DefaultAuthorizer'], 'NONE'));
  if (name === 'NONE' || name === 'AWS_IAM') return { type: name };
  const authorizer = objectOr(objectOr(api['Authorizers'])[name]);
  if ('JwtConfiguration' in authorizer) return { type: 'JWT' };
  if ('UserPoolArn' in authorizer) return { type: 'COGNITO_USER_POOLS' };
  if (!('FunctionArn' in authorizer)) return { type: 'CUSTOM' };
  const { Header, Headers, QueryStrings } = objectOr(authorizer['Identity']);
  const isToken = textOr(authorizer['FunctionPayloadType'], 'TOKEN') === 'TOKEN';
  const several = [
    ...[Headers ?? []].flat().map((header) => `header.${String(header)}`),
    ...[QueryStrings ?? []].flat().map((key) => `querystring.${String(key)}`),
  ];
  // A REST API goes by this header where nothing is said.
  const one = `header.${textOr(Header, 'Authorization')}`;
  const lambda = {
    ...{ name, target: authorizer['FunctionArn'], isToken },
    payload: authorizer['AuthorizerPayloadFormatVersion'],
    simple: authorizer['EnableSimpleResponses'] === true,
    sources: several.length > 0 || 'AuthorizerPayloadFormatVersion' in authorizer ? several : [one],
  };
  return { type: 'CUSTOM', lambda };
}
