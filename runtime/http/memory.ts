/**
 * Counts what memory bodies and answers really take, and bounds it.
 *
 * The rule that this, `body.ts` and `edge.ts` keep: what a stranger sends costs little memory, and strangers make room
 * for each other, never callers for strangers.
 *
 * Memory is handed out in four shares. `strangers`: bodies whose sender nobody knows yet. `claimed`: bodies whose
 * signature names a key that this server has, and that may prove it. `callers`: bodies of senders who are known, or
 * whose network signed with the same key before. `answers`: what was answered and not yet taken by its reader. Each
 * holder of a share may keep a little that is not counted, so that ordinary requests pass even where a share is used
 * up; the number of connections bounds the sum of that. Where more is wanted than a share has left, the oldest holder
 * that may be ended is ended: a stranger's unfinished body, a body whose signature is not proven yet, an answer that is
 * not read. An honest one is done within milliseconds, so the oldest is the one that holds on purpose. Where none may
 * be ended, the newcomer is refused.
 *
 * @module
 */
const MIB = 1_048_576;
const KIB = 1_024;

/** What one holder keeps of a share. */
export interface Holding {
  /** Says that the holder keeps `bytes` in all; `false`: there is no room, and it keeps what it had. */
  resize(bytes: number): boolean;
  /** From now on it is not ended to make room. */
  keep(): void;
  /** Gives everything back. To be called at least once. */
  release(): void;
}

/** A part of the memory, for holders of one kind. */
interface Share {
  /**
   * A new holder, of nothing yet. `end`: what ends it when it has to make room; it must call `release`. Absent: it is
   * never ended.
   */
  hold(end?: () => void): Holding;
  readonly total: number;
}

/** `total`: bytes of all holders together. `freeBytes`: what each may keep besides, uncounted. */
function createShare(total: number, freeBytes: number): Share {
  let used = 0;
  /** Holders that may be ended and have something counted, oldest first. */
  const endable = new Map<object, () => void>();

  const makeRoom = (wanted: number, asking: object): boolean => {
    for (const [holder, end] of endable) {
      if (used + wanted <= total) break;
      if (holder !== asking) end();
    }
    return used + wanted <= total;
  };

  return {
    total,
    hold: (end) => {
      let counted = 0;
      let endIt = end;
      const holding: Holding = {
        resize: (bytes) => {
          const more = Math.max(0, bytes - freeBytes) - counted;
          if (more === 0) return true;
          if (more > 0 && used + more > total && !makeRoom(more, holding)) return false;
          used += more;
          counted += more;
          if (endIt !== undefined && !endable.has(holding)) endable.set(holding, endIt);
          return true;
        },
        keep: () => {
          endIt = undefined;
          endable.delete(holding);
        },
        release: () => {
          endable.delete(holding);
          used -= counted;
          counted = 0;
        },
      };
      return holding;
    },
  };
}

export interface Memory {
  readonly strangers: Share;
  readonly claimed: Share;
  readonly callers: Share;
  readonly answers: Share;
}

/**
 * What each share may hold, bytes. Together they are a good part of what a 256 MB machine has left beside the server
 * and its Redis.
 */
export interface MemoryBudget {
  readonly strangers: number;
  readonly claimed: number;
  readonly callers: number;
  readonly answers: number;
}

/**
 * Seven of the largest unproven bodies; three of them that claim a key; four of the largest bodies; eight answers of
 * the largest receive.
 */
const MEMORY_BUDGET: MemoryBudget = {
  strangers: 8 * MIB,
  claimed: 4 * MIB,
  callers: 28 * MIB,
  answers: 16 * MIB,
};

/** What a known sender's body and each answer may hold uncounted, bytes: more than most messages are. */
export const FREE_BYTES = 16 * KIB;

/** What the body of anybody else may hold uncounted, bytes: thousands of connections may send one at one time. */
export const STRANGERS_FREE_BYTES = 2 * KIB;

export function createMemory(budget: Partial<MemoryBudget> = {}): Memory {
  const { strangers, claimed, callers, answers } = { ...MEMORY_BUDGET, ...budget };
  return {
    strangers: createShare(strangers, STRANGERS_FREE_BYTES),
    claimed: createShare(claimed, STRANGERS_FREE_BYTES),
    callers: createShare(callers, FREE_BYTES),
    answers: createShare(answers, FREE_BYTES),
  };
}
