/**
 * `karin status`, `queues`, `peek`, `purge`, `redrive`, `hold`, `resume`: the operator's page as commands, over
 * `/api/v1`.
 *
 * @module
 */
import { createInterface } from 'node:readline/promises';
import * as z from 'zod/mini';
import { age } from '../ops/needs.ts';
import { type CliContext, CliError, table } from './context.ts';
import { callServer, type ServerOptions } from './server-client.ts';

interface JsonOption extends ServerOptions {
  readonly json?: boolean;
}

const statusAnswer = z.object({
  needs: z.array(z.object({ urgency: z.enum(['now', 'soon']), text: z.string() })),
  totals: z.object({ visible: z.number(), delayed: z.number(), inFlight: z.number() }),
  queues: z.number(),
  store: z.object({ description: z.string() }),
  version: z.string(),
});

/** Answers whether nothing needs somebody now. Errors: `CliError`. */
export async function status(options: JsonOption, context: CliContext): Promise<boolean> {
  const answer = await callServer(context, options, { method: 'GET', path: '/api/v1/status' });
  const { needs, totals, queues, store, version } = read(statusAnswer, answer);
  if (options.json === true) context.out(`${JSON.stringify(answer)}\n`);
  else {
    const lines = [
      `${queues} queues: ${totals.visible} visible, ${totals.delayed} delayed, ${totals.inFlight} in flight`,
      `version ${version}, ${store.description}`,
      ...(needs.length === 0 ? ['nothing needs you'] : ['', 'needs you:']),
      ...needs.map(({ urgency, text }) => `  ${urgency === 'now' ? '!' : '-'} ${text}`),
    ];
    context.out(`${lines.join('\n')}\n`);
  }
  return !needs.some(({ urgency }) => urgency === 'now');
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
  const rows = found.queues.map((queue) => [
    queue.name,
    queue.functions.join(', ') || '-',
    queue.mode,
    ...[queue.visible, queue.delayed, queue.inFlight].map((count) => (count === undefined ? '?' : `${count}`)),
    queue.waitsMs === undefined ? '-' : age(queue.waitsMs),
  ]);
  const heads = ['queue', 'function', 'mode', 'visible', 'delayed', 'in flight', 'waits'];
  const more =
    found.count > rows.length ? `\n${rows.length} of ${found.count}; --page ${found.page + 1} shows more\n` : '';
  context.out(`${table([heads, ...rows])}\n${more}`);
}

const messagesAnswer = z.object({
  messages: z.array(
    z.object({
      id: z.string(),
      state: z.string(),
      dueInMs: z.number(),
      sentAt: z.string(),
      receiveCount: z.number(),
      body: z.optional(z.string()),
      cut: z.optional(z.boolean()),
      deadLetterOf: z.optional(z.string()),
    }),
  ),
});

/** Errors: `CliError`. */
export async function peek(
  queue: string,
  options: JsonOption & { readonly limit?: number },
  context: CliContext,
): Promise<void> {
  const path = `/api/v1/queues/${encodeURIComponent(queue)}/messages?limit=${options.limit ?? 20}`;
  const answer = await callServer(context, options, { method: 'GET', path });
  if (options.json === true) {
    context.out(`${JSON.stringify(answer)}\n`);
    return;
  }
  const { messages } = read(messagesAnswer, answer);
  if (messages.length === 0) context.out('the queue is empty\n');
  for (const { id, state, dueInMs, sentAt, receiveCount, body, cut, deadLetterOf } of messages) {
    const facts = [
      `${state}${dueInMs > 0 ? ` for ${age(dueInMs)}` : ''}`,
      `sent ${sentAt}`,
      receiveCount === 1 ? 'received once' : `received ${receiveCount} times`,
      ...(deadLetterOf === undefined ? [] : [`dead letter of ${deadLetterOf.split(':').at(-1)}`]),
    ];
    context.out(`${id}  ${facts.join(', ')}\n`);
    context.out(
      `  ${body === undefined ? '(another version of Karin wrote it)' : visible(body)}${cut ? ' ...' : ''}\n`,
    );
  }
}

const QUESTIONS: Readonly<Record<string, (queue: string) => string>> = {
  purge: (queue) => `Delete every message of ${queue}? They cannot be brought back.`,
  redrive: (queue) => `Move all messages of ${queue} back to where they came from?`,
};
const DONE: Readonly<Record<string, string>> = {
  purge: 'purged',
  redrive: 'the redrive has begun',
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
  if (question !== undefined && options.yes !== true) await confirm(question);
  const path = `/api/v1/queues/${encodeURIComponent(queue)}/${action}`;
  const answer = await callServer(context, options, { method: 'POST', path });
  context.out(options.json === true ? `${JSON.stringify(answer)}\n` : `${queue}: ${DONE[action] ?? 'done'}\n`);
}

/** Errors: `CliError`, unless a person at a terminal says yes. */
async function confirm(question: string): Promise<void> {
  if (!process.stdin.isTTY) throw new CliError(`${question} Say so with --yes.`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${question} [y/N] `).finally(() => terminal.close());
  if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('nothing was done');
}

function oneOf(option: string, value: string | undefined, allowed: readonly string[]): void {
  if (value === undefined || allowed.includes(value)) return;
  throw new CliError(`${option} is ${value}; it must be one of ${allowed.join(', ')}`);
}

/** Errors: `CliError`: another version of the server answered. */
function read<T extends z.ZodMiniType>(schema: T, answer: unknown): z.infer<T> {
  const result = schema.safeParse(answer);
  if (!result.success) throw new CliError('the server answered in a way that this version of karin does not know');
  return result.data;
}

/** A body on one line, without characters that a terminal would obey. */
function visible(body: string): string {
  return body
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
    .slice(0, 500);
}
