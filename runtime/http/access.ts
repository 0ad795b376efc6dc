/**
 * Everything that decides who may call, built from the configuration and the tokens in the store.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Places } from '../aws/scope.ts';
import type { Log } from '../log.ts';
import { sharedSecret } from '../queue/receipt-handle.ts';
import { type Config, ConfigError } from '../settings.ts';
import type { Documents, Signal } from '../store/store.ts';
import type { Time } from '../time.ts';
import { type Audit, createAudit } from './audit.ts';
import { type AuditTrail, createAuditTrail } from './audit-trail.ts';
import { ANONYMOUS, authorizationSecret, createSessions, equalInConstantTime, type Sessions } from './auth/admin.ts';
import { type AttemptLimit, createAttemptLimit } from './auth/attempt-limit.ts';
import { type Authenticator, createAuthenticator } from './auth/authenticator.ts';
import {
  type CredentialBook,
  type Grant,
  hashToken,
  isEmpty,
  isLoopback,
  openServerProblem,
  readCredentialBook,
} from './auth/credentials.ts';
import { createLastUses, type LastUses } from './auth/last-uses.ts';
import {
  createOperatorProof,
  createPasswordCheck,
  type Operator,
  type OperatorProof,
  type PasswordCheck,
  sessionSalt,
} from './auth/operators.ts';
import { SignatureVerifier } from './auth/sigv4.ts';
import { createTokenStore, type TokenStore } from './auth/tokens.ts';

const SESSION_SECRET = 'secret:ops-sessions';

/** The sessions that were ended before their time, with when that is, ms since the epoch. */
const ENDED_SESSIONS = 'ended-sessions';
const endedSessions = z.record(z.string(), z.number());

export interface Access {
  readonly authenticator: Authenticator;
  readonly tokens: TokenStore;
  readonly attempts: AttemptLimit;
  /**
   * Whether an Authorization header may be an attempt at a password: it carries a secret that is no token of this
   * server.
   */
  mayBeGuess(authorization: string | undefined): boolean;
  readonly sessions: Sessions;
  /**
   * Ends a session on every server: the others hear of it through the store. Here it is ended whether the store can be
   * reached or not.
   */
  endSession(cookie: string): Promise<void>;
  /** To be called with every signal of the store. */
  heard(signal: Signal): Promise<void>;
  readonly audit: Audit;
  /** The last actions, for people. */
  readonly trail: AuditTrail;
  /** When each credential was used last. */
  readonly lastUses: LastUses;
  /** Those of the configuration: keys, tokens, operators. */
  readonly credentials: () => readonly ShownCredential[];
  /** Of operators, for every way in: what strangers can make it cost is bounded once. */
  readonly passwords: PasswordCheck;
  readonly operatorProof: OperatorProof;
  /** Who may log in, by name; empty: nobody. */
  readonly operators: () => ReadonlyMap<string, Operator>;
  /** Reads the files of keys and tokens again. Errors: `ConfigError`; then everything stays as it was. */
  reload(): void;
}

/**
 * A server that only this machine can reach, without any credential, is open to everybody on it, until the first
 * request after a credential was made. From then on it is closed, even if that one is revoked: what runs must not open
 * by itself.
 *
 * Errors: `ConfigError` (malformed credentials; none at all on an address that others can reach),
 * `StoreUnavailableError`.
 */
export async function createAccess(
  config: Config,
  places: Places,
  documents: Documents,
  time: Time,
  log: Log,
): Promise<Access> {
  const book: { current: CredentialBook } = { current: readCredentialBook(config) };
  const now = (): number => time.now();
  const trail = createAuditTrail(documents, time, log);
  const audit = createAudit(log, time, trail.keep);
  const tokens = createTokenStore(documents, now, (what, { id, grant, expiresAt, name }) =>
    audit({ what, from: 'store', to: { id, ...grant, expiresAt, name } }),
  );
  await tokens.reload();
  const hasNone = (): boolean => isEmpty(book.current) && tokens.list().length === 0;
  let open = hasNone();
  if (open && !isLoopback(config.host)) throw new ConfigError([openServerProblem(config.host)]);

  const attempts = createAttemptLimit(time);
  const secret = Buffer.from(await sharedSecret(documents, SESSION_SECRET)).toString('hex');
  const sessions = createSessions(
    secret,
    (name) => {
      const operator = book.current.operators.get(name);
      if (operator !== undefined) return sessionSalt(operator);
      return open && name === ANONYMOUS ? '' : undefined;
    },
    now,
  );
  /** Takes over the sessions that any server ended; gives the document. */
  const readEnded = async (): Promise<string | undefined> => {
    const text = await documents.get(ENDED_SESSIONS);
    const parsed = endedSessions.safeParse(jsonOf(text));
    if (parsed.success) sessions.ended(new Map(Object.entries(parsed.data)));
    return text;
  };
  await readEnded();
  const countedAttempts = {
    ...attempts,
    failed: (address: string) => {
      attempts.failed(address);
      audit({ what: 'credential-refused', from: address });
    },
  };
  const isToken = (secret: string): boolean => {
    const hash = hashToken(secret);
    return (book.current.tokens.get(hash) ?? tokens.find(hash)) !== undefined;
  };
  const operators = (): ReadonlyMap<string, Operator> => book.current.operators;
  const passwords = createPasswordCheck();
  const lastUses = await createLastUses(documents, time, log);
  const authenticator = createAuthenticator({
    book,
    places,
    tokens,
    verifier: new SignatureVerifier('sqs', now, places.regions),
    attempts: countedAttempts,
    used: lastUses.used,
    now,
    open: () => {
      if (open && !config.staysOpen && !hasNone()) {
        open = false;
        log.warn('a credential was made: from now on every caller needs one, and the ops page KARIN_ADMIN_PASSWORD');
      }
      return open;
    },
  });
  const proof = createOperatorProof({
    operators,
    passwords,
    attempts: countedAttempts,
    letsIn: (secret) => {
      const { adminPassword } = book.current;
      return (adminPassword !== undefined && equalInConstantTime(secret, adminPassword)) || isToken(secret);
    },
    time,
  });
  return {
    authenticator,
    lastUses,
    credentials: () => shownCredentials(book.current, lastUses.of),
    tokens,
    attempts,
    audit,
    mayBeGuess: (authorization) => {
      const given = authorizationSecret(authorization);
      return given !== undefined && operators().size > 0 && !isToken(given);
    },
    passwords,
    operatorProof: {
      prove: async (authorization, address) => {
        const operator = await proof.prove(authorization, address);
        if (operator !== undefined) lastUses.used({ kind: 'operator', senderId: operator.name });
        return operator;
      },
    },
    sessions,
    endSession: async (cookie) => {
      sessions.end(cookie);
      let ended: ReturnType<typeof sessions.end>;
      let present: string | undefined;
      do {
        // Log-outs on other servers at the same time write their own.
        present = await readEnded();
        ended = sessions.end(cookie);
      } while (!(await documents.put(ENDED_SESSIONS, JSON.stringify(Object.fromEntries(ended)), present ?? null)));
    },
    heard: async (signal) => {
      const concerns = signal.kind === 'gap' || (signal.kind === 'document' && signal.name === ENDED_SESSIONS);
      await Promise.all([tokens.heard(signal), lastUses.heard(signal), concerns ? readEnded() : undefined]);
    },
    trail,
    operators,
    reload: () => {
      book.current = readCredentialBook(config);
    },
  };
}

/** A credential of the configuration as it is shown, without its secret. */
export interface ShownCredential {
  readonly kind: 'access key' | 'token' | 'operator';
  /** Id of a key or a token, name of an operator. */
  readonly name: string;
  /** Scopes, or the role. */
  readonly may: string;
  /** Queue-name globs; of an operator every queue. */
  readonly queues: string;
  /** Epoch ms. */
  readonly lastUsedAt?: number;
}

function shownCredentials(book: CredentialBook, usedAt: LastUses['of']): readonly ShownCredential[] {
  const used = (name: string): { readonly lastUsedAt?: number } => {
    const at = usedAt(name);
    return at === undefined ? {} : { lastUsedAt: at };
  };
  const of = ({ scopes, queues }: Grant) => ({ may: scopes.join(', '), queues: queues.join(', ') });
  return [
    ...[...book.operators.values()].map(
      ({ name, role }): ShownCredential => ({
        ...{ kind: 'operator', name, may: role, queues: '*' },
        ...used(`operator:${name}`),
      }),
    ),
    ...[...book.keys.values()].map(
      ({ id, grant }): ShownCredential => ({ kind: 'access key', name: id, ...of(grant), ...used(`key:${id}`) }),
    ),
    ...[...book.tokens.values()].map(
      ({ id, grant }): ShownCredential => ({ kind: 'token', name: id, ...of(grant), ...used(`token:${id}`) }),
    ),
  ];
}

/** What a document says; `undefined`: nothing that is JSON. */
function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
