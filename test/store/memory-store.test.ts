import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { openStore } from '../../runtime/store/open-store.ts';
import { StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { storeContract } from '../contract/store-contract.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';

storeContract('memory', async () => {
  const time = new ManualTime();
  const store = new MemoryStore({ time });
  return { store, other: store, time, close: () => store.close() };
});

describe('the memory store', () => {
  it('is what `memory` opens', async () => {
    const store = await openStore({
      urls: 'memory',
      instanceId: 'any',
      time: new ManualTime(),
      randomness: systemRandomness,
    });
    expect(store).toBeInstanceOf(MemoryStore);
  });

  it('warns that messages live in the process', async () => {
    const store = new MemoryStore({ time: new ManualTime() });
    expect(await store.health()).toEqual({
      reachable: true,
      description: 'memory',
      warnings: ['messages are kept in the memory of this process: a restart loses them'],
    });
  });

  it('refuses calls once closed', async () => {
    const store = new MemoryStore({ time: new ManualTime() });
    await store.close();
    await expect(store.send(newQueue(false), [entry()])).rejects.toThrow(StoreUnavailableError);
    expect((await store.health()).reachable).toBe(false);
  });

  it('keeps its own copy of a record', async () => {
    const store = new MemoryStore({ time: new ManualTime() });
    const queue = newQueue(false);
    const record = Buffer.from('mine');
    await store.send(queue, [entry({ record })]);
    record.fill(0);
    const { leased } = await store.receive(queue, { maxMessages: 1, maxBytes: 100, leaseMs: 1 });
    expect(Buffer.from(leased[0]?.record ?? []).toString()).toBe('mine');
  });
});
