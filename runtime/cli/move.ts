/**
 * `karin export` and `karin import`: everything that the queues of a server hold, as a file, over `/api/v1`.
 *
 * @module
 */
import { createReadStream } from 'node:fs';
import { open, rename, stat } from 'node:fs/promises';
import * as z from 'zod/mini';
import { matchesQueue, parseQueueKey } from '../queue/names.ts';
import { ExportFileError, type ExportLine, FileCheck } from '../transfer/export-format.ts';
import { type CliContext, CliError, STATUS } from './context.ts';
import { callServer, linesIn, linesOf, requestServer, type ServerOptions } from './server-client.ts';

interface ChoiceOptions extends ServerOptions {
  /** Names or globs; empty: all. */
  readonly queue?: readonly string[];
}

interface ExportOptions extends ChoiceOptions {
  /** Default: standard output. */
  readonly output?: string;
}

/** Writes a whole file, or none of that name. Errors: `CliError`. */
export async function exportQueues(options: ExportOptions, context: CliContext): Promise<void> {
  const path = `/api/v1/export${queryOf(options.queue)}`;
  const response = await requestServer(context, options, { method: 'GET', path }).catch(explainOldServer);
  const target = options.output === undefined ? standardOutput(context) : await partialFile(options.output);
  const check = new FileCheck();
  const progress = new Progress(context, 'exported');
  const chosen = new Set<string>();
  try {
    for await (const text of linesOf(response)) {
      const failed = failureIn(text);
      if (failed !== undefined) throw new CliError(`the export was given up: ${failed}; the file is cut`);
      await target.write(`${text}\n`);
      const line = check.add(text);
      if (line?.kind === 'queue') chosen.add(line.queue);
      if (line?.kind === 'message') progress.at(check.messages, line.queue);
    }
    check.finish();
  } catch (error) {
    await target.abandon();
    if (error instanceof CliError) throw error;
    throw new CliError(`no whole export came: ${reasonOf(error)}`);
  }
  await target.finish();
  for (const { queue, text } of check.warnings) context.err(`warning: ${queue}: ${text}\n`);
  const to = options.output === undefined ? '' : ` to ${options.output}`;
  context.err(`exported ${counted(check.messages, 'message')} of ${counted(chosen.size, 'queue')}${to}\n`);
}

interface Target {
  write(text: string): Promise<void>;
  finish(): Promise<void>;
  abandon(): Promise<void>;
}

function standardOutput({ out, drained = async () => {} }: CliContext): Target {
  const write = async (text: string): Promise<void> => {
    out(text);
    await drained();
  };
  return { write, finish: drained, abandon: async () => {} };
}

/** Characters that are written at one time. */
const PIECE = 1_048_576;

/** The file has its name when it is whole. For its owner alone: it has every message in it. */
async function partialFile(path: string): Promise<Target> {
  const partial = `${path}.part`;
  const file = await open(partial, 'w', 0o600);
  let pending = '';
  const flush = async (): Promise<void> => {
    const text = pending;
    pending = '';
    await file.writeFile(text);
  };
  return {
    write: async (text) => {
      pending += text;
      if (pending.length >= PIECE) await flush();
    },
    finish: async () => {
      await flush();
      await file.sync();
      await file.close();
      await rename(partial, path);
    },
    abandon: async () => {
      await flush();
      await file.close();
    },
  };
}

/** What the server says instead of a line when it cannot go on. */
function failureIn(text: string): string | undefined {
  if (!text.startsWith('{"kind":"failed"')) return undefined;
  const parsed = z.object({ error: z.string() }).safeParse(JSON.parse(text));
  return parsed.success ? parsed.data.error : 'the server does not say why';
}

interface ImportOptions extends ChoiceOptions {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Bytes of lines that travel together, unless one alone has more; and how many lines. */
const PART_BYTES = 1_048_576;
const PART_LINES = 500;

const counts = z.object({
  queues: z.object({ created: z.number(), present: z.number() }),
  messages: z.object({ imported: z.number(), present: z.number(), earlier: z.number(), passedOver: z.number() }),
  tokens: z.object({ imported: z.number(), present: z.number() }),
  warnings: z.array(z.string()),
});
type Counts = z.infer<typeof counts>;

/**
 * Imports a file; `-`: standard input. A file is read twice: the first time everything in it is checked, so that a file
 * that is cut or wrong changes nothing. Standard input can be read once: what came before the wrong line is imported.
 *
 * Errors: `CliError`.
 */
export async function importFile(
  path: string,
  options: ImportOptions,
  context: CliContext,
  input: AsyncIterable<Uint8Array> = process.stdin,
): Promise<void> {
  if (path !== '-') await checkFile(path);
  const check = new FileCheck();
  const progress = new Progress(context, options.dryRun === true ? 'checked' : 'imported');
  const total: Counts = {
    queues: { created: 0, present: 0 },
    messages: { imported: 0, present: 0, earlier: 0, passedOver: 0 },
    tokens: { imported: 0, present: 0 },
    warnings: [],
  };
  const held = new Set<string>();
  let head = '';
  let part: string[] = [];
  let bytes = 0;
  const send = async (): Promise<void> => {
    if (part.length === 0) return;
    const query = globsAsQuery(options.queue);
    query.set('line', String(check.lines - part.length + 1));
    if (options.dryRun === true) query.set('dryRun', '1');
    const request = { method: 'POST', path: `/api/v1/import?${query}`, lines: `${[head, ...part].join('\n')}\n` };
    add(total, readCounts(await callServer(context, options, request).catch(explainOldServer)));
    part = [];
    bytes = 0;
  };
  try {
    for await (const { line: text } of linesIn(path === '-' ? input : createReadStream(path))) {
      const size = Buffer.byteLength(text);
      if (bytes + size > PART_BYTES || part.length === PART_LINES) await send();
      const line = check.add(text);
      if (check.lines === 1) head = text;
      else {
        part.push(text);
        bytes += size;
      }
      if (line?.kind === 'queue' && isHeld(line, options.queue ?? [])) held.add(line.queue);
      if (line?.kind === 'message') progress.at(check.messages, line.queue);
    }
    await send();
    check.finish();
  } catch (error) {
    throw interrupted(error, total, options);
  }
  for (const warning of total.warnings) context.err(`warning: ${warning}\n`);
  context.out(options.json === true ? `${JSON.stringify(total)}\n` : summary(total, held, options));
}

/** Errors: `CliError`. */
async function checkFile(path: string): Promise<void> {
  const check = new FileCheck();
  try {
    if (!(await stat(path)).isFile()) throw new CliError(`${path} is not a file; - is standard input`, STATUS.usage);
    for await (const { line } of linesIn(createReadStream(path))) check.add(line);
    check.finish();
  } catch (error) {
    if (!(error instanceof ExportFileError)) throw error;
    throw new CliError(`${path}, ${error.message}; nothing was imported`, STATUS.usage);
  }
}

function isHeld(line: Extract<ExportLine, { kind: 'queue' }>, globs: readonly string[]): boolean {
  const queue = parseQueueKey(line.queue);
  const isChosen = globs.length === 0 || globs.some((glob) => queue !== undefined && matchesQueue(glob, queue));
  return line.mode === 'hold' && isChosen;
}

function interrupted(error: unknown, { messages }: Counts, { dryRun }: ImportOptions): unknown {
  if (!(error instanceof ExportFileError || error instanceof CliError)) return error;
  const status = error instanceof CliError ? error.status : STATUS.usage;
  if (dryRun === true) return new CliError(error.message, status);
  const done = counted(messages.imported, 'message');
  return new CliError(
    `${error.message}; ${done} had been imported; a further import imports none of them again`,
    status,
  );
}

function add(total: Counts, more: Counts): void {
  total.queues.created += more.queues.created;
  total.queues.present += more.queues.present;
  total.messages.imported += more.messages.imported;
  total.messages.present += more.messages.present;
  total.messages.earlier += more.messages.earlier;
  total.messages.passedOver += more.messages.passedOver;
  total.tokens.imported += more.tokens.imported;
  total.tokens.present += more.tokens.present;
  total.warnings.push(...more.warnings);
}

/** Errors: `CliError`: another version of the server answered. */
function readCounts(answer: unknown): Counts {
  const parsed = counts.safeParse(answer);
  if (!parsed.success) throw new CliError('the server answered in a way that this version of karin does not know');
  return parsed.data;
}

function summary({ queues, messages, tokens }: Counts, held: ReadonlySet<string>, options: ImportOptions): string {
  const would = options.dryRun === true ? 'would be ' : '';
  const there = queues.created + queues.present;
  const lines = [
    `${counted(messages.imported, 'message')} of ${counted(there, 'queue')} ${would}imported${there === 0 ? '' : `; ${newness(queues)}`}`,
    ...(tokens.imported === 0 ? [] : [`${counted(tokens.imported, 'token')} ${would}imported`]),
    ...(messages.present === 0 ? [] : [`${counted(messages.present, 'message')} already there`]),
    ...(messages.earlier === 0 ? [] : [`${counted(messages.earlier, 'message')} imported from this file before`]),
    ...(messages.passedOver === 0 ? [] : [`${counted(messages.passedOver, 'message')} of other queues left out`]),
    ...(held.size === 0 ? [] : [`on hold in the file: ${[...held].join(', ')}; karin resume lets a queue go on`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Which of the queues the server did not have before. */
function newness({ created, present }: Counts['queues']): string {
  if (created === 0) return present === 1 ? 'the server had that queue already' : 'the server had these queues already';
  if (present === 0) return created === 1 ? 'the queue is new' : 'all of the queues are new';
  return `${counted(created, 'queue')} of these ${created === 1 ? 'is' : 'are'} new`;
}

/** A server of an earlier version has no such path. */
function explainOldServer(error: unknown): never {
  if (!(error instanceof CliError) || error.status !== STATUS.notFound) throw error;
  throw new CliError(`${error.message}; its version cannot export or import: upgrade it first`, error.status);
}

/** Says how far it is: at each thousand up to ten thousand, then at each ten thousand, and so on. */
class Progress {
  readonly #context: CliContext;
  readonly #done: string;
  #next = 1_000;

  constructor(context: CliContext, done: string) {
    this.#context = context;
    this.#done = done;
  }

  at(messages: number, queue: string): void {
    if (messages < this.#next) return;
    this.#context.err(`${this.#done} ${counted(messages, 'message')}, now of ${queue}\n`);
    this.#next = messages + 10 ** Math.floor(Math.log10(messages));
  }
}

function queryOf(globs?: readonly string[]): string {
  const query = globsAsQuery(globs).toString();
  return query === '' ? '' : `?${query}`;
}

function globsAsQuery(globs: readonly string[] = []): URLSearchParams {
  const query = new URLSearchParams();
  for (const glob of globs) query.append('queue', glob);
  return query;
}

function counted(count: number, thing: string): string {
  return `${count.toLocaleString('en-US')} ${thing}${count === 1 ? '' : 's'}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
