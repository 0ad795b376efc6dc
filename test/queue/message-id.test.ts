import { describe, expect, it } from 'vitest';
import { newMessageId } from '../../runtime/queue/message.ts';
import { isOwnMessageId, messageIdOf } from '../../runtime/store/steps.ts';
import { systemRandomness } from '../../runtime/time.ts';

describe('the id of a new message', () => {
  const ids = Array.from({ length: 1_000 }, () => newMessageId(systemRandomness));

  it('is a version 4 UUID, and another one each time', () => {
    expect(new Set(ids).size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('ends in what follows from its beginning', () => {
    for (const id of ids) {
      expect(isOwnMessageId(id)).toBe(true);
      expect(messageIdOf(id.slice(0, 28))).toBe(id);
    }
  });

  it('can be told from one that does not', () => {
    for (const id of ids) {
      const last = id.endsWith('0') ? '1' : '0';
      expect(isOwnMessageId(id.slice(0, -1) + last)).toBe(false);
    }
  });
});
