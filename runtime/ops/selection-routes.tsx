/**
 * The pages on which several messages of a queue are selected, its dead letters and what is scheduled, and their
 * buttons. Whoever asks has a session, and what a form brings is from a page of that session: `routes.tsx` sees to
 * both.
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, readForm } from '../http/management.ts';
import type { FoundMessage, Queue } from '../queue/queue.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { LivePart } from './live.ts';
import { queueRow, refreshed } from './overview.ts';
import {
  DeadLettersPage,
  type DeadLettersView,
  deadLettersParts,
  type ErrorRow,
  SHOWN_GROUPS,
} from './pages/dead-letters-page.tsx';
import {
  ConfirmPage,
  deadLettersHref,
  type Notice,
  type PageFrame,
  queueHref,
  scheduledHref,
} from './pages/layout.tsx';
import { ScheduledPage } from './pages/scheduled-page.tsx';
import {
  type Asked,
  actOnSelection,
  audited,
  readAsked,
  SELECTION_ACTIONS,
  type SelectionParts,
  tally,
} from './selection.ts';
import { PAGE_FORM, SELECTABLE } from './session.ts';

/** Queues that are proposed as the target of a redrive. */
const MOST_TARGETS = 200;
/** The last page begins beyond ten million messages. */
const MOST_PAGES = 200_000;

/** What the pages share. */
export interface SelectionPageTools {
  readonly frame: (c: Context<AppEnv>) => PageFrame;
  /** What was just done, as the next page says it. */
  readonly notice: (c: Context<AppEnv>) => Notice | undefined;
  /** Lets the next page say what was done. */
  readonly leaveWord: (c: Context<AppEnv>, word: string) => void;
  /** Writes what somebody did. */
  readonly record: (c: Context<AppEnv>, what: string, to: Readonly<Record<string, unknown>>) => void;
  readonly isStream: (c: Context<AppEnv>) => boolean;
  /** Keeps a page fresh. */
  readonly stream: (c: Context<AppEnv>, render: () => Promise<readonly LivePart[]>) => Response;
}

/** Where a form leads back to, by its field `back`; default: the page of the queue. */
const BACK: ReadonlyMap<string, (base: string, key: string) => string> = new Map([
  ['dead-letters', deadLettersHref],
  ['scheduled', scheduledHref],
]);

/** Below `/ops/queues`. */
export function selectionRoutes(
  parts: SelectionParts & { readonly edge: Edge },
  tools: SelectionPageTools,
): Hono<AppEnv> {
  const { directory, edge } = parts;
  const { frame, notice } = tools;
  const base = edge.address.basePath;
  const app = new Hono<AppEnv>();
  const queueOf = (c: Context<AppEnv>): Queue => {
    const queue = directory.byKey(c.req.param('key') ?? '');
    if (queue === undefined) throw GONE;
    return queue;
  };

  const deadLetters = async (c: Context<AppEnv>, queue: Queue, said?: Notice, status: 200 | 400 = 200) => {
    const view = await deadLettersView(parts, queue, c.req.query('error'), pageOf(c));
    return c.html(<DeadLettersPage frame={frame(c)} view={view} notice={said} />, status);
  };
  const scheduled = async (c: Context<AppEnv>, queue: Queue, said?: Notice, status: 200 | 400 = 200) => {
    const page = pageOf(c);
    const [found] = await Promise.all([
      reachable(queue.messages.scheduled((page - 1) * SELECTABLE, SELECTABLE)),
      refreshed(parts.depths),
    ]);
    const view = { ...found, row: rowOf(parts, queue), page, now: parts.now() };
    return c.html(<ScheduledPage frame={frame(c)} view={view} notice={said} />, status);
  };

  app.get('/:key/dead-letters', (c) => {
    const queue = queueOf(c);
    if (!tools.isStream(c)) return deadLetters(c, queue, notice(c));
    return tools.stream(c, async () =>
      deadLettersParts(frame(c), { row: rowOf(parts, queue), tasks: await reachable(parts.moveTasks.list(queue)) }),
    );
  });
  app.get('/:key/scheduled', (c) => scheduled(c, queueOf(c), notice(c)));

  for (const [name, action] of SELECTION_ACTIONS) {
    app.post(`/:key/${name}`, async (c) => {
      const queue = queueOf(c);
      const form = await readForm(c, edge, PAGE_FORM);
      const refuse = (text: string) => {
        const said: Notice = { text, kind: 'bad' };
        return form.get('back') === 'scheduled' ? scheduled(c, queue, said, 400) : deadLetters(c, queue, said, 400);
      };
      const what = askedBy(form);
      if (typeof what === 'string') return refuse(what);
      const back = BACK.get(form.get('back') ?? '') ?? queueHref;
      const question = action.question(queue.arn.name, what);
      if (question !== undefined && form.get('confirmed') !== 'yes') {
        const fields = Object.fromEntries([...form].filter(([field]) => field !== 'csrf' && field !== 'confirmed'));
        const path = `${queueHref('', queue.key)}/${name}`;
        const page = { question, action: path, back: back('', queue.key), fields };
        return c.html(<ConfirmPage frame={frame(c)} {...page} />);
      }
      const outcome = await actOnSelection(action, queue, what, parts);
      if (!outcome.ok) return refuse(outcome.message);
      tools.record(c, name, { queue: queue.key, ...audited(what) });
      tools.leaveWord(c, `${name} ${tally(outcome)}`.trimEnd());
      return c.redirect(back(base, queue.key), 303);
    });
  }
  return app;
}

/** What a form asks for; a text says what is wrong. What is selected counts only if the button says so. */
function askedBy(form: ReadonlyMap<string, string>): Asked | string {
  const which = form.get('which') ?? 'all';
  const [to, speed] = [form.get('to')?.trim() ?? '', form.get('speed') ?? ''];
  const messages = [...form].flatMap(([field, value]) => {
    if (!field.startsWith('message.')) return [];
    const id = field.slice('message.'.length);
    return [value === 'selected' ? id : `${id} ${value}`];
  });
  if (which === 'selected' && messages.length === 0) return 'No message is selected.';
  return readAsked({
    ...(to === '' ? {} : { to }),
    ...(speed === '' ? {} : { speed: Number(speed) }),
    ...(which === 'selected' ? { messages } : {}),
    ...(which === 'error' ? { error: form.get('error') ?? '' } : {}),
  });
}

async function deadLettersView(
  parts: SelectionParts,
  queue: Queue,
  wanted: string | undefined,
  page: number,
): Promise<DeadLettersView> {
  const [{ groups, looked, more }, tasks] = await reachable(
    Promise.all([queue.messages.groups(), parts.moveTasks.list(queue), refreshed(parts.depths)]),
  );
  const chosen = groups.find(({ id }) => id === wanted);
  const names = chosen === undefined ? groups.flatMap(({ messages }) => messages) : chosen.messages;
  const asked = names.slice((page - 1) * SELECTABLE, page * SELECTABLE);
  const messages = await reachable(queue.messages.find(asked));
  const { fifo } = queue.definition;
  return {
    ...{ row: rowOf(parts, queue), tasks, looked, more, page, chosen: names.length },
    groups: groups.slice(0, SHOWN_GROUPS).map(errorRow),
    moreGroups: Math.max(0, groups.length - SHOWN_GROUPS),
    ...(chosen === undefined ? {} : { error: chosen.id }),
    messages: inOrderOf(asked, messages),
    unread: asked.length - messages.length,
    targets: parts.directory
      .all()
      .filter(({ key, definition }) => key !== queue.key && definition.fifo === fifo)
      .slice(0, MOST_TARGETS)
      .map(({ arn }) => arn.name),
  };
}

type Group = Awaited<ReturnType<Queue['messages']['groups']>>['groups'][number];

function errorRow({ id, error, messages, functionArns, firstAt, lastAt }: Group): ErrorRow {
  return {
    ...{ id, count: messages.length, functionNames: functionArns.map((arn) => arn.split(':')[6] ?? arn) },
    ...(error === undefined ? {} : { error }),
    ...(firstAt === undefined ? {} : { firstAt }),
    ...(lastAt === undefined ? {} : { lastAt }),
  };
}

function inOrderOf(names: readonly { readonly id: string }[], messages: readonly FoundMessage[]) {
  const byId = new Map(messages.map((message) => [message.id, message]));
  return names.flatMap(({ id }) => byId.get(id) ?? []);
}

function rowOf(parts: SelectionParts, queue: Queue) {
  const row = queueRow(parts, queue.key);
  if (row === undefined) throw GONE;
  return row;
}

function pageOf(c: Context<AppEnv>): number {
  const page = Number.parseInt(c.req.query('page') ?? '1', 10);
  return page >= 1 && page <= MOST_PAGES ? page : 1;
}

const GONE = new HTTPException(404, { message: 'There is no such queue; it may have been deleted.' });
const AWAY = new HTTPException(503, { message: 'The store of messages cannot be reached. Try again.' });

/** These pages are about nothing but what is in the store. */
async function reachable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof StoreUnavailableError) throw AWAY;
    throw error;
  }
}
