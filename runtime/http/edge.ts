/**
 * What every request shares, whichever part of the server answers it: who may call, where it came from, what memory it
 * may take, when it ends.
 *
 * Every request takes the same way in, and each step is bounded before it begins, so that nothing that a stranger sends
 * blocks the event loop or fills the memory, and nothing that a caller sends costs more than its length:
 *
 *   1. The connection (`connections.ts`). Their number is bounded, in all and by address. A new one is let in by ending
 *      one that has proven nothing, or one that does nothing.
 *   2. The head (`server.ts`): bounded in bytes, headers and time by node:http.
 *   3. The credential, by the head alone (`fromHead`): a capability in the path or the query, a password, a token, a
 *      signature whose head tells the hash of the body, or else the name of a known key. Where the head proves nothing
 *      and the body could not, the request is refused, and its body is never read. What was a wrong guess is slowed
 *      (`attempt-limit.ts`).
 *   4. The body (`body.ts`), in the share of memory of those who are known, or in the small shares of strangers and of
 *      those who claim a key, within bounds. A stranger's body is looked at twice, byte by byte, for a capability in
 *      its QueueUrl: the first 2 KiB when they are there, and the whole at its end. Nothing is decoded before.
 *   5. The answer (`connections.ts`): what its reader does not take counts as well, and who takes nothing for a while
 *      is closed.
 *
 * Routes beside the SQS API take the same way (`management.ts`), and read forms and JSON with bounds of their own.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Time } from '../time.ts';
import type { Authenticator } from './auth/authenticator.ts';
import type { OperatorProof } from './auth/operators.ts';
import { CONNECTION_LIMITS, type ConnectionLimits, Connections, type Wait } from './connections.ts';
import { clientAddress, type PublicAddress } from './location.ts';
import { createMemory, type Memory } from './memory.ts';

export interface Edge {
  readonly authenticator: Authenticator;
  /** Of those who name themselves; for the routes beside the SQS API. */
  readonly operatorProof: OperatorProof;
  readonly address: PublicAddress;
  /** Those of the server that this edge belongs to. */
  readonly connections: Connections;
  /** What bodies and answers may take, all requests together. */
  readonly memory: Memory;
  /** Host and port for answers to requests without a usable Host header. */
  fallbackHost(): string;
  clientAddress(request: IncomingMessage): string;
  /** `X-Forwarded-Proto`, if a trusted proxy may have written it. */
  forwardedProto(request: IncomingMessage): string | undefined;
  /**
   * Aborted when the client goes away or the server begins to stop; with a `wait` also when a new connection needs the
   * place of this one.
   */
  endOf(response: ServerResponse, wait?: Wait): AbortSignal;
  /**
   * A wait by which guessing is slowed, if `wait` gives one; meanwhile the connection has a lower rank. Resolves to
   * whether it was waited out.
   */
  pause(
    response: ServerResponse,
    wait: (gone: () => AbortSignal) => Promise<void> | undefined,
  ): Promise<boolean> | undefined;
  /** To be awaited before an error is answered: the refusal of a wrong guess may have to wait. */
  pauseBefore(error: unknown, response: ServerResponse): Promise<boolean> | undefined;
  /** How many signals of `endOf` are still open. */
  waiting(): number;
  /** Ends every wait: from now on `endOf` gives aborted signals. */
  endAll(): void;
}

export interface EdgeParts {
  readonly authenticator: Authenticator;
  /** Default: there are no operators. */
  readonly operatorProof?: OperatorProof;
  readonly address: PublicAddress;
  readonly trustedProxies: number;
  /** Whether the server is a Fly machine; default false. */
  readonly onFly?: boolean;
  readonly fallbackHost: () => string;
  /** Default: `MEMORY_BUDGET`. */
  readonly memory?: Memory;
  /** Default: `CONNECTION_LIMITS`. */
  readonly limits?: Partial<ConnectionLimits>;
  readonly time: Time;
}

export function createEdge(parts: EdgeParts): Edge {
  const { authenticator, address, trustedProxies, fallbackHost, memory = createMemory() } = parts;
  const open = new Map<ServerResponse, { readonly controller: AbortController; readonly wait: Wait | undefined }>();
  let ended = false;
  const connections = new Connections({
    limits: { ...CONNECTION_LIMITS, ...parts.limits },
    memory,
    waitOf: (response) => open.get(response)?.wait,
    endWait: (response) => open.get(response)?.controller.abort(),
    time: parts.time,
  });

  const endOf = (response: ServerResponse, wait?: Wait): AbortSignal => {
    const controller = new AbortController();
    if (ended || response.destroyed) {
      controller.abort();
      return controller.signal;
    }
    open.set(response, { controller, wait });
    response.once('close', () => {
      open.delete(response);
      controller.abort();
    });
    return controller.signal;
  };

  const pause: Edge['pause'] = (response, wait) => {
    let gone: AbortSignal | undefined;
    const waited = wait(() => {
      gone = endOf(response, 'guess');
      return gone;
    });
    return waited?.then(() => {
      // From here on it works.
      open.delete(response);
      return gone?.aborted !== true;
    });
  };

  return {
    authenticator,
    operatorProof: parts.operatorProof ?? { prove: async () => undefined },
    address,
    connections,
    memory,
    fallbackHost,
    clientAddress: (request) => {
      const connection = request.socket.remoteAddress;
      if (trustedProxies === 0) return connection ?? 'unknown';
      return clientAddress(
        connection,
        {
          forwardedFor: single(request.headers['x-forwarded-for']),
          ...(parts.onFly === true ? { fly: { clientIp: single(request.headers['fly-client-ip']) } } : {}),
        },
        trustedProxies,
      );
    },
    forwardedProto: (request) =>
      trustedProxies === 0 ? undefined : single(request.headers['x-forwarded-proto'])?.split(',')[0]?.trim(),
    endOf,
    pause,
    pauseBefore: (error, response) => pause(response, (gone) => authenticator.pause(error, gone)),
    waiting: () => open.size,
    endAll: () => {
      ended = true;
      for (const { controller } of open.values()) controller.abort();
      open.clear();
    },
  };
}

function single(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',');
}
