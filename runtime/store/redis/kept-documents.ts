/**
 * Documents that outlive their Redis: what this process has read or written of the shared world, kept in memory, and
 * written again when the store comes back empty.
 *
 * A Redis without persistence that restarts, a FLUSHALL, a new instance behind the same address: the documents are
 * gone, while every server still has them in memory. Taking over "there is nothing" would refuse all queues until the
 * next sync and forget the tokens that were made by command for good.
 *
 * The marker. The document `world` holds an id, written by the first server that finds none, and the ids of the worlds
 * that it continues. It lives in the hash of all documents, so on a cluster too it is lost exactly when they are. Each
 * server remembers the id of the world it belongs to.
 *
 *   same id                the world is there; what is missing was removed by somebody
 *   no marker, none known  the store is new, or was written before there were markers: a marker is made
 *   no marker, one known   the store was emptied: everything kept is written again, then a marker that names the world
 *                          it continues
 *   another id             which continues ours: another server has written everything again, so its world is taken
 *                          over, and nothing is written that it removed since. Which does not: a server that knew
 *                          nothing started on the empty store. Everything kept is written beside what it wrote, and the
 *                          marker names both worlds.
 *
 * Invariant: a document that is kept is missing from the answers of this class only if the marker proved, after the
 * document was missed, that the world is the one it was kept from.
 *
 * Servers race to heal without harm. Documents are written only where there is none, except secrets, where the old one
 * wins because receipt handles were issued under it. The marker is written last, by compare-and-set; whoever loses
 * reads it and finds his world named. A server that dies before the marker is written leaves the store without one, so
 * the next goes on.
 *
 * When it is looked at: whenever a kept document is missing, and, because messages are sent and received without any
 * document, once in `CHECK_MS` while there are such calls. No call, no look.
 *
 * Who has the documents of a kind in memory anyway (`heldBy`) is asked for their texts then, so that they are not kept
 * twice: definitions of queues may have 30 KB each.
 *
 * Documents that cannot be read (`fault`) are set aside here as well, so that whoever reads documents meets only those
 * of the right shape. One that was readable before is written again.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Cancel, Time } from '../../time.ts';
import type { Documents, Signal } from '../store.ts';

const WORLD = 'world';
/** Between two looks at the marker while messages come and go, ms. */
const CHECK_MS = 3_000;
/** What names of documents that were set aside begin with; their own name follows. */
const ASIDE = 'unreadable:';
/** Worlds that one marker names; only those matter that a server may still belong to. */
const REMEMBERED_WORLDS = 50;
/**
 * What is written again, by the beginnings of names. The result of the discovery is not among them: it is large, and
 * whoever found it has it. Purges, deletions and move tasks are about messages that are gone.
 */
const KEPT = ['ended-sessions', 'queue:', 'secret:', 'sync:', 'token:'];
const SECRETS = 'secret:';
/** Documents that are written again at one time. */
const RESTORED_AT_ONCE = 100;

const marker = z.object({ id: z.string(), continues: z.array(z.string()) });

export interface KeptDocumentsOptions {
  readonly documents: Documents;
  readonly time: Time;
  readonly uuid: () => string;
  /** Why a document cannot be read; `undefined`: it can. */
  readonly fault: (name: string, text: string) => string | undefined;
  readonly emit: (signal: Signal) => void;
}

export class KeptDocuments implements Documents {
  readonly #options: KeptDocumentsOptions;
  readonly #documents: Documents;
  /** By name; `undefined`: its holder has the text. */
  readonly #kept = new Map<string, string | undefined>();
  /** Who has the texts of documents in memory, by the beginnings of their names. */
  readonly #holders = new Map<string, (name: string) => string | undefined>();
  #world: string | undefined;
  #look: Promise<void> | undefined;
  #nextLook: Cancel | undefined;
  /** A look at the marker is planned: calls on messages need not say that they are made. */
  looksSoon = false;
  #closed = false;

  constructor(options: KeptDocumentsOptions) {
    this.#options = options;
    this.#documents = options.documents;
  }

  /** Messages come or go: the marker is looked at soon, if that is not planned already (`looksSoon`). */
  active(): void {
    // Whoever never asked for a document has nothing to lose.
    if (this.#closed || this.#world === undefined) return;
    this.looksSoon = true;
    this.#nextLook ??= this.#options.time.after(CHECK_MS, () => {
      this.#nextLook = undefined;
      this.looksSoon = false;
      // If the store cannot be reached, it is looked at when something is missing afterwards.
      this.#lookAtMarker().catch(() => undefined);
    });
  }

  close(): void {
    this.#closed = true;
    this.#nextLook?.();
    this.#nextLook = undefined;
  }

  async get(name: string): Promise<string | undefined> {
    const world = await this.#entered();
    const text = await this.#documents.get(name);
    if (text !== undefined) return this.#readable(name, text);
    if (!this.#kept.has(name)) return undefined;
    if (await this.#emptiedSince(world)) return this.get(name);
    this.#kept.delete(name);
    return undefined;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for await (const [name, text] of this.each(prefix)) found.set(name, text);
    return found;
  }

  async *each(prefix: string): AsyncIterable<readonly [string, string]> {
    const world = await this.#entered();
    const missing = new Set([...this.#kept.keys()].filter((name) => name.startsWith(prefix)));
    for await (const [name, text] of this.#documents.each(prefix)) {
      missing.delete(name);
      const readable = await this.#readable(name, text);
      if (readable !== undefined) yield [name, readable];
    }
    if (missing.size === 0) return;
    if (await this.#emptiedSince(world)) yield* this.each(prefix);
    else for (const name of missing) this.#kept.delete(name);
  }

  heldBy(prefix: string, text: (name: string) => string | undefined): void {
    this.#holders.set(prefix, text);
    for (const name of this.#kept.keys()) if (name.startsWith(prefix)) this.#kept.set(name, undefined);
  }

  async put(name: string, value: string, expected?: string | null): Promise<boolean> {
    await this.#entered();
    const written = await this.#documents.put(name, value, expected);
    if (written) this.#keep(name, value);
    return written;
  }

  async remove(name: string, expected?: string): Promise<boolean> {
    const world = await this.#entered();
    let removed = await this.#documents.remove(name, expected);
    // Were it missing because the store is empty, another server would write it again.
    if (!removed && this.#kept.has(name) && (await this.#emptiedSince(world))) {
      removed = await this.#documents.remove(name, expected);
    }
    if (removed || expected === undefined) this.#kept.delete(name);
    return removed;
  }

  #keep(name: string, text: string): void {
    if (!KEPT.some((prefix) => name.startsWith(prefix))) return;
    this.#kept.set(name, this.#holderOf(name) === undefined ? text : undefined);
  }

  #holderOf(name: string): ((name: string) => string | undefined) | undefined {
    for (const [prefix, text] of this.#holders) if (name.startsWith(prefix)) return text;
    return undefined;
  }

  /** What is kept of a document. */
  #textOf(name: string): string | undefined {
    return this.#kept.get(name) ?? (this.#kept.has(name) ? this.#holderOf(name)?.(name) : undefined);
  }

  /** The document, if it can be read; else what was kept of it, and `undefined` if that is nothing. */
  async #readable(name: string, text: string): Promise<string | undefined> {
    const fault = this.#options.fault(name, text);
    if (fault === undefined) {
      const kept = this.#textOf(name);
      // Secrets never change. A server that knew nothing made another one.
      if (name.startsWith(SECRETS) && kept !== undefined && kept !== text && (await this.#emptiedSince(this.#world))) {
        return this.get(name);
      }
      this.#keep(name, text);
      return text;
    }
    const asideAs = ASIDE + name;
    await this.#documents.put(asideAs, text);
    const kept = this.#textOf(name);
    const moved = await (kept === undefined
      ? this.#documents.remove(name, text)
      : this.#documents.put(name, kept, text));
    // Somebody else changed it meanwhile.
    if (!moved) return this.get(name);
    this.#options.emit({ kind: 'unreadable', name, asideAs, fault, restored: kept !== undefined });
    return kept;
  }

  /** The world that what is read now belongs to: nothing is kept without one. */
  async #entered(): Promise<string | undefined> {
    if (this.#world === undefined) await this.#lookAtMarker();
    return this.#world;
  }

  /** Whether the store was emptied since the server belonged to `world`; then everything kept is there again. */
  async #emptiedSince(world: string | undefined): Promise<boolean> {
    // A look that is under way may have read the marker before the document was missed.
    while (this.#look !== undefined) await this.#look;
    await this.#lookAtMarker();
    return this.#world !== world;
  }

  #lookAtMarker(): Promise<void> {
    this.#look ??= this.#compare().finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #compare(): Promise<void> {
    for (;;) {
      const text = await this.#documents.get(WORLD);
      const found = readMarker(text);
      if (found !== undefined && (this.#world === undefined || found.id === this.#world)) {
        this.#world = found.id;
        return;
      }
      if (found !== undefined && this.#world !== undefined && found.continues.includes(this.#world)) {
        this.#world = found.id;
        this.#report(0);
        return;
      }
      const known = this.#world;
      const restored = known === undefined ? 0 : await this.#restore();
      const continues = [known, found?.id, ...(found?.continues ?? [])].filter((id) => id !== undefined);
      const mine = { id: this.#options.uuid(), continues: continues.slice(0, REMEMBERED_WORLDS) };
      if (!(await this.#documents.put(WORLD, JSON.stringify(mine), text ?? null))) continue;
      this.#world = mine.id;
      if (known !== undefined) this.#report(restored);
      return;
    }
  }

  /** Answers how many documents were missing. A page at a time: together their texts may not fit into memory. */
  async #restore(): Promise<number> {
    const names = [...this.#kept.keys()];
    let restored = 0;
    for (let at = 0; at < names.length; at += RESTORED_AT_ONCE) {
      const page = names.slice(at, at + RESTORED_AT_ONCE).map((name) => this.#restoreOne(name, this.#textOf(name)));
      restored += (await Promise.all(page)).filter(Boolean).length;
    }
    return restored;
  }

  async #restoreOne(name: string, text: string | undefined): Promise<boolean> {
    if (text === undefined) return false;
    return name.startsWith(SECRETS) ? this.#documents.put(name, text) : this.#documents.put(name, text, null);
  }

  #report(restored: number): void {
    const count = (prefix: string): number =>
      [...this.#kept.keys()].reduce((sum, name) => (name.startsWith(prefix) ? sum + 1 : sum), 0);
    const { emit } = this.#options;
    emit({ kind: 'emptied', queues: count('queue:'), tokens: count('token:'), restored });
    // What was known of the messages is no longer true.
    emit({ kind: 'gap' });
  }
}

function readMarker(text: string | undefined): z.infer<typeof marker> | undefined {
  if (text === undefined) return undefined;
  try {
    return marker.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
