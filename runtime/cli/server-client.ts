/**
 * Talks to a running server, for the commands that change or ask it.
 *
 * @module
 */
import { EnvironmentReader } from '../settings.ts';
import { type CliContext, CliError, STATUS } from './context.ts';

export interface ServerOptions {
  /** `--url`; default `KARIN_URL`, else `http://127.0.0.1:<PORT or 4000>`. */
  readonly url?: string;
  /** `--user`: name of an operator; default `KARIN_OPERATOR`. */
  readonly user?: string;
}

/** Where the server of these options is, without a slash at the end. Errors: `CliError`. */
export function serverUrl(options: ServerOptions, { env }: CliContext): string {
  const reader = new EnvironmentReader(env);
  const text = options.url ?? reader.text('KARIN_URL') ?? `http://127.0.0.1:${reader.text('PORT') ?? '4000'}`;
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new CliError(`${text} is not the address of a server: use http:// or https://`);
  }
  return text.replace(/\/+$/, '');
}

interface ServerRequest {
  readonly method: string;
  readonly path: string;
  /** Is sent as JSON. */
  readonly body?: unknown;
  /** Lines of JSON, instead of `body`. */
  readonly lines?: string;
  readonly accept?: string;
}

/**
 * The answer of the server, parsed; `undefined` without a body. Errors: `CliError`, with what the server said and what
 * mends it.
 */
export async function callServer(
  context: CliContext,
  options: ServerOptions,
  request: ServerRequest,
): Promise<unknown> {
  const response = await requestServer(context, options, request);
  const text = await response.text();
  return text === '' ? undefined : JSON.parse(text);
}

/** As `callServer`, with the answer unread, for those that come in parts. */
export async function requestServer(
  context: CliContext,
  options: ServerOptions,
  request: ServerRequest,
): Promise<Response> {
  const url = serverUrl(options, context);
  const authorization = authorizationOf(context, options);
  const body = request.body === undefined ? request.lines : JSON.stringify(request.body);
  let response: Response;
  try {
    response = await fetch(url + request.path, {
      method: request.method,
      headers: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(request.accept === undefined ? {} : { accept: request.accept }),
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(request.lines === undefined ? {} : { 'content-type': 'application/x-ndjson' }),
      },
      ...(body === undefined ? {} : { body }),
      ...(context.signal === undefined ? {} : { signal: context.signal }),
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : '';
    throw new CliError(
      `no server answers at ${url}${cause}; say where it is with --url or KARIN_URL`,
      STATUS.unreachable,
    );
  }
  if (response.ok && isOfKarin(response)) return response;
  if (response.ok) {
    throw new CliError(`what answers at ${url} is not a Karin server; say where it is with --url or KARIN_URL`);
  }
  const said = errorIn(await response.text()) ?? `it answered with status ${response.status}`;
  const hint = hintFor(response.status, said, operatorOf(context, options));
  const status = STATUS_OF.get(response.status) ?? STATUS.failed;
  throw new CliError(`the server at ${url} refused: ${said}${hint}`, status);
}

const STATUS_OF: ReadonlyMap<number, number> = new Map([
  [400, STATUS.usage],
  [401, STATUS.refused],
  [403, STATUS.refused],
  [404, STATUS.notFound],
  [409, STATUS.refused],
  [429, STATUS.refused],
]);

/** Whether the answer is JSON, in one text or in lines, or has no body; pages of other servers are neither. */
function isOfKarin({ status, headers }: Response): boolean {
  return status === 204 || /^application\/(json|x-ndjson)|^text\/event-stream/.test(headers.get('content-type') ?? '');
}

function operatorOf({ env }: CliContext, { user }: ServerOptions): string | undefined {
  return user ?? new EnvironmentReader(env).text('KARIN_OPERATOR');
}

function hintFor(status: number, said: string, operator: string | undefined): string {
  // A role that is not enough is no wrong password.
  if ((status !== 401 && status !== 403) || said.startsWith('your role is')) return '';
  return operator === undefined
    ? '; set KARIN_ADMIN_PASSWORD to the password of the server'
    : `; KARIN_OPERATOR_PASSWORD must be the password of ${operator}`;
}

/**
 * Name and password of an operator, or what `programAuthorizationOf` gives. Errors: `CliError` (the file of a password
 * cannot be read; an operator without a password).
 */
function authorizationOf(context: CliContext, options: ServerOptions): string | undefined {
  const operator = operatorOf(context, options);
  if (operator === undefined) return programAuthorizationOf(context);
  const password = secretOf(context, 'KARIN_OPERATOR_PASSWORD');
  if (password === undefined) {
    throw new CliError(
      `set KARIN_OPERATOR_PASSWORD, or KARIN_OPERATOR_PASSWORD_FILE, to the password of ${operator}`,
      STATUS.usage,
    );
  }
  return basic(operator, password);
}

/**
 * The password of the server or a token: what also lets into the SQS API. Errors: `CliError` (the file of the password
 * cannot be read).
 */
export function programAuthorizationOf(context: CliContext): string | undefined {
  const password = secretOf(context, 'KARIN_ADMIN_PASSWORD');
  if (password !== undefined) return basic('admin', password);
  const token = new EnvironmentReader(context.env).text('KARIN_TOKEN');
  return token === undefined ? undefined : `Bearer ${token}`;
}

/** `Basic` takes any character; tokens are made for `Bearer`. */
function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

function secretOf({ env }: CliContext, name: string): string | undefined {
  const reader = new EnvironmentReader(env);
  const secret = reader.secret(name);
  if (reader.problems.length > 0) throw new CliError(reader.problems.join('\n'));
  return secret;
}

/** The lines of an answer that comes in parts, empty ones left out, and one that is cut. */
export async function* linesOf(response: Response): AsyncGenerator<string> {
  if (response.body === null) return;
  for await (const { line, isWhole } of linesIn(response.body)) if (isWhole && line !== '') yield line;
}

/** Longer lines are given in pieces, characters: nobody has a use for them, and they would fill the memory. */
const LONGEST_PIECE = 16 * 1_048_576;

/** Lines of text that comes in parts. `isWhole`: its end was seen. */
export async function* linesIn(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly line: string; readonly isWhole: boolean }> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) yield { line, isWhole: true };
    if (rest.length <= LONGEST_PIECE) continue;
    yield { line: rest, isWhole: false };
    rest = '';
  }
  if (rest !== '') yield { line: rest, isWhole: false };
}

function errorIn(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const error = typeof value === 'object' && value !== null && 'error' in value ? value.error : undefined;
    return typeof error === 'string' ? error : undefined;
  } catch {
    // Not JSON: a proxy answered, and its page helps nobody here.
    return undefined;
  }
}
