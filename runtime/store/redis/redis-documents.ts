import type { Documents } from '../store.ts';
import type { RedisCalls } from './calls.ts';
import { integerReply, ReplyReader } from './encoding.ts';
import { DOCUMENTS } from './keys.ts';
import { PUT_DOCUMENT, REMOVE_DOCUMENT } from './scripts/documents.ts';

/**
 * Documents in Redis. A write with an expectation that the driver repeats after a lost connection may answer that the document was not as
 * expected although it was this very write that changed it; whoever relies on the answer reads the document again.
 */
export class RedisDocuments implements Documents {
  readonly #calls: RedisCalls;
  readonly #channel: string;

  constructor(calls: RedisCalls, channel: string) {
    this.#calls = calls;
    this.#channel = channel;
  }

  async get(name: string): Promise<string | undefined> {
    const value = await this.#calls.command('hget', DOCUMENTS, name);
    return value === null ? undefined : new ReplyReader([value]).text();
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    const all = new ReplyReader(await this.#calls.command('hkeys', DOCUMENTS));
    const names: string[] = [];
    while (!all.done) {
      const name = all.text();
      if (name.startsWith(prefix)) names.push(name);
    }
    if (names.length === 0) return new Map();
    names.sort();
    const values = await this.#calls.command('hmget', DOCUMENTS, ...names);
    if (!Array.isArray(values)) return new Map();
    // One that was removed between the two commands is not there.
    return new Map(
      names.flatMap((name, index): [string, string][] => {
        const value: unknown = values[index];
        return Buffer.isBuffer(value) ? [[name, value.toString()]] : [];
      }),
    );
  }

  async put(name: string, value: string, expected?: string | null): Promise<boolean> {
    const expectation = expected === undefined ? 'any' : expected === null ? 'absent' : 'is';
    const args = [name, value, expectation, expected ?? '', this.#channel];
    return integerReply(await this.#calls.script(PUT_DOCUMENT, [DOCUMENTS], args)) === 1;
  }

  async remove(name: string, expected?: string): Promise<boolean> {
    const args = [name, expected === undefined ? 'any' : 'is', expected ?? '', this.#channel];
    return integerReply(await this.#calls.script(REMOVE_DOCUMENT, [DOCUMENTS], args)) === 1;
  }
}
