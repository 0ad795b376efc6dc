import { describe, expect, it } from 'vitest';
import { MESSAGE_ID_HEAD_BYTES, messageIdTail, newMessageId } from '../../runtime/queue/message-id.ts';
import { systemRandomness } from '../../runtime/time.ts';

describe('the id of a new message', () => {
  const ids = Array.from({ length: 1_000 }, () => newMessageId(systemRandomness));

  it('is a version 4 UUID, and another one each time', () => {
    expect(new Set(ids).size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('ends in what follows from its beginning', () => {
    for (const id of ids) {
      const head = Buffer.from(id.replaceAll('-', ''), 'hex').subarray(0, MESSAGE_ID_HEAD_BYTES);
      expect(Number.parseInt(id.slice(-8), 16)).toBe(messageIdTail(head));
    }
  });
});
