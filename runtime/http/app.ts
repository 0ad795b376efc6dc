/**
 * The routes beside the SQS API: health, metrics, sync, transfers, tokens, the ops page.
 *
 * @module
 */
import { Hono } from 'hono';
import { accepts } from 'hono/accepts';
import { HTTPException } from 'hono/http-exception';
import { reportFor, type SyncReport } from '../aws/sync/synchroniser.ts';
import type { Log } from '../log.ts';
import type { QueueRef } from '../queue/names.ts';
import type { Audit } from './audit.ts';
import type { LastUses } from './auth/last-uses.ts';
import type { TokenStore } from './auth/tokens.ts';
import type { Edge } from './edge.ts';
import { type AppEnv, answerErrors, reachOf, requireManage, tokensRoute } from './management.ts';

/**
 * Nothing that these routes read is larger, bytes: a form with a message of 1 MiB, and a quarter of that for its
 * encoding. Each has a smaller bound of its own.
 */
const LARGEST_BODY = 1_310_720;

/** Formats of `/metrics`; a scraper names the media type in `Accept`. */
type MetricsFormat = 'prometheus' | 'openmetrics';
const TEXT = 'text/plain';
const OPEN_METRICS = 'application/openmetrics-text';

/**
 * The most that a part of an import may have, bytes: a line with a message of 1 MiB, each character of which is written
 * as an escape of six, with the head of its file and the line of its queue.
 */
export const LARGEST_IMPORT = 6 * 1_048_576 + 524_288;
const IMPORT_PATH = '/api/v1/import';

export interface AppParts {
  readonly edge: Edge;
  /** What `/readyz` says. */
  readonly readiness: () => { readonly ready: boolean };
  readonly metrics: {
    /** Content types of the page, by the name of its format; the first where nothing is asked for. */
    readonly types: Readonly<Record<MetricsFormat, string>>;
    /**
     * `depth`: with what costs the store a call for each queue. `sees`: of which queues the reader may know; absent: of
     * everything.
     */
    readonly page: (
      depth: boolean,
      sees: ((queue: QueueRef) => boolean) | undefined,
      format: MetricsFormat,
    ) => Promise<string>;
  };
  /**
   * Reads the source of mappings, details included; `undefined`: the server has none. Errors: `DiscoveryError`,
   * `StoreUnavailableError`.
   */
  readonly sync: (() => Promise<SyncReport> | undefined) | undefined;
  readonly tokens: TokenStore;
  /** When a credential was used last, by its name there. */
  readonly lastUse: LastUses['of'];
  /** `/drain` and `/pull`. */
  readonly transfers: Hono<AppEnv>;
  /** The pages for people: `/ops` and `/functions`. */
  readonly pages: Hono<AppEnv>;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly audit: Audit;
  readonly log: Log;
}

/** Paths that this app answers; all others belong to the SQS API. */
const OWN_PATH = /^\/(healthz|readyz|metrics|sync|tokens|drain|pull|ops|functions|api\/v1|favicon\.ico)(\/|$)/;

export function isAppPath(path: string): boolean {
  return OWN_PATH.test(path);
}

export function createApp(parts: AppParts): Hono<AppEnv> {
  const { edge, metrics, sync } = parts;
  const app = new Hono<AppEnv>();
  app.onError(answerErrors(parts.log));
  app.notFound((c) => c.json({ error: 'there is nothing at this path' }, 404));
  app.use(async (c, next) => {
    const { headers } = c.env.incoming;
    // By its announcement alone: the routes here have no use for bodies of unknown length, and node:http reads no more
    // than was announced.
    if (headers['transfer-encoding'] !== undefined) {
      throw new HTTPException(411, { message: 'send the request with a Content-Length' });
    }
    const largest = c.env.location.path === IMPORT_PATH ? LARGEST_IMPORT : LARGEST_BODY;
    if (Number(headers['content-length'] ?? 0) > largest) {
      c.header('Connection', 'close');
      throw new HTTPException(413, { message: `the request is larger than ${largest} bytes` });
    }
    await next();
  });
  app.use(async (c, next) => {
    await next();
    c.header('Cache-Control', 'no-store');
    c.header('X-Content-Type-Options', 'nosniff');
  });

  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', (c) => {
    const readiness = parts.readiness();
    return c.json(readiness, readiness.ready ? 200 : 503);
  });
  app.get('/metrics', requireManage(edge), async (c) => {
    const wanted = accepts(c, { header: 'Accept', supports: [TEXT, OPEN_METRICS], default: TEXT });
    const format = wanted === OPEN_METRICS ? 'openmetrics' : 'prometheus';
    const page = await metrics.page(c.req.query('depth') === '1', reachOf(c.get('credential')), format);
    return c.body(page, 200, { 'Content-Type': metrics.types[format], Vary: 'Accept' });
  });
  app.post('/sync', requireManage(edge), async (c) => {
    const report = await sync?.();
    if (report === undefined) {
      throw new HTTPException(409, { message: 'this server has no source of mappings (KARIN_DISCOVERY=none)' });
    }
    parts.audit({ what: 'sync', who: c.get('credential').senderId, from: edge.clientAddress(c.env.incoming) });
    const reaches = reachOf(c.get('credential'));
    return c.json(reaches === undefined ? report : reportFor(report, reaches));
  });
  app.route('/tokens', tokensRoute(edge, parts));
  app.get('/favicon.ico', (c) => c.body(null, 204));
  app.route('/', parts.transfers);
  app.route('/', parts.pages);
  return app;
}
