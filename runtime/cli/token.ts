/**
 * `karin token create|list|revoke`: capability tokens for callers.
 *
 * Two ways lead to the tokens: through a running server, with its admin password, or straight into its Redis
 * (`REDIS_URL` or `REDIS_URL_FILE`), which is how the first token of a server comes to be that does not start without
 * one.
 *
 * @module
 */

import type { Shares } from '../http/auth/credentials.ts';
import { storedLastUses } from '../http/auth/last-uses.ts';
import {
  type CreatedToken,
  createRequested,
  createTokenStore,
  readTokenRequest,
  type ShownToken,
  showToken,
  type TokenStore,
} from '../http/auth/tokens.ts';
import { EnvironmentReader, readRedisUrls } from '../settings.ts';
import { openStore } from '../store/open-store.ts';
import { systemRandomness, systemTime } from '../time.ts';
import { type CliContext, CliError, table } from './context.ts';
import { callServer, type ServerOptions } from './server-client.ts';

export interface TokenOptions extends ServerOptions {
  readonly json?: boolean;
}

export interface CreateOptions extends TokenOptions {
  readonly scope: readonly string[];
  readonly queue: readonly string[];
  /** `90d`, `12h`, `30m`; absent: never. */
  readonly expires?: string;
  readonly name?: string;
  /** Messages a second; this and the others: absent where it is not bounded. */
  readonly sends?: number;
  /** Queues made with it. */
  readonly queues?: number;
  /** Messages that stand in the queues that it sends to. */
  readonly messages?: number;
  /** Bytes of them. */
  readonly bytes?: number;
}

/** As `POST /tokens` takes it. */
interface NewToken extends Shares {
  readonly scopes: string;
  readonly queues: string;
  readonly expiresInSeconds?: number;
  readonly name?: string;
}

/** The tokens of a server, by either way. */
interface Tokens {
  create(token: NewToken): Promise<CreatedToken>;
  list(): Promise<readonly ShownToken[]>;
  revoke(id: string): Promise<void>;
}

export async function createToken(options: CreateOptions, context: CliContext): Promise<void> {
  const request: NewToken = {
    scopes: options.scope.join('+'),
    queues: options.queue.join('|'),
    ...(options.expires === undefined ? {} : { expiresInSeconds: parseDuration(options.expires) }),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.sends === undefined ? {} : { sendsPerSecond: options.sends }),
    ...(options.queues === undefined ? {} : { maxQueues: options.queues }),
    ...(options.messages === undefined ? {} : { maxMessages: options.messages }),
    ...(options.bytes === undefined ? {} : { maxBytes: options.bytes }),
  };
  const created = await withTokens(options, context, (tokens) => tokens.create(request));
  if (options.json === true) return context.out(`${JSON.stringify(created, undefined, 2)}\n`);
  const life = created.expiresAt === undefined ? 'until it is revoked' : `until ${created.expiresAt}`;
  context.out(
    [
      `token     ${created.token}`,
      `endpoint  ${created.endpoint}`,
      '',
      `It may ${created.scopes.join(', ')} on ${created.queues.join(', ')} ${life}. It is not shown again; its id is ${created.id}.`,
      'Callers need no change of code:',
      `  AWS_ENDPOINT_URL_SQS=${created.endpoint}`,
      '',
    ].join('\n'),
  );
}

export async function listTokens(options: TokenOptions, context: CliContext): Promise<void> {
  const tokens = await withTokens(options, context, (all) => all.list());
  if (options.json === true) return context.out(`${JSON.stringify(tokens, undefined, 2)}\n`);
  if (tokens.length === 0) return context.out('There is no token. karin token create makes one.\n');
  const rows = tokens.map((token) => [
    token.id,
    token.scopes.join('+'),
    token.queues.join('|'),
    token.createdAt.slice(0, 10),
    token.expired ? 'expired' : (token.expiresAt?.slice(0, 10) ?? 'never'),
    token.lastUsedAt?.slice(0, 16).replace('T', ' ') ?? '-',
    token.name ?? '',
  ]);
  context.out(`${table([['ID', 'SCOPES', 'QUEUES', 'CREATED', 'EXPIRES', 'LAST USED', 'NAME'], ...rows])}\n`);
}

export async function revokeToken(id: string, options: TokenOptions, context: CliContext): Promise<void> {
  await withTokens(options, context, (tokens) => tokens.revoke(id));
  context.out(`Token ${id} is revoked.\n`);
}

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/** Seconds of `30m`, `12h` or `90d`. Errors: `CliError`. */
export function parseDuration(text: string): number {
  const [, count, unit] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit ?? ''] ?? Number.NaN);
  if (!(seconds >= 60)) throw new CliError(`"${text}" is not a time: use for example 30m, 12h or 90d`);
  return seconds;
}

async function withTokens<T>(
  options: TokenOptions,
  context: CliContext,
  use: (tokens: Tokens) => Promise<T>,
): Promise<T> {
  const env = new EnvironmentReader(context.env);
  if (options.url !== undefined || env.text('KARIN_URL') !== undefined) return use(tokensOfServer(options, context));
  const urls = readRedisUrls(env);
  if (env.problems.length > 0) throw new CliError(env.problems.join('\n'));
  if (urls.length === 0) return use(tokensOfServer(options, context));
  const store = await openStore({
    urls,
    instanceId: systemRandomness.uuid(),
    time: systemTime,
    randomness: systemRandomness,
  });
  try {
    const tokens = createTokenStore(store.documents, () => systemTime.now());
    await tokens.reload();
    return await use(tokensOfStore(tokens, await storedLastUses(store.documents), context));
  } finally {
    await store.close();
  }
}

function tokensOfServer(options: TokenOptions, context: CliContext): Tokens {
  // Answers of `/tokens` of a server of this version.
  return {
    create: async (body) =>
      (await callServer(context, options, { method: 'POST', path: '/tokens', body })) as CreatedToken,
    list: async () => {
      const answer = await callServer(context, options, { method: 'GET', path: '/tokens' });
      return (answer as { readonly tokens: readonly ShownToken[] }).tokens;
    },
    revoke: async (id) => {
      await callServer(context, options, { method: 'DELETE', path: `/tokens/${encodeURIComponent(id)}` });
    },
  };
}

function tokensOfStore(tokens: TokenStore, uses: ReadonlyMap<string, number>, context: CliContext): Tokens {
  return {
    create: async (body) => {
      const request = readTokenRequest(body);
      if ('problem' in request) throw new CliError(request.problem);
      const server = context.env['KARIN_PUBLIC_URL']?.replace(/\/+$/, '') ?? '<address of the server>';
      return createRequested(tokens, request, server, systemTime.now());
    },
    list: async () =>
      tokens.list().map((capability) => showToken(capability, systemTime.now(), uses.get(`token:${capability.id}`))),
    revoke: async (id) => {
      if (!(await tokens.revoke(id))) throw new CliError(`there is no token ${id}; karin token list shows them`);
    },
  };
}
