import { describe, expect, it } from 'vitest';
import type { Context } from './store-under-test.ts';

/** Documents and slots. */
export function sharedStateContract(context: Context): void {
  describe('documents', () => {
    it('writes, compares, lists by prefix and removes', async () => {
      const { documents } = context.store;
      expect(await documents.get('c:none')).toBeUndefined();
      expect(await documents.put('c:b', 'one', null)).toBe(true);
      expect(await documents.put('c:b', 'two', null)).toBe(false);
      expect(await documents.put('c:b', 'two', 'none')).toBe(false);
      expect(await documents.put('c:b', 'two ü', 'one')).toBe(true);
      expect(await documents.put('c:a', '')).toBe(true);
      expect(await documents.put('c', 'not listed')).toBe(true);
      expect(await documents.get('c:a')).toBe('');
      expect([...(await documents.list('c:'))]).toEqual([
        ['c:a', ''],
        ['c:b', 'two ü'],
      ]);
      expect(await documents.remove('c:b', 'one')).toBe(false);
      expect(await documents.remove('c:b', 'two ü')).toBe(true);
      expect(await documents.remove('c:b')).toBe(false);
      expect(await documents.remove('c:a')).toBe(true);
      expect(await documents.list('c:')).toEqual(new Map());
    });

    it('lets one of many writers win', async () => {
      const wins = await Promise.all(
        Array.from({ length: 10 }, (_, index) => context.store.documents.put('race', `${index}`, null)),
      );
      expect(wins.filter(Boolean)).toHaveLength(1);
    });

    it('signals writes and removals', async () => {
      const written = context.nextSignal('signalled');
      await context.store.documents.put('signalled', '1');
      expect(await written).toEqual({ kind: 'document', name: 'signalled' });
      const removed = context.nextSignal('signalled');
      await context.store.documents.remove('signalled');
      expect(await removed).toEqual({ kind: 'document', name: 'signalled' });
    });
  });

  describe('slots', () => {
    it('gives out no more than the limit, one to a holder, and takes back what is held', async () => {
      const { slots } = context.store;
      expect(await slots.take('s1', 'a', 2, 1_000)).toBe('taken');
      expect(await slots.take('s1', 'b', 2, 1_000)).toBe('taken');
      expect(await slots.take('s1', 'a', 2, 1_000)).toBe('taken');
      expect(await slots.take('s1', 'c', 2, 1_000)).toBe(1_000);
      await slots.free('s1', 'c', 2);
      expect(await slots.take('s1', 'c', 2, 1_000)).toBe(1_000);
      await slots.free('s1', 'a', 2);
      expect(await slots.take('s1', 'c', 2, 1_000)).toBe('taken');
    });

    it('frees the slot of a holder that died', async () => {
      await context.store.slots.take('s2', 'a', 1, 1_000);
      context.time.advance(999);
      expect(await context.store.slots.take('s2', 'b', 1, 1_000)).toBe(1);
      context.time.advance(1);
      expect(await context.store.slots.take('s2', 'b', 1, 1_000)).toBe('taken');
    });

    it('says when the first of the slots frees itself', async () => {
      const { slots } = context.store;
      await slots.take('s5', 'prolonged', 2, 1_000);
      await slots.take('s5', 'first', 2, 2_000);
      context.time.advance(500);
      await slots.take('s5', 'prolonged', 2, 5_000);
      expect(await slots.take('s5', 'c', 2, 60_000)).toBe(1_500);
    });

    it('signals only when the set was full', async () => {
      const { slots } = context.store;
      const signal = context.nextSignal('s3', 's4');
      await slots.take('s3', 'a', 2, 1_000);
      await slots.free('s3', 'a', 2);
      await slots.free('s3', 'a', 2);
      await slots.take('s4', 'a', 1, 1_000);
      await slots.free('s4', 'a', 1);
      expect(await signal).toEqual({ kind: 'slot', name: 's4' });
    });
  });
}
