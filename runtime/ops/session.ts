/**
 * Who looks at the pages: a session in a cookie that no script can read and no other site can use.
 *
 * @module
 */
import type { Context } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import type { Access } from '../http/access.ts';
import { ANONYMOUS, type Sessions } from '../http/auth/admin.ts';
import { mayActAs, roleFor } from '../http/auth/operators.ts';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, endpoint, type FormBounds, readForm } from '../http/management.ts';

const COOKIE = 'karin_session';
/** A redirect is followed at once, or not at all. */
const WORD_COOKIE = 'karin_done';
const WORD_SECONDS = 60;

/** Messages of one page that can be selected, each a field of the form. */
export const SELECTABLE = 50;

/**
 * The forms of the pages: one with a message of 1 MiB and a quarter of that for its encoding is the largest; one with a
 * page of selected messages has the most fields.
 */
export const PAGE_FORM: FormBounds = { sender: 'proven', bytes: 1_310_720, fields: 16 + SELECTABLE };
/** A name, a password, and the page to go to. */
export const LOGIN_FORM: FormBounds = { sender: 'stranger', bytes: 4_096, fields: 3 };

/** A page of this server, below its base path; everything else leads to the overview. */
export function pageToOpen(to: string | undefined): string {
  return to !== undefined && /^\/(?:ops|functions)(?:[/?][!-[\]-~]*)?$/.test(to) && to.length <= 2_000 ? to : '/ops';
}

export interface PageSessions {
  /** The next page that this browser opens says `word`, and no page after it does. */
  leaveWord(c: Context<AppEnv>, word: string): void;
  /** The word that was left for this page, which is taken away. */
  takeWord(c: Context<AppEnv>): string | undefined;
  /** Begins a session of an operator in the answer; gives its cookie. */
  begin(c: Context<AppEnv>, name: string): string;
  end(c: Context<AppEnv>): void;
  /** The cookie of a session that holds. */
  current(c: Context<AppEnv>): string | undefined;
}

export function createPageSessions(edge: Edge, sessions: Sessions): PageSessions {
  const write = (c: Context<AppEnv>, value: string, maxAge: number, name = COOKIE): void =>
    setCookie(c, name, value, {
      httpOnly: true,
      sameSite: 'Strict',
      secure: endpoint(c, edge).startsWith('https:'),
      path: edge.address.basePath === '' ? '/' : edge.address.basePath,
      maxAge,
    });
  return {
    leaveWord: (c, word) => write(c, word, WORD_SECONDS, WORD_COOKIE),
    takeWord: (c) => {
      const word = getCookie(c, WORD_COOKIE);
      if (word !== undefined) write(c, '', 0, WORD_COOKIE);
      return word;
    },
    begin: (c, name) => {
      const { cookie, maxAgeSeconds } = sessions.begin(name);
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

/**
 * Lets in those with a session whose role is enough; others are led to the log-in page, and from there to where they
 * wanted to go. On an open server everybody gets a session. Roles are looked up
 * each time, so a changed file of operators holds at once.
 */
export function requireSession(
  edge: Edge,
  pages: PageSessions,
  parts: Pick<Access, 'sessions' | 'operators' | 'lastUses'>,
) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const session = pages.current(c) ?? (edge.authenticator.open ? pages.begin(c, ANONYMOUS) : undefined);
    const name = parts.sessions.operator(session);
    if (session === undefined || name === undefined) {
      const { path, query } = c.env.location;
      const wanted = c.req.method === 'GET' ? pageToOpen(query === '' ? path : `${path}?${query}`) : '/ops';
      const to = wanted === '/ops' ? '' : `?to=${encodeURIComponent(wanted)}`;
      return c.redirect(`${edge.address.basePath}/ops/login${to}`, 303);
    }
    const role = parts.operators().get(name)?.role ?? (edge.authenticator.open ? 'administer' : 'look');
    const needed = roleFor(c.req.method, c.req.path);
    if (!mayActAs(role, needed)) {
      throw new HTTPException(403, { message: `Your role is ${role}; this takes the role ${needed}.` });
    }
    c.set('operator', { name, role });
    if (name !== ANONYMOUS) parts.lastUses.used({ kind: 'operator', senderId: name });
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
