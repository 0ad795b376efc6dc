/**
 * `/tokens`: makes, lists and revokes capability tokens over HTTP, for `karin token`.
 *
 * @module
 */
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { type Capability, hasExpired } from './auth/capability.ts';
import { parseQueueGlobs, parseScopes } from './auth/grant.ts';
import type { TokenStore } from './auth/token-store.ts';
import type { Edge } from './edge.ts';
import { type AppEnv, endpoint, requireAdmin } from './management.ts';

/** A token as the API shows it; the token itself only in the answer that made it. */
export interface ShownToken {
  readonly id: string;
  readonly scopes: readonly string[];
  readonly queues: readonly string[];
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601; absent: never. */
  readonly expiresAt?: string;
  readonly expired: boolean;
  readonly note?: string;
}

/** Ten years: beyond that "never" is meant. */
const LONGEST_LIFE_SECONDS = 315_360_000;
const LONGEST_NOTE = 200;

/** `now`: wall clock, milliseconds since the epoch. */
export function tokensRoute(edge: Edge, tokens: TokenStore, now: () => number): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use(requireAdmin(edge));

  app.get('/', (c) => c.json({ tokens: tokens.list().map((capability) => shown(capability, now())) }));

  app.post('/', async (c) => {
    const request = readRequest(await c.req.json().catch(() => undefined));
    const { token, capability } = await tokens.create({
      scopes: request.scopes,
      queues: request.queues,
      ...(request.expiresInSeconds === undefined ? {} : { expiresAt: now() + request.expiresInSeconds * 1000 }),
      ...(request.note === undefined ? {} : { note: request.note }),
    });
    return c.json({ ...shown(capability, now()), token, endpoint: `${endpoint(c, edge)}/k/${token}` }, 201);
  });

  app.delete('/:id', async (c) => {
    const id = c.req.param('id');
    if (await tokens.revoke(id)) return c.body(null, 204);
    throw new HTTPException(404, { message: `there is no token ${id}; karin token list shows them` });
  });
  return app;
}

interface TokenRequest {
  readonly scopes: Capability['grant']['scopes'];
  readonly queues: readonly string[];
  readonly expiresInSeconds?: number;
  readonly note?: string;
}

/** Errors: `HTTPException` 400 with every problem. */
function readRequest(value: unknown): TokenRequest {
  const body: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
  const problems: string[] = [];
  const scopes = parseScopes(text(body['scopes']) ?? '');
  const queues = parseQueueGlobs(text(body['queues']) ?? '*');
  const seconds = body['expiresInSeconds'];
  const note = text(body['note']);
  if ('problem' in scopes) problems.push(scopes.problem);
  if ('problem' in queues) problems.push(queues.problem);
  if (
    seconds !== undefined &&
    !(Number.isInteger(seconds) && Number(seconds) >= 60 && Number(seconds) <= LONGEST_LIFE_SECONDS)
  ) {
    problems.push(`expiresInSeconds must be a whole number from 60 to ${LONGEST_LIFE_SECONDS}`);
  }
  if ((note?.length ?? 0) > LONGEST_NOTE) problems.push(`a note may have ${LONGEST_NOTE} characters`);
  if ('problem' in scopes || 'problem' in queues || problems.length > 0) {
    throw new HTTPException(400, { message: problems.join('; ') });
  }
  return {
    scopes,
    queues,
    ...(seconds === undefined ? {} : { expiresInSeconds: Number(seconds) }),
    ...(note === undefined ? {} : { note }),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function shown(capability: Capability, now: number): ShownToken {
  const { id, grant, createdAt, expiresAt, note } = capability;
  return {
    id,
    scopes: grant.scopes,
    queues: grant.queues,
    createdAt: new Date(createdAt).toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    expired: hasExpired(capability, now),
    ...(note === undefined ? {} : { note }),
  };
}
