/**
 * The parts of a server that the configuration names, not the caller.
 *
 * @module
 */

import { createAwsDiscovery } from '../aws/discovery/aws.ts';
import type { DiscoverySource } from '../aws/discovery/discovery.ts';
import { createAwsRealQueues, type RealQueues } from '../aws/real-queues.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { Log } from '../log.ts';
import { type AlertTarget, readAlertTargets } from '../ops/alert-targets.ts';
import { createAwsFunctionUrls, type FunctionUrls } from '../ops/functions.ts';
import { type Config, ConfigError } from '../settings.ts';
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

/** `undefined`: the server is to have none. */
export async function configuredSource(config: Config, time: Time): Promise<DiscoverySource | undefined> {
  const { discovery, region } = config;
  if (discovery.kind === 'aws') return createAwsDiscovery({ region, time });
  if (discovery.kind === 'none') return undefined;
  // Reading templates takes a parser of YAML, which most servers never need.
  const { createTemplateDiscovery } = await import('../dev/template/discovery.ts');
  return createTemplateDiscovery({ path: discovery.path, account: config.accountId ?? NO_ACCOUNT, region, time });
}

/** `undefined`: the queues have no counterpart in AWS. */
export function configuredRealQueues(config: Config, releasers: Releasers): RealQueues | undefined {
  if (config.discovery.kind !== 'aws') return undefined;
  const realQueues = createAwsRealQueues({ region: config.region });
  releasers.add('the client of SQS', () => realQueues.close());
  return realQueues;
}

/** `undefined`: functions are not in AWS. */
export function configuredFunctionUrls(config: Config, time: Time, log: Log): FunctionUrls | undefined {
  return config.discovery.kind === 'aws' ? createAwsFunctionUrls({ region: config.region, time, log }) : undefined;
}

/** The account of callers: that of the configuration, else that of the functions found, twelve digits. */
export function accountOf(config: Config, state: SyncState | undefined): string {
  const [first] = state?.discovery?.mappings ?? [];
  return config.accountId ?? first?.functionArn.split(':')[4] ?? NO_ACCOUNT;
}

/** Whom alerts go to. Errors: `ConfigError`. */
export function configuredAlerts(config: Config, time: Time): readonly AlertTarget[] {
  const { targets, problems } = readAlertTargets(config.alertTargets, time);
  if (problems.length > 0) throw new ConfigError(problems);
  return targets;
}
