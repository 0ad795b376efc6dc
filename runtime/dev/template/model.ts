/**
 * What a synthesized template is before and after it is understood.
 *
 * @module
 */

import type { BrokenMapping, Mapping } from '../../aws/mapping.ts';
import type { DiscoveredQueue } from '../../queue/directory.ts';

/** A CloudFormation template; the sections are objects by logical id or name. */
export interface Template {
  readonly parameters: JsonObject;
  readonly mappings: JsonObject;
  readonly conditions: JsonObject;
  readonly outputs: JsonObject;
  readonly resources: Readonly<Record<string, Resource>>;
}

export interface Resource {
  readonly type: string;
  readonly properties: JsonObject;
  readonly metadata: JsonObject;
  readonly condition?: string;
}

/** One stack, found in an assembly or standing alone. */
export interface StackSource {
  readonly name: string;
  readonly template: Template;
  /** Relative paths in the template are relative to this folder. */
  readonly folder: string;
  /** Where the assets of an assembly lie, by the S3 key they are uploaded to. */
  readonly assets: ReadonlyMap<string, string>;
  /** The account that the stack is bound to, if it names one. */
  readonly account?: string;
  /** The functions' sources as their author keeps them, where packages hold only copies (Serverless Framework). */
  readonly sourceFolder?: string;
  /** What was already noticed while the template was read, one sentence each. */
  readonly notes?: readonly string[];
}

/** Values that a deployment would give. */
export interface TemplateSettings {
  /** `AWS::AccountId`, twelve digits. */
  readonly account: string;
  /** `AWS::Region`. */
  readonly region: string;
  /** Origin of queue URLs, for example `http://127.0.0.1:4000`, without a slash at the end. */
  readonly sqsOrigin: string;
  /** The URL of a function that has one. */
  functionUrl(functionName: string): string;
  /** Where layers are looked for that their developer fetched from AWS, absolute. */
  readonly layersFolder?: string;
  /** The text with the addresses at which APIs are served here, in place of those that they would have at AWS. */
  withLocalApis?(text: string): string;
}

/**
 * Where the code of a function or a layer is. `folder` may have a package of it (a zip file, or a folder that a build
 * filled) to fall back on. `image`: a container image, to be pulled by its name or built.
 */
export type CodeLocation =
  | { readonly kind: 'folder'; readonly path: string; readonly packaged?: string }
  | { readonly kind: 'zip'; readonly path: string }
  | { readonly kind: 'inline'; readonly text: string }
  | { readonly kind: 'image'; readonly from: string | ImageBuild }
  | { readonly kind: 'absent'; readonly reason: string };

/** How a container image is built. */
export interface ImageBuild {
  /** A folder, absolute. */
  readonly context: string;
  /** Relative to the context. */
  readonly dockerfile: string;
  readonly target?: string;
  readonly args: Readonly<Record<string, string>>;
}

/** An `AWS::Lambda::Function`, resolved. */
export interface TemplateFunction {
  readonly name: string;
  readonly arn: string;
  /** `nodejs22.x`, `provided.al2023`, ...; absent: a container image. */
  readonly runtime?: string;
  readonly handler: string;
  readonly code: CodeLocation;
  readonly layers: readonly CodeLocation[];
  /** 1 to 900 s; default 3. */
  readonly timeoutSeconds: number;
  /** MiB; default 128. */
  readonly memoryMegabytes: number;
  /** Variables that could be resolved; queue URLs point at `sqsOrigin`. */
  readonly environment: Readonly<Record<string, string>>;
  /** `LoggingConfig`; absent: plain text. */
  readonly logging?: { readonly format?: string; readonly level?: string };
  /** `ReservedConcurrentExecutions`; absent: no limit. */
  readonly reservedConcurrency?: number;
  /** What is to be said of each layer that is only in AWS; absent: none is. */
  readonly missingLayers?: readonly string[];
  /** `TenancyConfig`: each tenant has environments of its own, and each invocation names its tenant. */
  readonly tenantIsolated?: boolean;
  /** `DurableConfig`: Lambda itself keeps the checkpoints of its executions. */
  readonly durable?: boolean;
  /** The program of its Rust package (`BuildProperties.Binary`); absent: the only one. */
  readonly cargoBinary?: string;
  /** `ImageConfig` of a container image. */
  readonly image?: {
    readonly entryPoint: readonly string[];
    readonly command: readonly string[];
    readonly workingDirectory?: string;
  };
  /** Names of its aliases; versions are not told apart. */
  readonly aliases: readonly string[];
  /** The URL is asked for (`AWS::Lambda::Url`), with its `Cors` settings. */
  readonly url?: { readonly cors: JsonObject };
}

/** An event source mapping of a queue, and whether AWS would consume it itself. */
export interface TemplateMapping {
  readonly mapping: Mapping;
  readonly enabled: boolean;
}

/** One way by which messages of AWS come into a queue. */
export interface Feed {
  /** Name of the queue. */
  readonly queue: string;
  readonly origin:
    | { readonly kind: 'topic'; readonly topicArn: string; readonly raw: boolean }
    | { readonly kind: 'bucket'; readonly bucket: string; readonly eventName: string; readonly envelope?: string }
    /** `source` and `detailType`: the first that the rule asks for. */
    | { readonly kind: 'rule'; readonly rule: string; readonly source: string; readonly detailType: string };
}

export interface FoundFeeds {
  readonly feeds: readonly Feed[];
  /** Those that may lead to a queue of the stacks, and why that is not known; one sentence each. */
  readonly unknown: readonly string[];
}

/** An HTTP API or a REST API of API Gateway, as far as it can be served here. */
export interface TemplateApi {
  /** What `Ref` gives, in place of AWS's id. */
  readonly id: string;
  readonly kind: 'http' | 'rest';
  /** The first stage of the template; of an HTTP API without one `$default`. */
  readonly stage: string;
  readonly stageVariables: Readonly<Record<string, string>>;
  /** Media types that a REST API takes for binary. */
  readonly binaryTypes: readonly string[];
  /** `CorsConfiguration` of an HTTP API. */
  readonly cors?: ApiCors;
  readonly routes: readonly TemplateRoute[];
}

export interface TemplateRoute {
  /** In capitals, or `ANY`. */
  readonly method: string;
  /** `/items/{id}`, `/files/{path+}`; `$default`: all that no other route takes. */
  readonly path: string;
  readonly target: RouteFunction | RouteAnswer;
  /** Who looks at the caller before. */
  readonly authorizer?: ApiAuthorizer;
}

/**
 * `jwt`, `cognito`: the claims of a token that a caller brings reach the function, unproven, where they would in AWS.
 * `other`: nobody is asked.
 */
export type ApiAuthorizer = { readonly kind: 'jwt' | 'cognito' | 'other' } | LambdaAuthorizer;

export interface LambdaAuthorizer {
  readonly kind: 'lambda';
  readonly name: string;
  /** With its qualifier. */
  readonly arn: string;
  /** What it is asked with: REST APIs have `token` and `request`, HTTP APIs the versions of the payload. */
  readonly form: 'token' | 'request' | '1.0' | '2.0';
  /** It answers `isAuthorized`; else a policy. */
  readonly simple: boolean;
  /** What a request must bring, or is answered with 401. */
  readonly sources: readonly { readonly place: 'header' | 'querystring'; readonly name: string }[];
}

export interface RouteFunction {
  readonly kind: 'function';
  readonly name: string;
  /** With its qualifier. */
  readonly arn: string;
  readonly payload: '1.0' | '2.0';
  /** Milliseconds that the gateway waits for the function: 50 to 30,000, for a REST API to 900,000. */
  readonly timeoutMs: number;
}

/** An integration of type MOCK, which answers preflight requests of REST APIs. */
export interface RouteAnswer {
  readonly kind: 'answer';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ApiCors {
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposed: readonly string[];
  readonly credentials: boolean;
  /** Seconds. */
  readonly maxAge?: number;
}

export interface FoundApis {
  readonly apis: readonly TemplateApi[];
  /** What of them is not served here, or not as in AWS; one sentence each. */
  readonly notes: readonly string[];
}

/** Everything that the stacks of a template source say about queues and functions. */
export interface TemplateApplication {
  readonly functions: readonly TemplateFunction[];
  readonly mappings: readonly TemplateMapping[];
  readonly broken: readonly BrokenMapping[];
  /** Every queue that the stacks define. */
  readonly queues: readonly DiscoveredQueue[];
  /** What puts messages into the queues besides programs. */
  readonly fed: FoundFeeds;
  /** The APIs through which clients reach functions. */
  readonly web: FoundApis;
  /** What could not be resolved or is not supported, one sentence each. */
  readonly problems: readonly string[];
}

/** Takes a parsed template apart; what is not an object is read as if it were not there. */
export function templateOf(parsed: unknown): Template {
  const template = objectOr(parsed);
  const resources = Object.entries(objectOr(template['Resources'])).flatMap(([id, body]): [string, Resource][] =>
    isObject(body) ? [[id, resourceOf(body)]] : [],
  );
  return {
    parameters: objectOr(template['Parameters']),
    mappings: objectOr(template['Mappings']),
    conditions: objectOr(template['Conditions']),
    outputs: objectOr(template['Outputs']),
    resources: Object.fromEntries(resources),
  };
}

function resourceOf(body: JsonObject): Resource {
  const condition = textOr(body['Condition'], undefined);
  return {
    type: textOr(body['Type'], ''),
    properties: objectOr(body['Properties']),
    metadata: objectOr(body['Metadata']),
    ...(condition === undefined ? {} : { condition }),
  };
}

/*
 * Reading JSON of unknown shape without trusting it.
 */

/** An object whose members may be anything. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value if it is an object, else an empty one. */
export function objectOr(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function textOr<T>(value: unknown, fallback: T): string | T {
  return typeof value === 'string' ? value : fallback;
}

/** CloudFormation takes numbers and booleans as texts, too. */
export function numberOr<T>(value: unknown, fallback: T): number | T {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return fallback;
  const number = Number(value);
  return Number.isFinite(number) ? number : fallback;
}

export function booleanOr<T>(value: unknown, fallback: T): boolean | T {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') return fallback;
  switch (value.toLowerCase()) {
    case 'true':
      return true;
    case 'false':
      return false;
    default:
      return fallback;
  }
}

/** What a scalar becomes where only text fits, as CloudFormation converts it; `undefined`: it is none. */
export function scalarText(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}

/** `Tags`, as a list of `Key` and `Value` (CloudFormation) or as an object (SAM). */
export function tagsOf(value: unknown): Readonly<Record<string, string>> {
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(value)
    ? value.map((tag: unknown) => [objectOr(tag)['Key'], objectOr(tag)['Value']])
    : Object.entries(objectOr(value));
  return Object.fromEntries(
    entries.flatMap(([key, tag]) => (typeof key === 'string' ? [[key, scalarText(tag) ?? '']] : [])),
  );
}
