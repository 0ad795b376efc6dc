/**
 * `karin peek` and `karin search`: looks at messages without receiving them, over `/api/v1`.
 *
 * @module
 */
import * as z from 'zod/mini';
import { age } from '../ops/needs.ts';
import { type CliContext, CliError, STATUS } from './context.ts';
import { type JsonOption, read, visible } from './operate.ts';
import { callServer } from './server-client.ts';

const messageAnswer = z.object({
  id: z.string(),
  state: z.optional(z.string()),
  dueInMs: z.optional(z.number()),
  sentAt: z.string(),
  receiveCount: z.number(),
  body: z.optional(z.string()),
  cut: z.optional(z.boolean()),
  deadLetterOf: z.optional(z.string()),
  failure: z.optional(
    z.object({
      ...{ at: z.string(), errorType: z.string(), message: z.string(), attempt: z.number() },
      ...{ logTail: z.optional(z.string()), logsUrl: z.optional(z.string()) },
    }),
  ),
});
type ShownMessage = z.infer<typeof messageAnswer>;

const messagesAnswer = z.object({ messages: z.array(messageAnswer) });

/** Errors: `CliError`. */
export async function peek(
  queue: string,
  options: JsonOption & { readonly limit?: number; readonly id?: string },
  context: CliContext,
): Promise<void> {
  const { id, limit = 20 } = options;
  const which = id === undefined ? `?limit=${limit}` : `/${encodeURIComponent(id)}`;
  const path = `/api/v1/queues/${encodeURIComponent(queue)}/messages${which}`;
  const answer = await callServer(context, options, { method: 'GET', path });
  if (options.json === true) {
    context.out(`${JSON.stringify(answer)}\n`);
    return;
  }
  const messages = id === undefined ? read(messagesAnswer, answer).messages : [read(messageAnswer, answer)];
  if (messages.length === 0) context.out('the queue is empty\n');
  for (const message of messages) show(message, context);
}

function show(message: ShownMessage, context: CliContext): void {
  const { id, body, cut, failure } = message;
  context.out(`${id}  ${factsOf(message)}\n`);
  context.out(`  ${body === undefined ? '(another version of Karin wrote it)' : visible(body)}${cut ? ' ...' : ''}\n`);
  if (failure === undefined) return;
  const { at, attempt, errorType, message: why, logTail, logsUrl } = failure;
  context.out(`  failed ${at}, attempt ${attempt}: ${visible(`${errorType}: ${why}`)}\n`);
  for (const line of (logTail ?? '').split('\n').filter((text) => text.trim() !== '')) {
    context.out(`    | ${visible(line)}\n`);
  }
  if (logsUrl !== undefined) context.out(`    ${logsUrl}\n`);
}

function factsOf({ state = 'waits in its group', dueInMs = 0, sentAt, receiveCount, deadLetterOf }: ShownMessage) {
  return [
    `${state}${dueInMs > 0 ? ` for ${age(dueInMs)}` : ''}`,
    `sent ${sentAt}`,
    receiveCount === 1 ? 'received once' : `received ${receiveCount} times`,
    ...(deadLetterOf === undefined ? [] : [`dead letter of ${deadLetterOf.split(':').at(-1)}`]),
  ].join(', ');
}

const foundAnswer = z.object({ messages: z.array(z.extend(messageAnswer, { queue: z.string() })) });

const stepAnswer = z.object({
  hits: z.array(z.object({ queue: z.string(), id: z.string(), line: z.string() })),
  messages: z.number(),
  bytes: z.number(),
  next: z.optional(z.string()),
});

interface SearchOptions extends JsonOption {
  readonly queue?: string;
  readonly all?: boolean;
}

/**
 * Looks for a message by its id, or for a text in bodies: one step, or with `all` as many as it takes. With `json` an
 * answer on a line for each step. Errors: `CliError`; also if there is no message of the id.
 */
export async function search(text: string, options: SearchOptions, context: CliContext): Promise<void> {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text.trim())) {
    await searchId(text.trim(), options, context);
    return;
  }
  let messages = 0;
  let from: string | undefined;
  do {
    const query = new URLSearchParams({ q: text });
    if (options.queue !== undefined) query.set('queue', options.queue);
    if (from !== undefined) query.set('from', from);
    const answer = await callServer(context, options, { method: 'GET', path: `/api/v1/search?${query}` });
    const step = read(stepAnswer, answer);
    messages += step.messages;
    from = step.next;
    if (options.json === true) context.out(`${JSON.stringify(answer)}\n`);
    else for (const { queue, id, line } of step.hits) context.out(`${nameOf(queue)}  ${id}  ${visible(line)}\n`);
  } while (options.all === true && from !== undefined && context.signal?.aborted !== true);
  if (options.json === true) return;
  context.out(`${messages} messages read${from === undefined ? '' : '; there are more: --all reads on'}\n`);
}

async function searchId(id: string, options: SearchOptions, context: CliContext): Promise<void> {
  const answer = await callServer(context, options, { method: 'GET', path: `/api/v1/messages/${id}` });
  const { messages } = read(foundAnswer, answer);
  if (messages.length === 0) throw new CliError('no queue holds a message of this id', STATUS.notFound);
  if (options.json === true) context.out(`${JSON.stringify(answer)}\n`);
  else for (const message of messages) context.out(`${nameOf(message.queue)}  ${message.id}  ${factsOf(message)}\n`);
}

function nameOf(queueKey: string): string {
  return queueKey.split(':').at(-1) ?? queueKey;
}
