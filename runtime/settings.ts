/**
 * The environment, read once into one frozen, typed object. AWS variables are not here, but for those that parts
 * without an SDK need: they reach the AWS SDK untouched.
 *
 * @module
 */

import { readFileSync } from 'node:fs';

/** What must hold before a send is answered, beyond that Redis has it. */
export type Durability = { readonly kind: 'fsync' } | { readonly kind: 'replica'; readonly replicas: number };

/** Settings of `karin start`, all from the environment. */
export interface Config {
  /** `HOST`; default 127.0.0.1 (the container image sets 0.0.0.0). */
  readonly host: string;
  /** `PORT`, 0 to 65,535; default 4000; 0: any free port. */
  readonly port: number;
  /**
   * `REDIS_URL` (or the file `REDIS_URL_FILE`): one URL, or several separated by commas for a cluster; `memory` only
   * for `karin dev`; `embedded` with `KARIN_EMBEDDED_REDIS=1`: a private Redis or Valkey server that this process
   * starts.
   */
  readonly redis: 'memory' | 'embedded' | readonly string[];
  /**
   * `KARIN_DURABILITY`: what must hold before a send is answered. `fsync`: it is in the append-only file on disk;
   * `replica` or `replica:<n>`, 1 to 9: so many replicas have it. Default: the memory of Redis has it.
   */
  readonly durability?: Durability;
  /** `KARIN_DATA_DIR`: where the embedded Redis keeps its append-only file; default `./karin-data`. */
  readonly dataDirectory: string;
  /**
   * `KARIN_EMBEDDED_REDIS_MEMORY`, the `maxmemory` of the embedded Redis, MiB, 16 to 65,536; default 64. Kept here in
   * bytes.
   */
  readonly embeddedRedisBytes: number;
  /**
   * `KARIN_PUBLIC_URL`: origin and base path under which callers reach the server; default: the Host of each request.
   */
  readonly publicUrl?: string;
  /** `AWS_REGION` or `AWS_DEFAULT_REGION`; default us-east-1 in dev only. */
  readonly region: string;
  /**
   * `KARIN_REGIONS`: further regions that are served with the process's own credentials, beside `region`; `none`: not
   * even that one, only what `KARIN_ROLES` names. Default: `region` alone.
   */
  readonly ownRegions: readonly string[];
  /**
   * `KARIN_ROLES` (or the file `KARIN_ROLES_FILE`): roles to assume in other accounts, separated by commas or white
   * space: `<role ARN>[:<regions>[:<external id>]]`, regions joined by `+`; default region: `region`. Read by
   * `aws/scope.ts`.
   */
  readonly roles: readonly string[];
  /** `KARIN_ACCOUNT_ID`; default: the account of the discovered functions, else 000000000000. */
  readonly accountId?: string;
  /** Where mappings come from: `KARIN_DISCOVERY` = `aws` (default), `template:<path>`, `none`. */
  readonly discovery:
    | { readonly kind: 'aws' }
    | { readonly kind: 'template'; readonly path: string }
    | { readonly kind: 'none' };
  /** `KARIN_SYNC_INTERVAL`, seconds between syncs; default 3600; 0: never by itself. */
  readonly syncIntervalSeconds: number;
  /**
   * `KARIN_MAX_QUEUES`: queues made by CreateQueue that may exist at one time, 0 to 100,000; default 1,000. Those that
   * AWS names are not counted.
   */
  readonly maxQueues: number;
  /** `KARIN_MAX_DELAY_SECONDS`, 900 to 1,209,600; default 900, as SQS. */
  readonly maxDelaySeconds: number;
  /**
   * `KARIN_KEYS`: access keys that Karin knows, `id:secret[:scopes[:queue globs]]`, several separated by commas or
   * white space; scopes are joined by `+` (default all), globs by `|` (default `*`):
   * `AKIAEXAMPLE:s3cr3t:send+consume:app-*|jobs`.
   */
  readonly keysText: string;
  /** `KARIN_KEYS_FILE`: a file with more of them, in the same form; read at start and again on SIGHUP. */
  readonly keysFile?: string;
  /**
   * `KARIN_TOKENS`: capability tokens besides those created by `karin token create`: `token[:scopes[:queue globs]]`, as
   * in `KARIN_KEYS`; scope default `send`.
   */
  readonly tokensText: string;
  /** `KARIN_TOKENS_FILE`: a file with more of them; read at start and again on SIGHUP. */
  readonly tokensFile?: string;
  /**
   * `KARIN_CORS_ORIGINS`: origins whose pages may use the SQS API from a browser, as browsers send them; `*`: of every
   * site; default: none.
   */
  readonly corsOrigins: readonly string[];
  /**
   * `KARIN_ADMIN_PASSWORD` (or the file `KARIN_ADMIN_PASSWORD_FILE`), at least 12 characters: the ops page, `/sync`,
   * `/metrics`, tokens, and every SQS action.
   */
  readonly adminPassword?: string;
  /**
   * `KARIN_OPERATORS`: people who use the pages: `name:role:password`, or a hash made by `karin password` in place of
   * the password, several separated by `;` or line ends. Roles: `look`, `operate`, `administer`.
   */
  readonly operatorsText: string;
  /** `KARIN_OPERATORS_FILE`: a file with more of them; read at start and again on SIGHUP. */
  readonly operatorsFile?: string;
  /**
   * A loopback server without credentials lets everybody in even after a token was made; only `karin dev` does, whose
   * functions have none. Not in the environment.
   */
  readonly staysOpen: boolean;
  /**
   * `KARIN_TRUSTED_PROXIES`, 0 to 10: how many proxies in front of the server write `X-Forwarded-For`; default 0: the
   * header is ignored.
   */
  readonly trustedProxies: number;
  /**
   * `FLY_APP_NAME`, which Fly sets on its machines: there alone `Fly-Client-IP` is believed, and only with
   * `KARIN_TRUSTED_PROXIES`.
   */
  readonly onFly: boolean;
  /**
   * `AWS_ENDPOINT_URL_SNS` or `AWS_ENDPOINT_URL`: where certificates of SNS are fetched and subscriptions confirmed,
   * for an emulator or an endpoint inside a VPC; default: SNS itself.
   */
  readonly snsEndpoint?: string;
  /**
   * `KARIN_CONNECTIONS`: connections of clients at one time, 64 to 65,536; default 4,096, what a machine of 256 MB
   * holds.
   */
  readonly connections: number;
  /**
   * `KARIN_CONNECTIONS_PER_ADDRESS`: of them, from one address, 0 to 65,536. Default 0: 256, but as many as there may
   * be at all from this machine itself and behind trusted proxies, who bring the connections of everybody.
   */
  readonly connectionsPerAddress: number;
  /**
   * `KARIN_CONCURRENCY`: Invokes at one time in this process, 1 to 1,000; default 200. Each mapping may have one beyond
   * it.
   */
  readonly maxConcurrency: number;
  /** `KARIN_BYTES_IN_FLIGHT`: bytes of message records under lease in this process; default 10,485,760 (10 MiB). */
  readonly maxBytesInFlight: number;
  /** `KARIN_STOP_GRACE`, seconds that open Invokes get on SIGTERM; default 60. */
  readonly stopGraceSeconds: number;
  /** `LOG_LEVEL`: trace, debug, info, warn, error, silent; default info. */
  readonly logLevel: string;
  /** `KARIN_CONSUME`: queue-name globs of the queues to consume, a leading `!` excludes; default: all. */
  readonly queueNames: readonly string[];
  /**
   * `KARIN_CLOUDWATCH_QUEUES`: globs, as in `KARIN_CONSUME`, of the queues whose metrics are written to standard output
   * for CloudWatch Logs, which costs $1.50 a month for each; default: none.
   */
  readonly cloudWatchQueues: readonly string[];
  /**
   * `KARIN_STOP_LOOPS`: messages of a loop go to the dead-letter queue (without one the mapping is paused); `0`: a
   * warning only; default 1. A tag of a mapping holds before it.
   */
  readonly stopLoops: boolean;
  /**
   * Where traces go: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces`; default:
   * nowhere. `OTEL_EXPORTER_OTLP_PROTOCOL` is `http/protobuf` (default) or `http/json`; `OTEL_SDK_DISABLED=true` and
   * `OTEL_TRACES_EXPORTER=none` turn them off. What else OpenTelemetry reads (headers, sampler, service name) reaches
   * it untouched.
   */
  readonly traces?: TraceExport;
  /**
   * `KARIN_ALERTS` (or the file `KARIN_ALERTS_FILE`): where alerts go, separated by commas or white space; its forms
   * stand in `ops/alert-targets.ts`. Default: nowhere.
   */
  readonly alertTargets: readonly string[];
  /**
   * `KARIN_ALERT_AGE`: seconds that the first message of a queue may wait, 0 to 1,209,600; default 0: no bound but the
   * five minutes after which a served queue is stuck. A tag of a queue holds before it.
   */
  readonly alertAgeSeconds: number;
  /** What looked odd in the environment but does not keep the server from starting; logged at start. */
  readonly warnings: readonly string[];
}

/** Where traces go by OTLP over HTTP, and in which form. */
export interface TraceExport {
  readonly url: string;
  readonly protocol: 'http/protobuf' | 'http/json';
}

/**
 * Every problem of a configuration at once; each names the variable, its value (never a secret), the rule and the mend.
 * `hints`: what looked odd besides, because a misspelt variable is often why another one is missing.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  readonly hints: readonly string[];
  constructor(problems: readonly string[], options: ErrorOptions & { readonly hints?: readonly string[] } = {}) {
    const { hints = [], ...rest } = options;
    const lines = [...problems.map((problem) => `  - ${problem}`), ...hints.map((hint) => `  note: ${hint}`)];
    super(
      `the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n${lines.join('\n')}`,
      rest,
    );
    this.problems = problems;
    this.hints = hints;
  }
}

/** `start` is the production server; `dev` needs nothing from the environment and keeps messages in memory. */
export type ConfigPurpose = 'start' | 'dev';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
const MIB = 1_048_576;
/** Variables of the commands that talk to a server, not settings of the server. */
const CLIENT_VARIABLES = ['KARIN_URL', 'KARIN_TOKEN'];

/** Finds what is wrong with settings that other parts understand, such as credentials: one sentence each. */
export type ConfigCheck = (config: Config) => readonly string[];

/** Reads the configuration, and has it judged by `check` as well. Errors: `ConfigError` with every problem. */
export function readConfig(
  environment: Environment,
  purpose: ConfigPurpose = 'start',
  check: ConfigCheck = () => [],
): Config {
  const env = new EnvironmentReader(environment);
  for (const name of CLIENT_VARIABLES) env.text(name);
  const optional = <K extends string, V>(name: K, value: V | undefined) =>
    // An absent member, not a member that is undefined: exactOptionalPropertyTypes tells them apart.
    (value === undefined ? {} : { [name]: value }) as { [P in K]?: V };

  const redis = readRedis(env, purpose);
  const region = readRegion(env, purpose);
  const config: Config = {
    // In brackets, as in a URL, is how many write an IPv6 address.
    host: (env.text('HOST') ?? '127.0.0.1').replace(/^\[(.*)\]$/, '$1'),
    port: env.integer('PORT', 0, 65_535, 4000),
    redis,
    ...optional('durability', readDurability(env, redis)),
    dataDirectory: env.text('KARIN_DATA_DIR') ?? './karin-data',
    embeddedRedisBytes: env.integer('KARIN_EMBEDDED_REDIS_MEMORY', 16, 65_536, 64, 'MiB') * MIB,
    ...optional('publicUrl', readPublicUrl(env)),
    region,
    ownRegions: readOwnRegions(env, region),
    roles: env.secretList('KARIN_ROLES'),
    ...optional('accountId', readAccountId(env)),
    discovery: readDiscovery(env, purpose),
    syncIntervalSeconds: env.integer('KARIN_SYNC_INTERVAL', 0, 604_800, 3600, 'seconds'),
    maxQueues: env.integer('KARIN_MAX_QUEUES', 0, 100_000, 1000),
    maxDelaySeconds: env.integer('KARIN_MAX_DELAY_SECONDS', 900, 1_209_600, 900, 'seconds'),
    keysText: env.text('KARIN_KEYS') ?? '',
    ...optional('keysFile', env.text('KARIN_KEYS_FILE')),
    tokensText: env.text('KARIN_TOKENS') ?? '',
    ...optional('tokensFile', env.text('KARIN_TOKENS_FILE')),
    corsOrigins: readCorsOrigins(env),
    ...optional('adminPassword', readAdminPassword(env)),
    operatorsText: env.text('KARIN_OPERATORS') ?? '',
    ...optional('operatorsFile', env.text('KARIN_OPERATORS_FILE')),
    staysOpen: false,
    trustedProxies: env.integer('KARIN_TRUSTED_PROXIES', 0, 10, 0),
    onFly: env.text('FLY_APP_NAME') !== undefined,
    ...optional('snsEndpoint', readSnsEndpoint(env)),
    connections: env.integer('KARIN_CONNECTIONS', 64, 65_536, 4096),
    connectionsPerAddress: env.integer('KARIN_CONNECTIONS_PER_ADDRESS', 0, 65_536, 0),
    maxConcurrency: env.integer('KARIN_CONCURRENCY', 1, 1000, 200),
    maxBytesInFlight: env.integer('KARIN_BYTES_IN_FLIGHT', MIB, 1024 * MIB, 10 * MIB, 'bytes'),
    stopGraceSeconds: env.integer('KARIN_STOP_GRACE', 0, 900, 60, 'seconds'),
    logLevel: env.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    queueNames: env.list('KARIN_CONSUME'),
    cloudWatchQueues: env.list('KARIN_CLOUDWATCH_QUEUES'),
    stopLoops: env.oneOf('KARIN_STOP_LOOPS', ['0', '1'], '1') === '1',
    ...optional('traces', readTraces(env)),
    alertTargets: env.secretList('KARIN_ALERTS'),
    alertAgeSeconds: env.integer('KARIN_ALERT_AGE', 0, 1_209_600, 0, 'seconds'),
    warnings: env.unread('KARIN_').map((name) => `${name} is not a setting of Karin; is it misspelt?`),
  };
  const problems = [...env.problems, ...check(config)];
  if (problems.length > 0) throw new ConfigError(problems, { hints: config.warnings });
  return Object.freeze(config);
}

function readRedis(env: EnvironmentReader, purpose: ConfigPurpose): Config['redis'] {
  const embedded = env.flag('KARIN_EMBEDDED_REDIS');
  const urls = readRedisUrls(env);
  if (embedded && urls.length > 0) {
    env.problems.push('KARIN_EMBEDDED_REDIS=1 and REDIS_URL are both set: leave one of them out');
  }
  if (embedded) return 'embedded';
  if (urls.length === 0) {
    if (purpose === 'dev') return 'memory';
    env.problems.push(
      'REDIS_URL is not set: name the Redis that keeps the messages, for example redis://127.0.0.1:6379 (rediss:// for TLS; several nodes of a cluster separated by commas; redis+sentinel:// for Sentinels), or set KARIN_EMBEDDED_REDIS=1 to start a private one',
    );
  }
  return urls;
}

function readDurability(env: EnvironmentReader, redis: Config['redis']): Durability | undefined {
  const text = env.text('KARIN_DURABILITY');
  if (text === undefined) return undefined;
  const refused = (why: string): undefined => {
    env.problems.push(`KARIN_DURABILITY=${text}: ${why}`);
    return undefined;
  };
  if (redis === 'memory')
    return refused('messages are kept in this process; name a Redis by REDIS_URL, or leave it out');
  if (text === 'fsync') return { kind: 'fsync' };
  const replica = /^replica(?::([1-9]))?$/.exec(text);
  if (replica === null) {
    return refused(
      'must be fsync, or replica, or replica:2 with a number from 1 to 9; leave it out to wait for neither',
    );
  }
  if (redis === 'embedded') return refused('the embedded Redis has no replicas; use fsync, or a Redis of your own');
  return { kind: 'replica', replicas: Number(replica[1] ?? 1) };
}

/**
 * The addresses of Redis in `REDIS_URL` or the file `REDIS_URL_FILE`; what is wrong with them becomes a problem of
 * `env`.
 */
export function readRedisUrls(env: EnvironmentReader): readonly string[] {
  const urls = env.secretList('REDIS_URL');
  try {
    if (urls.length > 0) parseRedisUrls(urls);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // The message shows no value: a URL that cannot be parsed may still hold a password.
    env.problems.push(`REDIS_URL: ${error.message}`);
  }
  return urls;
}

function readPublicUrl(env: EnvironmentReader): string | undefined {
  const text = env.text('KARIN_PUBLIC_URL');
  if (text === undefined) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== ''
  ) {
    env.problems.push(
      `KARIN_PUBLIC_URL=${text}: must be the address callers use, http:// or https://, with a base path at most, for example https://karin.example.com`,
    );
    return undefined;
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function readSnsEndpoint(env: EnvironmentReader): string | undefined {
  const text = env.text('AWS_ENDPOINT_URL_SNS') ?? env.text('AWS_ENDPOINT_URL');
  if (text === undefined) return undefined;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  env.problems.push(`AWS_ENDPOINT_URL_SNS=${text}: must be a URL, for example http://127.0.0.1:5000`);
  return undefined;
}

/** How AWS names regions. */
export const REGION = /^[a-z]{2,}(-[a-z0-9]+)+$/;

function readRegion(env: EnvironmentReader, purpose: ConfigPurpose): string {
  const region = env.text('AWS_REGION') ?? env.text('AWS_DEFAULT_REGION');
  if (region === undefined) {
    if (purpose === 'start') {
      env.problems.push('AWS_REGION is not set: name the region of your queues and functions, for example us-east-1');
    }
    return 'us-east-1';
  }
  if (!REGION.test(region)) {
    env.problems.push(`AWS_REGION=${region}: must be the name of an AWS region, for example us-east-1`);
  }
  return region;
}

function readOwnRegions(env: EnvironmentReader, region: string): readonly string[] {
  const named = env.list('KARIN_REGIONS');
  if (named.includes('none')) {
    if (named.length === 1) return [];
    env.problems.push('KARIN_REGIONS: none stands alone; leave it out, or leave the regions out');
    return [region];
  }
  for (const name of named.filter((text) => !REGION.test(text))) {
    env.problems.push(
      `KARIN_REGIONS: ${name} is not the name of an AWS region; name some, for example eu-west-1,us-east-1, or none`,
    );
  }
  return [...new Set([region, ...named])];
}

function readAccountId(env: EnvironmentReader): string | undefined {
  const account = env.text('KARIN_ACCOUNT_ID');
  if (account !== undefined && !/^\d{12}$/.test(account)) {
    env.problems.push(`KARIN_ACCOUNT_ID=${account}: must be the twelve digits of an AWS account`);
  }
  return account;
}

function readDiscovery(env: EnvironmentReader, purpose: ConfigPurpose): Config['discovery'] {
  const text = env.text('KARIN_DISCOVERY') ?? (purpose === 'dev' ? 'none' : 'aws');
  if (text === 'aws' || text === 'none') return { kind: text };
  const path = text.startsWith('template:') ? text.slice('template:'.length) : '';
  if (path === '') {
    env.problems.push(
      `KARIN_DISCOVERY=${text}: must be aws, none, or template: with the path of a synthesized template, for example template:cdk.out`,
    );
    return { kind: 'none' };
  }
  return { kind: 'template', path };
}

function readCorsOrigins(env: EnvironmentReader): readonly string[] {
  return env.list('KARIN_CORS_ORIGINS').map((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (text === '*') return text;
    // `href` has what is more than an origin: a path, a query, a user. A wildcard in a host is a valid URL, and no
    // host.
    const isOrigin = url !== undefined && url.href === `${url.origin}/` && !url.host.includes('*');
    if (isOrigin && /^https?:$/.test(url.protocol)) return url.origin;
    env.problems.push(
      `KARIN_CORS_ORIGINS: ${text} is no origin: name scheme, host and port as browsers do, for example https://app.example.com, or * for pages of every site`,
    );
    return text;
  });
}

const TRACE_PROTOCOLS = ['http/protobuf', 'http/json'] as const;

/** Source: OpenTelemetry, "OTLP Exporter Configuration": the variable of the one signal holds before that of all. */
function readTraces(env: EnvironmentReader): TraceExport | undefined {
  const own = env.text('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  const shared = env.text('OTEL_EXPORTER_OTLP_ENDPOINT');
  const endpoint = own ?? shared;
  const exporter = env.text('OTEL_TRACES_EXPORTER') ?? 'otlp';
  const isOff = env.text('OTEL_SDK_DISABLED')?.toLowerCase() === 'true' || exporter !== 'otlp';
  if (endpoint === undefined || isOff) return undefined;
  const named = own === undefined ? 'OTEL_EXPORTER_OTLP_ENDPOINT' : 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    // The value is not shown: a password may stand in it.
    env.problems.push(`${named}: must be a URL, for example http://127.0.0.1:4318`);
    return undefined;
  }
  const perSignal = env.text('OTEL_EXPORTER_OTLP_TRACES_PROTOCOL') !== undefined;
  const variable = perSignal ? 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL' : 'OTEL_EXPORTER_OTLP_PROTOCOL';
  const protocol = env.oneOf(variable, TRACE_PROTOCOLS, 'http/protobuf');
  return { url: own ?? `${endpoint.replace(/\/+$/, '')}/v1/traces`, protocol };
}

/** Short enough to type, long enough that the limit on failed attempts makes guessing hopeless. */
const SHORTEST_PASSWORD = 12;

function readAdminPassword(env: EnvironmentReader): string | undefined {
  const password = env.secret('KARIN_ADMIN_PASSWORD');
  if (password !== undefined && password.length < SHORTEST_PASSWORD) {
    env.problems.push(
      `KARIN_ADMIN_PASSWORD has ${password.length} characters: use at least ${SHORTEST_PASSWORD}, for example from: openssl rand -base64 24`,
    );
  }
  return password;
}

/*
 * Reads settings from the environment and collects every problem instead of stopping at the first.
 *
 * A problem names the variable, its value unless it is a secret, the rule, and the mend.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

export class EnvironmentReader {
  readonly problems: string[] = [];
  readonly #environment: Environment;
  readonly #known = new Set<string>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /**
   * The value, without surrounding space; empty counts as absent, because that is how a shell or a compose file unsets
   * one.
   */
  text(name: string): string | undefined {
    this.#known.add(name);
    const value = this.#environment[name]?.trim();
    return value === '' ? undefined : value;
  }

  /**
   * The value, or the contents of the file that `<name>_FILE` names: a file is not shown by `docker inspect` and not
   * inherited by child processes.
   */
  secret(name: string): string | undefined {
    const value = this.text(name);
    const path = this.text(`${name}_FILE`);
    if (path === undefined) return value;
    if (value !== undefined) {
      this.problems.push(`${name} and ${name}_FILE are both set: leave one of them out`);
      return value;
    }
    try {
      const contents = readFileSync(path, 'utf8').trim();
      if (contents !== '') return contents;
      this.problems.push(`${name}_FILE=${path}: the file is empty`);
    } catch (error) {
      this.problems.push(`${name}_FILE=${path}: cannot be read (${error instanceof Error ? error.message : error})`);
    }
    return undefined;
  }

  /** A whole number from `min` to `max`; `unit` stands in the problem. */
  integer(name: string, min: number, max: number, fallback: number, unit = ''): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const of = unit === '' ? '' : ` of ${unit}`;
    this.problems.push(
      `${name}=${text}: must be a whole number${of} from ${min} to ${max}; leave it out for ${fallback}`,
    );
    return fallback;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const found = allowed.find((value) => value === text);
    if (found !== undefined) return found;
    this.problems.push(`${name}=${text}: must be one of ${allowed.join(', ')}; leave it out for ${fallback}`);
    return fallback;
  }

  /** `1` or `true`, `0` or `false`; default false. */
  flag(name: string): boolean {
    const text = this.text(name)?.toLowerCase();
    if (text === undefined || text === '0' || text === 'false') return false;
    if (text === '1' || text === 'true') return true;
    this.problems.push(`${name}=${text}: must be 1 or 0; leave it out for 0`);
    return false;
  }

  /** The parts of a list separated by commas or white space; empty parts are left out. */
  list(name: string): readonly string[] {
    return parts(this.text(name));
  }

  /** As `list`, of a secret. */
  secretList(name: string): readonly string[] {
    return parts(this.secret(name));
  }

  /** Variables that begin with `prefix` and were never asked for: most likely misspelt. */
  unread(prefix: string): readonly string[] {
    return Object.keys(this.#environment).filter((name) => name.startsWith(prefix) && !this.#known.has(name));
  }
}

function parts(text: string | undefined): readonly string[] {
  return (text ?? '').split(/[\s,]+/).filter((part) => part !== '');
}

/** Folders in which `package.json` may stand, from here: beside the sources, or above the bundle and its chunks. */
const FOLDERS = ['./', '../', '../../'];

/** The version of this package. */
export function readVersion(): string {
  for (const folder of FOLDERS) {
    const version = versionIn(new URL(`${folder}package.json`, import.meta.url));
    if (version !== undefined) return version;
  }
  return 'unknown';
}

function versionIn(url: URL): string | undefined {
  try {
    const found: unknown = JSON.parse(readFileSync(url, 'utf8'));
    if (typeof found !== 'object' || found === null || !('name' in found) || !('version' in found)) return undefined;
    return found.name === 'karin-server' && typeof found.version === 'string' ? found.version : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/*
 * Where Redis is, read from URLs.
 */

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
  /** 0 unless the path of the URL or its parameter `db` names another. A cluster has no other. */
  readonly database: number;
  /** The address is that of one cluster (`?cluster=true`), for example the configuration endpoint of ElastiCache. */
  readonly cluster?: true;
  /** The address is that of a Sentinel, which is asked for the master; user and password are those of the master. */
  readonly sentinel?: {
    /** What the Sentinels call the master. */
    readonly master: string;
    readonly username?: string;
    readonly password?: string;
  };
}

const REDIS_URL_FORM =
  'redis://[user:password@]host[:port][/database] (or ?db=database), rediss:// for TLS, with ?cluster=true for a cluster that has one address, or redis+sentinel://[user:password@]host[:port]/<name of the master>[/database] for a Sentinel (rediss+sentinel:// for TLS); in user and password a character such as / # @ % is written %2F %23 %40 %25';
const SENTINEL_PORT = 26_379;

/**
 * Reads `redis://` and `rediss://` URLs, several of which are nodes of one cluster, and those of Sentinels, which look
 * after one master. Errors, all at once and never with a credential in them: `RangeError`.
 */
export function parseRedisUrls(urls: readonly string[]): readonly [RedisAddress, ...RedisAddress[]] {
  const problems: string[] = [];
  const addresses: RedisAddress[] = [];
  for (const [index, text] of urls.entries()) {
    const address = redisAddress(text);
    if (address === undefined) problems.push(`URL ${index + 1} of Redis is not of the form ${REDIS_URL_FORM}`);
    else addresses.push(address);
  }
  const [first, ...others] = addresses;
  if (first === undefined) {
    throw new RangeError(problems.length > 0 ? problems.join('; ') : `no URL of Redis is given (${REDIS_URL_FORM})`);
  }
  if (addresses.some(({ sentinel }) => sentinel !== undefined)) {
    const isOne = ({ sentinel, tls, database }: RedisAddress): boolean =>
      sentinel?.master === first.sentinel?.master && tls === first.tls && database === first.database;
    if (!addresses.every(isOne)) {
      problems.push(
        'the URLs of Sentinels must all be of Sentinels, and name the same master and the same database, all with or all without TLS',
      );
    }
  } else if ((urls.length > 1 || first.cluster) && addresses.some(({ database }) => database !== 0)) {
    problems.push('several URLs, or ?cluster=true, mean a cluster, and a cluster has no database but 0');
  }
  if (problems.length > 0) throw new RangeError(problems.join('; '));
  return [first, ...others];
}

function redisAddress(text: string): RedisAddress | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const scheme = /^(rediss?)(\+sentinel)?:$/.exec(url.protocol);
  if (scheme === null || url.hostname === '') return undefined;
  const isSentinel = scheme[2] !== undefined;
  const path = isSentinel
    ? /^\/([\w.-]{1,100})(?:\/(\d{0,3}))?$/.exec(url.pathname)
    : /^(\/?(\d{0,3}))$/.exec(url.pathname);
  if (path === null) return undefined;
  const database = databaseOf(url, path[2] ?? '');
  if (database === undefined) return undefined;
  const credentials = credentialsOf(url.username, url.password);
  if (credentials === undefined) return undefined;
  const { searchParams } = url;
  const ofSentinel = {
    ...nonEmpty('username', searchParams.get('sentinelUsername')),
    ...nonEmpty('password', searchParams.get('sentinelPassword')),
  };
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (isSentinel ? SENTINEL_PORT : 6379) : Number(url.port),
    tls: scheme[1] === 'rediss',
    ...credentials,
    database,
    ...(searchParams.get('cluster') === 'true' ? { cluster: true } : {}),
    ...(isSentinel ? { sentinel: { master: path[1] ?? '', ...ofSentinel } } : {}),
  };
}

type Credentials = Pick<RedisAddress, 'username' | 'password'>;

/** `undefined`: they are not encoded as a URL wants it. */
function credentialsOf(user: string, secret: string): Credentials | undefined {
  const [username, password] = [decoded(user), decoded(secret)];
  if (username === undefined || password === undefined) return undefined;
  return { ...nonEmpty('username', username), ...nonEmpty('password', password) };
}

function nonEmpty(name: keyof Credentials, text: string | null): Credentials {
  return text === null || text === '' ? {} : { [name]: text };
}

/**
 * The number in the path or in `db`, as other clients write it; `undefined`: neither is one, or they differ, and the
 * wrong one may be that of another stage.
 */
function databaseOf(url: URL, inPath: string): number | undefined {
  const named = [inPath, ...url.searchParams.getAll('db')].filter((text) => text !== '');
  const [first = '0', ...others] = named;
  return /^\d{1,3}$/.test(first) && others.every((other) => other === first) ? Number(first) : undefined;
}

/** `undefined`: a percent sign stands for itself, so nobody knows what the others stand for. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
