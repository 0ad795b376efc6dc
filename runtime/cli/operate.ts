/**
 * `karin status`, `queues`, `purge`, `hold`, `resume`, `logs`, `tail`: the operator's page as commands, over `/api/v1`.
 *
 * @module
 */
import * as z from 'zod/mini';
import { age } from '../ops/needs.ts';
import { matchesQueue, parseQueueKey } from '../queue/names.ts';
import { type CliContext, CliError, confirmed, STATUS, table } from './context.ts';
import { callServer, linesOf, requestServer, type ServerOptions } from './server-client.ts';

export interface JsonOption extends ServerOptions {
  readonly json?: boolean;
}

const scopeAnswer = z.object({
  source: z.string(),
  mappings: z.optional(z.number()),
  syncedAt: z.optional(z.string()),
  failure: z.optional(z.string()),
});

const statusAnswer = z.object({
  needs: z.array(z.object({ urgency: z.enum(['now', 'soon']), text: z.string() })),
  totals: z.object({ visible: z.number(), delayed: z.number(), inFlight: z.number() }),
  queues: z.number(),
  store: z.object({ description: z.string() }),
  version: z.string(),
  /** Absent: a server of an earlier version. */
  scopes: z.optional(z.array(scopeAnswer)),
});

/** Answers whether nothing needs somebody now. Errors: `CliError`. */
export async function status(options: JsonOption, context: CliContext): Promise<boolean> {
  const answer = await callServer(context, options, { method: 'GET', path: '/api/v1/status' });
  const { needs, totals, queues, store, version, scopes = [] } = read(statusAnswer, answer);
  if (options.json === true) context.out(`${JSON.stringify(answer)}\n`);
  else {
    const lines = [
      `${queues} queues: ${totals.visible} visible, ${totals.delayed} delayed, ${totals.inFlight} in flight`,
      `version ${version}, ${store.description}`,
      ...(scopes.length < 2 ? [] : scopes.map(describeScope)),
      ...(needs.length === 0 ? ['nothing needs you'] : ['', 'needs you:']),
      ...needs.map(({ urgency, text }) => `  ${urgency === 'now' ? '!' : '-'} ${text}`),
    ];
    context.out(`${lines.join('\n')}\n`);
  }
  return !needs.some(({ urgency }) => urgency === 'now');
}

function describeScope({ source, mappings, syncedAt, failure }: z.infer<typeof scopeAnswer>): string {
  const has = mappings === undefined ? 'never read' : `${mappings} mappings served`;
  const read = syncedAt === undefined ? '' : `, read ${syncedAt}`;
  return `${source}: ${has}${read}${failure === undefined ? '' : ', its last sync failed'}`;
}

interface QueuesOptions extends JsonOption {
  readonly show?: string;
  readonly stage?: string;
  readonly sort?: string;
  readonly page?: number;
}

const queuesAnswer = z.object({
  count: z.number(),
  page: z.number(),
  queues: z.array(
    z.object({
      name: z.string(),
      key: z.string(),
      mode: z.string(),
      functions: z.array(z.string()),
      visible: z.optional(z.number()),
      delayed: z.optional(z.number()),
      inFlight: z.optional(z.number()),
      waitsMs: z.optional(z.number()),
    }),
  ),
});

/** Errors: `CliError`. */
export async function queues(search: string | undefined, options: QueuesOptions, context: CliContext): Promise<void> {
  const { show, stage, sort, page } = options;
  oneOf('--show', show, ['all', 'busy', 'failing', 'held']);
  oneOf('--sort', sort, ['name', 'messages', 'waiting']);
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ q: search, show, stage, sort, page })) {
    if (value !== undefined) query.set(name, `${value}`);
  }
  const answer = await callServer(context, options, { method: 'GET', path: `/api/v1/queues?${query}` });
  if (options.json === true) {
    context.out(`${JSON.stringify(answer)}\n`);
    return;
  }
  const found = read(queuesAnswer, answer);
  if (found.queues.length === 0) {
    context.out('no queue fits\n');
    return;
  }
  const places = new Set(found.queues.map(({ key }) => placeOf(key)));
  const isOne = places.size === 1;
  const rows = found.queues.map((queue) => [
    queue.name,
    ...(isOne ? [] : [placeOf(queue.key)]),
    queue.functions.join(', ') || '-',
    queue.mode,
    ...[queue.visible, queue.delayed, queue.inFlight].map((count) => (count === undefined ? '?' : `${count}`)),
    queue.waitsMs === undefined ? '-' : age(queue.waitsMs),
  ]);
  const heads = [
    'queue',
    ...(isOne ? [] : ['account and region']),
    'function',
    'mode',
    'visible',
    'delayed',
    'in flight',
    'waits',
  ];
  const more =
    found.count > rows.length ? `\n${rows.length} of ${found.count}; --page ${found.page + 1} shows more\n` : '';
  context.out(`${table([heads, ...rows])}\n${more}`);
}

/** `111122223333 eu-west-1` of the identity of a queue. */
function placeOf(key: string): string {
  const [region = '', account = ''] = key.split(':');
  return `${account} ${region}`;
}

const QUESTIONS: Readonly<Record<string, (queue: string) => string>> = {
  purge: (queue) => `Delete every message of ${queue}? They cannot be brought back.`,
};
const DONE: Readonly<Record<string, string>> = {
  purge: 'purged',
  hold: 'on hold: messages are kept, no function is invoked',
  resume: 'consumed again',
};

/** Errors: `CliError`; also if the question was not answered with yes. */
export async function act(
  action: string,
  queue: string,
  options: JsonOption & { readonly yes?: boolean },
  context: CliContext,
): Promise<void> {
  const question = QUESTIONS[action]?.(queue);
  if (question !== undefined) await confirmed(context, question, options.yes === true);
  const isGlob = question === undefined && /[*?]/.test(queue);
  const actOn = async (name: string): Promise<void> => {
    const path = `/api/v1/queues/${encodeURIComponent(name)}/${action}`;
    const answer = await callServer(context, options, { method: 'POST', path });
    context.out(options.json === true ? `${JSON.stringify(answer)}\n` : `${name}: ${DONE[action] ?? 'done'}\n`);
  };
  if (!isGlob) return actOn(queue);
  let refused = 0;
  for (const name of await fitting(queue, options, context)) {
    // One that is refused, as AWS consumes it, keeps no other one back.
    await actOn(name).catch((error: unknown) => {
      if (!(error instanceof CliError) || error.status !== STATUS.refused) throw error;
      context.err(`${name}: ${error.message}\n`);
      refused += 1;
    });
  }
  if (refused > 0) throw new CliError(`${refused} of the queues stay as they were`, STATUS.refused);
}

/** Keys of the queues that fit a glob. Errors: `CliError`; also if there are none. */
async function fitting(glob: string, options: ServerOptions, context: CliContext): Promise<readonly string[]> {
  const keys: string[] = [];
  let seen = 0;
  for (let page = 1; ; page += 1) {
    const answer = await callServer(context, options, { method: 'GET', path: `/api/v1/queues?page=${page}` });
    const { queues, count } = read(queuesAnswer, answer);
    for (const { key } of queues) {
      const queue = parseQueueKey(key);
      if (queue !== undefined && matchesQueue(glob, queue)) keys.push(key);
    }
    seen += queues.length;
    if (queues.length === 0 || seen >= count) break;
  }
  if (keys.length === 0) throw new CliError(`no queue fits ${glob}`, STATUS.notFound);
  return keys;
}

const activityItem = z.object({ at: z.number(), queue: z.string(), text: z.string(), level: z.string() });
const activityAnswer = z.object({ activity: z.array(activityItem) });

/** What happened lately, the oldest first. */
export async function showLogs(name: string | undefined, options: JsonOption, context: CliContext): Promise<void> {
  const answer = await callServer(context, options, { method: 'GET', path: `/api/v1/activity${queryOf(name)}` });
  const value = read(activityAnswer, answer);
  for (const item of value.activity.toReversed()) context.out(lineOf(item, options, context));
}

/** What happens from now on, until the command is ended. A stream that the server ends is asked for again. */
export async function tail(name: string | undefined, options: JsonOption, context: CliContext): Promise<void> {
  const isEnded = (): boolean => context.signal?.aborted === true;
  while (!isEnded()) {
    try {
      const path = `/api/v1/activity${queryOf(name)}`;
      const response = await requestServer(context, options, { method: 'GET', path, accept: 'text/event-stream' });
      for await (const line of linesOf(response)) {
        if (!line.startsWith('data: ')) continue;
        context.out(lineOf(read(activityItem, JSON.parse(line.slice('data: '.length))), options, context));
      }
    } catch (error) {
      if (!isEnded()) throw error;
    }
  }
}

/** Names of queues that begin so, for completion; none where the server cannot be asked. */
export async function queueNames(beginning: string, options: ServerOptions, context: CliContext): Promise<void> {
  try {
    const path = `/api/v1/queues?${new URLSearchParams({ q: beginning })}`;
    const answer = await callServer(context, options, { method: 'GET', path });
    const names = read(queuesAnswer, answer)
      .queues.map(({ name }) => name)
      .filter((name) => name.startsWith(beginning));
    context.out(names.map((name) => `${name}\n`).join(''));
  } catch (error) {
    // A shell that completes has no place for an error.
    if (!(error instanceof CliError)) throw error;
  }
}

function queryOf(name: string | undefined): string {
  return name === undefined ? '' : `?${new URLSearchParams({ queue: name })}`;
}

function lineOf(item: z.infer<typeof activityItem>, { json }: JsonOption, context: CliContext): string {
  if (json === true) return `${JSON.stringify(item)}\n`;
  const text = `${new Date(item.at).toISOString()} ${item.queue.split(':').at(-1)}: ${visible(item.text)}`;
  return `${item.level === 'bad' && context.colours === true ? `\u001b[31m${text}\u001b[39m` : text}\n`;
}

function oneOf(option: string, value: string | undefined, allowed: readonly string[]): void {
  if (value === undefined || allowed.includes(value)) return;
  throw new CliError(`${option} is ${value}; it must be one of ${allowed.join(', ')}`, STATUS.usage);
}

/** Errors: `CliError`: another version of the server answered. */
export function read<T extends z.ZodMiniType>(schema: T, answer: unknown): z.infer<T> {
  const result = schema.safeParse(answer);
  if (!result.success) throw new CliError('the server answered in a way that this version of karin does not know');
  return result.data;
}

/** A body on one line, without characters that a terminal would obey. */
export function visible(body: string): string {
  return body
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
    .slice(0, 500);
}
