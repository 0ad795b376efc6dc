/**
 * What every store must do: one suite, run against each implementation. The clock of the store stands still until a
 * test advances it.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anyQueueContract } from './any-queue.ts';
import { fifoQueueContract } from './fifo-queues.ts';
import { movingContract } from './moving.ts';
import { namedMessagesContract } from './named-messages.ts';
import { sharedStateContract } from './shared-state.ts';
import { standardQueueContract } from './standard-queues.ts';
import { Context, type StoreUnderTest } from './store-under-test.ts';

export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the store contract: ${name}`, () => {
    let underTest: StoreUnderTest | undefined;
    const context = new Context(() => {
      if (underTest === undefined) throw new Error('the store is not open');
      return underTest;
    });
    beforeAll(async () => {
      underTest = await open();
    });
    afterAll(async () => {
      await underTest?.close();
    });

    anyQueueContract(context);
    standardQueueContract(context);
    fifoQueueContract(context);
    namedMessagesContract(context);
    movingContract(context);
    sharedStateContract(context);

    it('says how it is', async () => {
      const health = await context.store.health();
      expect(health.reachable).toBe(true);
      expect(health.description).not.toBe('');
    });
  });
}
