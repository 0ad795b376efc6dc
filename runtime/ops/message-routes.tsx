/**
 * The page of one message, its download and its buttons, and the search for messages. Whoever asks has a session, and
 * what a form brings is from a page of that session: `routes.tsx` sees to both.
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, readForm } from '../http/management.ts';
import type { FoundMessage, Queue } from '../queue/queue.ts';
import type { FormFields } from './actions.ts';
import { formattedJson } from './body-views.ts';
import { actOnMessage, MESSAGE_ACTIONS, type MessageActionParts } from './message-actions.ts';
import {
  messageIdIn,
  readSearchQuery,
  type SearchParts,
  searchBodies,
  searchId,
  toBeSearched,
} from './message-search.ts';
import { type OverviewParts, refreshed } from './overview.ts';
import { ConfirmPage, messageHref, type Notice, type PageFrame, queueHref } from './pages/layout.tsx';
import { MessagePage, messageActionHref } from './pages/message-page.tsx';
import { SearchPage } from './pages/search-page.tsx';
import { PAGE_FORM, type PageSessions } from './session.ts';

/** Queues that are proposed as the target of a move. */
const MOST_TARGETS = 200;

export interface MessageRoutesParts extends MessageActionParts {
  readonly store: OverviewParts['store'] & SearchParts['store'];
  readonly edge: Edge;
  readonly maxDelaySeconds: number;
}

/** What the pages share. */
export interface PageTools {
  readonly pages: PageSessions;
  readonly frame: (c: Context<AppEnv>) => PageFrame;
  /** What was just done, as its page says it. */
  readonly notice: (c: Context<AppEnv>) => Notice | undefined;
  /** Writes what somebody did. */
  readonly record: (c: Context<AppEnv>, what: string, to: Readonly<Record<string, unknown>>) => void;
}

export function messageRoutes(parts: MessageRoutesParts, { pages, frame, notice, record }: PageTools): Hono<AppEnv> {
  const { edge, directory } = parts;
  const base = edge.address.basePath;
  const app = new Hono<AppEnv>();

  const named = (c: Context<AppEnv>): { readonly queue: Queue; readonly id: string } => {
    const queue = directory.byKey(c.req.param('key') ?? '');
    const id = messageIdIn(c.req.param('message') ?? '');
    if (queue === undefined || id === undefined) throw NOTHING_HERE;
    return { queue, id };
  };
  const lookUp = async (queue: Queue, id: string, sequenceNumber = ''): Promise<FoundMessage | undefined> => {
    const isNumber = /^\d{20}$/.test(sequenceNumber);
    const [found] = await queue.messages.find([isNumber ? { id, sequenceNumber } : { id }]);
    return found;
  };

  const messagePage = async (
    c: Context<AppEnv>,
    { queue, id }: { readonly queue: Queue; readonly id: string },
    found: FoundMessage | undefined,
    said: Notice | undefined,
    typed?: FormFields,
  ) => {
    const { fifo } = queue.definition;
    const targets = directory
      .all()
      .filter((other) => other.definition.fifo === fifo && other.key !== queue.key)
      .slice(0, MOST_TARGETS)
      .map(({ arn }) => arn.name);
    const view = {
      ...{ queue, id, targets, maxDelaySeconds: parts.maxDelaySeconds },
      events: parts.activity.ofMessage(queue.key, id),
      ...(found === undefined ? {} : { found }),
      ...(typed === undefined ? {} : { typed }),
    };
    const status = said?.kind === 'bad' ? 400 : found === undefined && said === undefined ? 404 : 200;
    return c.html(<MessagePage frame={frame(c)} view={view} notice={said} />, status);
  };

  app.get('/ops/queues/:key/messages/:message', async (c) => {
    const { queue, id } = named(c);
    return messagePage(c, { queue, id }, await lookUp(queue, id, c.req.query('seq')), notice(c));
  });

  app.get('/ops/queues/:key/messages/:message/body', async (c) => {
    const { queue, id } = named(c);
    const body = (await lookUp(queue, id, c.req.query('seq')))?.message?.body;
    if (body === undefined) throw NOTHING_HERE;
    // The name says what is inside; the type says that no browser is to show it here.
    const ending = formattedJson(body, 0) === undefined ? 'txt' : 'json';
    return c.body(body, 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': `attachment; filename="${id}.${ending}"`,
    });
  });

  app.post('/ops/queues/:key/messages/:message/:doing', async (c) => {
    const { queue, id } = named(c);
    const action = MESSAGE_ACTIONS.get(c.req.param('doing'));
    if (action === undefined) throw NOTHING_HERE;
    const form = Object.fromEntries(await readForm(c, edge, PAGE_FORM));
    const found = await lookUp(queue, id, form['seq']);
    if (found === undefined) {
      return messagePage(c, { queue, id }, found, { text: 'Nothing was done: it is not here.', kind: 'bad' });
    }
    if (action.question !== undefined && form['confirmed'] !== 'yes') {
      const { to, seq } = form;
      const page = {
        question: action.question,
        action: messageActionHref(queue.key, id, c.req.param('doing')),
        back: messageHref('', queue.key, found),
        fields: { ...(to === undefined ? {} : { to }), ...(seq === undefined ? {} : { seq }) },
      };
      return c.html(<ConfirmPage frame={frame(c)} {...page} />);
    }
    const outcome = await actOnMessage(action, queue, found, parts, form);
    if (!outcome.ok) {
      const now = await lookUp(queue, id, form['seq']);
      return messagePage(c, { queue, id }, now, { text: outcome.message, kind: 'bad' }, form);
    }
    const { place, but } = outcome;
    record(c, action.audited, { queue: queue.key, message: id });
    if (but !== undefined) return messagePage(c, { queue, id }, found, { text: but, kind: 'bad' });
    pages.leaveWord(c, action.audited);
    const { queue: there, id: thereId } = place;
    const seen = thereId === undefined ? queueHref('', there.key) : messageHref('', there.key, { id: thereId });
    return c.redirect(base + seen, 303);
  });

  app.get('/ops/search', async (c) => {
    const search = readSearchQuery((name) => c.req.query(name));
    const queue = search.queue === undefined ? undefined : directory.byKey(search.queue);
    if (search.queue !== undefined && queue === undefined) throw NOTHING_HERE;
    const id = messageIdIn(search.text);
    const byId = id === undefined ? undefined : await searchId(parts, id);
    const [only, second] = byId?.found ?? [];
    if (only !== undefined && second === undefined) {
      return c.redirect(messageHref(base, only.queue.key, only.found), 303);
    }
    const isStep = byId === undefined && search.text !== '' && search.from !== undefined;
    const step = isStep ? await searchBodies(parts, search) : undefined;
    if (!isStep) await refreshed(parts.depths);
    const { queues, messages } = toBeSearched(parts, search);
    const view = {
      ...{ search, messages, queues: queues.length },
      readBefore: Math.max(0, Number.parseInt(c.req.query('read') ?? '0', 10) || 0),
      ...(queue === undefined ? {} : { queue }),
      ...(byId === undefined ? {} : { byId }),
      ...(step === undefined ? {} : { step }),
    };
    return c.html(<SearchPage frame={frame(c)} view={view} />);
  });
  return app;
}

const NOTHING_HERE = new HTTPException(404, {
  message: 'There is no such message; it may have been handled or deleted.',
});
