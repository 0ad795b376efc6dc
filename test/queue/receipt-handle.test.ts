import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createReceiptHandles, type Receipt } from '../../runtime/queue/receipt-handle.ts';

const SECRET = Buffer.alloc(32, 7);
const QUEUE = 'eu-west-1:123456789012:jobs';

const receipt: fc.Arbitrary<Receipt> = fc.oneof(
  fc.record({
    id: fc.uuid(),
    leaseNumber: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    receivedAt: fc.integer({ min: 0, max: 2 ** 47 }),
  }),
  fc.record({
    id: fc.uuid(),
    leaseNumber: fc.integer({ min: 1, max: 1_000 }),
    receivedAt: fc.integer({ min: 0, max: 2 ** 47 }),
    sequenceNumber: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => value.toString().padStart(20, '0')),
    group: fc.string({
      minLength: 1,
      maxLength: 128,
      unit: fc.constantFrom(...'aZ09!"#$%&\'()*+,-./:;<=>?@[]^_`{|}~'),
    }),
  }),
);

describe('a receipt handle', () => {
  const handles = createReceiptHandles(SECRET);
  const plain: Receipt = { id: '0d5e1c1e-3f5a-4f43-9d0a-0b1a6f0f2c11', leaseNumber: 3, receivedAt: 1_735_689_600_000 };

  it('says what it was issued for', () => {
    fc.assert(
      fc.property(receipt, (issued) => {
        expect(handles.read(QUEUE, handles.issue(QUEUE, issued))).toEqual(issued);
      }),
    );
  });

  it('is short and safe in a URL', () => {
    fc.assert(
      fc.property(receipt, (issued) => {
        expect(handles.issue(QUEUE, issued)).toMatch(/^[A-Za-z0-9_-]{1,256}$/);
      }),
    );
  });

  it('is new on every receive', () => {
    const next = { ...plain, leaseNumber: 4 };
    expect(handles.issue(QUEUE, next)).not.toBe(handles.issue(QUEUE, plain));
  });

  it('is nothing in another queue, or under another secret', () => {
    const handle = handles.issue(QUEUE, plain);
    expect(handles.read('eu-west-1:123456789012:other', handle)).toBeUndefined();
    expect(createReceiptHandles(Buffer.alloc(32, 8)).read(QUEUE, handle)).toBeUndefined();
  });

  it('is nothing with one character changed, added or left out', () => {
    fc.assert(
      fc.property(receipt, fc.nat(), fc.constantFrom(...'ABCabc019-_+/=. '), (issued, at, character) => {
        const handle = handles.issue(QUEUE, issued);
        const position = at % handle.length;
        const changed = handle.slice(0, position) + character + handle.slice(position + 1);
        fc.pre(changed !== handle);
        expect(handles.read(QUEUE, changed)).toBeUndefined();
        expect(handles.read(QUEUE, handle + character)).toBeUndefined();
        expect(handles.read(QUEUE, handle.slice(0, position) + handle.slice(position + 1))).toBeUndefined();
      }),
    );
  });

  it.each(['', 'x', 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a', '😀', 'A'.repeat(100_000)])(
    'is not any text: %.20s',
    (text) => {
      expect(handles.read(QUEUE, text)).toBeUndefined();
    },
  );

  it('cannot be issued for something that is no message id', () => {
    expect(() => handles.issue(QUEUE, { ...plain, id: 'x' })).toThrow('message id x is not a UUID');
  });
});
