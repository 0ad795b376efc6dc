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
import { type AppEnv, answerErrors, reachOf, readJson, requireManage } from '../http/management.ts';
import type { PastFailure } from '../queue/failure.ts';
import type { Message } from '../queue/message.ts';
import type { MoveTask } from '../queue/move-task.ts';
import { formatQueueArn, parseQueueKey } from '../queue/names.ts';
import type { FoundMessage, Queue } from '../queue/queue.ts';
import type { Time } from '../time.ts';
import { type ActionParts, QUEUE_ACTIONS } from './actions.ts';
import type { Activity } from './activity.ts';
import { type ExportApiParts, exportRoutes } from './export-api.ts';
import { findQueue } from './find-queue.ts';
import { type FunctionsApiParts, functionsRoutes } from './functions-api.ts';
import { logsHref } from './logs-link.ts';
import { attributeValue } from './message-actions.ts';
import { messageIdIn, readSearchQuery, type SearchParts, START, searchBodies, searchId } from './message-search.ts';
import { gatherOverview, type OverviewParts, type QueueRow, queueRow, readQueueQuery, refreshed } from './overview.ts';
import { idleLines } from './savings.ts';
import { idleGroups, scopeRows } from './scopes.ts';
import { actOnSelection, audited, isKnown, readAsked, SELECTION_ACTIONS, type SelectionParts } from './selection.ts';

/** Messages that one look gives. */
const MOST_MESSAGES = 100;
/** Pages of what is scheduled: the last one begins beyond ten million messages. */
const MOST_PAGES = 100_000;
/** Characters of a body that are given, among others and alone. */
const LONGEST_BODY = 10_000;
const LONGEST_WHOLE = 1_048_576;
/** A stream ends after this, ms. The listener asks again, and a credential that was revoked is refused then. */
const STREAM_MS = 600_000;
/** Proxies close connections on which nothing moves for a minute. */
const BEAT_MS = 20_000;
/** Actions of the page by their names here. */
const ACTIONS: ReadonlyMap<string, string> = new Map([
  ['purge', 'purge'],
  ['hold', 'hold'],
  ['resume', 'consume'],
]);

export interface ApiParts extends OverviewParts, ActionParts, SelectionParts, FunctionsApiParts {
  readonly store: OverviewParts['store'] & SearchParts['store'];
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
    requireAll(c, 'the status');
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
      scopes: scopeRows(sync),
      ...(sync?.succeededAt === undefined ? {} : { syncedAt: new Date(sync.succeededAt).toISOString() }),
      commandsLately,
    });
  });

  app.get('/api/v1/cost', (c) => {
    requireAll(c, 'what polling costs');
    return c.json({ lines: idleLines(idleGroups(parts.syncState(), parts.directory)) });
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
    return c.json({ messages: (await queue.browse(limit)).map((seen) => shownMessage(seen)) });
  });

  app.get('/api/v1/queues/:queue/messages/:message', async (c) => {
    const [found] = await find(c, parts).messages.find([{ id: idOf(c) }]);
    if (found === undefined) throw new HTTPException(404, { message: 'there is no such message in the queue' });
    return c.json(shownMessage(found, LONGEST_WHOLE));
  });

  app.get('/api/v1/messages/:message', async (c) => {
    const { found, asked, queues } = await searchId(parts, idOf(c), reachOf(c.get('credential')));
    const messages = found.map(({ queue, found }) => ({ queue: queue.key, ...shownMessage(found) }));
    return c.json({ messages, asked, queues });
  });

  app.get('/api/v1/search', async (c) => {
    const wanted = readSearchQuery((name) => c.req.query(name));
    if (wanted.text === '') throw new HTTPException(400, { message: 'q is empty; it must be the text to look for' });
    const queue = wanted.queue === undefined ? {} : { queue: find(c, parts, wanted.queue).key };
    const search = { ...wanted, ...queue, from: wanted.from ?? START };
    const { hits, messages, bytes, next } = await searchBodies(parts, search, reachOf(c.get('credential')));
    return c.json({ hits: hits.map(({ queue, hit }) => ({ queue: queue.key, ...hit })), messages, bytes, next });
  });

  app.get('/api/v1/queues/:queue/errors', async (c) => {
    const { groups, looked, more } = await find(c, parts).messages.groups();
    const errors = groups.map(({ id, error, messages, functionArns, firstAt, lastAt }) => ({
      ...{ id, type: error?.type, message: error?.message, count: messages.length, functionArns },
      firstAt: firstAt === undefined ? undefined : new Date(firstAt).toISOString(),
      lastAt: lastAt === undefined ? undefined : new Date(lastAt).toISOString(),
    }));
    return c.json({ errors, looked, more });
  });

  app.get('/api/v1/queues/:queue/scheduled', async (c) => {
    const queue = find(c, parts);
    const page = Number(c.req.query('page') ?? 1);
    if (!Number.isInteger(page) || page < 1 || page > MOST_PAGES) {
      throw new HTTPException(400, { message: `page is ${c.req.query('page')}; it must be 1 to ${MOST_PAGES}` });
    }
    const { messages, total } = await queue.messages.scheduled((page - 1) * MOST_MESSAGES, MOST_MESSAGES);
    const shown = messages.map(({ id, dueInMs, found }) => ({
      ...{ id, dueInMs, dueAt: new Date(parts.now() + dueInMs).toISOString() },
      ...(found?.message === undefined ? {} : shownContent(found.message)),
    }));
    return c.json({ messages: shown, total, page });
  });

  app.get('/api/v1/queues/:queue/redrives', async (c) => {
    const tasks = await parts.moveTasks.list(find(c, parts));
    const known = tasks.filter((task) => isKnown(task, reachOf(c.get('credential'))));
    return c.json({ redrives: known.map(shownRedrive) });
  });

  app.post('/api/v1/queues/:queue/:action', async (c) => {
    const queue = find(c, parts);
    const name = c.req.param('action');
    const record = (more: Readonly<Record<string, unknown>> = {}): void =>
      parts.audit({
        ...{ what: name, who: c.get('credential').senderId, from: parts.edge.clientAddress(c.env.incoming) },
        to: { queue: queue.key, ...more },
      });
    const selective = SELECTION_ACTIONS.get(name);
    if (selective !== undefined) {
      const input = await readJson(c, parts.edge);
      // What cannot be read must not be taken for a call without a selection, which is about all messages.
      const isBroken = input === undefined && (c.get('body')?.length ?? 0) > 0;
      const what = readAsked(isBroken ? null : input);
      if (typeof what === 'string') throw new HTTPException(400, { message: what });
      const reaches = reachOf(c.get('credential'));
      const outcome = await actOnSelection(selective, queue, what, { ...parts, reaches });
      if (!outcome.ok) throw new HTTPException(outcome.status, { message: outcome.message });
      record(audited(what));
      const { messages, redrive, beyond } = outcome;
      const shown = redrive === undefined ? undefined : shownRedrive(redrive);
      return c.json({ queue: queue.key, done: name, messages, redrive: shown, beyond });
    }
    const action = QUEUE_ACTIONS.get(ACTIONS.get(name) ?? '');
    if (action === undefined) {
      const names = [...ACTIONS.keys(), ...SELECTION_ACTIONS.keys()].join(', ');
      throw new HTTPException(404, { message: `there is no such action; there are ${names}` });
    }
    const outcome = await action.run(queue, parts, {});
    if (!outcome.ok) throw new HTTPException(409, { message: outcome.message });
    record();
    return c.json({ queue: queue.key, done: name });
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
  app.route('/', functionsRoutes(parts));
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

/** The queue that a path names. Errors: 404 with names that are like it, 409 if several queues have the name. */
/** Refuses credentials that reach some queues only. Errors: 403. */
function requireAll(c: Context<AppEnv>, what: string): void {
  if (reachOf(c.get('credential')) === undefined) return;
  throw new HTTPException(403, { message: `this credential reaches some queues only; ${what} is about all` });
}

function find(c: Context<AppEnv>, parts: ApiParts, text = c.req.param('queue') ?? ''): Queue {
  const queue = findQueue(parts, text, reachOf(c.get('credential')));
  if ('message' in queue) throw new HTTPException(queue.status, { message: queue.message });
  return queue;
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

function idOf(c: Context<AppEnv>): string {
  const id = messageIdIn(c.req.param('message') ?? '');
  if (id === undefined) throw new HTTPException(400, { message: 'the id of a message is a UUID' });
  return id;
}

/** `longest`: characters of the body. */
function shownMessage(seen: FoundMessage, longest = LONGEST_BODY): Readonly<Record<string, unknown>> {
  const { message } = seen;
  return {
    id: seen.id,
    state: seen.state,
    dueInMs: seen.dueInMs,
    sentAt: new Date(seen.sentAt).toISOString(),
    receiveCount: seen.receiveCount,
    sequenceNumber: seen.sequenceNumber,
    failure: seen.failure === undefined ? undefined : shownFailure(seen.failure),
    ...(message === undefined ? { unreadable: true } : shownContent(message, longest)),
  };
}

function shownContent(message: Message, longest = LONGEST_BODY): Readonly<Record<string, unknown>> {
  return {
    body: message.body.slice(0, longest),
    cut: message.body.length > longest,
    attributes: Object.fromEntries(
      Object.entries(message.attributes).map(([name, attribute]) => [name, attributeValue(attribute)]),
    ),
    group: message.groupId,
    deadLetterOf: message.deadLetterSourceArn,
  };
}

function shownRedrive(task: MoveTask): Readonly<Record<string, unknown>> {
  const { status, sourceArn, destinationArn, maxPerSecond, moved, toMove, left, failure, startedAt } = task;
  return {
    ...{ status, from: sourceArn, to: destinationArn, speed: maxPerSecond, moved, toMove, left, failure },
    startedAt: new Date(startedAt).toISOString(),
  };
}

function shownFailure(failure: PastFailure): Readonly<Record<string, unknown>> {
  return { ...failure, at: new Date(failure.at).toISOString(), logsUrl: logsHref(failure) };
}
