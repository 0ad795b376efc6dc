/**
 * Whether this server can do its work, for load balancers and people.
 *
 * Answering costs the store nothing: platforms ask every few seconds, and some Redis plans bill each command. The store
 * itself says when it can or cannot be reached.
 *
 * @module
 */
import type { DiscoveryProgress } from '../aws/discovery/discovery.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { Signal } from '../store/store.ts';

export interface Readiness {
  /** Whether requests should be sent here. */
  readonly ready: boolean;
  readonly store: { readonly ok: boolean };
  readonly discovery: { readonly ok: boolean };
  /**
   * Every reason why something is not as it should be; may be non-empty although the server is ready. Anybody may read
   * them.
   */
  readonly reasons: readonly string[];
}

export interface Health {
  /** To be called with every signal of the store. */
  heard(signal: Signal): void;
  /** From now on the server is not ready: it is stopping. */
  stopping(): void;
  readiness(): Readiness;
  /** Why queues may exist that nobody here knows yet, for callers; `undefined`: all are known that can be. */
  unknownQueues(): string | undefined;
}

/** Kinds of unreadable documents that are named. */
const MOST_NAMED = 10;

/**
 * @param syncState Absent: the server has no source of mappings (`KARIN_DISCOVERY=none`).
 * @param troubled How many mappings have invocations that do not get through to Lambda. Another server would fare no
 *   better, so this one stays ready.
 */
export function createHealth(
  syncState: (() => SyncState) | undefined,
  troubled: () => number = () => 0,
  now: () => number = Date.now,
): Health {
  let reachable = true;
  let refusal: string | undefined;
  let stopping = false;
  let emptied: string | undefined;
  const setAside = new Set<string>();
  return {
    heard: (signal) => {
      if (signal.kind === 'reachable') ({ reachable, refusal } = { refusal: undefined, ...signal });
      if (signal.kind === 'emptied') {
        emptied =
          `the store of messages came back empty at ${iso(now())}: the messages in it are lost; ` +
          `${signal.queues} queues and ${signal.tokens} tokens were written again from the memory of the servers`;
      }
      if (signal.kind === 'unreadable' && setAside.size < MOST_NAMED) setAside.add(signal.name.split(':', 1)[0] ?? '');
    },
    stopping: () => {
      stopping = true;
    },
    readiness: () => {
      const discovery = discoveryHealth(syncState?.());
      const reasons = [
        ...(stopping ? ['the server is stopping'] : []),
        ...(reachable ? [] : [`${storeFault(refusal)}; requests are answered with 503`]),
        ...(discovery.reason === undefined ? [] : [discovery.reason]),
        ...troubleReason(troubled()),
        ...(emptied === undefined ? [] : [emptied]),
        ...[...setAside].map((kind) => `a stored document (${kind}) could not be read and was set aside; see the log`),
      ];
      // With an old result the server works, so a load balancer should go on sending; without any it would refuse every
      // queue.
      const ready = !stopping && reachable && discovery.usable;
      return { ready, store: { ok: reachable }, discovery: { ok: discovery.reason === undefined }, reasons };
    },
    unknownQueues: () => {
      const { usable, reason } = discoveryHealth(syncState?.());
      return usable ? undefined : `Not all queues are known yet: ${reason}. Try again.`;
    },
  };
}

function storeFault(refusal: string | undefined): string {
  return refusal === undefined
    ? 'the store of messages cannot be reached'
    : `the store of messages refuses every call: ${refusal}`;
}

/**
 * The text of the failure itself stays out: AWS puts account ids and role names into it. It is in the log and on the
 * ops page.
 */
function discoveryHealth(
  state: SyncState | undefined,
): { readonly usable: true; readonly reason?: string } | { readonly usable: false; readonly reason: string } {
  if (state === undefined) return { usable: true };
  const { discovery, failure, progress } = state;
  // That of a template is its path.
  const source = /[/\\]/.test(state.source) ? 'the template' : state.source;
  const usable = discovery !== undefined;
  if (!usable && progress !== undefined)
    return { usable, reason: `${source} is read for the first time: ${howFar(progress)}` };
  if (failure !== undefined) {
    const meanwhile = usable ? 'what was found last is served on' : 'nothing was found before, so nothing is served';
    return { usable, reason: `${source} could not be read at ${iso(failure.at)}; ${meanwhile}` };
  }
  return usable ? { usable } : { usable, reason: `${source} was not read yet` };
}

function howFar({ step, done, total }: DiscoveryProgress): string {
  if (step === 'lists') return `${done} mappings found so far`;
  return `details of ${done} of ${total ?? 'an unknown number of'} mappings`;
}

/** Which they are, and what Lambda said, is in the log and on the ops page. */
function troubleReason(mappings: number): readonly string[] {
  if (mappings === 0) return [];
  const whose = mappings === 1 ? '1 mapping do' : `${mappings} mappings do`;
  return [`invocations of ${whose} not get through to Lambda; their messages wait here`];
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
