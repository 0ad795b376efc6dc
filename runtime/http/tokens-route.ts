/**
 * `/tokens`: makes, lists and revokes capability tokens over HTTP, for `karin token`.
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Audit } from './audit.ts';
import { createRequested, readTokenRequest, showToken } from './auth/token-requests.ts';
import type { TokenStore } from './auth/token-store.ts';
import type { Edge } from './edge.ts';
import { type AppEnv, endpoint, readJson, requireAdmin } from './management.ts';

/** `now`: wall clock, milliseconds since the epoch. */
export function tokensRoute(edge: Edge, tokens: TokenStore, now: () => number, audit: Audit): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use(requireAdmin(edge));
  const record = (c: Context<AppEnv>, what: string, to: Readonly<Record<string, unknown>>): void =>
    audit({ what, who: c.get('credential').senderId, from: edge.clientAddress(c.env.incoming), to });

  app.get('/', (c) => c.json({ tokens: tokens.list().map((capability) => showToken(capability, now())) }));

  app.post('/', async (c) => {
    const request = readTokenRequest(await readJson(c, edge));
    if ('problem' in request) throw new HTTPException(400, { message: request.problem });
    const created = await createRequested(tokens, request, endpoint(c, edge), now());
    const { id, scopes, queues, expiresAt, name } = created;
    record(c, 'token-created', { id, scopes, queues, expiresAt, name });
    return c.json(created, 201);
  });

  app.delete('/:id', async (c) => {
    const id = c.req.param('id');
    if (await tokens.revoke(id)) {
      record(c, 'token-revoked', { id });
      return c.body(null, 204);
    }
    throw new HTTPException(404, { message: `there is no token ${id}; karin token list shows them` });
  });
  return app;
}
