/**
 * What the resources of API Gateway and OpenAPI documents state beside their routes: CORS, answers of their own, checks
 * of the caller.
 *
 * @module
 */
import {
  type ApiCors,
  booleanOr,
  type JsonObject,
  type LambdaAuthorizer,
  numberOr,
  objectOr,
  type RouteAnswer,
  scalarText,
  type TemplateApi,
  textOr,
} from './model.ts';
import type { StackScope } from './stack-scope.ts';

/** A Lambda authorizer, before its function is looked for. */
export interface StatedAuthorizer extends Pick<LambdaAuthorizer, 'form' | 'simple' | 'sources'> {
  readonly scope: StackScope;
  readonly uri: unknown;
}

/**
 * What a MOCK integration answers: its first response, with the headers whose values are constants (`'*'`). One without
 * a response is an error of API Gateway; the CDK makes such of a proxy below the root.
 */
export function mockAnswer(scope: StackScope, answers: readonly unknown[]): RouteAnswer {
  if (answers.length === 0) return { kind: 'answer', status: 500, headers: {} };
  const first = objectOr(valueOr(scope, answers[0]));
  const parameters = objectOr(first['ResponseParameters'] ?? first['responseParameters']);
  const headers = Object.entries(parameters).flatMap(([key, value]): [string, string][] => {
    const name = /^method\.response\.header\.(.+)$/.exec(key)?.[1];
    const constant = /^'(.*)'$/.exec(scalarText(value) ?? '')?.[1];
    return name === undefined || constant === undefined ? [] : [[name, constant]];
  });
  const status = numberOr(first['StatusCode'] ?? first['statusCode'], 200);
  return { kind: 'answer', status, headers: Object.fromEntries(headers) };
}

/** In the words of CloudFormation, of SAM or of `x-amazon-apigateway-cors`. */
export function corsOf(stated: JsonObject): ApiCors {
  const value = (name: string): unknown => stated[name] ?? stated[`${name.charAt(0).toLowerCase()}${name.slice(1)}`];
  const list = (name: string): readonly string[] => [value(name) ?? []].flat().map(String);
  const maxAge = numberOr(value('MaxAge'), undefined);
  return {
    origins: list('AllowOrigins'),
    methods: list('AllowMethods'),
    headers: list('AllowHeaders'),
    exposed: list('ExposeHeaders'),
    credentials: booleanOr(value('AllowCredentials'), false),
    ...(maxAge === undefined ? {} : { maxAge }),
  };
}

export interface Security {
  readonly authorization: string | undefined;
  readonly authorizer: StatedAuthorizer | undefined;
}

/** What `security` of an operation, or of the document, asks for. */
export function securityOf(
  document: JsonObject,
  operation: JsonObject,
  scope: StackScope,
  kind: TemplateApi['kind'],
): Security {
  const asked = listOf(operation['security'] ?? document['security']);
  const [name] = Object.keys(objectOr(asked[0]));
  if (name === undefined) return { authorization: undefined, authorizer: undefined };
  const schemes = document['securityDefinitions'] ?? objectOr(document['components'])['securitySchemes'];
  const scheme = objectOr(objectOr(schemes)[name]);
  const stated = objectOr(scheme['x-amazon-apigateway-authorizer']);
  const type = textIn(scope, stated['type'])?.toLowerCase();
  if (type === 'token' || type === 'request') {
    const payload = scalarText(valueIn(scope, stated['authorizerPayloadFormatVersion']));
    // A token is in the header that the scheme itself names.
    const header = type === 'token' ? `header.${textOr(scheme['name'], 'Authorization')}` : undefined;
    const authorizer: StatedAuthorizer = {
      scope,
      uri: stated['authorizerUri'],
      form: kind === 'http' ? (payload === '2.0' ? '2.0' : '1.0') : type,
      simple: booleanOr(valueIn(scope, stated['enableSimpleResponses']), false),
      sources: sourcesOf(header ?? valueIn(scope, stated['identitySource'])),
    };
    return { authorization: 'CUSTOM', authorizer };
  }
  const isPool = scheme['x-amazon-apigateway-authtype'] === 'cognito_user_pools' || type === 'cognito_user_pools';
  const authtype = textOr(scheme['x-amazon-apigateway-authtype'], undefined);
  const authorization = isPool ? 'COGNITO_USER_POOLS' : (type ?? authtype ?? 'custom').toUpperCase();
  return { authorization, authorizer: undefined };
}

/** `$request.header.Authorization`, `method.request.querystring.key`; other places than these two are not looked at. */
export function sourcesOf(stated: unknown): LambdaAuthorizer['sources'] {
  const texts = [stated ?? []].flat().flatMap((one) => String(one).split(','));
  return texts.flatMap((text): LambdaAuthorizer['sources'] => {
    const [, place, name] = /(header|querystring)\.([\w-]+)\s*$/.exec(text) ?? [];
    if (name === undefined) return [];
    return [{ place: place === 'header' ? 'header' : 'querystring', name }];
  });
}

/** The path in `Fn::Transform: { Name: AWS::Include, Parameters: { Location } }`. */
export function includedPath(scope: StackScope, body: unknown): string | undefined {
  const transform = objectOr(objectOr(body)['Fn::Transform']);
  if (transform['Name'] !== 'AWS::Include') return undefined;
  return textIn(scope, objectOr(transform['Parameters'])['Location']) ?? '';
}

export function valueIn(scope: StackScope, value: unknown): unknown {
  const resolved = scope.resolve(value);
  return resolved.known ? resolved.value : undefined;
}

/** The value with its intrinsics computed; as it stands, if one of them cannot be. */
export function valueOr(scope: StackScope, value: unknown): unknown {
  return valueIn(scope, value) ?? value;
}

export function textIn(scope: StackScope, value: unknown): string | undefined {
  return textOr(valueIn(scope, value), undefined);
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function isEmpty(object: JsonObject): boolean {
  return Object.keys(object).length === 0;
}
