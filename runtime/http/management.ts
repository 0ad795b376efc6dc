/**
 * What the routes beside the SQS API share: who may use them, and how their errors look.
 *
 * @module
 */
import type { HttpBindings } from '@hono/node-server';
import type { Context, ErrorHandler, MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { DiscoveryError } from '../lambda/discovery/source.ts';
import type { Log } from '../log.ts';
import { SqsError } from '../sqs/errors.ts';
import { StoreFullError, StoreUnavailableError } from '../store/store.ts';
import type { Credential } from './auth/credential.ts';
import type { Edge } from './edge.ts';
import { endpointOf, type Location, signerViews } from './location.ts';

export interface AppEnv {
  Bindings: HttpBindings & { location: Location };
  Variables: {
    /** Set by `requireManage` and `requireAdmin`. */
    credential: Credential;
    /** Cookie of the session, set by `requireSession`. */
    session: string;
  };
}

/** Proves who calls; for requests of programs, not of browsers. Errors: `SqsError`. */
export async function authenticate(c: Context<AppEnv>, edge: Edge): Promise<Credential> {
  const { incoming, location } = c.env;
  return edge.authenticator.authenticate({
    method: incoming.method ?? 'GET',
    path: location.rawPath,
    query: location.query,
    rawHeaders: incoming.rawHeaders,
    body: new Uint8Array(await c.req.arrayBuffer()),
    views: signerViews(edge.address, location),
    ...(location.token === undefined ? {} : { token: location.token }),
    ...(incoming.headers.authorization === undefined ? {} : { authorization: incoming.headers.authorization }),
    address: edge.clientAddress(incoming),
    resource: `${endpoint(c, edge)}${location.path}`,
  });
}

/** Origin and base path under which the caller reaches the server. */
export function endpoint(c: Context<AppEnv>, edge: Edge): string {
  const { incoming } = c.env;
  return endpointOf(edge.address, incoming.headers.host, edge.forwardedProto(incoming), edge.fallbackHost());
}

/** Lets in the admin password, and other credentials with the scope `manage`. */
export function requireManage(edge: Edge): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const credential = await authenticate(c, edge);
    if (!credential.allows('manage'))
      throw new HTTPException(403, { message: 'this credential lacks the scope manage' });
    c.set('credential', credential);
    await next();
  };
}

/** Lets in the admin password alone: whoever makes tokens could give himself every scope. */
export function requireAdmin(edge: Edge): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const credential = await authenticate(c, edge);
    if (credential.kind !== 'admin' && credential.kind !== 'anyone') {
      throw new HTTPException(403, { message: 'only the admin password (KARIN_ADMIN_PASSWORD) may do this' });
    }
    c.set('credential', credential);
    await next();
  };
}

/** The boundary from errors to responses of these routes: JSON with one sentence. */
export function answerErrors(log: Log): ErrorHandler<AppEnv> {
  return (error, c) => {
    if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
    if (error instanceof SqsError) {
      if (error.code === 'AccessDenied') {
        c.header('WWW-Authenticate', 'Bearer realm="karin"');
        return c.json(
          { error: `${error.message} Send a credential: Authorization: Bearer <admin password or token>` },
          401,
        );
      }
      if (error.code === 'RequestThrottled') return c.json({ error: error.message }, 429);
      // The table of SQS errors has only statuses that may have a body.
      return c.json({ error: error.message }, error.status as 400 | 403 | 404 | 500 | 503);
    }
    if (error instanceof StoreUnavailableError || error instanceof StoreFullError) {
      return c.json({ error: 'the store of messages cannot be reached or is full; try again' }, 503);
    }
    if (error instanceof DiscoveryError) return c.json({ error: error.message }, 502);
    const { destroyed, complete } = c.env.incoming;
    if (destroyed && !complete) return c.json({ error: 'the request ended before all of it had come' }, 400);
    log.error({ err: error, path: c.env.location.path }, 'a request failed unexpectedly');
    return c.json({ error: 'an unexpected error; see the log of the server' }, 500);
  };
}
