/**
 * What needs a person: the top of the overview, `/api/v1/status`, `karin status` and the alerts all say these.
 *
 * Everything comes from memory: the depths that were read last, the last sync, what the consumer tells. So asking costs
 * nothing.
 *
 * @module
 */
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { ConsumerSnapshot } from '../consumer/supervisor.ts';
import type { Sources } from '../http/ingest/sources.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { formatQueueArn, queueKey } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import type { QueueKey, StoreHealth } from '../store/store.ts';
import { type ActivityLog, nameOf } from './activity.ts';
import type { Depths } from './depths.ts';
import type { Health } from './health.ts';

/** A message that a served mapping leaves lying for longer than this has a reason that somebody should know, ms. */
const STUCK_MS = 300_000;
/** Share of the store's memory limit from which it counts as nearly full. */
const NEARLY_FULL = 0.8;
const NO_BOUND = Number.POSITIVE_INFINITY;

/** What the tag `karin:alert` of a queue says. */
export interface AlertRule {
  /** No alert is sent for the queue; the page still shows its needs. */
  readonly off: boolean;
  /** Absent: the bound of the server. */
  readonly oldestMs?: number;
  /** Names of the targets that hear of the queue; empty: all. */
  readonly targets: readonly string[];
}

const ALERT_TAG = 'karin:alert';
const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Words separated by spaces: `off`, `age=10m` (s, m, h or d), names of targets. */
export function alertRule(tags: Readonly<Record<string, string>>): AlertRule {
  const words = (tags[ALERT_TAG] ?? '').split(' ').filter((word) => word !== '');
  let oldestMs: number | undefined;
  const targets: string[] = [];
  for (const word of words) {
    const [, count, unit = ''] = /^age=(\d{1,6})([smhd])$/.exec(word) ?? [];
    if (count !== undefined) oldestMs = Number(count) * (UNIT_MS[unit] ?? 0);
    else if (word !== 'off') targets.push(word);
  }
  return { off: words.includes('off'), targets, ...(oldestMs === undefined ? {} : { oldestMs }) };
}

export type NeedKind =
  | 'server'
  | 'sync'
  | 'store'
  | 'dead-letters'
  | 'failing'
  | 'broken-mapping'
  | 'paused-mapping'
  | 'stuck'
  | 'old'
  | 'held'
  | 'waiting-in-sqs'
  | 'subscription'
  | 'warning';

/** One thing that somebody should look at. */
export interface Need {
  /** The same while the cause is the same; alerts and pages tell by it what is new. */
  readonly id: string;
  readonly kind: NeedKind;
  /** `now`: messages are lost, stopped or failing. `soon`: they wait, or will. */
  readonly urgency: 'now' | 'soon';
  /** A sentence without message bodies. */
  readonly text: string;
  readonly queue?: QueueKey;
  /** UUID of a mapping that somebody has to resume. */
  readonly resume?: string;
}

export interface NeedsParts {
  readonly directory: Pick<QueueDirectory, 'all' | 'byKey'>;
  readonly depths: Pick<Depths, 'of' | 'waitsMs'>;
  readonly syncState: () => SyncState | undefined;
  readonly consumer: () => ConsumerSnapshot;
  readonly activity: Pick<ActivityLog, 'failing' | 'warnings'>;
  readonly sources: Pick<Sources, 'subscriptions'>;
  readonly health: Pick<Health, 'readiness'>;
  /** Bound on how long the first message of any queue waits, ms; a tag of a queue holds before it; absent: none. */
  readonly oldestMs?: number;
}

/** The most urgent first. `store`: what the store last said of itself. */
export function gatherNeeds(parts: NeedsParts, store: StoreHealth): readonly Need[] {
  const sync = parts.syncState();
  const consumer = parts.consumer();
  const needs = [
    ...serverNeeds(parts, sync),
    ...storeNeeds(store),
    ...mappingNeeds(parts, sync, consumer),
    ...queueNeeds(parts, sync),
    ...parts.sources
      .subscriptions()
      .filter(({ state }) => state !== 'confirmed')
      .map(
        ({ queue, topic, state }): Need => ({
          id: `subscription ${queue} ${topic}`,
          kind: 'subscription',
          urgency: 'soon',
          text:
            state === 'waiting'
              ? `the subscription of ${queue.split(/[:/]/).at(-1)} to ${topic} waits for its confirmation`
              : `the subscription of ${queue.split(/[:/]/).at(-1)} to ${topic} has ended: its messages no longer come`,
        }),
      ),
    ...parts.activity.warnings().map(
      ({ queue, text }): Need => ({
        id: `warning ${queue} ${text}`,
        kind: 'warning',
        urgency: 'soon',
        text: `${shortName(queue)}: ${text}`,
        queue,
      }),
    ),
  ];
  return needs.sort((a, b) => Number(b.urgency === 'now') - Number(a.urgency === 'now'));
}

function serverNeeds(parts: NeedsParts, sync: SyncState | undefined): Need[] {
  const needs = parts.health
    .readiness()
    .reasons.map(
      (text): Need => ({ id: `server ${text.replace(/\d[\dT:.Z-]*/g, '0')}`, kind: 'server', urgency: 'now', text }),
    );
  for (const { source, place, failure } of sync?.sources ?? []) {
    if (failure === undefined) continue;
    const isOne = sync?.sources.length === 1;
    needs.push({
      id: isOne || place === undefined ? 'sync' : `sync ${place.account ?? 'own'}/${place.region}`,
      kind: 'sync',
      urgency: 'now',
      text: `the last sync${isOne ? '' : ` of ${source}`} failed: ${failure.message}`,
    });
  }
  for (const { text } of sync?.discovery?.problems ?? []) {
    needs.push({ id: `problem ${text}`, kind: 'sync', urgency: 'soon', text });
  }
  return needs;
}

function storeNeeds(store: StoreHealth): Need[] {
  // That messages in memory end with the process was chosen; it needs nobody.
  if (store.description === 'memory') return [];
  const needs = store.warnings.map((text): Need => ({ id: `store ${text}`, kind: 'store', urgency: 'soon', text }));
  const { usedBytes, maxBytes } = store;
  if (usedBytes !== undefined && maxBytes !== undefined && maxBytes > 0 && usedBytes > NEARLY_FULL * maxBytes) {
    const text = `the store of messages is ${Math.round((100 * usedBytes) / maxBytes)} % full; at 100 % sends are refused`;
    needs.push({ id: 'store full', kind: 'store', urgency: 'now', text });
  }
  return needs;
}

function mappingNeeds(parts: NeedsParts, sync: SyncState | undefined, consumer: ConsumerSnapshot): Need[] {
  const needs = [...(sync?.discovery?.broken ?? []), ...consumer.broken].map(
    ({ functionArn, queueArn, reason }): Need => ({
      id: `broken ${queueKey(queueArn)} ${functionArn}`,
      kind: 'broken-mapping',
      urgency: 'now',
      text: `${queueArn.name} is not handed to ${nameOf(functionArn)}: ${reason}`,
      queue: queueKey(queueArn),
    }),
  );
  const mappings = new Map((sync?.discovery?.mappings ?? []).map((mapping) => [mapping.uuid, mapping]));
  for (const actor of consumer.queues) {
    for (const { uuid, paused, resumable, trouble } of actor.mappings) {
      const mapping = mappings.get(uuid);
      if (paused === undefined || mapping === undefined) continue;
      const key = queueKey(mapping.queueArn);
      // Somebody wanted it so; as soon as messages wait in it, the queue is named itself.
      const isWanted = (parts.directory.byKey(key)?.definition.mode ?? 'consume') !== 'consume';
      if (isWanted && resumable !== true && trouble === undefined) continue;
      const text = `${mapping.queueArn.name} waits, because ${nameOf(mapping.functionArn)} is paused: ${paused}`;
      needs.push({
        ...{ id: `paused ${uuid}`, kind: 'paused-mapping', urgency: resumable ? 'now' : 'soon', text, queue: key },
        ...(resumable ? { resume: uuid } : {}),
      });
    }
  }
  for (const [uuid, { queue, text }] of parts.activity.failing()) {
    const mapping = mappings.get(uuid);
    const who = mapping === undefined ? 'a function' : nameOf(mapping.functionArn);
    const said = `${who} failed on ${shortName(queue)}: ${text}`;
    needs.push({ id: `failing ${uuid}`, kind: 'failing', urgency: 'now', text: said, queue });
  }
  return needs;
}

function queueNeeds(parts: NeedsParts, sync: SyncState | undefined): Need[] {
  const needs: Need[] = [];
  const queues = parts.directory.all();
  const sources = deadLetterSources(queues);
  const consumed = new Set((sync?.discovery?.mappings ?? []).map(({ queueArn }) => queueKey(queueArn)));
  const failing = new Set([...parts.activity.failing().values()].map(({ queue }) => queue));
  for (const queue of queues) {
    const { key, arn, definition } = queue;
    const visible = parts.depths.of(key)?.visible ?? 0;
    const waitsMs = parts.depths.waitsMs(key);
    const waiting = `${counted(visible)}, the first for ${age(waitsMs ?? 0)}`;
    const inSqs = sync?.discovery?.waitingInSqs[formatQueueArn(arn)] ?? 0;
    const from = sources.get(formatQueueArn(arn));
    if (from !== undefined && visible > 0) {
      const text = `${counted(visible, 'dead letter')} of ${from.join(', ')} in ${arn.name}, the first for ${age(waitsMs ?? 0)}`;
      needs.push({ id: `dead-letters ${key}`, kind: 'dead-letters', urgency: 'now', text, queue: key });
    } else if (definition.mode !== 'consume' && visible > 0) {
      const text = `${arn.name} is ${definition.mode === 'hold' ? 'on hold' : 'being moved to SQS'} with ${waiting}`;
      needs.push({ id: `held ${key}`, kind: 'held', urgency: 'soon', text, queue: key });
    } else if (waitsMs !== undefined && waitsMs > (alertRule(definition.tags).oldestMs ?? parts.oldestMs ?? NO_BOUND)) {
      const text = `${arn.name} is late: ${waiting}`;
      needs.push({ id: `old ${key}`, kind: 'old', urgency: 'now', text, queue: key });
    } else if (consumed.has(key) && !failing.has(key) && visible > 0 && (waitsMs ?? 0) > STUCK_MS) {
      const text = `${arn.name} is stuck: ${waiting}, although a function is served`;
      needs.push({ id: `stuck ${key}`, kind: 'stuck', urgency: 'now', text, queue: key });
    }
    if (inSqs > 0) {
      const text = `${counted(inSqs)} of ${arn.name} wait in SQS itself; a pull brings them here`;
      needs.push({ id: `in-sqs ${key}`, kind: 'waiting-in-sqs', urgency: 'soon', text, queue: key });
    }
  }
  return needs;
}

/** Names of the queues whose dead letters go to a queue, by the ARN of that queue. */
export function deadLetterSources(queues: readonly Queue[]): ReadonlyMap<string, readonly string[]> {
  const sources = new Map<string, string[]>();
  for (const { arn, definition } of queues) {
    const target = definition.attributes.redrivePolicy?.deadLetterTargetArn;
    if (target === undefined) continue;
    const names = sources.get(target);
    if (names === undefined) sources.set(target, [arn.name]);
    else names.push(arn.name);
  }
  return sources;
}

/** A length of time in its two largest units at most: `42 s`, `8 min`, `3 h 5 min`, `12 d`. */
export function age(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d`;
}

function counted(count: number, what = 'message'): string {
  return count === 1 ? `1 ${what}` : `${count.toLocaleString('en-US')} ${what}s`;
}

function shortName(key: QueueKey): string {
  return key.slice(key.lastIndexOf(':') + 1);
}
