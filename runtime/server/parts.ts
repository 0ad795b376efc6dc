/**
 * The parts of a server that the configuration names, not the caller.
 *
 * @module
 */

import { createAwsDiscovery } from '../aws/discovery/aws.ts';
import type { DiscoverySource } from '../aws/discovery/discovery.ts';
import { createScopedRealQueues, type RealQueues } from '../aws/real-queues.ts';
import { type AwsScope, scopeProblems, scopesOf } from '../aws/scope.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import { credentialProblems } from '../http/auth/credentials.ts';
import type { Log } from '../log.ts';
import { type AlertTarget, readAlertTargets } from '../ops/alert-targets.ts';
import { createAwsFunctionUrls, type FunctionUrls } from '../ops/functions.ts';
import { type Config, ConfigError } from '../settings.ts';
import { SqsError } from '../sqs/errors.ts';
import { startEmbeddedRedis } from '../store/embedded-redis.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import { documentFault } from './documents.ts';
import { type Releasers, unlessGivenUp } from './releasers.ts';
/** The account of a server that knows of none, as emulators of AWS have it. */
export const NO_ACCOUNT = '000000000000';

interface StoreParts {
  readonly time: Time;
  readonly randomness: Randomness;
  readonly log: Log;
  readonly instanceId: string;
  /** Aborted: the opening is given up. */
  readonly signal?: AbortSignal;
}

/** Errors: those of `openStore` and `startEmbeddedRedis`. */
export async function openConfiguredStore(config: Config, parts: StoreParts, releasers: Releasers): Promise<Store> {
  const { log, signal, ...storeParts } = parts;
  const { durability } = config;
  const durable = durability === undefined ? {} : { durability };
  let urls = config.redis;
  if (urls === 'embedded') {
    const redis = await startEmbeddedRedis({
      dataDirectory: config.dataDirectory,
      maxBytes: config.embeddedRedisBytes,
      time: parts.time,
      log,
      ...(signal === undefined ? {} : { signal }),
    });
    releasers.add('the embedded Redis', () => redis.stop());
    urls = [redis.url];
  }
  const store = await unlessGivenUp(openStore({ urls, ...storeParts, ...durable, documentFault }), signal, (late) =>
    late.close(),
  );
  releasers.add('the store', () => store.close());
  return store;
}

/** Where mappings come from: a source for each scope of AWS, or one; none: the server is to have none. */
export async function configuredSources(
  config: Config,
  scopes: readonly AwsScope[],
  time: Time,
): Promise<readonly DiscoverySource[]> {
  const { discovery, region } = config;
  if (discovery.kind === 'aws') return scopes.map((scope) => createAwsDiscovery({ scope, time }));
  if (discovery.kind === 'none') return [];
  // Reading templates takes a parser of YAML, which most servers never need.
  const { createTemplateDiscovery } = await import('../dev/template/discovery.ts');
  return [createTemplateDiscovery({ path: discovery.path, account: config.accountId ?? NO_ACCOUNT, region, time })];
}

/** `undefined`: the queues have no counterpart in AWS. */
export function configuredRealQueues(
  config: Config,
  scopes: readonly AwsScope[],
  releasers: Releasers,
): RealQueues | undefined {
  if (config.discovery.kind !== 'aws') return undefined;
  const realQueues = createScopedRealQueues(scopes);
  releasers.add('the client of SQS', () => realQueues.close());
  return realQueues;
}

/** `undefined`: functions are not in AWS. */
export function configuredFunctionUrls(
  config: Config,
  scopes: readonly AwsScope[],
  time: Time,
  log: Log,
): FunctionUrls | undefined {
  return config.discovery.kind === 'aws' ? createAwsFunctionUrls({ scopes, time, log }) : undefined;
}

/**
 * The account of callers who name none: that of the configuration, else that of the functions found with the process's
 * own credentials, twelve digits. Errors: `SqsError` (`InvalidAddress`), where roles lead to several and none of them
 * is known to be the one.
 */
export function accountOf(config: Config, scopes: readonly AwsScope[], state: SyncState | undefined): string {
  const own = (state?.sources ?? []).filter(({ place }) => place?.account === undefined);
  const [first] = own.flatMap(({ discovery }) => discovery?.mappings ?? []);
  const known = config.accountId ?? first?.functionArn.split(':')[4];
  if (known !== undefined) return known;
  const [one = NO_ACCOUNT, ...others] = new Set(scopes.flatMap(({ account }) => account ?? []));
  const hasOwn = scopes.some(({ account }) => account === undefined);
  if (one === NO_ACCOUNT || (others.length === 0 && !hasOwn)) return one;
  throw new SqsError(
    'InvalidAddress',
    'This server serves several accounts, and the request does not say which: name it in the QueueUrl (/<account>/<queue>) or by QueueOwnerAWSAccountId, or set KARIN_ACCOUNT_ID on the server.',
  );
}

/** The scopes of AWS that the server works in. Errors: `ConfigError`. */
export function configuredScopes(config: Config, time: Time): readonly AwsScope[] {
  const problems = scopeProblems(config);
  if (problems.length > 0) throw new ConfigError(problems);
  return scopesOf(config, time);
}

/** What is wrong with settings that other parts than `settings.ts` understand. */
export function configProblems(config: Config): readonly string[] {
  return [...credentialProblems(config), ...scopeProblems(config)];
}

/** Whom alerts go to. Errors: `ConfigError`. */
export function configuredAlerts(config: Config, time: Time): readonly AlertTarget[] {
  const { targets, problems } = readAlertTargets(config.alertTargets, time);
  if (problems.length > 0) throw new ConfigError(problems);
  return targets;
}
