/**
 * What the routes beside the SQS API share: who may use them, and how their errors look.
 *
 * @module
 */
import type { HttpBindings } from '@hono/node-server';
import { type Context, type ErrorHandler, Hono, type MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { DiscoveryError } from '../aws/discovery/discovery.ts';
import type { Log } from '../log.ts';
import type { QueueRef } from '../queue/names.ts';
import { SqsError } from '../sqs/errors.ts';
import { EVERY_QUEUE, isForm } from '../sqs/request.ts';
import { StoreFullError, StoreUnavailableError } from '../store/store.ts';
import type { Audit } from './audit.ts';
import type { AuthenticationHead, KnownSender } from './auth/authenticator.ts';
import type { Credential } from './auth/credentials.ts';
import type { LastUses } from './auth/last-uses.ts';
import { mayActAs, type Role, roleFor } from './auth/operators.ts';
import { createRequested, readTokenRequest, showToken, type TokenStore } from './auth/tokens.ts';
import { ClientGoneError, readBody } from './body.ts';
import type { Edge } from './edge.ts';
import { endpointOf, type Location, signerViews } from './location.ts';

export interface AppEnv {
  Bindings: HttpBindings & { location: Location };
  Variables: {
    /** Set by `requireManage` and `requireAdmin`. */
    credential: Credential;
    /** Cookie of the session, set by `requireSession`. */
    session: string;
    /** Who uses a page (`requireSession`) or names himself to another route; absent there: a credential did. */
    operator: { readonly name: string; readonly role: Role };
    /** As what the head of the request proved its sender; absent: a session did. */
    sender: KnownSender;
    /** What was read of the body. */
    body: Uint8Array;
  };
}

/** The most that the body of a request of these routes may have, bytes: their JSON is a few names and numbers. */
const LARGEST_JSON = 65_536;

/**
 * Proves who calls; for requests of programs, not of browsers. Reads no body unless a signature that may hold covers
 * it. Errors: `SqsError`, `HTTPException` (403: an operator whose role is not enough).
 */
async function authenticate(c: Context<AppEnv>, edge: Edge): Promise<Credential> {
  const { incoming, location } = c.env;
  const operator = await edge.operatorProof.prove(incoming.headers.authorization, edge.clientAddress(incoming));
  if (operator !== undefined) {
    const { name, role } = operator;
    const needed = roleFor(c.req.method, c.req.path);
    if (!mayActAs(role, needed)) {
      throw new HTTPException(403, { message: `your role is ${role}; this takes the role ${needed}` });
    }
    edge.connections.proven(incoming);
    c.set('sender', 'proven');
    c.set('operator', { name, role });
    // What the role leaves is for every queue.
    return { kind: 'operator', senderId: name, allows: () => true };
  }
  const head: AuthenticationHead = {
    method: incoming.method ?? 'GET',
    query: location.query,
    rawHeaders: incoming.rawHeaders,
    views: signerViews(edge.address, location),
    ...(location.token === undefined ? {} : { token: location.token }),
    ...(incoming.headers.authorization === undefined ? {} : { authorization: incoming.headers.authorization }),
    address: edge.clientAddress(incoming),
    resource: `${endpoint(c, edge)}${location.path}`,
  };
  try {
    const { credential, sender } = edge.authenticator.fromHead(head);
    if (credential !== undefined && sender !== 'stranger') c.set('sender', sender);
    const body =
      credential !== undefined || sender === 'stranger' ? NO_BODY : await bodyOf(c, edge, sender, LARGEST_JSON);
    const proven = credential ?? edge.authenticator.authenticate({ ...head, body });
    edge.connections.proven(incoming);
    return proven;
  } catch (error) {
    await edge.pauseBefore(error, c.env.outgoing);
    throw error;
  }
}

const NO_BODY: Uint8Array = new Uint8Array(0);

/**
 * The body of a request, read once, within the shared memory; kept until it is answered. Errors: those of `readBody`.
 */
async function bodyOf(
  c: Context<AppEnv>,
  edge: Edge,
  sender: KnownSender | 'stranger',
  limit: number,
): Promise<Uint8Array> {
  const read = c.get('body');
  if (read !== undefined) return read;
  const { incoming, outgoing } = c.env;
  const body = await readBody(
    incoming,
    edge.memory,
    sender === 'stranger' ? { proves: () => false } : ((sender === 'proven' ? c.get('sender') : undefined) ?? sender),
    limit,
  ).catch((error: unknown) => {
    // The rest of the body was not read.
    c.header('Connection', 'close');
    throw error;
  });
  outgoing.once('close', body.release);
  c.set('body', body.bytes);
  return body.bytes;
}

/** The JSON body of a proven caller; `undefined`: it is none. Errors: those of `readBody`. */
export async function readJson(c: Context<AppEnv>, edge: Edge): Promise<unknown> {
  const body = await bodyOf(c, edge, 'proven', LARGEST_JSON);
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** The body of a proven caller as text. Errors: those of `readBody`. */
export async function readText(c: Context<AppEnv>, edge: Edge, limit: number): Promise<string> {
  return Buffer.from(await bodyOf(c, edge, 'proven', limit)).toString('utf8');
}

/** Bounds of a form: who sends it, its bytes, and how many fields it has at most. */
export interface FormBounds {
  readonly sender: 'proven' | 'stranger';
  readonly bytes: number;
  readonly fields: number;
}

const AMPERSAND = 0x26;

/**
 * The fields of a form as browsers send them by default; parts of several types have no use here. Counted before
 * anything is made of them. Errors: those of `readBody`; `HTTPException` 413 (too many fields), 415 (another content
 * type).
 */
export async function readForm(
  c: Context<AppEnv>,
  edge: Edge,
  bounds: FormBounds,
): Promise<ReadonlyMap<string, string>> {
  if (!isForm(c.env.incoming.headers['content-type'])) {
    c.header('Connection', 'close');
    throw new HTTPException(415, { message: 'send the form as application/x-www-form-urlencoded' });
  }
  const body = await bodyOf(c, edge, bounds.sender, bounds.bytes);
  let fields = 1;
  for (let at = body.indexOf(AMPERSAND); at !== -1 && fields <= bounds.fields; at = body.indexOf(AMPERSAND, at + 1)) {
    fields += 1;
  }
  if (fields > bounds.fields)
    throw new HTTPException(413, { message: `the form has more than ${bounds.fields} fields` });
  return new Map(new URLSearchParams(Buffer.from(body).toString('utf8')));
}

/** Origin and base path under which the caller reaches the server. */
export function endpoint(c: Context<AppEnv>, edge: Edge): string {
  const { incoming } = c.env;
  return endpointOf(edge.address, incoming.headers.host, edge.forwardedProto(incoming), edge.fallbackHost());
}

/** The queues that a credential may manage; `undefined`: all there are, so its holder may know everything. */
export function reachOf(credential: Credential): ((queue: QueueRef) => boolean) | undefined {
  if (credential.allows('manage', EVERY_QUEUE)) return undefined;
  return (queue) => credential.allows('manage', queue);
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

/**
 * Lets in the admin password and operators who administer, of whom `authenticate` knows that the role is enough:
 * whoever makes tokens could give himself every scope.
 */
function requireAdmin(edge: Edge): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const credential = await authenticate(c, edge);
    checkAdmin(credential);
    c.set('credential', credential);
    await next();
  };
}

/** Errors: `HTTPException` 403 unless it is one that `requireAdmin` lets in. */
export function checkAdmin({ kind }: Credential): void {
  if (['admin', 'operator', 'anyone'].includes(kind)) return;
  throw new HTTPException(403, {
    message: 'only the admin password (KARIN_ADMIN_PASSWORD) and operators who administer may do this',
  });
}

/** The boundary from errors to responses of these routes: JSON with one sentence. */
export function answerErrors(log: Log): ErrorHandler<AppEnv> {
  return (error, c) => {
    if (error instanceof HTTPException) return c.json({ error: error.message }, error.status);
    if (error instanceof SqsError) {
      if (error.code === 'AccessDenied') {
        c.header('WWW-Authenticate', 'Bearer realm="karin"');
        return c.json(
          {
            error: `${error.message} Send a credential: Authorization: Bearer <admin password or token>, or Basic with the name and password of an operator`,
          },
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
    if (error instanceof ClientGoneError) return c.json({ error: 'the request ended before all of it had come' }, 400);
    const { destroyed, complete } = c.env.incoming;
    if (destroyed && !complete) return c.json({ error: 'the request ended before all of it had come' }, 400);
    log.error({ err: error, path: c.env.location.path }, 'a request failed unexpectedly');
    return c.json({ error: 'an unexpected error; see the log of the server' }, 500);
  };
}

/*
 * `/tokens`: makes, lists and revokes capability tokens over HTTP, for `karin token`.
 */

interface TokensRouteParts {
  readonly tokens: TokenStore;
  readonly lastUse: LastUses['of'];
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly audit: Audit;
}

export function tokensRoute(edge: Edge, { tokens, lastUse, now, audit }: TokensRouteParts): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.use(requireAdmin(edge));
  const record = (c: Context<AppEnv>, what: string, to: Readonly<Record<string, unknown>>): void =>
    audit({ what, who: c.get('credential').senderId, from: edge.clientAddress(c.env.incoming), to });

  app.get('/', (c) =>
    c.json({
      tokens: tokens.list().map((capability) => showToken(capability, now(), lastUse(`token:${capability.id}`))),
    }),
  );

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
