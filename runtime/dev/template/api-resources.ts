/**
 * Writes routes to functions out as the resources of API Gateway that they stand for, for the formats that state them
 * in a shorter way (SAM, the Serverless Framework).
 *
 * @module
 */
import type { JsonObject } from './model.ts';

export type Entry = readonly [logicalId: string, resource: JsonObject];

/** How a route checks its caller. */
export interface Authorization {
  /** `AuthorizationType`. */
  readonly type: string;
  /** A Lambda authorizer, if it is one. */
  readonly lambda?: LambdaAuthorizerToWrite;
}

interface LambdaAuthorizerToWrite {
  /** Among those of its API. */
  readonly name: string;
  readonly target: unknown;
  /** Of a REST API: it gets a token, or else the request. */
  readonly isToken: boolean;
  /** Of an HTTP API. */
  readonly payload: unknown;
  readonly simple: boolean;
  /** `header.Authorization`, `querystring.key`. */
  readonly sources: readonly string[];
}

/** A route to a function. */
export interface RouteToWrite {
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
  readonly authorization: Authorization;
  readonly timeoutMs?: unknown;
  /** `Condition` of the function, if it has one. */
  readonly shared?: JsonObject;
}

export function httpRoute(route: RouteToWrite, PayloadFormatVersion: unknown): readonly Entry[] {
  const { id, apiId, method, path, target, authorization, shared = {} } = route;
  const ApiId = { Ref: apiId };
  const integration = { ApiId, IntegrationType: 'AWS_PROXY', IntegrationUri: target, PayloadFormatVersion };
  const RouteKey = path === '$default' ? path : `${method} ${path}`;
  const Target = { 'Fn::Join': ['/', ['integrations', { Ref: `${id}.Integration` }]] };
  const { checks, entries } = written(apiId, authorization, 'http');
  const Properties = { ApiId, RouteKey, Target, ...checks };
  return [
    ...entries,
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
export function restMethod(route: RouteToWrite, integration = 'AWS_PROXY', ApiKeyRequired = false): readonly Entry[] {
  const { id, apiId, method, path, target, authorization, timeoutMs, shared = {} } = route;
  const { entries, id: ResourceId } = restResources(apiId, path);
  const Integration = { Type: integration, Uri: target, TimeoutInMillis: timeoutMs };
  const { checks, entries: authorizers } = written(apiId, authorization, 'rest');
  const Properties = {
    RestApiId: { Ref: apiId },
    ResourceId,
    HttpMethod: method,
    Integration,
    ApiKeyRequired,
    ...checks,
  };
  return [...entries, ...authorizers, [`${id}.Method`, { Type: 'AWS::ApiGateway::Method', Properties, ...shared }]];
}

/** What a route says of its authorizer, and the authorizer itself. */
function written(
  apiId: string,
  { type, lambda }: Authorization,
  kind: 'http' | 'rest',
): { readonly checks: JsonObject; readonly entries: readonly Entry[] } {
  if (lambda === undefined) return { checks: { AuthorizationType: type }, entries: [] };
  const { name, target, isToken, payload, simple, sources } = lambda;
  const id = `${apiId}.Authorizer.${name}`;
  const checks = { AuthorizationType: type, AuthorizerId: { Ref: id } };
  if (kind === 'rest') {
    const IdentitySource = sources.map((source) => `method.request.${source}`).join(',');
    const Type = isToken ? 'TOKEN' : 'REQUEST';
    const Properties = { RestApiId: { Ref: apiId }, Type, AuthorizerUri: target, IdentitySource };
    return { checks, entries: [[id, { Type: 'AWS::ApiGateway::Authorizer', Properties }]] };
  }
  const Properties = {
    ...{ ApiId: { Ref: apiId }, AuthorizerType: 'REQUEST', AuthorizerUri: target },
    ...{ AuthorizerPayloadFormatVersion: payload, EnableSimpleResponses: simple },
    IdentitySource: sources.map((source) => `$request.${source}`),
  };
  return { checks, entries: [[id, { Type: 'AWS::ApiGatewayV2::Authorizer', Properties }]] };
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
export function restPreflight(apiId: string, path: string, headers: JsonObject): readonly Entry[] {
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
export class RestPaths {
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
