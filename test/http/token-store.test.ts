import { describe, expect, it } from 'vitest';
import { createTokenStore } from '../../runtime/http/auth/tokens.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { ManualTime } from '../support/manual-time.ts';

describe('a stored token that cannot be read', () => {
  it.each(['', '{', 'null', '7', '[]', '{"id":"a","hash":"b"}'])(
    'counts as none and harms no other: %j',
    async (text) => {
      const time = new ManualTime();
      const { documents } = new MemoryStore({ time });
      const { capability } = await createTokenStore(documents, () => time.now()).create({
        scopes: ['send'],
        queues: ['*'],
      });
      await documents.put('token:broken', text);
      const tokens = createTokenStore(documents, () => time.now());
      await tokens.reload();
      expect(tokens.list()).toEqual([capability]);
      await tokens.heard({ kind: 'document', name: 'token:broken' });
      expect(tokens.list()).toEqual([capability]);
    },
  );
});
