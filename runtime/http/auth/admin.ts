/**
 * The admin password and the sessions of the ops page.
 *
 * A session is a signed statement in a cookie; nothing is kept for it. It names an operator. Its key is made
 * of a secret in the store, so that every instance knows it, and of the operator's password, so that a new password
 * ends the sessions of the old one. What the operator may do is looked up each time.
 *
 * @module
 */
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

/** A working day: long enough not to be asked again while looking into something. */
const SESSION_MS = 12 * 3_600_000;

/** Whether two texts are equal, in a time that depends on neither. */
export function equalInConstantTime(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

/** The secret of an Authorization header of the kinds `Bearer` and `Basic` (of which the user name is ignored). */
export function authorizationSecret(authorization: string | undefined): string | undefined {
  const [, kind, value = ''] = /^(bearer|basic) +(\S.*)$/i.exec((authorization ?? '').trimEnd()) ?? [];
  if (kind === undefined) return undefined;
  if (kind.toLowerCase() === 'bearer') return value;
  const text = Buffer.from(value, 'base64').toString('utf8');
  return text.slice(text.indexOf(':') + 1);
}

/** Who uses an open server. */
export const ANONYMOUS = 'anonymous';

export interface Sessions {
  /** A new session of an operator: the value of its cookie, and its life in seconds. */
  begin(name: string): { readonly cookie: string; readonly maxAgeSeconds: number };
  holds(cookie: string | undefined): boolean;
  /** Whose session it is; `undefined`: it does not hold. */
  operator(cookie: string | undefined): string | undefined;
  /**
   * Ends the session of a cookie that holds: from now on the cookie does not. Gives all that were ended before their
   * time, with when that is, ms.
   */
  end(cookie: string): ReadonlyMap<string, number>;
  /** Takes over sessions that another server ended. */
  ended(sessions: ReadonlyMap<string, number>): void;
  /**
   * A word that only a page of this session knows, to be sent along with every form (against forged requests of other
   * sites).
   */
  formToken(cookie: string): string;
  formTokenHolds(cookie: string, token: string | undefined): boolean;
}

/**
 * `secret`: from the store. `passwordOf`: what changes with the password of an operator; `undefined`: there is no such
 * operator, so no session of his holds. `now`: wall clock, milliseconds since the epoch.
 */
export function createSessions(
  secret: string,
  passwordOf: (name: string) => string | undefined,
  now: () => number,
): Sessions {
  const signed = (text: string, name: string): string | undefined => {
    const password = passwordOf(name);
    if (password === undefined) return undefined;
    const key = Buffer.from(hkdfSync('sha256', `${secret}\n${password}`, '', 'karin ops session', 32));
    return createHmac('sha256', key).update(text).digest('base64url');
  };
  const sign = (text: string, name: string): string => {
    const signature = signed(text, name);
    if (signature === undefined) throw new TypeError('there is no operator of this name');
    return signature;
  };
  /** By statement, until they would have ended by themselves: after that the time in the cookie refuses it. */
  const over = new Map<string, number>();
  const prune = (): void => {
    for (const [statement, expires] of over) if (expires <= now()) over.delete(statement);
  };
  const sessions: Sessions = {
    begin: (name) => {
      const owner = Buffer.from(name).toString('base64url');
      const statement = `${now() + SESSION_MS}.${randomBytes(12).toString('base64url')}.${owner}`;
      return { cookie: `${statement}.${sign(`session ${statement}`, name)}`, maxAgeSeconds: SESSION_MS / 1000 };
    },
    holds: (cookie) => sessions.operator(cookie) !== undefined,
    operator: (cookie) => {
      const found = /^((\d+)\.[\w-]+\.([\w-]+))\.([\w-]+)$/.exec(cookie ?? '') ?? [];
      const [, statement, expires, owner, signature] = found;
      if (statement === undefined || owner === undefined || signature === undefined) return undefined;
      if (over.has(statement)) return undefined;
      const name = Buffer.from(owner, 'base64url').toString();
      const expected = signed(`session ${statement}`, name);
      const holds = expected !== undefined && equalInConstantTime(expected, signature) && now() < Number(expires);
      return holds ? name : undefined;
    },
    end: (cookie) => {
      const statement = cookie.slice(0, cookie.lastIndexOf('.'));
      if (sessions.holds(cookie)) over.set(statement, Number.parseInt(statement, 10));
      prune();
      return over;
    },
    ended: (others) => {
      for (const [statement, expires] of others) over.set(statement, expires);
      prune();
    },
    formToken: (cookie) => sign(`form ${cookie}`, sessions.operator(cookie) ?? ''),
    formTokenHolds: (cookie, token) =>
      sessions.holds(cookie) && equalInConstantTime(sessions.formToken(cookie), token ?? ''),
  };
  return sessions;
}
