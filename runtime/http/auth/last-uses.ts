/**
 * When each credential was used last: access keys, tokens, operators and the admin password. So that those that nobody
 * uses any more can be taken away.
 *
 * A use is noted in memory, which costs a request next to nothing. The store is told rarely: a minute after the first
 * use of a credential, and then when what it knows is six hours old, all credentials in one document and one write. So
 * a client that is idle but for a long poll costs some twenty commands a day. What is in memory is written at the end
 * of the process. After a crash, and on other servers, a time may be six hours too old, and never too new.
 *
 * Invariant: a time in the document only grows, as each write takes the later of both under compare-and-set.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Log } from '../../log.ts';
import type { Documents, Signal } from '../../store/store.ts';
import type { Cancel, Time } from '../../time.ts';
import type { Credential } from './credentials.ts';

const DOCUMENT = 'credential-uses';
const WRITTEN_EACH_MS = 6 * 3_600_000;
const GATHER_MS = 60_000;
/** Credentials that are remembered; those that were used longest ago are forgotten. */
const MOST = 1_000;
const ATTEMPTS = 5;

const times = z.record(z.string(), z.number());

export interface LastUses {
  used(credential: Pick<Credential, 'kind' | 'senderId'>): void;
  /**
   * Epoch ms; `undefined`: not as long as it is remembered. `name`: `key:<id>`, `token:<id>` or `operator:<name>`, of
   * which `operator:admin` is whoever has the admin password.
   */
  of(name: string): number | undefined;
  /** To be called with every signal of the store. */
  heard(signal: Signal): Promise<void>;
  /** Writes what is not written yet. Never rejects. */
  close(): Promise<void>;
}

/** Errors: `StoreUnavailableError`. */
export async function createLastUses(
  documents: Pick<Documents, 'get' | 'put'>,
  time: Time,
  log: Log,
): Promise<LastUses> {
  /** Of this process, and as the document has them. */
  const own = new Map<string, number>();
  let stored: ReadonlyMap<string, number> = new Map();
  let cancel: Cancel | undefined;
  let writing: Promise<void> = Promise.resolve();

  const read = async (): Promise<string | undefined> => {
    const text = await documents.get(DOCUMENT);
    stored = readLastUses(text);
    return text;
  };
  await read();

  const write = async (): Promise<void> => {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const text = await read();
        const newer = [...own].filter(([name, at]) => at > (stored.get(name) ?? 0));
        if (newer.length === 0) return;
        const all = [...new Map([...stored, ...newer])].sort(([, a], [, b]) => b - a).slice(0, MOST);
        if (!(await documents.put(DOCUMENT, JSON.stringify(Object.fromEntries(all)), text ?? null))) continue;
        stored = new Map(all);
        return;
      }
    } catch (error) {
      // It is tried again with the next use.
      log.debug({ err: error }, 'when credentials were used could not be written');
    }
  };
  const flush = (): Promise<void> => {
    cancel?.();
    cancel = undefined;
    writing = writing.then(write);
    return writing;
  };
  return {
    used: ({ kind, senderId }) => {
      const prefix = PREFIXES[kind];
      if (prefix === undefined) return;
      const name = prefix + senderId;
      const now = time.now();
      if (!own.has(name) && own.size >= MOST) own.clear();
      own.set(name, now);
      if (cancel === undefined && now - (stored.get(name) ?? 0) >= WRITTEN_EACH_MS) {
        cancel = time.after(GATHER_MS, () => void flush());
      }
    },
    of: (name) => {
      const at = Math.max(own.get(name) ?? 0, stored.get(name) ?? 0);
      return at === 0 ? undefined : at;
    },
    heard: async (signal) => {
      if (signal.kind === 'gap' || (signal.kind === 'document' && signal.name === DOCUMENT)) await read();
    },
    close: flush,
  };
}

/** The times of the document, for a command that reads the store itself. Errors: `StoreUnavailableError`. */
export async function storedLastUses(documents: Pick<Documents, 'get'>): Promise<ReadonlyMap<string, number>> {
  return readLastUses(await documents.get(DOCUMENT));
}

function readLastUses(text: string | undefined): ReadonlyMap<string, number> {
  try {
    return new Map(Object.entries(times.parse(JSON.parse(text ?? '{}'))));
  } catch {
    // Another version wrote it; this one begins anew.
    return new Map();
  }
}

/** What the names of each kind begin with; `undefined`: nobody proved who he is. The id of a token begins with it. */
const PREFIXES: Readonly<Record<Credential['kind'], string | undefined>> = {
  'access-key': 'key:',
  capability: '',
  admin: 'operator:',
  operator: 'operator:',
  anyone: undefined,
};
