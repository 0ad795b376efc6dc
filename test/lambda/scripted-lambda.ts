import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** One Invoke as the server saw it. */
export interface SeenInvoke {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** What answers it. */
  readonly response: ServerResponse;
  /** The connection, to be broken. */
  readonly socket: Socket;
}

/** A real HTTP server in the place of Lambda, whose every answer is a function of the test. */
export interface ScriptedLambda extends AsyncDisposable {
  readonly endpoint: string;
  /** All Invokes so far, whatever became of them. */
  readonly seen: readonly SeenInvoke[];
}

/** Starts one on a free port; `answer` is called when a request was received wholly. */
export async function startScriptedLambda(answer: (invoke: SeenInvoke) => void): Promise<ScriptedLambda> {
  const seen: SeenInvoke[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const invoke: SeenInvoke = {
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks),
        response,
        socket: request.socket,
      };
      seen.push(invoke);
      answer(invoke);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the scripted Lambda has no TCP address');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Answers with a status, headers and a body, as Lambda would. */
export function respond(
  { response }: SeenInvoke,
  status: number,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body);
}
