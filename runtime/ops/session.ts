/**
 * Who looks at the pages: a session in a cookie that no script can read and no other site can use.
 *
 * @module
 */
import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import type { Sessions } from '../http/auth/admin.ts';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, endpoint, type FormBounds, readForm } from '../http/management.ts';

const COOKIE = 'karin_session';

/**
 * The forms of the pages: one with a message of 1 MiB and a quarter of that for its encoding is the largest; none has
 * more than seven fields.
 */
export const PAGE_FORM: FormBounds = { sender: 'proven', bytes: 1_310_720, fields: 16 };
/** A password, and no more. */
export const LOGIN_FORM: FormBounds = { sender: 'stranger', bytes: 4_096, fields: 1 };

export interface PageSessions {
  /** Begins a session in the answer; gives its cookie. */
  begin(c: Context<AppEnv>): string;
  end(c: Context<AppEnv>): void;
  /** The cookie of a session that holds. */
  current(c: Context<AppEnv>): string | undefined;
}

export function createPageSessions(edge: Edge, sessions: Sessions): PageSessions {
  const write = (c: Context<AppEnv>, value: string, maxAge: number): void =>
    setCookie(c, COOKIE, value, {
      httpOnly: true,
      sameSite: 'Strict',
      secure: endpoint(c, edge).startsWith('https:'),
      path: edge.address.basePath === '' ? '/' : edge.address.basePath,
      maxAge,
    });
  return {
    begin: (c) => {
      const { cookie, maxAgeSeconds } = sessions.begin();
      write(c, cookie, maxAgeSeconds);
      return cookie;
    },
    end: (c) => write(c, '', 0),
    current: (c) => {
      const cookie = getCookie(c, COOKIE);
      return sessions.holds(cookie) ? cookie : undefined;
    },
  };
}

/** Lets in those with a session; others are led to the log-in page. On an open server everybody gets a session. */
export function requireSession(edge: Edge, pages: PageSessions) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const session = pages.current(c) ?? (edge.authenticator.open ? pages.begin(c) : undefined);
    if (session === undefined) return c.redirect(`${edge.address.basePath}/ops/login`, 303);
    edge.connections.proven(c.env.incoming);
    c.set('session', session);
    return next();
  });
}

/** Refuses a form that was not made by a page of this session. */
export function requireFormToken(edge: Edge, sessions: Sessions) {
  return createMiddleware<AppEnv>(async (c, next) => {
    if (c.req.method === 'POST') {
      const form = await readForm(c, edge, PAGE_FORM);
      if (!sessions.formTokenHolds(c.get('session'), form.get('csrf'))) {
        throw new HTTPException(403, { message: 'The page was too old. Go back, load it again and repeat.' });
      }
    }
    return next();
  });
}
