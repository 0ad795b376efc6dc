/**
 * `karin errors`, `redrive`, `scheduled`, `cancel`, `run-now`, `delete`: what is done to several messages of a queue at
 * once, over `/api/v1`.
 *
 * @module
 */
import { setTimeout as pause } from 'node:timers/promises';
import * as z from 'zod/mini';
import { age } from '../ops/needs.ts';
import { type CliContext, CliError, confirmed, STATUS, table } from './context.ts';
import { type JsonOption, read, visible } from './operate.ts';
import { callServer } from './server-client.ts';

/** Between two looks at how far a redrive is, ms. */
const LOOK_MS = 1_000;
/** Characters of a body in its line. */
const PREVIEW = 200;

const errorsAnswer = z.object({
  errors: z.array(
    z.object({
      id: z.string(),
      type: z.optional(z.string()),
      message: z.optional(z.string()),
      count: z.number(),
      functionArns: z.array(z.string()),
      lastAt: z.optional(z.string()),
    }),
  ),
  looked: z.number(),
  more: z.boolean(),
});

/** The errors of a queue, the most frequent first. Errors: `CliError`. */
export async function errors(queue: string, options: JsonOption, context: CliContext): Promise<void> {
  const answer = await callServer(context, options, { method: 'GET', path: `${pathOf(queue)}/errors` });
  if (options.json === true) return print(answer, context);
  const found = read(errorsAnswer, answer);
  if (found.errors.length === 0) context.out('the queue is empty\n');
  else {
    const rows = found.errors.map(({ id, type, message, count, functionArns, lastAt }) => [
      ...[`${count}`, id, lastAt?.slice(0, 19) ?? '-'],
      functionArns.map((arn) => visible(arn.split(':')[6] ?? arn)).join(', ') || '-',
      type === undefined ? 'no failure is kept' : visible(`${type}: ${message ?? ''}`),
    ]);
    context.out(`${table([['messages', 'id', 'last, UTC', 'function', 'error'], ...rows])}\n`);
  }
  if (found.more) context.out(`${found.looked} messages were looked at, and there are more\n`);
}

const redriveAnswer = z.object({
  status: z.string(),
  to: z.optional(z.string()),
  moved: z.number(),
  toMove: z.number(),
  left: z.optional(z.number()),
  failure: z.optional(z.string()),
});
type RedriveAnswer = z.infer<typeof redriveAnswer>;

interface RedriveOptions extends JsonOption {
  readonly to?: string;
  readonly speed?: number;
  readonly error?: string;
  readonly cancel?: boolean;
  readonly wait?: boolean;
  readonly yes?: boolean;
}

/** Answers whether the redrive did not fail, as far as was waited for. Errors: `CliError`. */
export async function redrive(queue: string, options: RedriveOptions, context: CliContext): Promise<boolean> {
  const { to, speed, error, cancel, wait } = options;
  if (cancel === true) {
    if (to !== undefined || speed !== undefined || error !== undefined) {
      throw new CliError('--cancel ends the redrive that runs; it takes no --to, --speed or --error', STATUS.usage);
    }
  } else {
    const what = error === undefined ? 'all messages' : `the messages of error ${error}`;
    const where = to === undefined ? 'back to where they came from' : `to ${to}`;
    await confirmed(context, `Move ${what} of ${queue} ${where}?`, options.yes === true);
  }
  const path = `${pathOf(queue)}/${cancel === true ? 'cancel-redrive' : 'redrive'}`;
  const body = cancel === true ? undefined : { to, speed, error };
  const answer = await callServer(context, options, { method: 'POST', path, body });
  if (wait !== true) {
    if (options.json === true) print(answer, context);
    else context.out(`${queue}: ${cancel === true ? 'the redrive is cancelled' : begun(answer)}\n`);
    return true;
  }
  const { last, json } = await untilOver(queue, options, context);
  if (options.json === true) print(json, context);
  else context.out(`${queue}: ${told(last)}\n`);
  return last.status !== 'FAILED';
}

function begun(answer: unknown): string {
  const { redrive: task, beyond } = read(z.object({ redrive: redriveAnswer, beyond: z.optional(z.number()) }), answer);
  const rest = beyond === undefined ? '' : `; ${beyond} more of this error are left, repeat it for them`;
  return `the redrive of ${task.toMove} messages has begun${rest}`;
}

async function untilOver(queue: string, options: JsonOption, context: CliContext) {
  let shown = '';
  for (;;) {
    const path = `${pathOf(queue)}/redrives`;
    const answer = await callServer(context, options, { method: 'GET', path });
    const [json] = read(z.object({ redrives: z.array(z.unknown()) }), answer).redrives;
    const last = read(redriveAnswer, json);
    if (!['RUNNING', 'CANCELLING'].includes(last.status)) return { last, json };
    const text = `${queue}: ${last.moved} of ${last.toMove} moved\n`;
    if (options.json !== true && text !== shown) context.out(text);
    shown = text;
    await pause(LOOK_MS, undefined, context.signal === undefined ? {} : { signal: context.signal });
  }
}

/** What mends a redrive that failed, by the word of SQS for why. */
const MENDS: Readonly<Record<string, string>> = {
  CouldNotDetermineMessageSource:
    'a message was sent to this queue directly, so it came from no other; --to <queue> says where it goes',
  'AWS.SimpleQueueService.NonExistentQueue':
    'the queue to move to does not exist here any more; --to <queue> names one',
};

function told({ status, moved, toMove, left = 0, failure }: RedriveAnswer): string {
  const rest = left === 0 ? '' : `, ${left} left: gone or in flight`;
  const mend = MENDS[failure ?? ''];
  const why = failure === undefined ? '' : ` (${failure}${mend === undefined ? '' : `: ${mend}`})`;
  return `${status.toLowerCase()}: ${moved} of ${toMove} moved${rest}${why}`;
}

const scheduledAnswer = z.object({
  messages: z.array(z.object({ id: z.string(), dueInMs: z.number(), dueAt: z.string(), body: z.optional(z.string()) })),
  total: z.number(),
  page: z.number(),
});

/** Errors: `CliError`. */
export async function scheduled(
  queue: string,
  options: JsonOption & { readonly page?: number },
  context: CliContext,
): Promise<void> {
  const path = `${pathOf(queue)}/scheduled?page=${options.page ?? 1}`;
  const answer = await callServer(context, options, { method: 'GET', path });
  if (options.json === true) return print(answer, context);
  const { messages, total, page } = read(scheduledAnswer, answer);
  if (messages.length === 0) context.out(total === 0 ? 'nothing is scheduled\n' : 'there is nothing on this page\n');
  for (const { id, dueAt, dueInMs, body } of messages) {
    context.out(`${id}  due ${dueAt}, in ${age(dueInMs)}\n`);
    context.out(`  ${body === undefined ? '(not read)' : visible(body).slice(0, PREVIEW)}\n`);
  }
  if (total > messages.length) context.out(`${messages.length} of ${total}; --page ${page + 1} shows more\n`);
}

const RESULTS: Readonly<Record<string, string>> = {
  'in-flight': 'in flight: somebody has received it, so nothing was done',
  missing: 'not in this queue',
  behind: 'nothing was done: a message before it in its group must go first',
  'out-of-reach': 'nothing was done: too many messages of its group stand before it',
  due: 'due already, so nothing was done; karin delete deletes it',
};
const DONE: Readonly<Record<string, string>> = {
  cancel: 'cancelled',
  'run-now': 'due now',
  delete: 'deleted',
};
const namedAnswer = z.object({ messages: z.array(z.object({ id: z.string(), outcome: z.string() })) });

/** Answers whether everything was done. Errors: `CliError`. */
export async function actOnNamed(
  action: 'cancel' | 'run-now' | 'delete',
  queue: string,
  ids: readonly string[],
  options: JsonOption & { readonly yes?: boolean },
  context: CliContext,
): Promise<boolean> {
  if (action === 'delete') {
    const what = ids.length === 1 ? 'this message' : `these ${ids.length} messages`;
    await confirmed(context, `Delete ${what} of ${queue}? They cannot be brought back.`, options.yes === true);
  }
  const messages = [...new Set(ids.map((id) => id.toLowerCase()))];
  const answer = await callServer(context, options, {
    ...{ method: 'POST', path: `${pathOf(queue)}/${action}` },
    body: { messages },
  });
  const results = read(namedAnswer, answer).messages;
  if (options.json === true) print(answer, context);
  else {
    for (const { id, outcome } of results) {
      context.out(`${id}: ${outcome === 'done' ? DONE[action] : (RESULTS[outcome] ?? outcome)}\n`);
    }
  }
  return results.every(({ outcome }) => outcome === 'done');
}

function pathOf(queue: string): string {
  return `/api/v1/queues/${encodeURIComponent(queue)}`;
}

function print(answer: unknown, context: CliContext): void {
  context.out(`${JSON.stringify(answer)}\n`);
}
