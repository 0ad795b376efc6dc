/**
 * Talks to a running server, for the commands that change or ask it.
 *
 * @module
 */
import { type CliContext, CliError } from './context.ts';

export interface ServerOptions {
  /** `--url`; default `KARIN_URL`, else `http://127.0.0.1:<PORT or 4000>`. */
  readonly url?: string;
}

/** Where the server of these options is, without a slash at the end. Errors: `CliError`. */
export function serverUrl(options: ServerOptions, { env }: CliContext): string {
  const text = options.url ?? env['KARIN_URL'] ?? `http://127.0.0.1:${env['PORT'] ?? '4000'}`;
  if (!URL.canParse(text) || !/^https?:/.test(text)) {
    throw new CliError(`${text} is not the address of a server: use http:// or https://`);
  }
  return text.replace(/\/+$/, '');
}

/** The answer of the server, parsed; `undefined` without a body. Errors: `CliError`, with what the server said and what mends it. */
export async function callServer(
  context: CliContext,
  options: ServerOptions,
  request: { readonly method: string; readonly path: string; readonly body?: unknown },
): Promise<unknown> {
  const response = await requestServer(context, options, request);
  const text = await response.text();
  return text === '' ? undefined : JSON.parse(text);
}

/** As `callServer`, with the answer unread, for those that come in parts. */
export async function requestServer(
  context: CliContext,
  options: ServerOptions,
  request: { readonly method: string; readonly path: string; readonly body?: unknown },
): Promise<Response> {
  const url = serverUrl(options, context);
  const authorization = authorizationOf(context);
  let response: Response;
  try {
    response = await fetch(url + request.path, {
      method: request.method,
      headers: {
        ...(authorization === undefined ? {} : { authorization }),
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : '';
    throw new CliError(`no server answers at ${url}${cause}; say where it is with --url or KARIN_URL`);
  }
  if (response.ok) return response;
  const said = errorIn(await response.text()) ?? `it answered with status ${response.status}`;
  const hint = response.status === 401 ? '; set KARIN_ADMIN_PASSWORD to the password of the server' : '';
  throw new CliError(`the server at ${url} refused: ${said}${hint}`);
}

/** The password as `Basic`, which takes any character; tokens are made for `Bearer`. */
function authorizationOf({ env }: CliContext): string | undefined {
  const password = env['KARIN_ADMIN_PASSWORD'];
  if (password !== undefined) return `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`;
  const token = env['KARIN_TOKEN'];
  return token === undefined ? undefined : `Bearer ${token}`;
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
