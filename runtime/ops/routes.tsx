/**
 * The pages for people: `/ops` and `/functions`.
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { compress } from 'hono/compress';
import { HTTPException } from 'hono/http-exception';
import { secureHeaders } from 'hono/secure-headers';
import { DiscoveryError } from '../aws/discovery/discovery.ts';
import type { Synchroniser } from '../aws/sync/synchroniser.ts';
import type { Supervisor } from '../consumer/supervisor.ts';
import type { Access } from '../http/access.ts';
import type { Audit } from '../http/audit.ts';
import type { AuditTrail } from '../http/audit-trail.ts';
import type { Sessions } from '../http/auth/admin.ts';
import type { AttemptLimit } from '../http/auth/attempt-limit.ts';
import { ADMIN } from '../http/auth/operators.ts';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, endpoint, readForm } from '../http/management.ts';
import type { Log } from '../log.ts';
import type { MoveTasks } from '../queue/move-task.ts';
import type { Queue } from '../queue/queue.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { Time } from '../time.ts';
import type { OnTransfer } from '../transfer/transfer.ts';
import type { Transfers } from '../transfer/transfers.ts';
import { type ApiClient, type FormFields, QUEUE_ACTIONS } from './actions.ts';
import { type ApiParts, apiRoute } from './api.ts';
import type { FunctionActions } from './function-actions.ts';
import { type FunctionUrls, functionRows } from './functions.ts';
import { createLive, type LivePart } from './live.ts';
import { type MessageRoutesParts, messageRoutes } from './message-routes.tsx';
import { messageIdIn } from './message-search.ts';
import { gatherNeeds } from './needs.ts';
import {
  gatherOverview,
  historiesOf,
  mappingRows,
  type Overview,
  type OverviewParts,
  queueRow,
  readQueueQuery,
  refreshed,
} from './overview.ts';
import { SCRIPT, STYLE } from './pages/assets.ts';
import { AuditPage } from './pages/audit-page.tsx';
import { FunctionsPage } from './pages/functions-page.tsx';
import { ConfirmPage, ErrorPage, LoginPage, type Notice, type PageFrame, queueHref } from './pages/layout.tsx';
import { SHOWN_BYTES, SHOWN_MESSAGES } from './pages/messages.tsx';
import { OverviewPage, overviewParts } from './pages/overview-page.tsx';
import { QueuePage, type QueueView, queueParts } from './pages/queue-page.tsx';
import { SystemPage } from './pages/system-page.tsx';
import { told } from './selection.ts';
import { selectionRoutes } from './selection-routes.tsx';
import { createPageSessions, LOGIN_FORM, PAGE_FORM, pageToOpen, requireFormToken, requireSession } from './session.ts';
import { gatherSystem, type SystemParts } from './system.ts';

export interface PagesParts extends OverviewParts {
  readonly store: OverviewParts['store'] & MessageRoutesParts['store'];
  readonly edge: Edge;
  readonly sessions: Sessions;
  readonly endSession: (cookie: string) => Promise<void>;
  readonly attempts: AttemptLimit;
  readonly audit: Audit;
  readonly operators: Access['operators'];
  readonly passwords: Access['passwords'];
  readonly lastUses: Access['lastUses'];
  readonly trail: AuditTrail;
  readonly api: ApiClient;
  readonly moveTasks: MoveTasks;
  readonly supervisor: Pick<Supervisor, 'resume'>;
  /** Absent: the server has no source of mappings. */
  readonly synchroniser?: Synchroniser;
  readonly functionUrls?: FunctionUrls;
  readonly functions: FunctionActions;
  readonly system: SystemParts;
  readonly exports: ApiParts['exports'];
  readonly region: string;
  readonly version: string;
  readonly maxDelaySeconds: number;
  readonly uuid: () => string;
  /** Absent: the queues have no counterpart in AWS. */
  readonly transfers?: Transfers;
  readonly onTransfer: OnTransfer;
  readonly time: Time;
  readonly log: Log;
}

/**
 * What the page after a pressed button says. A cookie carries the word to that one page, so neither a reload nor a link
 * says it again.
 */
const DONE: ReadonlyMap<string, string> = new Map([
  ['sync', 'Synced. What changed is in the log, what cannot be served is below.'],
  ['send', 'Sent.'],
  ['retry-message', 'The message is due now.'],
  ['delete-message', 'The message was deleted.'],
  ['move-message', 'The message was moved. Here it is a new one.'],
  ['send-message-again', 'Sent.'],
  ['purge', 'Purged.'],
  ['redrive', 'The redrive has begun.'],
  ['cancel-redrive', 'The redrive is cancelled; what was moved stays moved.'],
  ['hold', 'The queue is on hold.'],
  ['consume', 'The queue is consumed again.'],
  ['resume', 'The mapping is served again.'],
  ['drain', 'The drain has begun: what is held here moves to SQS.'],
  ['pull', 'The pull has begun: what waits in SQS comes here.'],
  ['functions-check', 'Lambda was asked about each function.'],
  ['log-tails', 'The log of the function is kept with each failure for ten minutes.'],
]);

export function pagesRoute(parts: PagesParts): Hono<AppEnv> {
  const { edge, sessions, directory } = parts;
  const base = edge.address.basePath;
  const pages = createPageSessions(edge, sessions);
  const app = new Hono<AppEnv>();
  const live = createLive({
    time: parts.time,
    log: parts.log,
    watch: (changed) => {
      const { depths, activity, moveTasks } = parts;
      const cancels = [depths.watch(changed), activity.onChange(changed), moveTasks.onChange(changed)];
      return () => {
        for (const cancel of cancels) cancel();
      };
    },
  });

  app.route('/', apiRoute(parts));

  const secured = secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'self'"],
      scriptSrc: ["'self'"],
      connectSrc: ["'self'"],
      imgSrc: ["'self'"],
      formAction: ["'self'"],
      frameAncestors: ["'none'"],
      baseUri: ["'none'"],
    },
    referrerPolicy: 'same-origin',
    xFrameOptions: 'DENY',
    // Whether the server is reached by HTTPS only is for its operator to say, and may not be true of other ports of the
    // host.
    strictTransportSecurity: false,
  });
  app.onError((error, c) => {
    if (!(error instanceof HTTPException)) throw error;
    return c.html(<ErrorPage frame={frame(c)} message={error.message} />, error.status);
  });
  // That a page of a session holds a secret beside a text of the query (BREACH) helps nobody: its cookie is
  // SameSite=Strict, so no other site can make a browser ask for one.
  const compressed = compress();
  for (const path of PAGES) app.use(path, secured, compressed);

  const record = (c: Context<AppEnv>, what: string, to?: Readonly<Record<string, unknown>>): void => {
    const who = c.get('operator').name;
    parts.audit({ what, who, from: edge.clientAddress(c.env.incoming), ...(to === undefined ? {} : { to }) });
  };
  const frame = (c?: Context<AppEnv>): PageFrame => {
    const [session, operator] = [c?.get('session'), c?.get('operator')];
    return {
      base,
      version: parts.version,
      region: parts.region,
      canLogOut: !edge.authenticator.open,
      ...(operator === undefined ? {} : { operator }),
      ...(session === undefined ? {} : { formToken: sessions.formToken(session) }),
    };
  };
  const notice = (c: Context<AppEnv>): Notice | undefined => {
    const [action = '', counts] = (pages.takeWord(c) ?? '').split(' ');
    const text = counts === undefined ? DONE.get(action) : told(action, counts);
    return text === undefined || text === '' ? undefined : { text, kind: 'good' };
  };

  app.get('/ops/style.css', (c) => c.body(STYLE, 200, { 'Content-Type': 'text/css; charset=utf-8' }));
  app.get('/ops/ops.js', (c) => c.body(SCRIPT, 200, { 'Content-Type': 'text/javascript; charset=utf-8' }));

  const hasNamed = (): boolean => [...parts.operators().keys()].some((name) => name !== ADMIN);
  const loginPage = (c: Context<AppEnv>, to: string, said?: Notice, status: 200 | 403 | 429 = 200) => {
    const asksName = hasNamed();
    const notice = parts.operators().size === 0 ? NO_PASSWORD : said;
    return c.html(<LoginPage frame={frame()} notice={notice} asksName={asksName} to={to} />, status);
  };
  app.get('/ops/login', (c) => {
    const to = pageToOpen(c.req.query('to'));
    if (edge.authenticator.open || pages.current(c) !== undefined) return c.redirect(base + to, 303);
    return loginPage(c, to);
  });
  app.post('/ops/login', async (c) => {
    // The one form without a token: there is no session yet. Else another site could let somebody work under its name.
    if (c.req.header('Sec-Fetch-Site') === 'cross-site') throw new HTTPException(403, { message: OTHER_SITE });
    const address = edge.clientAddress(c.env.incoming);
    const form = await readForm(c, edge, LOGIN_FORM);
    const to = pageToOpen(form.get('to'));
    if (parts.operators().size === 0) return loginPage(c, to, undefined, 403);
    const operator = parts.operators().get(form.get('name')?.trim() || ADMIN);
    const fits = await parts.passwords.fits(operator, form.get('password') ?? '');
    if (fits === 'busy') return loginPage(c, to, BUSY, 429);
    if (operator === undefined || !fits) {
      const exhausted = parts.attempts.exhausted(address);
      parts.attempts.failed(address);
      parts.audit({ what: 'log-in-refused', from: address });
      const wrong = hasNamed() ? 'Name or password is wrong.' : 'This is not the admin password.';
      const text = exhausted ? `${wrong} There were many failed attempts, so each takes longer now.` : wrong;
      return loginPage(c, to, { text, kind: 'bad' }, exhausted ? 429 : 403);
    }
    parts.attempts.proven(address);
    pages.begin(c, operator.name);
    parts.audit({ what: 'log-in', who: operator.name, from: address });
    return c.redirect(base + to, 303);
  });

  // What is open to strangers stands above. All that follows is guarded, so that no new page can be forgotten.
  const guard = requireSession(edge, pages, parts);
  const formGuard = requireFormToken(edge, sessions);
  for (const path of PAGES) app.use(path, guard, formGuard);

  app.post('/ops/logout', async (c) => {
    // Ended here in any case; where the store cannot be reached, other servers keep it until its time.
    // An open server gives everybody a session; remembering their ends would only fill the store.
    const shared = edge.authenticator.open ? undefined : parts.endSession(c.get('session'));
    await shared?.catch((error: unknown) => parts.log.warn({ err: error }, 'other servers did not hear of a log-out'));
    pages.end(c);
    record(c, 'log-out');
    return c.redirect(`${base}/ops/login`, 303);
  });

  const isStream = (c: Context<AppEnv>): boolean => c.req.header('Accept') === 'text/event-stream';
  /** Keeps a page fresh for as long as its session holds. */
  const stream = (c: Context<AppEnv>, render: () => Promise<readonly LivePart[]>): Response =>
    live.stream(c, {
      render,
      holds: () => sessions.holds(c.get('session')),
      ended: edge.endOf(c.env.outgoing),
    });

  const overviewOf = (c: Context<AppEnv>): Promise<Overview> =>
    gatherOverview(
      parts,
      readQueueQuery((name) => c.req.query(name)),
    );
  const overviewPage = async (c: Context<AppEnv>, said: Notice | undefined, status: 200 | 502 = 200) => {
    const overview = await overviewOf(c);
    return c.html(<OverviewPage frame={frame(c)} overview={overview} notice={said} />, status);
  };
  app.get('/ops', (c) => {
    if (isStream(c)) return stream(c, async () => overviewParts(frame(c), await overviewOf(c)));
    const id = messageIdIn(c.req.query('q') ?? '');
    return id === undefined ? overviewPage(c, notice(c)) : c.redirect(`${base}/ops/search?q=${id}`, 303);
  });
  app.post('/ops/sync', async (c) => {
    try {
      record(c, 'sync');
      await parts.synchroniser?.sync({ full: true });
      pages.leaveWord(c, 'sync');
      return c.redirect(`${base}/ops`, 303);
    } catch (error) {
      if (!(error instanceof DiscoveryError || error instanceof StoreUnavailableError)) throw error;
      return overviewPage(c, { text: `The sync failed: ${error.message}`, kind: 'bad' }, 502);
    }
  });
  app.post('/ops/mappings/:uuid/resume', (c) => {
    record(c, 'resume', { mapping: c.req.param('uuid') });
    parts.supervisor.resume(c.req.param('uuid'));
    pages.leaveWord(c, 'resume');
    return c.redirect(`${base}/ops`, 303);
  });

  const viewOf = async (c: Context<AppEnv>, queue: Queue, looks: number): Promise<QueueView> => {
    const [moveTasks, messages, store, histories] = await Promise.all([
      parts.moveTasks.list(queue).catch(whileUnreachable),
      looks === 0 ? undefined : queue.browse(SHOWN_MESSAGES, SHOWN_BYTES).catch(whileUnreachable),
      parts.store.health(),
      historiesOf(parts.history, [queue.key]),
      refreshed(parts.depths),
    ]);
    const history = histories.get(queue.key);
    const row = queueRow(parts, queue.key);
    if (row === undefined) throw NOTHING_HERE;
    const transfer = parts.transfers?.current(queue.key);
    return {
      row,
      url: `${endpoint(c, edge)}/${queue.arn.account}/${queue.arn.name}`,
      mappings: mappingRows(parts, parts.consumer(), parts.syncState()).filter(
        (mapping) => mapping.queueKey === queue.key,
      ),
      needs: gatherNeeds(parts, store).filter((need) => need.queue === queue.key),
      moveTasks,
      recent: history?.events.toReversed() ?? [],
      // The source of a template is its path.
      fromTemplate: /[/\\]/.test(parts.syncState()?.source ?? ''),
      maxDelaySeconds: parts.maxDelaySeconds,
      canMove: parts.transfers !== undefined && queue.definition.origin !== 'api',
      looks,
      ...(messages === undefined ? {} : { messages }),
      ...(transfer === undefined ? {} : { transfer }),
      ...(history === undefined ? {} : { history }),
      now: parts.now(),
    };
  };
  const queuePage = async (
    c: Context<AppEnv>,
    queue: Queue,
    said: Notice | undefined,
    status: 200 | 400 = 200,
    typed?: FormFields,
  ) => {
    const looks = Math.max(0, Number.parseInt(c.req.query('messages') ?? '0', 10) || 0);
    const view = { ...(await viewOf(c, queue, looks)), ...(typed === undefined ? {} : { typed }) };
    return c.html(<QueuePage frame={frame(c)} view={view} notice={said} />, status);
  };
  app.get('/ops/queues/:key', (c) => {
    const { key } = c.req.param();
    const queue = directory.byKey(key);
    if (queue === undefined) throw NOTHING_HERE;
    if (!isStream(c)) return queuePage(c, queue, notice(c));
    return stream(c, async () => {
      const present = directory.byKey(key);
      return present === undefined ? [] : queueParts(frame(c), await viewOf(c, present, 0));
    });
  });
  const { leaveWord } = pages;
  app.route('/ops/queues', selectionRoutes(parts, { frame, notice, leaveWord, record, isStream, stream }));
  app.post('/ops/queues/:key/:action', async (c) => {
    const queue = directory.byKey(c.req.param('key'));
    const action = QUEUE_ACTIONS.get(c.req.param('action'));
    if (queue === undefined || action === undefined) throw NOTHING_HERE;
    const form = Object.fromEntries(await readForm(c, edge, PAGE_FORM));
    const question = action.question?.(queue.arn.name);
    if (question !== undefined && form['confirmed'] !== 'yes') {
      const back = queueHref('', queue.key);
      const page = { question, action: `${back}/${c.req.param('action')}`, back };
      return c.html(<ConfirmPage frame={frame(c)} {...page} />);
    }
    const outcome = await action.run(queue, parts, form);
    if (!outcome.ok) return queuePage(c, queue, { text: outcome.message, kind: 'bad' }, 400, form);
    record(c, c.req.param('action'), { queue: queue.key });
    pages.leaveWord(c, c.req.param('action'));
    return c.redirect(`${base}${queueHref('', queue.key)}`, 303);
  });

  app.route('/', messageRoutes(parts, { pages, frame, notice, record }));

  app.get('/ops/system', async (c) => c.html(<SystemPage frame={frame(c)} view={await gatherSystem(parts.system)} />));

  app.get('/ops/audit', async (c) => c.html(<AuditPage frame={frame(c)} records={await parts.trail.recent()} />));

  app.get('/functions', async (c) => {
    const { urls, hint } = (await parts.functionUrls?.list()) ?? { urls: [] };
    const functions = functionRows(parts.syncState()?.discovery, urls);
    const page = { functions, actions: parts.functions, hint, notice: notice(c) };
    return c.html(<FunctionsPage frame={frame(c)} {...page} />);
  });
  app.post('/functions/check', async (c) => {
    record(c, 'functions-check');
    await parts.functions.check(parts.functions.list().map(({ arn }) => arn));
    pages.leaveWord(c, 'functions-check');
    return c.redirect(`${base}/functions`, 303);
  });
  app.post('/functions/log-tails', async (c) => {
    const arn = (await readForm(c, edge, PAGE_FORM)).get('function');
    const found = parts.functions.list().find((row) => row.arn === arn);
    if (found === undefined) throw NO_FUNCTION;
    record(c, 'log-tails', { function: found.name });
    await parts.functions.keepLogs(found.arn);
    pages.leaveWord(c, 'log-tails');
    return c.redirect(`${base}/functions`, 303);
  });

  // The last routes: only what no other one takes comes here.
  for (const path of PAGES) {
    app.all(path, () => {
      throw NO_PAGE;
    });
  }
  return app;
}

/** With what they begin with themselves: a page that matched two of them would be guarded twice, in two sessions. */
const PAGES = ['/ops/*', '/functions/*'];
const NOTHING_HERE = new HTTPException(404, { message: 'There is no such queue; it may have been deleted.' });
const NO_PAGE = new HTTPException(404, { message: 'There is no such page.' });
const OTHER_SITE = 'This form was sent by another site. Log in at this one.';
const NO_FUNCTION = new HTTPException(404, { message: 'No queue invokes this function; it may have been removed.' });
const NO_PASSWORD: Notice = {
  text: 'This server has no admin password and no operators. Set KARIN_ADMIN_PASSWORD or KARIN_OPERATORS and start it again.',
  kind: 'bad',
};
const BUSY: Notice = { text: 'Many people log in right now. Try again in a moment.', kind: 'bad' };

/** A page without this part is better than none. */
function whileUnreachable(error: unknown): readonly never[] {
  if (error instanceof StoreUnavailableError) return [];
  throw error;
}
