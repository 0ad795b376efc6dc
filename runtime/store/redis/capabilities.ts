/**
 * What kind of server answers, and whether Karin's messages are safe there. Asked on every new connection, because a fail-over or an upgrade may change it.
 *
 * @module
 */
import type { RedisConnection } from './connection.ts';
import { isOutOfMemory, isPassing, isQuota, isReply, messageOf, UnsuitableRedisError } from './errors.ts';
import { probeKey } from './keys.ts';
import { PROBE } from './scripts/probe.ts';
import { scriptText } from './scripts/script.ts';
import { readServerInfo, type ServerInfo } from './server-info.ts';

export interface Capabilities {
  /** Whether scripts may begin with a line of flags. */
  readonly shebang: boolean;
  readonly servers: readonly ServerInfo[];
}

/**
 * Examines all servers. `allowEviction`: accept an eviction policy that loses messages.
 *
 * Errors: `UnsuitableRedisError`, all problems at once; what the driver says if a server cannot be asked.
 */
export async function examine(
  connection: RedisConnection,
  instanceId: string,
  allowEviction: boolean,
): Promise<Capabilities> {
  const servers = await Promise.all(connection.servers().map(readServerInfo));
  const problems = new Set<string>();
  for (const server of servers) {
    if (server.evictionPolicy?.startsWith('allkeys-') === true && !allowEviction) {
      problems.add(
        `the eviction policy of Redis is ${server.evictionPolicy}, which throws away messages when memory runs short: ` +
          'set maxmemory-policy to noeviction, or allow the eviction policy explicitly if losing messages is acceptable',
      );
    }
    if (server.clusterNode && connection.standalone) {
      problems.add(
        `the server at ${connection.display} is a node of a cluster: give the URLs of two or more of its nodes, separated by commas`,
      );
    }
  }
  let shebang = true;
  if (problems.size === 0) {
    try {
      shebang = await probe(connection, instanceId);
    } catch (error) {
      if (!isVerdict(error)) throw error;
      problems.add(
        `Karin needs Redis 7.0 or newer, Valkey, or a compatible server, and ${servers[0]?.description ?? 'this one'} refused a script that it needs: ${messageOf(error)}`,
      );
    }
  }
  if (problems.size > 0) throw new UnsuitableRedisError([...problems].join('; '));
  return { shebang, servers };
}

/**
 * Runs a script made of everything that came to Redis last, which proves more than a version string of a compatible server does.
 * Answers whether scripts may carry flags. Throws the server's error if it cannot run the script at all.
 */
async function probe({ client }: RedisConnection, instanceId: string): Promise<boolean> {
  const run = (shebang: boolean): Promise<unknown> =>
    client.callBuffer('eval', [scriptText(PROBE, shebang), 1, probeKey(instanceId)]);
  try {
    await run(true);
    return true;
  } catch (error) {
    if (!isVerdict(error)) throw error;
  }
  try {
    await run(false);
  } catch (error) {
    // Without flags a full server refuses every script that writes: that says nothing about what it can do.
    if (!isOutOfMemory(messageOf(error))) throw error;
  }
  return false;
}

/** Whether the server itself said so, of what it is and not of how it is just now, rather than the driver about the connection. */
function isVerdict(error: unknown): boolean {
  return isReply(error) && !isPassing(messageOf(error)) && !isQuota(messageOf(error));
}
