/**
 * What every request shares, whichever part of the server answers it: who may call, where it came from, when it ends.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Authenticator } from './auth/authenticator.ts';
import { clientAddress, type PublicAddress } from './location.ts';

export interface Edge {
  readonly authenticator: Authenticator;
  readonly address: PublicAddress;
  /** Host and port for answers to requests without a usable Host header. */
  fallbackHost(): string;
  clientAddress(request: IncomingMessage): string;
  /** `X-Forwarded-Proto`, if a trusted proxy may have written it. */
  forwardedProto(request: IncomingMessage): string | undefined;
  /** Aborted when the client goes away or the server begins to stop. */
  endOf(response: ServerResponse): AbortSignal;
  /** How many signals of `endOf` are still open. */
  waiting(): number;
  /** Ends every wait: from now on `endOf` gives aborted signals. */
  endAll(): void;
}

export interface EdgeParts {
  readonly authenticator: Authenticator;
  readonly address: PublicAddress;
  readonly trustedProxies: number;
  readonly fallbackHost: () => string;
}

export function createEdge(parts: EdgeParts): Edge {
  const { authenticator, address, trustedProxies, fallbackHost } = parts;
  const open = new Set<AbortController>();
  let ended = false;

  return {
    authenticator,
    address,
    fallbackHost,
    clientAddress: (request) =>
      clientAddress(request.socket.remoteAddress, single(request.headers['x-forwarded-for']), trustedProxies),
    forwardedProto: (request) =>
      trustedProxies === 0 ? undefined : single(request.headers['x-forwarded-proto'])?.split(',')[0]?.trim(),
    endOf: (response) => {
      const controller = new AbortController();
      if (ended || response.destroyed) {
        controller.abort();
        return controller.signal;
      }
      open.add(controller);
      response.once('close', () => {
        open.delete(controller);
        controller.abort();
      });
      return controller.signal;
    },
    waiting: () => open.size,
    endAll: () => {
      ended = true;
      for (const controller of open) controller.abort();
      open.clear();
    },
  };
}

function single(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',');
}
