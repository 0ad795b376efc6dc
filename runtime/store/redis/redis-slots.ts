import { wholeMs } from '../checks.ts';
import type { Slots } from '../store.ts';
import type { RedisCalls } from './calls.ts';
import { integerReply } from './encoding.ts';
import { slotsKey } from './keys.ts';
import { FREE_SLOT, TAKE_SLOT } from './scripts/slots.ts';

export class RedisSlots implements Slots {
  readonly #calls: RedisCalls;
  readonly #channel: string;

  constructor(calls: RedisCalls, channel: string) {
    this.#calls = calls;
    this.#channel = channel;
  }

  async take(name: string, holder: string, limit: number, holdMs: number): Promise<'taken' | number> {
    const reply = await this.#calls.script(TAKE_SLOT, [slotsKey(name)], [holder, limit, wholeMs(holdMs)]);
    const freeInMs = integerReply(reply);
    return freeInMs === 0 ? 'taken' : freeInMs;
  }

  async free(name: string, holder: string, limit: number): Promise<void> {
    await this.#calls.script(FREE_SLOT, [slotsKey(name)], [holder, limit, name, this.#channel]);
  }
}
