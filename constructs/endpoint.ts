import { Annotations, SecretValue, Stack, Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/**
 * Context key that gives every queue of an app its endpoint: `cdk synth -c karin:endpoint=https://karin.example.com`.
 */
const ENDPOINT_CONTEXT_KEY = 'karin:endpoint';

/** A capability at the end of an endpoint, written out. */
const WRITTEN_CAPABILITY = /\/k\/[^/]+$/;

/** Context key that puts the region into the addresses of every queue of an app. */
const REGION_CONTEXT_KEY = 'karin:regionInUrl';

/** Names under `.internal` exist in private networks alone. */
const PRIVATE_NAME = /\.internal$/;

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/**
 * Where the Karin server is.
 */
export interface KarinServerProps {
  /**
   * Where the Karin server is: an http or https URL, with a base path if it has one, without a slash at its end.
   *
   * For example `https://karin.example.com`. May be a token. A capability does not belong in it, where it would stand
   * in the template.
   *
   * @default - the context value `karin:endpoint`; synthesis fails if there is neither
   */
  readonly endpoint?: string;
}

/**
 * How producers reach a Karin queue.
 */
export interface KarinAccessProps extends KarinServerProps {
  /**
   * The secret with which producers may send to the queue: a capability from `karin token create --scope send`.
   *
   * It becomes part of the endpoint, `/k/<capability>`, so that producers need neither a key nor other code. Give it as
   * `SecretValue.secretsManager()`: CloudFormation then reads it at deployment, and it stands in no template. Whoever
   * may read the environment of a producer can read it there; it lets them send to this queue, and nothing else.
   *
   * @default - producers authenticate with a key that the server knows
   */
  readonly capability?: SecretValue;

  /**
   * Whether `queueUrl` and `ingestUrl` name the region of the queue: `<endpoint>/r/<region>/<account>/<name>`.
   *
   * A server of several regions takes an address without a region for one of the region that the client signs for, or
   * of its own. With the region in it the address means this queue to producers in any region and account. A server of
   * one region understands both forms.
   *
   * @default - the context value `karin:regionInUrl`, else false
   */
  readonly regionInUrl?: boolean;
}

/** How the clients of a queue reach the server. */
export interface Access {
  /** What an SQS client is given; ends in `/k/<capability>` if there is one. */
  readonly endpoint: string;
  /** The endpoint without the capability. */
  readonly server: string;
  /** What lets clients send, unless they have a key of their own. */
  readonly capability?: SecretValue;
  /** What stands between an endpoint and the account in an address of the queue: `/r/<region>`, or nothing. */
  readonly regionPath: string;
}

/**
 * The endpoint a queue is reached at, from its property or from the context, with the capability as `/k/<capability>`
 * at its end. `region` is that of the queue.
 *
 * Throws if none is given, if it is not an absolute http or https URL without query, fragment and user, or if
 * `capability` would stand in the template as plain text. One that is written into the endpoint itself gives way to
 * `capability`; without that it is a warning.
 */
export function resolveAccess(scope: IConstruct, props: KarinAccessProps, region: string): Access {
  const { capability } = props;
  const given = givenEndpoint(scope, props.endpoint);
  const server = withoutCapability(given);
  const regionPath = isRegionInUrl(scope, props) ? `/r/${region}` : '';
  if (capability !== undefined) {
    return { endpoint: `${server}/k/${capabilityText(scope, capability)}`, server, capability, regionPath };
  }
  if (given === server) return { endpoint: given, server, regionPath };
  if (!LOOPBACK.test(new URL(given).hostname)) {
    Annotations.of(scope).addWarningV2(
      'karin-queue:capabilityInTemplate',
      "the endpoint carries a capability, which then stands in the template as plain text; take '/k/...' off the endpoint, keep the capability in Secrets Manager and pass it as 'capability'",
    );
  }
  const written = SecretValue.unsafePlainText(given.slice(`${server}/k/`.length));
  return { endpoint: given, server, capability: written, regionPath };
}

/** `cdk synth -c` gives texts, cdk.json gives booleans. */
function isRegionInUrl(scope: IConstruct, { regionInUrl }: KarinAccessProps): boolean {
  const given: unknown = regionInUrl ?? scope.node.tryGetContext(REGION_CONTEXT_KEY) ?? false;
  if (given === true || given === 'true') return true;
  if (given === false || given === 'false') return false;
  throw new Error(
    `${scope.node.path}: the context value '${REGION_CONTEXT_KEY}' must be true or false, but '${String(given)}' was given`,
  );
}

/** Whether an endpoint is on this machine, where nothing is secret and no service of AWS can reach it. */
export function isLoopback(endpoint: string): boolean {
  return URL.canParse(endpoint) && LOOPBACK.test(new URL(endpoint).hostname);
}

/**
 * Where the server's own routes are (`/sync`): a capability in the endpoint opens the SQS API alone. Throws as
 * `resolveAccess`.
 */
export function resolveServer(scope: IConstruct, endpoint: string | undefined): string {
  return withoutCapability(givenEndpoint(scope, endpoint));
}

function givenEndpoint(scope: IConstruct, endpoint: string | undefined): string {
  const given: unknown = endpoint ?? scope.node.tryGetContext(ENDPOINT_CONTEXT_KEY);
  if (typeof given !== 'string' || given === '') {
    throw new Error(
      `${scope.node.path}: the endpoint of the Karin server is not known; pass 'endpoint', for example 'https://karin.example.com', or set the context value '${ENDPOINT_CONTEXT_KEY}' in cdk.json`,
    );
  }
  return Token.isUnresolved(given) ? given : checkedEndpoint(scope, given);
}

function withoutCapability(endpoint: string): string {
  return Token.isUnresolved(endpoint) ? endpoint : endpoint.replace(WRITTEN_CAPABILITY, '');
}

function checkedEndpoint(scope: IConstruct, endpoint: string): string {
  const complaint = (rule: string) =>
    new Error(
      `${scope.node.path}: endpoint ${rule}, but '${endpoint}' was given; use the form 'https://karin.example.com'`,
    );
  if (!URL.canParse(endpoint)) throw complaint('must be an absolute URL');
  const url = new URL(endpoint);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw complaint('must begin with https:// or http://');
  if (url.username !== '' || url.password !== '') throw complaint('must not carry a user name or password');
  if (url.search !== '' || url.hash !== '') throw complaint('must not carry a query or a fragment');
  if (endpoint.endsWith('/')) throw complaint('must not end with a slash');
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname) && !PRIVATE_NAME.test(url.hostname)) {
    Annotations.of(scope).addWarningV2(
      'karin-queue:plainHttp',
      `endpoint '${endpoint}' is plain http: messages and capabilities cross the network in the clear; use https`,
    );
  }
  return endpoint;
}

/**
 * A capability lets its holder send: it may pass through the template as a dynamic reference or a parameter, never as
 * text.
 */
function capabilityText(scope: IConstruct, capability: SecretValue): string {
  const text = capability.unsafeUnwrap();
  const written: unknown = Stack.of(scope).resolve(text);
  if (typeof written === 'string' && !written.startsWith('{{resolve:')) {
    throw new Error(
      `${scope.node.path}: capability would stand in the template as plain text; use SecretValue.secretsManager(...), secret.secretValue or a NoEcho parameter`,
    );
  }
  return text;
}
