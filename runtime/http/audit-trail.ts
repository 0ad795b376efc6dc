/**
 * The last things that people and programs did, kept in the store for the page that shows them.
 *
 * Each entry stands in the log at once; here it is written two seconds later, with what came meanwhile, into one
 * document that all servers share. What strangers were refused is in the log alone: it must not make the store work, or
 * push out what was done. A server that is killed in those two seconds has its entries in the log only.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Log } from '../log.ts';
import type { Documents } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';
import type { AuditEntry } from './audit.ts';

export const AUDIT_DOCUMENT = 'audit';
/** Entries that are kept, and characters of what one was done to. */
const KEPT = 200;
const LONGEST = 300;
const WRITE_MS = 2_000;

const entries = z.array(
  z.object({
    /** Wall clock, ms since the epoch. */
    at: z.number(),
    what: z.string(),
    who: z.exactOptional(z.string()),
    from: z.string(),
    to: z.exactOptional(z.string()),
  }),
);
export type AuditRecord = z.infer<typeof entries>[number];

/** Errors: `SyntaxError`, `ZodError`. */
export function readAuditTrail(text: string): readonly AuditRecord[] {
  return entries.parse(JSON.parse(text));
}

export interface AuditTrail {
  keep(entry: AuditEntry): void;
  /** Newest first. Errors: `StoreUnavailableError`. */
  recent(): Promise<readonly AuditRecord[]>;
  /** Writes what is not written yet. */
  close(): Promise<void>;
}

export function createAuditTrail(documents: Pick<Documents, 'get' | 'put'>, time: Time, log: Log): AuditTrail {
  let waiting: AuditRecord[] = [];
  let cancel: Cancel | undefined;
  /** One write after the other. */
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    const added = waiting;
    if (added.length === 0) return;
    waiting = [];
    try {
      let isWritten = false;
      while (!isWritten) {
        const text = await documents.get(AUDIT_DOCUMENT);
        const all = [...(text === undefined ? [] : readAuditTrail(text)), ...added].sort((a, b) => a.at - b.at);
        isWritten = await documents.put(AUDIT_DOCUMENT, JSON.stringify(all.slice(-KEPT)), text ?? null);
      }
    } catch (error) {
      log.warn({ err: error, entries: added.length }, 'what was done stands in this log alone');
    }
  };
  const flush = (): Promise<void> => {
    cancel?.();
    cancel = undefined;
    writing = writing.then(write);
    return writing;
  };
  return {
    keep: ({ what, who, from, to }) => {
      waiting.push({
        ...{ at: time.now(), what, from },
        ...(who === undefined ? {} : { who }),
        ...(to === undefined ? {} : { to: Object.values(to).map(shown).join(', ').slice(0, LONGEST) }),
      });
      if (waiting.length > KEPT) waiting.shift();
      cancel ??= time.after(WRITE_MS, () => void flush());
    },
    recent: async () => {
      await flush();
      const text = await documents.get(AUDIT_DOCUMENT);
      return text === undefined ? [] : readAuditTrail(text).toReversed();
    },
    close: flush,
  };
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '');
}
