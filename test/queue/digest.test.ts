import { describe, expect, it } from 'vitest';
import { md5OfAttributes, md5OfBody, md5OfSystemAttributes } from '../../runtime/queue/message.ts';

describe('the digests of SQS', () => {
  it('are MD5 of the UTF-8 body', () => {
    expect(md5OfBody('hello')).toBe('5d41402abc4b2a76b9719d911017c592');
    expect(md5OfBody('äöü € 😀')).toBe('ac581d5667a37094f06c26dc2f02bded');
  });

  it('are absent without attributes', () => {
    expect(md5OfAttributes({})).toBeUndefined();
    expect(md5OfSystemAttributes(undefined)).toBeUndefined();
  });

  it('agree with a recording of SQS for the trace header', () => {
    expect(md5OfSystemAttributes('Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1')).toBe(
      '5ae4d5d7636402d80f4eb6d213245a88',
    );
  });

  it('do not depend on the order in which attributes are given', () => {
    const a = { dataType: 'String', stringValue: 'one' };
    const b = { dataType: 'Number', stringValue: '2' };
    expect(md5OfAttributes({ a, b })).toBe(md5OfAttributes({ b, a }));
  });

  it('tell a text from the same bytes, and one data type from another', () => {
    const text = md5OfAttributes({ a: { dataType: 'String', stringValue: 'x' } });
    const bytes = md5OfAttributes({ a: { dataType: 'String', binaryValue: Buffer.from('x') } });
    const custom = md5OfAttributes({ a: { dataType: 'String.custom', stringValue: 'x' } });
    expect(new Set([text, bytes, custom]).size).toBe(3);
  });
});
