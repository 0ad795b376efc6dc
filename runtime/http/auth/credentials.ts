/**
 * Who calls, once it is proven.
 *
 * @module
 */

import { hash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Places } from '../../aws/scope.ts';
import { isQualified, matchesQueue, type QueueRef } from '../../queue/names.ts';
import { type Config, ConfigError } from '../../settings.ts';
import type { CallerShare, Scope } from '../../sqs/request.ts';
import { ADMIN, type Operator, parseOperators } from './operators.ts';

export interface Credential {
  readonly kind: 'access-key' | 'capability' | 'admin' | 'operator' | 'anyone';
  /** `SenderId` of messages sent with it; never the secret itself. */
  readonly senderId: string;
  /** The token of a capability, so that URLs in answers carry it again. */
  readonly token?: string;
  /** Absent: what it may take is not bounded. */
  readonly share?: CallerShare;
  /**
   * The account and region that all its patterns name, literally: what the caller means who names none; a member that
   * is absent: they name none, or several.
   */
  readonly home?: { readonly account?: string; readonly region?: string };
  allows(scope: Scope, queue?: QueueRef): boolean;
}

/*
 * What a credential may do: scopes, and the queues they hold for.
 */

const SCOPES: readonly Scope[] = ['send', 'consume', 'manage'];

/** What a credential may take for itself, through each server; a member that is absent is not bounded. */
export interface Shares {
  /** Messages that may be sent in a second. */
  readonly sendsPerSecond?: number;
  /** Queues made with it that may exist at one time. */
  readonly maxQueues?: number;
  /** Messages that may stand in the queues that it sends to. */
  readonly maxMessages?: number;
  /** Bytes of them. */
  readonly maxBytes?: number;
}

export interface Grant extends Shares {
  readonly scopes: readonly Scope[];
  /**
   * Globs of queues, `*` for any characters and `?` for one: `app-*` of names in the scope that the server had before
   * others were added (`Places.isHome`), `111122223333/eu-west-1/app-*` of any. At least one.
   */
  readonly queues: readonly string[];
}

/** Every queue of every account and region. */
export const EVERY_GLOB = '*/*/*';
/** Everything, on every queue. */
export const FULL_GRANT: Grant = { scopes: SCOPES, queues: [EVERY_GLOB] };
/** Every queue of the scope that the server had before others were added. */
const HOME_GRANT: Grant = { scopes: SCOPES, queues: ['*'] };

/**
 * Queue names have these characters (SQS: "alphanumeric characters, hyphens, or underscores", and `.fifo`); a glob adds
 * its two.
 */
const GLOB = /^(?:[0-9*?]{1,12}\/[a-z0-9*?-]{1,40}\/)?[A-Za-z0-9_.*?-]{1,80}$/;

/** `send+consume`, in any order; `all` for all three. Errors: a sentence instead of scopes. */
export function parseScopes(text: string): readonly Scope[] | { readonly problem: string } {
  const names = text.split('+').filter((name) => name !== '');
  if (names.length === 1 && names[0] === 'all') return SCOPES;
  const scopes = SCOPES.filter((scope) => names.includes(scope));
  const unknown = names.find((name) => !SCOPES.some((scope) => scope === name));
  if (unknown !== undefined)
    return { problem: `"${unknown}" is not a scope: use send, consume, manage or all, joined by +` };
  if (scopes.length === 0) return { problem: 'no scope is given: use send, consume, manage or all, joined by +' };
  return scopes;
}

/** `app-*|jobs`. Errors: a sentence instead of globs. */
export function parseQueueGlobs(text: string): readonly string[] | { readonly problem: string } {
  const globs = text.split('|').filter((glob) => glob !== '');
  const bad = globs.find((glob) => !GLOB.test(glob));
  if (bad !== undefined) {
    return {
      problem: `"${bad}" is not a pattern of queue names: use letters, digits, - and _, with * and ? as wildcards; or name the account and the region before it, as 111122223333/eu-west-1/app-*`,
    };
  }
  if (globs.length === 0) return { problem: 'no queue is given: use * for all of them' };
  return globs;
}

/** How each share is written, and the most that it may be. */
const SHARES = [
  { word: 'sends', name: 'sendsPerSecond', most: 1_000_000 },
  { word: 'queues', name: 'maxQueues', most: 100_000 },
  { word: 'messages', name: 'maxMessages', most: 1_000_000_000 },
  { word: 'bytes', name: 'maxBytes', most: 1_000_000_000_000 },
] as const satisfies readonly { readonly word: string; readonly name: keyof Shares; readonly most: number }[];

/**
 * Reads `sends=50`, `queues=10`, `messages=1000` and `bytes=1000000`, in any order. Errors: a sentence instead, without
 * the text.
 */
export function parseShares(texts: readonly string[]): Shares | { readonly problem: string } {
  const shares: { -readonly [name in keyof Shares]: number } = {};
  for (const text of texts) {
    const [, word, digits] = /^([a-z]+)=(\d{1,13})$/.exec(text) ?? [];
    const share = SHARES.find((known) => known.word === word);
    const value = Number(digits);
    if (share === undefined || value < 1 || value > share.most) {
      const forms = SHARES.map(({ word: known, most }) => `${known}=<1 to ${most}>`);
      return { problem: `a share of a credential must be one of ${forms.join(', ')}` };
    }
    shares[share.name] = value;
  }
  return shares;
}

/** The shares that a value has, where each is a number by its name. Errors: a sentence instead. */
export function readShares(value: { readonly [name in keyof Shares]?: unknown }): ReturnType<typeof parseShares> {
  return parseShares(
    SHARES.flatMap(({ word, name }) => (value[name] === undefined ? [] : [`${word}=${String(value[name])}`])),
  );
}

/**
 * Whether the grant holds for the queue; without one: for at least one conceivable queue, which every glob names.
 */
export function grants(
  grant: Grant,
  scope: Scope,
  queue: QueueRef | undefined,
  places: Pick<Places, 'isHome'>,
): boolean {
  if (!grant.scopes.includes(scope)) return false;
  if (queue === undefined) return true;
  return grant.queues.some((glob) => (isQualified(glob) || places.isHome(queue)) && matchesQueue(glob, queue));
}

/** See `Credential.home`. */
export function homeOf({ queues }: Pick<Grant, 'queues'>): Credential['home'] {
  if (!queues.every(isQualified)) return undefined;
  const [accounts, regions] = [0, 1].map((part) => new Set(queues.map((glob) => glob.split('/')[part] ?? '*')));
  const [account, region] = [accounts, regions].map((names) => {
    const [name, ...others] = names ?? [];
    return name === undefined || others.length > 0 || /[*?]/.test(name) ? undefined : name;
  });
  if (account === undefined && region === undefined) return undefined;
  return { ...(account === undefined ? {} : { account }), ...(region === undefined ? {} : { region }) };
}

/*
 * The common form of credentials in settings: entries separated by commas or white space, fields by colons, comments
 * after `#` to the end of a line.
 */

/** An entry, with the place to name in a problem: its text may hold a secret and is never shown. */
interface Entry {
  readonly fields: readonly string[];
  /** For example `KARIN_KEYS, entry 2`. */
  readonly where: string;
}

/** `source` is the name of the variable or file. */
function splitEntries(text: string, source: string): readonly Entry[] {
  return text
    .replace(/(^|\s)#.*$/gm, '')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry, index) => ({ fields: entry.split(':'), where: `${source}, entry ${index + 1}` }));
}

/** Reads `[scopes[:queue globs[:share]...]]` at the end of an entry; problems are added to `problems`. */
function readGrant(
  scopesText: string | undefined,
  globsText: string | undefined,
  shareTexts: readonly string[],
  fallback: Grant,
  where: string,
  problems: string[],
): Grant {
  const scopes = scopesText === undefined ? fallback.scopes : parseScopes(scopesText);
  const queues = globsText === undefined ? fallback.queues : parseQueueGlobs(globsText);
  const share = parseShares(shareTexts);
  if ('problem' in share) problems.push(`${where}: ${share.problem}`);
  if ('problem' in scopes) problems.push(`${where}: ${scopes.problem}`);
  if ('problem' in queues) problems.push(`${where}: ${queues.problem}`);
  return {
    scopes: 'problem' in scopes ? FULL_GRANT.scopes : scopes,
    queues: 'problem' in queues ? FULL_GRANT.queues : queues,
    ...('problem' in share ? {} : share),
  };
}

/*
 * Access keys that Karin knows, for callers that sign their requests.
 */

export interface AccessKey {
  readonly id: string;
  readonly secret: string;
  readonly grant: Grant;
}

const ID = /^[A-Za-z0-9_-]{3,128}$/;
const SHORTEST_SECRET = 16;

/**
 * Reads `id:secret[:scopes[:queue globs[:share]...]]` entries. Several keys may be good at one time: to rotate, add the
 * new one, move the callers, remove the old one. What is wrong is added to `problems`, without the secret; `source`
 * names the variable or file.
 */
export function parseAccessKeys(text: string, source: string, problems: string[]): readonly AccessKey[] {
  return splitEntries(text, source).flatMap(({ fields, where }) => {
    const [id = '', secret = '', scopes, globs, ...shares] = fields;
    const before = problems.length;
    if (!ID.test(id)) problems.push(`${where}: the access key id must be 3 to 128 letters, digits, - or _`);
    if (secret.length < SHORTEST_SECRET) {
      problems.push(
        `${where}: the secret must have at least ${SHORTEST_SECRET} characters, without a colon or comma; the form is id:secret[:scopes[:queue names]]`,
      );
    }
    const grant = readGrant(scopes, globs, shares, HOME_GRANT, where, problems);
    return problems.length > before ? [] : [{ id, secret, grant }];
  });
}

/*
 * Capability tokens: whoever holds the URL may do what the token says.
 *
 * A Lambda function signs with the temporary keys of its role, which nobody but AWS can verify; a token in the path of
 * the endpoint needs neither a key nor a change of code. A token has 256 random bits, so its plain SHA-256 hash is as
 * good a thing to store as any slow hash, and finding it by its hash tells nothing through time: an attacker cannot
 * choose the hash of a guess.
 */

export interface Capability {
  /** The first 12 hex digits of the hash: names the token in lists and as SenderId, and does not help to find it. */
  readonly id: string;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly grant: Grant;
  /** Milliseconds since the epoch; 0: unknown (from the environment). */
  readonly createdAt: number;
  /** Milliseconds since the epoch; absent: never. */
  readonly expiresAt?: number;
  /** Whose token it is, in the operator's words. */
  readonly name?: string;
}

/** What tokens look like: the prefix lets secret scanners find one that leaked. */
const TOKEN = /^[A-Za-z0-9_-]{22,128}$/;
const PREFIX = 'karin_';
/** What a token from the environment may do if it does not say. */
const DEFAULT_GRANT: Grant = { scopes: ['send'], queues: ['*'] };

/** A new token: `karin_` and 43 characters. Shown once, never stored. */
export function newToken(): string {
  return `${PREFIX}${randomBytes(32).toString('base64url')}`;
}

export function hashToken(token: string): string {
  return hash('sha256', token, 'hex');
}

export function capabilityId(hash: string): string {
  return hash.slice(0, 12);
}

/** Whether the capability no longer holds at `now`, milliseconds since the epoch. */
export function hasExpired(capability: Capability, now: number): boolean {
  return capability.expiresAt !== undefined && now >= capability.expiresAt;
}

/** Reads `token[:scopes[:queue globs[:share]...]]` entries. What is wrong is added to `problems`, without the token. */
export function parseTokens(text: string, source: string, problems: string[]): readonly Capability[] {
  return splitEntries(text, source).flatMap(({ fields, where }) => {
    const [token = '', scopes, globs, ...shares] = fields;
    const before = problems.length;
    if (!TOKEN.test(token)) {
      problems.push(
        `${where}: a token must be 22 to 128 letters, digits, - or _, for example from: openssl rand -hex 24`,
      );
    }
    const grant = readGrant(scopes, globs, shares, DEFAULT_GRANT, where, problems);
    const hash = hashToken(token);
    return problems.length > before ? [] : [{ id: capabilityId(hash), hash, grant, createdAt: 0 }];
  });
}

/** No part of it can match in two ways: strangers send this text, and its length must be all that it costs. */
const IN_PATH = /\/k\/([A-Za-z0-9_-]+)(?=\/|$)/;

/**
 * Splits `/k/<token>` off a path: what stands before it, the token, and what follows (`/` at least). `undefined`: there
 * is none.
 */
export function splitCapability(
  path: string,
): { readonly before: string; readonly token: string; readonly rest: string } | undefined {
  const found = IN_PATH.exec(path);
  const [whole = '', token] = found ?? [];
  if (found === null || token === undefined) return undefined;
  return { before: path.slice(0, found.index), token, rest: path.slice(found.index + whole.length) || '/' };
}

/*
 * The credentials of the environment and of files: read at start, and again on SIGHUP.
 */

export interface CredentialBook {
  readonly keys: ReadonlyMap<string, AccessKey>;
  /** By SHA-256 hash. */
  readonly tokens: ReadonlyMap<string, Capability>;
  readonly adminPassword?: string;
  /** Who uses the pages, by name; `admin` among them if there is an admin password. */
  readonly operators: ReadonlyMap<string, Operator>;
}

type Source = Pick<
  Config,
  'keysText' | 'keysFile' | 'tokensText' | 'tokensFile' | 'adminPassword' | 'operatorsText' | 'operatorsFile'
>;

/** What is wrong with the credentials; no sentence holds a secret. */
export function credentialProblems(config: Source): readonly string[] {
  try {
    readCredentialBook(config);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

/** Errors: `ConfigError` with every problem; no message holds a secret. */
export function readCredentialBook(config: Source): CredentialBook {
  const problems: string[] = [];
  const keys = [
    ...parseAccessKeys(config.keysText, 'KARIN_KEYS', problems),
    ...parseAccessKeys(contents(config.keysFile, 'KARIN_KEYS_FILE', problems), 'KARIN_KEYS_FILE', problems),
  ];
  const tokens = [
    ...parseTokens(config.tokensText, 'KARIN_TOKENS', problems),
    ...parseTokens(contents(config.tokensFile, 'KARIN_TOKENS_FILE', problems), 'KARIN_TOKENS_FILE', problems),
  ];
  const { adminPassword, operatorsText, operatorsFile } = config;
  const operators = [
    ...(adminPassword === undefined ? [] : [{ name: ADMIN, role: 'administer' as const, secret: adminPassword }]),
    ...parseOperators(operatorsText, 'KARIN_OPERATORS', problems),
    ...parseOperators(contents(operatorsFile, 'KARIN_OPERATORS_FILE', problems), 'KARIN_OPERATORS_FILE', problems),
  ];
  const names = operators.map(({ name }) => name);
  for (const name of new Set(names.filter((other, index) => names.indexOf(other) !== index))) {
    problems.push(`the operator ${name} is there twice: remove one`);
  }
  const ids = keys.map((key) => key.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) {
    problems.push(`the access key ${id} is there twice: remove one, or give the new one another id`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    keys: new Map(keys.map((key) => [key.id, key])),
    tokens: new Map(tokens.map((token) => [token.hash, token])),
    operators: new Map(operators.map((operator) => [operator.name, operator])),
    ...(adminPassword === undefined ? {} : { adminPassword }),
  };
}

function contents(path: string | undefined, variable: string, problems: string[]): string {
  if (path === undefined) return '';
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`${variable}=${path}: cannot be read (${error instanceof Error ? error.message : error})`);
    return '';
  }
}

/** Whether there is anything that could let a caller in. */
export function isEmpty(book: CredentialBook): boolean {
  return book.keys.size === 0 && book.tokens.size === 0 && book.operators.size === 0;
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** What to tell an operator whose server would be open to everybody. */
export function openServerProblem(host: string): string {
  return [
    `HOST=${host} can be reached from other machines, and no credential is configured, so anybody could send and read messages. Make at least one:`,
    '    KARIN_ADMIN_PASSWORD="$(openssl rand -base64 24)"      the ops page, /sync, and karin token create',
    '    KARIN_TOKENS="$(openssl rand -hex 24):send"            callers use the endpoint <url>/k/<token>',
    '    KARIN_KEYS="my-key-id:$(openssl rand -hex 24)"         callers sign with this access key',
    '  or listen on this machine alone: HOST=127.0.0.1',
  ].join('\n');
}
