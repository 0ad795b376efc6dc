/**
 * Functions whose next runs are to tell the end of their log, whether a message was received before or not: an operator
 * asked for it, for ten minutes.
 *
 * One document of the store names them with the time when it is over, so every server on it does the same. Each keeps
 * it in memory and reads it again when it changed, so an Invoke asks nothing of the store.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Documents, Signal } from '../store/store.ts';
import type { Time } from '../time.ts';

const DOCUMENT = 'log-tails';
const KEPT_MS = 600_000;
/** Functions at one time; the one whose time is over first makes room. */
const MOST_FUNCTIONS = 100;

const untilByArn = z.record(z.string(), z.number());

export interface LogTails {
  wanted(functionArn: string): boolean;
  /** When it is over, epoch ms; `undefined`: it is not under way. */
  until(functionArn: string): number | undefined;
  /** Asks for the logs of a function from now on; gives the time when it is over. Errors: `StoreUnavailableError`. */
  keep(functionArn: string): Promise<number>;
  /** To be called with every signal of the store. */
  heard(signal: Signal): Promise<void>;
}

/** Errors: `StoreUnavailableError`. */
export async function createLogTails(documents: Pick<Documents, 'get' | 'put'>, time: Time): Promise<LogTails> {
  let kept: ReadonlyMap<string, number> = new Map();
  const read = async (): Promise<string | undefined> => {
    const text = await documents.get(DOCUMENT);
    kept = new Map(Object.entries(parsed(text)));
    return text;
  };
  await read();
  const until = (functionArn: string): number | undefined => {
    const over = kept.get(functionArn);
    return over !== undefined && time.now() < over ? over : undefined;
  };
  return {
    wanted: (functionArn) => kept.size > 0 && until(functionArn) !== undefined,
    until,
    keep: async (functionArn) => {
      for (;;) {
        const text = await read();
        const [now, over] = [time.now(), time.now() + KEPT_MS];
        const others = [...kept].filter(([arn, end]) => arn !== functionArn && end > now);
        const next = [
          ...others.sort(([, a], [, b]) => b - a).slice(0, MOST_FUNCTIONS - 1),
          [functionArn, over] as const,
        ];
        // Another server may write at the same time.
        if (!(await documents.put(DOCUMENT, JSON.stringify(Object.fromEntries(next)), text ?? null))) continue;
        kept = new Map(next);
        return over;
      }
    },
    heard: async (signal) => {
      if (signal.kind === 'gap' || (signal.kind === 'document' && signal.name === DOCUMENT)) await read();
    },
  };
}

/** What another version wrote asks for nothing. */
function parsed(text: string | undefined): Readonly<Record<string, number>> {
  try {
    return untilByArn.parse(JSON.parse(text ?? '{}'));
  } catch {
    return {};
  }
}
