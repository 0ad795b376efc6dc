/**
 * What the page about the server itself shows: process, store, other servers, credentials, settings, savings.
 *
 * @module
 */
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { ShownCredential } from '../http/access.ts';
import type { Capability } from '../http/auth/credentials.ts';
import type { LastUses } from '../http/auth/last-uses.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { queueKey } from '../queue/names.ts';
import { type Config, parseRedisUrls } from '../settings.ts';
import type { Store, StoreHealth } from '../store/store.ts';
import type { IdleGroup } from './savings.ts';
import { idleGroups, type ScopeRow, scopeRows } from './scopes.ts';

/** A setting as it may be shown: never the value of a secret. */
interface ShownSetting {
  /** Its name in the code; the documents of `karin start` name the variable beside it. */
  readonly name: string;
  readonly value: string;
}

export interface SystemView {
  readonly version: string;
  readonly node: string;
  readonly region: string;
  readonly uptimeSeconds: number;
  readonly residentBytes: number;
  readonly store: StoreHealth;
  /** Ids of the servers that share the store, this one included. */
  readonly instances: readonly string[];
  readonly sync?: SyncState;
  /** Made by command, with their last use, epoch ms. */
  readonly tokens: readonly (Capability & { readonly lastUsedAt?: number })[];
  /** Of the configuration. */
  readonly credentials: readonly ShownCredential[];
  readonly settings: readonly ShownSetting[];
  /** Queues that AWS would poll if their mappings were enabled. */
  readonly idleQueues: number;
  /** The accounts and regions that it serves. */
  readonly scopes: readonly ScopeRow[];
  /** The idle queues by account, region and stage. */
  readonly idleBy: readonly IdleGroup[];
  /** Commands to Redis that looking at pages cost in the last minute. */
  readonly commandsLately: number;
}

export interface SystemParts {
  readonly config: Config;
  readonly version: string;
  readonly store: Pick<Store, 'health'>;
  readonly directory: Pick<QueueDirectory, 'all'>;
  readonly instances: () => readonly string[];
  readonly syncState: () => SyncState | undefined;
  readonly tokens: () => readonly Capability[];
  readonly credentials: () => readonly ShownCredential[];
  /** When a credential was used last, by its name there; epoch ms. */
  readonly lastUse: LastUses['of'];
  readonly commandsLately: () => number;
}

export async function gatherSystem(parts: SystemParts): Promise<SystemView> {
  const sync = parts.syncState();
  return {
    version: parts.version,
    node: process.version,
    region: parts.config.region,
    uptimeSeconds: process.uptime(),
    residentBytes: process.memoryUsage.rss(),
    store: await parts.store.health(),
    instances: parts.instances(),
    ...(sync === undefined ? {} : { sync }),
    tokens: parts.tokens().map((token) => {
      const lastUsedAt = parts.lastUse(`token:${token.id}`);
      return lastUsedAt === undefined ? token : { ...token, lastUsedAt };
    }),
    credentials: parts.credentials(),
    settings: shownSettings(parts.config),
    idleQueues: new Set(sync?.discovery?.mappings.map(({ queueArn }) => queueKey(queueArn))).size,
    scopes: scopeRows(sync),
    idleBy: idleGroups(sync, parts.directory),
    commandsLately: parts.commandsLately(),
  };
}

/** Texts that hold no secret, by their names in `Config`. What is not among them is only said to be set. */
const HARMLESS_TEXTS: ReadonlySet<string> = new Set([
  'host',
  'region',
  'accountId',
  'dataDirectory',
  'logLevel',
  'keysFile',
  'tokensFile',
  'operatorsFile',
]);
const HARMLESS_LISTS: ReadonlySet<string> = new Set([
  'cloudWatchQueues',
  'corsOrigins',
  'ownRegions',
  'queueNames',
  'warnings',
]);

/** Numbers, switches and texts that are known to be harmless; of all else whether it is set. */
function shownSettings(config: Config): readonly ShownSetting[] {
  return Object.entries(config)
    .map(([name, value]: [string, unknown]): ShownSetting => ({ name, value: shownValue(name, value, config) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function shownValue(name: string, value: unknown, config: Config): string {
  if (name === 'redis') return redisText(config.redis);
  if (name === 'discovery') return config.discovery.kind;
  if (name === 'publicUrl' && typeof value === 'string') return new URL(value).origin;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string' && HARMLESS_TEXTS.has(name)) return value;
  if (Array.isArray(value) && HARMLESS_LISTS.has(name)) return value.length === 0 ? 'none' : value.join(', ');
  return value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
    ? 'not set'
    : 'set; not shown';
}

/** Where the store is, without user and password. */
function redisText(redis: Config['redis']): string {
  if (typeof redis === 'string') return redis;
  const addresses = parseRedisUrls(redis);
  const where = addresses.map(({ host, port }) => `${host}:${port}`).join(', ');
  const [{ sentinel }] = addresses;
  return sentinel === undefined ? where : `the master '${sentinel.master}' of the Sentinels ${where}`;
}
