/**
 * The accounts and regions of a server as its operator sees them: what each was last read to have, whether it can be
 * read, and what polling its queues would cost.
 *
 * @module
 */
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { queueKey } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import type { QueueKey } from '../store/store.ts';
import type { IdleGroup } from './savings.ts';

/** One scope of AWS. */
export interface ScopeRow {
  /** For example `AWS (111122223333, eu-west-1)`. */
  readonly source: string;
  /** Twelve digits; absent: nobody knows yet, because the server's own credentials found no function. */
  readonly account?: string;
  readonly region: string;
  /** Mappings that are served; absent: it was never read. */
  readonly mappings?: number;
  /** ISO 8601; absent: not since this process began. */
  readonly syncedAt?: string;
  /** Why it could not be read last; absent: it could. */
  readonly failure?: string;
}

/** The scopes of a server; empty: its queues come from elsewhere. */
export function scopeRows(sync: SyncState | undefined): readonly ScopeRow[] {
  return (sync?.sources ?? []).flatMap(({ source, place, discovery, succeededAt, failure }): ScopeRow[] => {
    if (place === undefined) return [];
    const account = place.account ?? discovery?.mappings[0]?.functionArn.split(':')[4];
    return [
      {
        source,
        ...(account === undefined ? {} : { account }),
        region: place.region,
        ...(discovery === undefined ? {} : { mappings: discovery.mappings.length }),
        ...(succeededAt === undefined ? {} : { syncedAt: new Date(succeededAt).toISOString() }),
        ...(failure === undefined ? {} : { failure: failure.message }),
      },
    ];
  });
}

/** Which stage a queue belongs to, as its tags say; `undefined`: they do not. */
export function stageOf({ definition: { tags } }: Queue): string | undefined {
  return tags['stage'] ?? tags['STAGE'] ?? tags['aws:cloudformation:stack-name'];
}

/** Queues that AWS would poll if their mappings were enabled, by account, region and stage. */
export function idleGroups(sync: SyncState | undefined, directory: Pick<QueueDirectory, 'all'>): readonly IdleGroup[] {
  const stages = new Map<QueueKey, string | undefined>(directory.all().map((queue) => [queue.key, stageOf(queue)]));
  const arns = new Map((sync?.discovery?.mappings ?? []).map(({ queueArn }) => [queueKey(queueArn), queueArn]));
  const groups = new Map<string, IdleGroup>();
  for (const [key, { account, region }] of arns) {
    const stage = stages.get(key);
    const name = JSON.stringify([account, region, stage ?? '']);
    const known = groups.get(name) ?? { account, region, ...(stage === undefined ? {} : { stage }), queues: 0 };
    groups.set(name, { ...known, queues: known.queues + 1 });
  }
  return [...groups].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, group]) => group);
}
