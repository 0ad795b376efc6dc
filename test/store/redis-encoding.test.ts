import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newMessageId } from '../../runtime/queue/message.ts';
import { idBytes, idText, shortIdBytes } from '../../runtime/store/redis/calls.ts';

const uuid = fc.uuid({ version: 4 });

describe('a message id in the keys of a standard queue', () => {
  it('takes twelve bytes if Karin gave it', () => {
    fc.assert(
      fc.property(uuid, (random) => {
        const id = newMessageId({ uuid: () => random });
        expect(shortIdBytes(id)).toEqual(idBytes(id).subarray(0, 12));
        expect(idText(shortIdBytes(id))).toBe(id);
      }),
    );
  });

  it('is kept whole if it came from elsewhere', () => {
    fc.assert(
      fc.property(uuid, (id) => {
        // One in four thousand million random ids looks like one of Karin's, and may then be kept like one.
        fc.pre(id !== newMessageId({ uuid: () => id }));
        expect(shortIdBytes(id)).toEqual(idBytes(id));
        expect(idText(shortIdBytes(id))).toBe(id);
      }),
    );
  });

  it('comes back the same even if the end follows from the beginning by chance', () => {
    const id = newMessageId({ uuid: () => '00000000-0000-4000-8000-000000000000' });
    expect(idText(shortIdBytes(id))).toBe(id);
  });
});
