/**
 * The HTTP APIs and REST APIs of the stacks: their routes and the functions behind them, from resources and from
 * OpenAPI bodies with `x-amazon-apigateway-integration`. What is no proxy of a function is named, not served.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseFunctionReference } from '../../aws/mapping.ts';
import {
  corsOf,
  includedPath,
  isEmpty,
  listOf,
  mockAnswer,
  type Security,
  type StatedAuthorizer,
  securityOf,
  sourcesOf,
  textIn,
  valueIn,
  valueOr,
} from './api-settings.ts';
import {
  type ApiAuthorizer,
  type ApiCors,
  booleanOr,
  type FoundApis,
  isObject,
  type JsonObject,
  numberOr,
  objectOr,
  type Resource,
  type RouteAnswer,
  type RouteFunction,
  scalarText,
  type TemplateApi,
  type TemplateFunction,
  type TemplateRoute,
  textOr,
} from './model.ts';
import { parseTemplateText } from './parse.ts';
import type { StackScope } from './stack-scope.ts';

/** How long a gateway waits for a function, milliseconds. An account may be granted more for REST APIs. */
const DEFAULT_WAIT_MS = { http: 30_000, rest: 29_000 } as const;
const LONGEST_WAIT_MS = { http: 30_000, rest: 900_000 } as const;
const SHORTEST_WAIT_MS = 50;
const METHODS = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|ANY)$/;

interface Draft {
  readonly scope: StackScope;
  readonly logicalId: string;
  readonly api: TemplateApi;
  readonly routes: TemplateRoute[];
}

type Functions = ReadonlyMap<string, TemplateFunction>;

export function readApis(scopes: readonly StackScope[], functions: Functions): FoundApis {
  return new ApiReader(scopes, functions).read();
}

class ApiReader {
  readonly #scopes: readonly StackScope[];
  readonly #functions: Functions;
  readonly #drafts = new Map<string, Draft>();
  readonly #notes = new Set<string>();
  /** Routes of one kind whose caller nobody checks here, by API and kind of check. */
  readonly #unchecked = new Map<string, number>();
  /** What a route or a method refers to, by its physical name: integrations, resources, authorizers. */
  readonly #named = new Map<string, { readonly scope: StackScope; readonly properties: JsonObject }>();

  constructor(scopes: readonly StackScope[], functions: Functions) {
    this.#scopes = scopes;
    this.#functions = functions;
  }

  read(): FoundApis {
    this.#each((scope, id, { type, properties }) => {
      if (type === 'AWS::ApiGatewayV2::Api') this.#httpApi(scope, id, properties);
      if (type === 'AWS::ApiGateway::RestApi') this.#restApi(scope, id, properties);
      if (/^AWS::ApiGateway(V2::Integration|V2::Authorizer|::Resource|::Authorizer)$/.test(type)) {
        this.#named.set(`${type} ${scope.nameOf(id)}`, { scope, properties });
      }
    });
    this.#each((scope, id, { type, properties }) => {
      if (type === 'AWS::ApiGatewayV2::Stage') this.#stage(scope, properties['ApiId'], properties, 'StageVariables');
      if (type === 'AWS::ApiGateway::Stage') this.#stage(scope, properties['RestApiId'], properties, 'Variables');
      if (type === 'AWS::ApiGateway::Deployment') this.#stage(scope, properties['RestApiId'], properties, '');
      if (type === 'AWS::ApiGatewayV2::Route') this.#route(scope, id, properties);
      if (type === 'AWS::ApiGateway::Method') this.#method(scope, id, properties);
    });
    for (const [what, count] of this.#unchecked) {
      this.#notes.add(`${what} (${count === 1 ? 'one route' : `${count} routes`}): nobody is refused`);
    }
    const apis = [...this.#drafts.values()].map(({ api, routes }) => ({ ...api, routes }));
    for (const { id, routes } of apis)
      if (routes.length === 0) this.#notes.add(`API ${id}: it has no route to a function`);
    return { apis: apis.filter(({ routes }) => routes.length > 0), notes: [...this.#notes] };
  }

  #each(visit: (scope: StackScope, id: string, resource: Resource) => void): void {
    for (const scope of this.#scopes) for (const [id, resource] of scope.resources()) visit(scope, id, resource);
  }

  #httpApi(scope: StackScope, logicalId: string, properties: JsonObject): void {
    const id = scope.nameOf(logicalId);
    if (textIn(scope, properties['ProtocolType']) === 'WEBSOCKET') {
      this.#notes.add(`API ${id}: WebSockets are not served here; serverless-offline serves them`);
      return;
    }
    const cors = valueIn(scope, properties['CorsConfiguration']);
    const body = this.#document(scope, id, properties);
    const stated = isObject(cors) ? cors : objectOr(body?.['x-amazon-apigateway-cors']);
    const draft = this.#draft(scope, logicalId, 'http', [], isEmpty(stated) ? undefined : corsOf(stated));
    if (body !== undefined) this.#openApi(draft, body);
    const target = properties['Target'];
    if (target !== undefined) {
      const fn = this.#functionAt(scope, target, `API ${id}`, '2.0', undefined, 'http');
      if (fn !== undefined) this.#add(draft, textIn(scope, properties['RouteKey']) ?? '$default', fn);
    }
  }

  #restApi(scope: StackScope, logicalId: string, properties: JsonObject): void {
    const body = this.#document(scope, scope.nameOf(logicalId), properties);
    const own = valueIn(scope, properties['BinaryMediaTypes']) ?? body?.['x-amazon-apigateway-binary-media-types'];
    // SAM writes `image~1png`, because a slash cannot stand in the key that it makes of it.
    const types = listOf(own).map((type) => String(type).replaceAll('~1', '/'));
    const draft = this.#draft(scope, logicalId, 'rest', types, undefined);
    if (body !== undefined) this.#openApi(draft, body);
  }

  #draft(
    scope: StackScope,
    logicalId: string,
    kind: TemplateApi['kind'],
    binaryTypes: readonly string[],
    cors: ApiCors | undefined,
  ): Draft {
    const id = scope.nameOf(logicalId);
    const stage = kind === 'http' ? '$default' : '';
    const api = {
      id,
      kind,
      stage,
      stageVariables: {},
      binaryTypes,
      routes: [],
      ...(cors === undefined ? {} : { cors }),
    };
    const draft = { scope, logicalId, api, routes: [] };
    this.#drafts.set(id, draft);
    return draft;
  }

  /** The first stage of an API is the one that is served; `AWS::ApiGateway::Deployment` may make one, too. */
  #stage(scope: StackScope, apiId: unknown, properties: JsonObject, variables: string): void {
    const draft = this.#drafts.get(textIn(scope, apiId) ?? '');
    const stage = textIn(scope, properties['StageName']);
    if (draft === undefined || stage === undefined) return;
    if (draft.api.stage !== '' && draft.api.stage !== '$default') return;
    const stated = objectOr(valueIn(scope, properties[variables]));
    const stageVariables = Object.fromEntries(
      Object.entries(stated).map(([name, value]) => [name, scalarText(value) ?? '']),
    );
    this.#drafts.set(draft.api.id, { ...draft, api: { ...draft.api, stage, stageVariables } });
  }

  #route(scope: StackScope, logicalId: string, properties: JsonObject): void {
    const draft = this.#drafts.get(textIn(scope, properties['ApiId']) ?? '');
    const key = textIn(scope, properties['RouteKey']);
    // Routes of WebSockets, and of APIs of other stacks.
    if (draft === undefined || key === undefined) return;
    const what = `route ${key} of API ${draft.api.id}`;
    const name = (textIn(scope, properties['Target']) ?? '').replace(/^integrations\//, '');
    const integration = this.#named.get(`AWS::ApiGatewayV2::Integration ${name}`);
    if (integration === undefined) {
      this.#notes.add(`${what} (${logicalId}): its integration cannot be found; it is not served`);
      return;
    }
    const settings = integration.properties;
    const of = integration.scope;
    const subtype = textIn(of, settings['IntegrationSubtype']);
    const type = textIn(of, settings['IntegrationType']);
    if (type !== 'AWS_PROXY' || subtype !== undefined) {
      this.#notes.add(`${what}: its integration (${subtype ?? type ?? 'of no type'}) is no function; it is not served`);
      return;
    }
    const payload = textIn(of, settings['PayloadFormatVersion']) === '2.0' ? '2.0' : '1.0';
    const wait = valueIn(of, settings['TimeoutInMillis']);
    const fn = this.#functionAt(of, settings['IntegrationUri'], what, payload, wait, 'http');
    const authorization = textIn(scope, properties['AuthorizationType']);
    const named = this.#namedAuthorizer(scope, properties['AuthorizerId'], 'http');
    if (fn !== undefined) this.#add(draft, key, fn, this.#authorizer(draft, authorization, named));
  }

  #method(scope: StackScope, logicalId: string, properties: JsonObject): void {
    const draft = this.#drafts.get(textIn(scope, properties['RestApiId']) ?? '');
    const method = textIn(scope, properties['HttpMethod'])?.toUpperCase();
    if (draft === undefined || method === undefined) return;
    const path = this.#pathOf(scope, properties['ResourceId'], draft.api.id);
    if (path === undefined) {
      this.#notes.add(`method ${logicalId} of API ${draft.api.id}: its path cannot be resolved; it is not served`);
      return;
    }
    const key = `${method} ${path}`;
    const integration = objectOr(properties['Integration']);
    const wait = valueIn(scope, integration['TimeoutInMillis']);
    const type = textIn(scope, integration['Type'])?.toUpperCase();
    const authorization = textIn(scope, properties['AuthorizationType']);
    const checked =
      valueIn(scope, properties['ApiKeyRequired']) === true && authorization === 'NONE' ? 'API key' : authorization;
    this.#restRoute(draft, key, scope, {
      ...{ type, uri: integration['Uri'], wait },
      answers: listOf(integration['IntegrationResponses']),
      authorization: checked,
      authorizer: this.#namedAuthorizer(scope, properties['AuthorizerId'], 'rest'),
    });
  }

  #restRoute(draft: Draft, key: string, scope: StackScope, given: RestIntegration): void {
    const what = `route ${key} of API ${draft.api.id}`;
    switch (given.type) {
      case 'AWS_PROXY': {
        const fn = this.#functionAt(scope, given.uri, what, '1.0', given.wait, 'rest');
        if (fn !== undefined) this.#add(draft, key, fn, this.#authorizer(draft, given.authorization, given.authorizer));
        return;
      }
      case 'MOCK':
        this.#add(draft, key, mockAnswer(scope, given.answers));
        return;
      default:
        this.#notes.add(
          `${what}: its integration (${given.type ?? 'of no type'}) is no proxy of a function; it is not served`,
        );
    }
  }

  /** The path of a resource of a REST API, by its parents; `undefined`: one of them cannot be found. */
  #pathOf(scope: StackScope, resourceId: unknown, apiId: string): string | undefined {
    const parts: string[] = [];
    let here: { readonly scope: StackScope; readonly id: unknown } = { scope, id: resourceId };
    // No path has as many parts; one that has refers to itself.
    while (parts.length < 100) {
      const name = textIn(here.scope, here.id);
      if (name === `${apiId}-root`) return `/${parts.reverse().join('/')}`;
      const resource = this.#named.get(`AWS::ApiGateway::Resource ${name ?? ''}`);
      const part = resource === undefined ? undefined : textIn(resource.scope, resource.properties['PathPart']);
      if (resource === undefined || part === undefined) return undefined;
      parts.push(part);
      here = { scope: resource.scope, id: resource.properties['ParentId'] };
    }
    return undefined;
  }

  /** The function behind the URI of an integration; it is named if there is none. */
  #functionAt(
    scope: StackScope,
    uri: unknown,
    what: string,
    payload: '1.0' | '2.0',
    wait: unknown,
    kind: TemplateApi['kind'],
  ): RouteFunction | undefined {
    const resolved = scope.resolve(uri);
    const text = resolved.known ? textOr(resolved.value, '') : '';
    const arn = /\/functions\/(.+)\/invocations$/.exec(text)?.[1] ?? text;
    const reference = parseFunctionReference(arn);
    const fn = this.#functions.get(reference?.name ?? '');
    if (fn === undefined) {
      const why = resolved.known
        ? `the function ${arn} is not here`
        : `its function cannot be resolved (${resolved.reason})`;
      this.#notes.add(`${what}: ${why}`);
      return undefined;
    }
    const stated = numberOr(wait, DEFAULT_WAIT_MS[kind]);
    const timeoutMs = Math.min(Math.max(stated, SHORTEST_WAIT_MS), LONGEST_WAIT_MS[kind]);
    const qualifier = reference?.qualifier === undefined ? '' : `:${reference.qualifier}`;
    return { kind: 'function', name: fn.name, arn: fn.arn + qualifier, payload, timeoutMs };
  }

  /** `lambda`: the function that is asked where the type is CUSTOM. */
  #authorizer(draft: Draft, type: string | undefined, lambda: StatedAuthorizer | undefined): ApiAuthorizer | undefined {
    if (type === undefined || type === 'NONE') return undefined;
    if (type !== 'CUSTOM' || lambda === undefined) return this.#notAsked(draft, type);
    const { form, simple, sources } = lambda;
    const { id, kind } = draft.api;
    const fn = this.#functionAt(lambda.scope, lambda.uri, `an authorizer of API ${id}`, '1.0', undefined, kind);
    if (fn !== undefined) return { kind: 'lambda', name: fn.name, arn: fn.arn, form, simple, sources };
    return this.#notAsked(draft, type);
  }

  #notAsked(draft: Draft, type: string): ApiAuthorizer {
    const what = `API ${draft.api.id}: its authorizers of type ${type} are not asked`;
    this.#unchecked.set(what, (this.#unchecked.get(what) ?? 0) + 1);
    return { kind: type === 'JWT' ? 'jwt' : type === 'COGNITO_USER_POOLS' ? 'cognito' : 'other' };
  }

  /** The authorizer that a route or a method refers to. */
  #namedAuthorizer(scope: StackScope, id: unknown, kind: TemplateApi['kind']): StatedAuthorizer | undefined {
    const type = kind === 'http' ? 'AWS::ApiGatewayV2::Authorizer' : 'AWS::ApiGateway::Authorizer';
    const named = this.#named.get(`${type} ${textIn(scope, id) ?? ''}`);
    if (named === undefined) return undefined;
    const { properties } = named;
    const simple = valueIn(named.scope, properties['EnableSimpleResponses']);
    const payload = textIn(named.scope, properties['AuthorizerPayloadFormatVersion']);
    const isToken = textIn(named.scope, properties['Type'])?.toUpperCase() === 'TOKEN';
    return {
      scope: named.scope,
      uri: properties['AuthorizerUri'],
      form: kind === 'http' ? (payload === '2.0' ? '2.0' : '1.0') : isToken ? 'token' : 'request',
      simple: booleanOr(simple, false),
      sources: sourcesOf(valueIn(named.scope, properties['IdentitySource'])),
    };
  }

  /** `key`: `GET /items`, or `$default`. */
  #add(draft: Draft, key: string, target: RouteFunction | RouteAnswer, authorizer?: ApiAuthorizer): void {
    const [first = '', second] = key.trim().split(/\s+/);
    const [method, path] = first === '$default' ? ['ANY', '$default'] : [first.toUpperCase(), second ?? ''];
    if (!METHODS.test(method) || !(path === '$default' || path.startsWith('/'))) {
      this.#notes.add(`API ${draft.api.id}: '${key}' is no route; it is not served`);
      return;
    }
    // SAM adds what its events say to an OpenAPI document that may say it, too.
    if (draft.routes.some((route) => route.method === method && route.path === path)) return;
    draft.routes.push({ method, path, target, ...(authorizer === undefined ? {} : { authorizer }) });
  }

  /** The OpenAPI document of an API: in the template, or a file that the template includes. */
  #document(scope: StackScope, id: string, properties: JsonObject): JsonObject | undefined {
    const body = properties['Body'];
    if (body === undefined) {
      if (properties['BodyS3Location'] !== undefined) this.#notes.add(`API ${id}: its OpenAPI document is in S3 only`);
      return undefined;
    }
    const include = includedPath(scope, body);
    if (include === undefined) return objectOr(body);
    const file = resolve(scope.source.folder, include);
    if (!/^(s3|https?):/.test(include) && existsSync(file)) {
      return objectOr(parseTemplateText(readFileSync(file, 'utf8'), file));
    }
    this.#notes.add(`API ${id}: its OpenAPI document ${include} is not on this machine`);
    return undefined;
  }

  #openApi(draft: Draft, document: JsonObject): void {
    const { scope, api } = draft;
    const base = textOr(document['basePath'], '').replace(/\/$/, '');
    for (const [path, item] of Object.entries(objectOr(document['paths']))) {
      for (const [method, operation] of Object.entries(objectOr(valueOr(scope, item)))) {
        const verb = method === 'x-amazon-apigateway-any-method' ? 'ANY' : method.toUpperCase();
        if (!METHODS.test(verb)) continue;
        const key = path === '/$default' ? '$default' : `${verb} ${base}${path}`;
        const raw = objectOr(objectOr(operation)['x-amazon-apigateway-integration']);
        if (isEmpty(raw)) {
          this.#notes.add(`route ${key} of API ${api.id}: it has no x-amazon-apigateway-integration; it is not served`);
          continue;
        }
        this.#openApiRoute(draft, key, raw, securityOf(document, objectOr(operation), scope, api.kind));
      }
    }
  }

  #openApiRoute(draft: Draft, key: string, raw: JsonObject, { authorization, authorizer }: Security): void {
    const { scope, api } = draft;
    const type = textIn(scope, raw['type'])?.toUpperCase();
    const wait = valueIn(scope, raw['timeoutInMillis']);
    if (api.kind === 'rest') {
      const answers = Object.values(objectOr(raw['responses']));
      this.#restRoute(draft, key, scope, { type, uri: raw['uri'], wait, answers, authorization, authorizer });
      return;
    }
    const what = `route ${key} of API ${api.id}`;
    if (type !== 'AWS_PROXY' || raw['subtype'] !== undefined) {
      this.#notes.add(
        `${what}: its integration (${textIn(scope, raw['subtype']) ?? type}) is no function; it is not served`,
      );
      return;
    }
    const payload = scalarText(valueIn(scope, raw['payloadFormatVersion'])) === '2.0' ? '2.0' : '1.0';
    const fn = this.#functionAt(scope, raw['uri'], what, payload, wait, 'http');
    if (fn !== undefined) this.#add(draft, key, fn, this.#authorizer(draft, authorization, authorizer));
  }
}

interface RestIntegration {
  readonly type: string | undefined;
  readonly uri: unknown;
  readonly wait: unknown;
  readonly answers: readonly unknown[];
  readonly authorization: string | undefined;
  readonly authorizer: StatedAuthorizer | undefined;
}
