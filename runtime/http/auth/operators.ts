/**
 * The people who use the pages, `/api/v1` and the commands: names, roles, and passwords, of which a hash is enough.
 *
 * @module
 */
import { createHash, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { SqsError } from '../../sqs/errors.ts';
import type { Time } from '../../time.ts';
import { equalInConstantTime } from './admin.ts';
import type { AttemptLimit } from './attempt-limit.ts';

/** Each may do what those before it may. */
const ROLES = ['look', 'operate', 'administer'] as const;
export type Role = (typeof ROLES)[number];

/** Whether a role includes another. */
export function mayActAs(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** What needs more than the role `operate`: the first or the last segment of a path. */
const ADMINISTERED: ReadonlySet<string> = new Set(['sync', 'drain', 'pull']);

/** What needs it whatever the method: these give or take all messages and tokens. */
const ADMINISTERED_WHOLLY = /^\/(tokens|api\/v1\/(export|import))(\/|$)/;

/**
 * The role that a request needs, of the pages and of every other route that operators use. `path`: as the router reads
 * it, which is what says the route that answers.
 */
export function roleFor(method: string, path: string): Role {
  const segments = path.split('/');
  const [first = '', last = ''] = [segments[1], segments.at(-1)];
  if (ADMINISTERED_WHOLLY.test(path)) return 'administer';
  if (method === 'GET' || method === 'HEAD' || last === 'logout') return 'look';
  return ADMINISTERED.has(first) || ADMINISTERED.has(last) ? 'administer' : 'operate';
}

export interface Operator {
  readonly name: string;
  readonly role: Role;
  /** The password, or its hash as `hashPassword` writes it. */
  readonly secret: string;
}

/** The operator that `KARIN_ADMIN_PASSWORD` lets in. */
export const ADMIN = 'admin';
const RESERVED: ReadonlySet<string> = new Set([ADMIN, 'anonymous', 'sync']);
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$/;
/** As for the admin password. */
const SHORTEST_PASSWORD = 12;

/**
 * Reads `name:role:password` or `name:role:hash`, several separated by `;` or line ends; lines that begin with `#` are
 * left out. Problems hold no secret.
 */
export function parseOperators(text: string, source: string, problems: string[]): readonly Operator[] {
  const operators: Operator[] = [];
  const entries = text.split(/[;\r\n]+/).map((entry) => entry.trim());
  for (const [at, entry] of entries.filter((part) => part !== '' && !part.startsWith('#')).entries()) {
    const [, name = '', roleText, secret = ''] = /^([^:]*):([^:]*):(.*)$/.exec(entry) ?? [];
    const role = ROLES.find((known) => known === roleText);
    const problem = (what: string) => problems.push(`${source}: operator ${at + 1} ${what}`);
    if (role === undefined) problem(`must be name:role:password, with the role ${ROLES.join(', ')}`);
    else if (!NAME.test(name)) problem('must have a name of 1 to 64 letters, digits and _ . @ -');
    else if (RESERVED.has(name)) problem(`cannot be named ${name}, which stands for another`);
    else if (secret.startsWith('scrypt$') ? readHash(secret) === undefined : secret.length < SHORTEST_PASSWORD) {
      problem(`(${name}) needs a password of ${SHORTEST_PASSWORD} characters at least, or a hash from: karin password`);
    } else operators.push({ name, role, secret });
  }
  return operators;
}

/*
 * Hashes: `scrypt$<N>$<r>$<p>$<salt>$<hash>`, the last two in base64url. The costs are a set that OWASP names for 16
 * MiB of memory: a small machine must be able to check one.
 */

const COSTS = { N: 16_384, r: 8, p: 5 };
const HASH_BYTES = 32;
/** The most that a hash of a setting may cost. */
const MOST_MEMORY = 67_108_864;
const MOST_PASSES = 16;

interface Hash {
  readonly costs: typeof COSTS;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

function readHash(text: string): Hash | undefined {
  const found = /^scrypt\$(\d{1,8})\$(\d{1,2})\$(\d{1,2})\$([\w-]{16,88})\$([\w-]{43,88})$/.exec(text);
  if (found === null) return undefined;
  const [, n, r, p, salt = '', hash = ''] = found;
  const costs = { N: Number(n), r: Number(r), p: Number(p) };
  const isPower = costs.N > 1 && Number.isInteger(Math.log2(costs.N));
  if (!isPower || costs.r < 1 || costs.p < 1 || costs.p > MOST_PASSES || 128 * costs.N * costs.r > MOST_MEMORY) {
    return undefined;
  }
  return { costs, salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') };
}

function derive(password: string, salt: Buffer, costs: typeof COSTS, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, { ...costs, maxmem: 2 * MOST_MEMORY }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

/** What stands for a password in `KARIN_OPERATORS`. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COSTS, HASH_BYTES);
  const { N, r, p } = COSTS;
  return ['scrypt', N, r, p, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/** Checks that wait at one time; each takes about a fifth of a second. */
const MOST_WAITING = 8;

export interface PasswordCheck {
  /**
   * Whether the password is that of the operator; `undefined` in place of one: of nobody, which takes as long.
   * `'busy'`: too many ask at one time.
   */
  fits(operator: Operator | undefined, password: string): Promise<boolean | 'busy'>;
}

/** One hash at a time: each needs 16 MiB, and strangers can ask for any number. */
export function createPasswordCheck(): PasswordCheck {
  const nobody: Hash = { costs: COSTS, salt: randomBytes(16), hash: randomBytes(HASH_BYTES) };
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return {
    fits: async (operator, password) => {
      if (operator !== undefined && !operator.secret.startsWith('scrypt$')) {
        return equalInConstantTime(password, operator.secret);
      }
      if (waiting >= MOST_WAITING) return 'busy';
      const { costs, salt, hash } = (operator === undefined ? undefined : readHash(operator.secret)) ?? nobody;
      waiting += 1;
      const derived = last.then(() => derive(password, salt, costs, hash.length));
      last = derived.catch(() => undefined);
      try {
        return timingSafeEqual(await derived, hash) && operator !== undefined;
      } finally {
        waiting -= 1;
      }
    },
  };
}

/** What the key of an operator's sessions is made of: a new password or hash ends them. */
export function sessionSalt({ name, secret }: Operator): string {
  return createHash('sha256').update(`${name}\n${secret}`).digest('hex');
}

/*
 * Operators of programs: `/api/v1` and the commands send name and password with each request.
 *
 * A password that was right is remembered for a while, as a keyed hash that is worth nothing outside of this process,
 * so that a command that asks again does not cost a hash of 16 MiB each time. It is remembered with what the password
 * is made of: one that was changed is looked at anew.
 */

const REMEMBERED_MS = 300_000;

export interface OperatorProof {
  /**
   * The operator that an Authorization header of the kind Basic names and proves. `undefined`: it names none, or its
   * password is that of the administrator or a token, which let in by themselves. Errors: `SqsError`.
   */
  prove(authorization: string | undefined, address: string): Promise<Operator | undefined>;
}

export interface OperatorProofParts {
  readonly operators: () => ReadonlyMap<string, Operator>;
  readonly passwords: PasswordCheck;
  readonly attempts: Pick<AttemptLimit, 'exhausted' | 'failed' | 'proven'>;
  /** Whether a secret lets in without a name. */
  readonly letsIn: (secret: string) => boolean;
  readonly time: Pick<Time, 'monotonic'>;
}

export function createOperatorProof(parts: OperatorProofParts): OperatorProof {
  const key = randomBytes(32);
  const remembered = new Map<string, { readonly mac: string; readonly until: number }>();
  const macOf = (operator: Operator, password: string): string =>
    createHmac('sha256', key)
      .update(`${sessionSalt(operator)}\n${password}`)
      .digest('hex');

  const fits = async (operator: Operator | undefined, password: string): Promise<boolean> => {
    const before = operator && remembered.get(operator.name);
    if (operator !== undefined && before !== undefined && parts.time.monotonic() < before.until) {
      if (equalInConstantTime(before.mac, macOf(operator, password))) return true;
    }
    const answer = await parts.passwords.fits(operator, password);
    if (answer === 'busy') throw new SqsError('RequestThrottled', 'Many passwords are being checked. Try again.');
    if (answer && operator !== undefined) {
      const until = parts.time.monotonic() + REMEMBERED_MS;
      remembered.set(operator.name, { mac: macOf(operator, password), until });
    }
    return answer;
  };

  return {
    prove: async (authorization, address) => {
      const given = basicCredentials(authorization);
      const operators = parts.operators();
      const hasNamed = [...operators.keys()].some((name) => name !== ADMIN);
      if (given === undefined || !hasNamed || parts.letsIn(given.password)) return undefined;
      // The administrator's own password was looked at by now.
      const operator = given.name === ADMIN ? undefined : operators.get(given.name);
      if (operator !== undefined && (await fits(operator, given.password))) {
        parts.attempts.proven(address);
        return operator;
      }
      // A name that nobody has takes as long.
      if (operator === undefined) await fits(undefined, given.password);
      const exhausted = parts.attempts.exhausted(address);
      parts.attempts.failed(address);
      throw exhausted
        ? new SqsError('RequestThrottled', 'Too many failed attempts from this address. Try again in a minute.')
        : new SqsError('InvalidClientTokenId', 'The name or the password is wrong.');
    },
  };
}

/** Of a header that names somebody. */
function basicCredentials(
  authorization: string | undefined,
): { readonly name: string; readonly password: string } | undefined {
  const [, value] = /^basic +(\S+)$/i.exec((authorization ?? '').trimEnd()) ?? [];
  if (value === undefined) return undefined;
  const [, name, password] = /^([^:]+):([\s\S]*)$/.exec(Buffer.from(value, 'base64').toString('utf8')) ?? [];
  return name === undefined || password === undefined ? undefined : { name, password };
}
