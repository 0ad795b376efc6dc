/**
 * Whether this server can do its work, for load balancers and people.
 *
 * Answering costs the store nothing: platforms ask every few seconds, and some Redis plans bill each command. The store itself says when it can or cannot be
 * reached.
 *
 * @module
 */
import type { Signal } from '../store/store.ts';
import type { SyncState } from '../sync/synchroniser.ts';

export interface Readiness {
  /** Whether requests should be sent here. */
  readonly ready: boolean;
  readonly store: { readonly ok: boolean; readonly detail: string };
  readonly discovery: { readonly ok: boolean; readonly detail: string };
  /** Every reason why something is not as it should be; may be non-empty although the server is ready. */
  readonly reasons: readonly string[];
}

export interface Health {
  /** To be called with every signal of the store. */
  heard(signal: Signal): void;
  /** From now on the server is not ready: it is stopping. */
  stopping(): void;
  readiness(): Readiness;
}

/** `syncState` absent: the server has no source of mappings (`KARIN_DISCOVERY=none`). */
export function createHealth(syncState: (() => SyncState) | undefined): Health {
  let reachable = true;
  let stopping = false;
  return {
    heard: (signal) => {
      if (signal.kind === 'reachable') reachable = signal.reachable;
    },
    stopping: () => {
      stopping = true;
    },
    readiness: () => {
      const store = {
        ok: reachable,
        detail: reachable ? 'reachable' : 'the store of messages cannot be reached; requests are answered with 503',
      };
      const discovery = discoveryHealth(syncState?.());
      const reasons = [
        ...(stopping ? ['the server is stopping'] : []),
        ...(store.ok ? [] : [`store: ${store.detail}`]),
        ...(discovery.ok ? [] : [`discovery: ${discovery.detail}`]),
      ];
      // With an old result the server works, so a load balancer should go on sending; without any it would refuse every queue.
      return {
        ready: !stopping && store.ok && discovery.usable,
        store,
        discovery: { ok: discovery.ok, detail: discovery.detail },
        reasons,
      };
    },
  };
}

function discoveryHealth(state: SyncState | undefined): { ok: boolean; usable: boolean; detail: string } {
  if (state === undefined) return { ok: true, usable: true, detail: 'none is configured' };
  const { discovery, failure, succeededAt, source } = state;
  const usable = discovery !== undefined;
  if (failure !== undefined) {
    const meanwhile = usable ? 'what was found last is served on' : 'nothing was found before, so nothing is served';
    return {
      ok: false,
      usable,
      detail: `${source} could not be read at ${iso(failure.at)}; ${meanwhile}: ${failure.message}`,
    };
  }
  if (!usable) return { ok: false, usable, detail: `${source} was not read yet` };
  const since = succeededAt === undefined ? 'taken from the store' : `read at ${iso(succeededAt)}`;
  return {
    ok: true,
    usable,
    detail: `${source}, ${since}: ${discovery.mappings.length} mappings served, ${discovery.broken.length} broken`,
  };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
