/**
 * The admin password and the sessions of the ops page.
 *
 * A session is a signed statement in a cookie; nothing is kept for it. Its key is made of a secret in the store, so
 * that every instance knows it, and of the password, so that a new password ends all sessions.
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

export interface Sessions {
  /** A new session: the value of its cookie, and its life in seconds. */
  begin(): { readonly cookie: string; readonly maxAgeSeconds: number };
  holds(cookie: string | undefined): boolean;
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
 * `secret`: from the store. `password`: absent where everybody may enter. `now`: wall clock, milliseconds since the
 * epoch.
 */
export function createSessions(secret: string, password: string | undefined, now: () => number): Sessions {
  const key = Buffer.from(hkdfSync('sha256', `${secret}\n${password ?? ''}`, '', 'karin ops session', 32));
  const sign = (text: string): string => createHmac('sha256', key).update(text).digest('base64url');
  /** By statement, until they would have ended by themselves: after that the time in the cookie refuses it. */
  const over = new Map<string, number>();
  const prune = (): void => {
    for (const [statement, expires] of over) if (expires <= now()) over.delete(statement);
  };
  const sessions: Sessions = {
    begin: () => {
      const statement = `${now() + SESSION_MS}.${randomBytes(12).toString('base64url')}`;
      return { cookie: `${statement}.${sign(`session ${statement}`)}`, maxAgeSeconds: SESSION_MS / 1000 };
    },
    holds: (cookie) => {
      const [, statement, expires, signature] = /^((\d+)\.[\w-]+)\.([\w-]+)$/.exec(cookie ?? '') ?? [];
      if (statement === undefined || signature === undefined || over.has(statement)) return false;
      return equalInConstantTime(sign(`session ${statement}`), signature) && now() < Number(expires);
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
    formToken: (cookie) => sign(`form ${cookie}`),
    formTokenHolds: (cookie, token) => equalInConstantTime(sessions.formToken(cookie), token ?? ''),
  };
  return sessions;
}
