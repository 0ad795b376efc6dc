/**
 * Finds probable loops: a function that sends to the queue it is invoked from.
 *
 * Lambda counts the hops of such a chain in the trace header and stops it after about sixteen; whether it counts invocations that come from outside is not
 * documented, so Karin looks for itself. All messages of a loop carry one trace root, and they are *sent* at a high rate for a long time. A large fan-out also has one
 * root, but is sent quickly; a slow chain (a heartbeat every minute) lasts, but at a low rate. Only both together are suspicious: by default sixty messages a minute,
 * for five minutes without a break, by the time of sending (so a backlog that is worked off slowly does not look like a loop, and a retry is no new message).
 *
 * @module
 */
import type { ReceivedMessage } from '../queue/message.ts';

export interface LoopLimits {
  /** Messages of one trace root sent within a minute of the clock; default 60. */
  readonly messagesPerMinute: number;
  /** Minutes in a row with at least that many; default 5. */
  readonly minutes: number;
}

export const DEFAULT_LOOP_LIMITS: LoopLimits = { messagesPerMinute: 60, minutes: 5 };

/** Trace roots remembered per mapping; the one not seen for longest is forgotten. */
const REMEMBERED_ROOTS = 128;
const MINUTE_MS = 60_000;

interface RootHistory {
  /** Sent time in whole minutes of the latest message. */
  minute: number;
  /** Messages sent in that minute so far. */
  count: number;
  /** Complete minutes in a row, up to the one before, that reached the rate. */
  streak: number;
  reported: boolean;
}

export class LoopGuard {
  readonly #limits: LoopLimits;
  /** In the order in which the roots were last seen. */
  readonly #roots = new Map<string, RootHistory>();

  constructor(limits: LoopLimits) {
    this.#limits = limits;
  }

  /** Counts messages that were received; answers the trace roots that have just become suspicious, each once. */
  observe(messages: readonly ReceivedMessage[]): readonly string[] {
    const suspicious: string[] = [];
    for (const message of messages) {
      const root = traceRoot(message.traceHeader);
      if (root === undefined) continue;
      const history = this.#seen(root, Math.floor(message.sentAt / MINUTE_MS));
      if (history.streak < this.#limits.minutes) history.reported = false;
      else if (!history.reported) {
        history.reported = true;
        suspicious.push(root);
      }
    }
    return suspicious;
  }

  /** Whether the message belongs to a chain that is a probable loop now. */
  isSuspicious(message: ReceivedMessage): boolean {
    const root = traceRoot(message.traceHeader);
    return root !== undefined && this.#roots.get(root)?.reported === true;
  }

  /** Forgets what was seen: the operator looked at it, and wants the messages delivered. */
  forget(): void {
    this.#roots.clear();
  }

  #seen(root: string, minute: number): RootHistory {
    const history = this.#roots.get(root) ?? { minute, count: 0, streak: 0, reported: false };
    // Re-inserted, so that the map stays in the order of the last sight.
    this.#roots.delete(root);
    this.#roots.set(root, history);
    for (const oldest of this.#roots.keys()) {
      if (this.#roots.size <= REMEMBERED_ROOTS) break;
      this.#roots.delete(oldest);
    }
    if (minute > history.minute) {
      const unbroken = minute === history.minute + 1 && history.count >= this.#limits.messagesPerMinute;
      history.streak = unbroken ? history.streak + 1 : 0;
      history.minute = minute;
      history.count = 0;
    }
    // A message of an earlier minute is a retry or a straggler; its minute is closed.
    if (minute === history.minute) history.count += 1;
    return history;
  }
}

/** `Root` of an X-Ray trace header (`Root=1-5759e988-bd862e3fe1be46a994272793;Parent=...;Sampled=1`). */
export function traceRoot(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /(?:^|;)\s*Root=([^;\s]{1,128})/.exec(header)?.[1];
}
