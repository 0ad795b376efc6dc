import type { Redis } from 'ioredis';
import { messageOf } from './errors.ts';

/** What INFO says about one server, as far as it matters here. Managed servers hide parts of it. */
export interface ServerInfo {
  /** For example `redis 7.0.15`. */
  readonly description: string;
  readonly clusterNode: boolean;
  readonly evictionPolicy?: string;
  readonly usedBytes?: number;
  /** Absent: no limit is set, or it is hidden. */
  readonly maxBytes?: number;
  /** In plain words, what endangers messages. */
  readonly warnings: readonly string[];
}

/** From this share of its memory limit on a server counts as nearly full. */
const NEARLY_FULL = 0.9;

/** Asks one server; one command. A server that does not permit INFO is described as far as that goes. */
export async function readServerInfo(server: Redis): Promise<ServerInfo> {
  try {
    return parseServerInfo(await server.info());
  } catch (error) {
    if (!messageOf(error).startsWith('NOPERM')) throw error;
    return {
      description: 'a Redis server that does not permit INFO',
      clusterNode: false,
      warnings: ['Redis does not permit INFO: its eviction policy, memory and persistence are unknown'],
    };
  }
}

/** Reads the reply of INFO. */
export function parseServerInfo(text: string): ServerInfo {
  const fields = new Map(
    text.split('\r\n').flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
  const valkey = fields.get('valkey_version');
  const usedBytes = positive(fields.get('used_memory'));
  const maxBytes = positive(fields.get('maxmemory'));
  const evictionPolicy = fields.get('maxmemory_policy');
  return {
    description:
      valkey === undefined ? `redis ${fields.get('redis_version') ?? '(version hidden)'}` : `valkey ${valkey}`,
    clusterNode: fields.get('cluster_enabled') === '1',
    ...(evictionPolicy === undefined ? {} : { evictionPolicy }),
    ...(usedBytes === undefined ? {} : { usedBytes }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    warnings: [
      ...evictionWarnings(evictionPolicy),
      ...persistenceWarnings(fields),
      ...memoryWarnings(usedBytes, maxBytes),
    ],
  };
}

function evictionWarnings(policy: string | undefined): string[] {
  if (policy === undefined) return ['the eviction policy of Redis is unknown: it must be noeviction'];
  if (policy.startsWith('allkeys-')) {
    return [`the eviction policy of Redis is ${policy}: messages are thrown away when memory runs short`];
  }
  if (policy.startsWith('volatile-')) {
    return [
      `the eviction policy of Redis is ${policy}: when memory runs short, deduplication ids of FIFO queues are forgotten early`,
    ];
  }
  return [];
}

function persistenceWarnings(fields: ReadonlyMap<string, string>): string[] {
  const warnings: string[] = [];
  if (fields.get('aof_enabled') === '0') {
    warnings.push(
      'Redis keeps no append-only file: a restart loses messages, at best only those since the last snapshot',
    );
  }
  if (fields.get('aof_last_write_status') === 'err') warnings.push('Redis cannot write its append-only file');
  if (fields.get('rdb_last_bgsave_status') === 'err') warnings.push('Redis cannot write its snapshot');
  return warnings;
}

function memoryWarnings(usedBytes: number | undefined, maxBytes: number | undefined): string[] {
  if (usedBytes === undefined || maxBytes === undefined || usedBytes < NEARLY_FULL * maxBytes) return [];
  return [`Redis uses ${Math.round((100 * usedBytes) / maxBytes)} % of its memory limit`];
}

function positive(text: string | undefined): number | undefined {
  const number = Number(text);
  return number > 0 ? number : undefined;
}
