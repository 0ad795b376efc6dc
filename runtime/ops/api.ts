/**
 * `/api/v1`: what the pages show and do, as JSON for programs and for the commands of `karin`. Described in
 * `docs/api/openapi.json`.
 *
 * Whoever calls needs the admin password or a credential with the scope `manage`; queues that the credential does not
 * reach do not exist for it. What an action does and which errors it has is the same as on the page (`actions.ts`).
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { streamSSE } from 'hono/streaming';
import type { Audit } from '../http/audit.ts';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, answerErrors, reachOf, requireManage } from '../http/management.ts';
import type { MessageAttribute } from '../queue/message.ts';
import { editDistance, formatQueueArn, parseQueueKey } from '../queue/names.ts';
import type { BrowsedMessage, Queue } from '../queue/queue.ts';
import type { Time } from '../time.ts';
import { type ActionParts, QUEUE_ACTIONS } from './actions.ts';
import type { Activity } from './activity.ts';
import { type ExportApiParts, exportRoutes } from './export-api.ts';
import {
  gatherOverview,
  type OverviewParts,
  type QueueRow,
  queueRow,
  queueRows,
  readQueueQuery,
  refreshed,
} from './overview.ts';

/** Messages that one look gives. */
const MOST_MESSAGES = 100;
/** Characters of a body that are given. */
const LONGEST_BODY = 10_000;
/** Characters of a URL that may name a queue. */
const LONGEST_NAME = 2_000;
/** A URL of a queue: its region, if it names one, and its account and name. */
const URL_OF_QUEUE = /^https?:\/\/(?:[^?#]*\/r\/([a-z0-9-]+)|.*)\/(\d{12}\/[^/]+)$/;
/** Names that are proposed for one that does not exist. */
const MOST_PROPOSALS = 3;
/** Names that a mistyped one is compared with; each costs the product of both lengths. */
const MOST_COMPARED = 1_000;
/** A stream ends after this, so that a revoked credential does not listen for ever; whoever listens asks again, ms. */
const STREAM_MS = 600_000;
/** Proxies close connections on which nothing moves for a minute. */
const BEAT_MS = 20_000;
/** Actions of the page by their names here. */
const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['purge', 'purge'],
  ['redrive', 'redrive'],
  ['hold', 'hold'],
  ['resume', 'consume'],
]);

export interface ApiParts extends OverviewParts, ActionParts {
  readonly edge: Edge;
  readonly audit: Audit;
  readonly activity: OverviewParts['activity'];
  /** What `/api/v1/export` and `/api/v1/import` need besides. */
  readonly exports: Pick<ExportApiParts, 'directory' | 'tokens'>;
  readonly version: string;
  readonly time: Time;
}

export function apiRoute(parts: ApiParts): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.onError(answerErrors(parts.log));
  app.use('/api/v1/*', requireManage(parts.edge));

  app.get('/api/v1/status', async (c) => {
    const reaches = reachOf(c.get('credential'));
    if (reaches !== undefined) {
      throw new HTTPException(403, { message: 'this credential reaches some queues only; the status is about all' });
    }
    const { needs, totals, allQueues, store, sync, commandsLately } = await gatherOverview(
      parts,
      readQueueQuery(() => undefined),
    );
    return c.json({
      version: parts.version,
      ready: parts.health.readiness(),
      needs,
      totals,
      queues: allQueues,
      store,
      ...(sync?.succeededAt === undefined ? {} : { syncedAt: new Date(sync.succeededAt).toISOString() }),
      commandsLately,
    });
  });

  app.get('/api/v1/queues', async (c) => {
    const { queues, queueCount, query } = await gatherOverview(
      parts,
      readQueueQuery((name) => c.req.query(name)),
      reachOf(c.get('credential')),
    );
    return c.json({ queues: queues.map(shownQueue), count: queueCount, page: query.page });
  });

  app.get('/api/v1/queues/:queue', async (c) => {
    const queue = find(c, parts);
    await refreshed(parts.depths);
    const row = queueRow(parts, queue.key);
    if (row === undefined) throw new HTTPException(404, { message: 'the queue was removed meanwhile' });
    const { attributes, tags } = queue.definition;
    return c.json({ ...shownQueue(row), attributes, tags });
  });

  app.get('/api/v1/queues/:queue/messages', async (c) => {
    const queue = find(c, parts);
    const limit = Number(c.req.query('limit') ?? 20);
    if (!Number.isInteger(limit) || limit < 1 || limit > MOST_MESSAGES) {
      throw new HTTPException(400, { message: `limit is ${c.req.query('limit')}; it must be 1 to ${MOST_MESSAGES}` });
    }
    return c.json({ messages: (await queue.browse(limit)).map(shownMessage) });
  });

  app.post('/api/v1/queues/:queue/:action', async (c) => {
    const queue = find(c, parts);
    const name = ACTIONS.get(c.req.param('action'));
    const action = name === undefined ? undefined : QUEUE_ACTIONS.get(name);
    if (action === undefined) {
      throw new HTTPException(404, { message: `there is no such action; there are ${[...ACTIONS.keys()].join(', ')}` });
    }
    const outcome = await action.run(queue, parts, {});
    if (!outcome.ok) throw new HTTPException(409, { message: outcome.message });
    const { senderId } = c.get('credential');
    parts.audit({
      ...{ what: c.req.param('action'), who: senderId, from: parts.edge.clientAddress(c.env.incoming) },
      to: { queue: queue.key },
    });
    return c.json({ queue: queue.key, done: c.req.param('action') });
  });

  app.get('/api/v1/activity', (c) => {
    const reaches = reachOf(c.get('credential'));
    const reachesKey = (key: string): boolean => {
      const queue = parseQueueKey(key);
      return reaches === undefined || (queue !== undefined && reaches(queue));
    };
    const wanted = c.req.query('queue') ?? '';
    const only = wanted === '' ? undefined : find(c, parts, wanted).key;
    const fits = ({ queue }: Activity): boolean => (only === undefined ? reachesKey(queue) : queue === only);
    if (c.req.header('Accept') === 'text/event-stream') return follow(c, parts, fits);
    return c.json({ activity: parts.activity.recent().filter(fits) });
  });
  app.route('/', exportRoutes({ ...parts, ...parts.exports }));
  return app;
}

/** Each thing that happens from now on, as one event. */
function follow(c: Context<AppEnv>, { activity, edge, time }: ApiParts, fits: (item: Activity) => boolean): Response {
  const ended = edge.endOf(c.env.outgoing);
  return streamSSE(c, async (stream) => {
    const write = (item: Activity): void => {
      if (fits(item)) void stream.writeSSE({ data: JSON.stringify(item) });
    };
    const cancel = activity.onChange(write);
    let cancelBeat = (): void => {};
    const beat = (): void => {
      // A comment, which readers of events leave out.
      void stream.write(':\n\n');
      cancelBeat = time.after(BEAT_MS, beat);
    };
    beat();
    await new Promise<void>((resolve) => {
      const cancelEnd = time.after(STREAM_MS, resolve);
      const end = (): void => {
        cancelEnd();
        resolve();
      };
      if (ended.aborted) end();
      else ended.addEventListener('abort', end, { once: true });
    });
    cancelBeat();
    cancel();
  });
}

/**
 * The queue that a path names by its name, `region:account:name`, ARN, URL or friendly name. Errors: 404 with names
 * that are like it, 409 if several queues have the name.
 */
function find(c: Context<AppEnv>, parts: ApiParts, text = c.req.param('queue') ?? ''): Queue {
  const reaches = reachOf(c.get('credential')) ?? (() => true);
  const rows = queueRows(parts).filter(({ queue }) => reaches(queue.arn));
  const [, inRegion, ofUrl] = URL_OF_QUEUE.exec(text.slice(0, LONGEST_NAME)) ?? [];
  const found = rows.filter(
    ({ queue, friendlyName }) =>
      [queue.arn.name, queue.key, formatQueueArn(queue.arn), friendlyName].includes(text) ||
      (`${queue.arn.account}/${queue.arn.name}` === ofUrl && (inRegion === undefined || inRegion === queue.arn.region)),
  );
  const [first, second] = found;
  if (second !== undefined) {
    const keys = found.map(({ queue }) => queue.key).join(', ');
    throw new HTTPException(409, { message: `several queues are named ${text}; name one of them as ${keys}` });
  }
  if (first !== undefined) return first.queue;
  const like = proposals(
    text,
    rows.map(({ queue }) => queue.arn.name),
  );
  const hint = like.length === 0 ? '' : `; did you mean ${like.join(' or ')}?`;
  throw new HTTPException(404, { message: `there is no queue ${text}${hint}` });
}

/** The names that are most like a mistyped one: those that contain it, or differ in a few letters. */
function proposals(text: string, names: readonly string[]): readonly string[] {
  const wanted = text.slice(0, 80).toLowerCase();
  const scored = names.slice(0, MOST_COMPARED).map((name) => {
    const other = name.toLowerCase();
    const contains = wanted !== '' && (other.includes(wanted) || wanted.includes(other));
    return { name, distance: contains ? 0 : editDistance(wanted, other) };
  });
  return scored
    .filter(({ distance }) => distance <= Math.max(2, wanted.length / 3))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MOST_PROPOSALS)
    .map(({ name }) => name);
}

function shownQueue(row: QueueRow): Readonly<Record<string, unknown>> {
  const { queue, friendlyName, depth, waitsMs, waitingInSqs, functions, failure, deadLettersOf } = row;
  return {
    name: queue.arn.name,
    key: queue.key,
    arn: formatQueueArn(queue.arn),
    friendlyName,
    mode: queue.definition.mode,
    functions,
    ...(depth === undefined ? {} : { visible: depth.visible, delayed: depth.delayed, inFlight: depth.inFlight }),
    waitsMs: waitsMs === undefined ? undefined : Math.round(waitsMs),
    nextDueInMs: depth?.nextDueInMs,
    waitingInSqs,
    failure: failure === undefined ? undefined : { at: new Date(failure.at).toISOString(), text: failure.text },
    deadLettersOf,
  };
}

function shownMessage(seen: BrowsedMessage): Readonly<Record<string, unknown>> {
  const { message } = seen;
  return {
    id: seen.id,
    state: seen.state,
    dueInMs: seen.dueInMs,
    sentAt: new Date(seen.sentAt).toISOString(),
    receiveCount: seen.receiveCount,
    sequenceNumber: seen.sequenceNumber,
    failure: seen.failure === undefined ? undefined : { ...seen.failure, at: new Date(seen.failure.at).toISOString() },
    ...(message === undefined
      ? { unreadable: true }
      : {
          body: message.body.slice(0, LONGEST_BODY),
          cut: message.body.length > LONGEST_BODY,
          attributes: Object.fromEntries(Object.entries(message.attributes).map(shownAttribute)),
          group: message.groupId,
          deadLetterOf: message.deadLetterSourceArn,
        }),
  };
}

/** As in the SQS API, binary values in base64. */
function shownAttribute([name, attribute]: [string, MessageAttribute]): [string, Readonly<Record<string, string>>] {
  const { dataType: DataType } = attribute;
  if ('stringValue' in attribute) return [name, { DataType, StringValue: attribute.stringValue }];
  return [name, { DataType, BinaryValue: Buffer.from(attribute.binaryValue).toString('base64') }];
}
