/**
 * `/api/v1/export` and `/api/v1/import`: everything that the queues hold, as lines of JSON, and back.
 *
 * The admin password and operators who administer may do both, nobody else: a file has the bodies of all messages and
 * the hashes of tokens, and an import makes queues and lets the holders of its tokens in.
 *
 * An export is streamed: a page is read from the store when the reader has taken the one before. An import comes in
 * parts, each a request of its own, so that what one takes is bounded and it can be repeated (`transfer/import.ts`).
 *
 * @module
 */
import type { Context } from 'hono';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { stream as streamed } from 'hono/streaming';
import { LARGEST_IMPORT } from '../http/app.ts';
import type { Audit } from '../http/audit.ts';
import { hasExpired } from '../http/auth/credentials.ts';
import { readCapability, type TokenStore } from '../http/auth/tokens.ts';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, checkAdmin, readText } from '../http/management.ts';
import type { Log } from '../log.ts';
import { matchesQueue, type QueueRef } from '../queue/names.ts';
import type { StoredDirectory } from '../queue/stored-directory.ts';
import { StoreUnavailableError } from '../store/store.ts';
import type { Time } from '../time.ts';
import { exportLines } from '../transfer/export.ts';
import { ExportFileError } from '../transfer/export-format.ts';
import { importPart } from '../transfer/import.ts';

/** Globs that one request may name, and characters that each may have. */
const MOST_GLOBS = 100;
const LONGEST_GLOB = 200;

export interface ExportApiParts {
  readonly edge: Edge;
  readonly audit: Audit;
  readonly directory: StoredDirectory;
  readonly tokens: Pick<TokenStore, 'list' | 'restore' | 'find'>;
  readonly uuid: () => string;
  readonly version: string;
  readonly time: Time;
  readonly log: Log;
}

/** To be mounted behind `requireManage`. */
export function exportRoutes(parts: ExportApiParts): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/api/v1/export', (c) => exported(c, parts));
  // Its parts are one action: a line for each would fill the trail of the last actions.
  let recorded = '';
  app.post('/api/v1/import', (c) =>
    imported(c, parts, (id, globs) => {
      const action = `${c.get('credential').senderId} ${id}`;
      if (action !== recorded) record(c, parts, 'import', globs, { export: id });
      recorded = action;
    }),
  );
  return app;
}

function exported(c: Context<AppEnv>, parts: ExportApiParts): Response {
  checkAdmin(c.get('credential'));
  const { edge, directory, tokens, time } = parts;
  const globs = globsOf(c);
  const chooses = chooser(globs);
  const lines = exportLines({
    queues: directory.all().filter(({ arn }) => chooses(arn)),
    ...(globs.length === 0 ? {} : { chosen: globs }),
    // Whoever wants some queues wants no keys to others.
    tokens: globs.length > 0 ? [] : tokens.list().filter((token) => !hasExpired(token, time.now())),
    id: parts.uuid(),
    version: parts.version,
    now: time.now(),
  });
  record(c, parts, 'export', globs);
  const ended = edge.endOf(c.env.outgoing);
  // Proxies must neither guess another type nor hold lines back.
  c.header('Content-Type', 'application/x-ndjson');
  c.header('X-Content-Type-Options', 'nosniff');
  c.header('Transfer-Encoding', 'chunked');
  return streamed(c, async (stream) => {
    try {
      for await (const text of lines) {
        if (ended.aborted) return;
        await stream.write(text);
      }
    } catch (error) {
      // Without its last line the file is cut, and whoever reads it knows.
      await stream.write(`${JSON.stringify({ kind: 'failed', error: failureOf(error, parts.log) })}\n`);
    }
  });
}

function failureOf(error: unknown, log: Log): string {
  if (error instanceof StoreUnavailableError) return 'the store of messages cannot be reached; try again';
  log.error({ err: error }, 'an export failed unexpectedly');
  return 'an unexpected error; see the log of the server';
}

async function imported(
  c: Context<AppEnv>,
  parts: ExportApiParts,
  begun: (id: string, globs: readonly string[]) => void,
): Promise<Response> {
  checkAdmin(c.get('credential'));
  const { tokens, directory, edge } = parts;
  const globs = globsOf(c);
  const isTrial = c.req.query('dryRun') === '1';
  const firstLine = Number(c.req.query('line') ?? 2);
  if (!Number.isSafeInteger(firstLine) || firstLine < 2) {
    throw new HTTPException(400, { message: 'line must be the number of a line after the first' });
  }
  try {
    const result = await importPart(await readText(c, edge, LARGEST_IMPORT), {
      directory,
      chooses: chooser(globs),
      isTrial,
      firstLine,
      restoreToken: async (value, trial) => {
        const token = capabilityOf(value);
        if (trial) return tokens.find(token.hash) === undefined;
        return tokens.restore(token);
      },
    });
    if (!isTrial) begun(result.export, globs);
    return c.json(result);
  } catch (error) {
    if (error instanceof ExportFileError) return c.json({ error: error.message, line: error.line }, 400);
    throw error;
  }
}

/** Errors: `TypeError`. */
function capabilityOf(value: object) {
  try {
    return readCapability(JSON.stringify(value));
  } catch (cause) {
    throw new TypeError('this is not a token that this version of the server can read', { cause });
  }
}

/** Errors: `HTTPException` 400. */
function globsOf(c: Context<AppEnv>): readonly string[] {
  const globs = c.req.queries('queue') ?? [];
  if (globs.length > MOST_GLOBS || globs.some((glob) => glob === '' || glob.length > LONGEST_GLOB)) {
    throw new HTTPException(400, { message: `name up to ${MOST_GLOBS} queues, as names or globs such as app-*` });
  }
  return globs;
}

function chooser(globs: readonly string[]): (queue: QueueRef) => boolean {
  return (queue) => globs.length === 0 || globs.some((glob) => matchesQueue(glob, queue));
}

function record(
  c: Context<AppEnv>,
  { audit, edge }: ExportApiParts,
  what: string,
  globs: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): void {
  const who = c.get('credential').senderId;
  const queues = globs.length === 0 ? 'all' : globs.join(' ');
  audit({ what, who, from: edge.clientAddress(c.env.incoming), to: { queues, ...more } });
}
