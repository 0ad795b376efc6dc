/**
 * Whether this server can do its work, for load balancers and people.
 *
 * Answering costs the store nothing: platforms ask every few seconds, and some Redis plans bill each command. The store
 * itself says when it can or cannot be reached.
 *
 * @module
 */
import type { DiscoveryProgress } from '../aws/discovery/discovery.ts';
import { scopeFor } from '../aws/scope.ts';
import type { SourceState } from '../aws/sync/readings.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { QueueArn } from '../queue/names.ts';
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
  /**
   * Why queues may exist that nobody here knows yet, for callers; `undefined`: all are known that can be. `place`: of
   * this account and region; absent: anywhere.
   */
  unknownQueues(place?: Pick<QueueArn, 'account' | 'region'>): string | undefined;
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
          `what the servers had in memory is written again (queues: ${signal.queues}, tokens: ${signal.tokens})`;
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
        ...discovery.reasons,
        ...troubleReason(troubled()),
        ...(emptied === undefined ? [] : [emptied]),
        ...[...setAside].map((kind) => `a stored document (${kind}) could not be read and was set aside; see the log`),
      ];
      // With an old result the server works, so a load balancer should go on sending; without any it would refuse every
      // queue.
      const ready = !stopping && reachable && discovery.usable;
      return { ready, store: { ok: reachable }, discovery: { ok: discovery.reasons.length === 0 }, reasons };
    },
    unknownQueues: (place) => {
      const state = syncState?.();
      if (state === undefined) return undefined;
      const { usable, reasons } = discoveryHealth(state);
      if (!usable) return `Not all queues are known yet: ${reasons.join('; ')}. Try again.`;
      const scope = place === undefined ? undefined : sourceFor(state.sources, place);
      const one = scope === undefined ? undefined : sourceHealth(scope);
      return one?.usable === false ? `Not all queues are known yet: ${one.reason}. Try again.` : undefined;
    },
  };
}

function storeFault(refusal: string | undefined): string {
  return refusal === undefined
    ? 'the store of messages cannot be reached'
    : `the store of messages refuses every call: ${refusal}`;
}

type SourceHealth =
  | { readonly usable: true; readonly reason?: string }
  | { readonly usable: false; readonly reason: string };

/**
 * The text of the failure itself stays out: AWS puts account ids and role names into it. It is in the log and on the
 * ops page.
 */
function sourceHealth(state: Omit<SourceState, 'place'>): SourceHealth {
  const { discovery, failure, progress } = state;
  // That of a template is its path.
  const source = /[/\\]/.test(state.source) ? 'the template' : state.source;
  const usable = discovery !== undefined;
  if (!usable && progress !== undefined)
    return { usable, reason: `${source} is read for the first time: ${howFar(progress)}` };
  if (failure !== undefined) {
    const meanwhile = usable ? 'what was found last is served on' : 'nothing was found before, so nothing is served';
    const why = failure.reason === undefined ? '' : ` (${failure.reason})`;
    return { usable, reason: `${source} could not be read at ${iso(failure.at)}${why}; ${meanwhile}` };
  }
  return usable ? { usable } : { usable, reason: `${source} was not read yet` };
}

/**
 * Of all sources: usable as soon as one is, because a scope of AWS that fails must not keep the others from callers.
 */
function discoveryHealth(state: SyncState | undefined): {
  readonly usable: boolean;
  readonly reasons: readonly string[];
} {
  if (state === undefined) return { usable: true, reasons: [] };
  const several = state.sources.length > 1;
  const all = several
    ? state.sources.map((one) => sourceHealth({ ...one, source: nameForEverybody(one) }))
    : [sourceHealth(state)];
  return { usable: all.some(({ usable }) => usable), reasons: all.flatMap(({ reason }) => reason ?? []) };
}

/** Without the account, of which the end tells enough to whoever knows it. */
function nameForEverybody({ source, place }: SourceState): string {
  return place?.account === undefined ? source : `AWS (account …${place.account.slice(-4)}, ${place.region})`;
}

/** The source that tells of queues in a place; `undefined`: the only one, or none. */
function sourceFor(
  sources: readonly SourceState[],
  place: Pick<QueueArn, 'account' | 'region'>,
): SourceState | undefined {
  const places = sources.flatMap((state) => (state.place === undefined ? [] : [{ ...state.place, state }]));
  return scopeFor(places, place)?.state;
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
