/**
 * The life of an event source mapping, as far as it decides who consumes its queue.
 *
 * AWS names seven states. Karin serves a mapping that is `Disabled`, and no mapping that AWS consumes or may begin to
 * consume before the next look. What the states in between mean depends on where the mapping comes from, so the last
 * discovery is asked whether it was Karin's (disabled, served or broken):
 *
 *   state       it was Karin's                          it was not, or nobody knows
 *   Disabled    Karin's                                 Karin's
 *   Creating    settling                                AWS's, in passing
 *   Updating    settling; served on as it was           AWS's, in passing
 *   Deleting    settling; served no longer              AWS's, in passing
 *   Enabling    AWS's, in passing                       AWS's, in passing
 *   Enabled     AWS's                                   AWS's
 *   Disabling   AWS's, in passing: its pollers may still have messages in flight
 *   other       AWS's, in passing: a state that this version does not know
 *
 *   Karin's     served, if its details are known and in order
 *   settling    nobody consumes for it, or Karin does as before; its queue is not held. A deployment that changes a
 *               disabled mapping, or replaces it, passes here.
 *   AWS's       not served; every queue it draws from is held, so that a function is not invoked from two sides
 *   in passing  the state ends within seconds by itself, so a second look follows soon (`schedule.ts`), and no other
 *               rule waits for the next sync
 *
 * A mapping is known by its queue and its function: AWS allows one for each pair, and a deployment that replaces it
 * gives it another UUID.
 *
 * Invariants. A mapping in `Enabling`, `Enabled` or `Disabling` is never served. `settling` is entered from Karin's
 * alone, so it never hides a mapping that AWS consumes. Messages are untouched by all of this: a queue keeps them
 * whoever consumes it, and stays known as long as a mapping of it is listed.
 *
 * @module
 */
import { queueKey } from '../../queue/names.ts';
import type { Discovery, ForeignMapping } from './discovery.ts';

/** Who consumes for a mapping. */
export type Standing = 'karin' | 'settling' | 'aws';

/** States of AWS's that do not end by themselves. */
const LASTING: ReadonlySet<string> = new Set(['Enabled', 'Disabled']);
const SETTLING: ReadonlySet<string> = new Set(['Creating', 'Updating', 'Deleting']);

/** The table above. @param wasKarins Whether the last discovery had the mapping as Karin's, or settling. */
export function standingOf(state: string, wasKarins: boolean): Standing {
  if (state === 'Disabled') return 'karin';
  return wasKarins && SETTLING.has(state) ? 'settling' : 'aws';
}

/** Whether a mapping in this state is served on with what was last known of it, if it was served before. */
export function isServedOn(state: string): boolean {
  return state === 'Creating' || state === 'Updating';
}

/** Whether a state ends within seconds by itself. */
function isPassing({ state }: Pick<ForeignMapping, 'state'>): boolean {
  return !LASTING.has(state);
}

type Identified = Pick<ForeignMapping, 'queueArn' | 'functionArn'>;

/** Answers whether the last discovery had a mapping as Karin's, or settling. */
export function karinsOf(previous: Discovery | undefined): (mapping: Identified) => boolean {
  const known = [...(previous?.mappings ?? []), ...(previous?.broken ?? []), ...(previous?.settling ?? [])];
  const identities = new Set(known.map(identityOf));
  return (mapping) => identities.has(identityOf(mapping));
}

function identityOf({ queueArn, functionArn }: Identified): string {
  return `${queueKey(queueArn)} ${functionArn}`;
}

/**
 * What of a discovery is not as it will stay, as one text that changes when any of it does; `undefined`: nothing. A
 * second look follows soon: mappings in a passing state, mappings that cannot be served, details that could not be
 * read.
 */
export function unsettledOf(discovery: Discovery): string | undefined {
  const parts = [
    ...(discovery.settling ?? []).map(({ uuid, state }) => `${uuid} ${state}`),
    ...discovery.foreign.filter(isPassing).map(({ uuid, state }) => `${uuid} ${state}`),
    ...discovery.broken.map(({ uuid, reason }) => `${uuid} ${reason}`),
    ...(discovery.problems ?? []).flatMap(({ about, passing }) => (passing ? [`${about} problem`] : [])),
    ...(discovery.unread ?? []),
  ];
  return parts.length === 0 ? undefined : parts.join('\n');
}
