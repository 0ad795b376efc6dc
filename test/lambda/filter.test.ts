import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../runtime/consumer/filter/filter.ts';
import { FilterError } from '../../runtime/consumer/filter/matchers.ts';
import { md5OfBody, type ReceivedMessage } from '../../runtime/queue/message.ts';
import { QUEUE_ARN, receivedMessage } from './received-message.ts';

function passes(patterns: readonly unknown[], message: Partial<ReceivedMessage>): boolean {
  const texts = patterns.map((pattern) => JSON.stringify(pattern));
  return compileFilter(texts).matches(receivedMessage(message), QUEUE_ARN);
}

/** Whether a message with this body passes one filter on the body. */
function bodyPasses(pattern: unknown, body: unknown): boolean {
  return passes([{ body: pattern }], { body: JSON.stringify(body) });
}

describe('several filters', () => {
  it('lets everything pass when there is none', () => {
    expect(passes([], { body: 'anything' })).toBe(true);
  });

  it('lets a message pass when one of them matches', () => {
    const patterns = [{ body: { a: [1] } }, { body: { b: [2] } }];
    expect(passes(patterns, { body: '{"b":2}' })).toBe(true);
    expect(passes(patterns, { body: '{"a":2,"b":1}' })).toBe(false);
  });

  it('asks for every field of one pattern', () => {
    expect(bodyPasses({ a: [1], b: { c: [2] } }, { a: 1, b: { c: 2 } })).toBe(true);
    expect(bodyPasses({ a: [1], b: { c: [2] } }, { a: 1, b: { c: 3 } })).toBe(false);
  });
});

describe('what the body is and what the pattern expects', () => {
  it.each([
    ['a JSON object, an object pattern', '{"a":1}', { a: [1] }, true],
    ['a JSON object with space around it', ' \r\n\t{"a":1} ', { a: [1] }, true],
    ['a JSON array, an object pattern', '[{"a":2},{"a":1}]', { a: [1] }, true],
    ['no JSON, an object pattern', 'a=1', { a: [1] }, false],
    ['broken JSON, an object pattern', '{"a":1', { a: [1] }, false],
    ['no JSON, an object pattern that only asks for absence', 'a=1', { a: [{ exists: false }] }, false],
    ['a JSON object, an object pattern that only asks for absence', '{"b":1}', { a: [{ exists: false }] }, true],
    ['a JSON object, a list of values', '{"a":1}', ['{"a":1}'], false],
    ['a JSON object, any value', '{"a":1}', [{ exists: true }], false],
    ['a JSON array, a list of values', '["x"]', ['x'], false],
    ['no JSON, the same text', 'hello', ['hello'], true],
    ['no JSON, another text', 'hello', ['bye'], false],
    ['no JSON, an operator', 'hello world', [{ prefix: 'hello' }], true],
    ['a JSON number, as text', '123', ['123'], true],
    ['a JSON number is no number here', '123', [123], false],
    ['a JSON string, with its quotes', '"x"', ['"x"'], true],
    ['a JSON string, an object pattern', '"x"', { a: [{ exists: false }] }, false],
  ])('%s', (_name, body, pattern, expected) => {
    expect(passes([{ body: pattern }], { body })).toBe(expected);
  });

  it('leaves the body alone when the pattern does not name it', () => {
    const pattern = { attributes: { SenderId: [{ prefix: 'AIDA' }] } };
    expect(passes([pattern], { body: 'not JSON' })).toBe(true);
    expect(passes([pattern], { body: '{"a":1}' })).toBe(true);
    expect(passes([pattern], { body: '{"a":1}', senderId: 'AROA:session' })).toBe(false);
  });
});

describe('fields beside the body', () => {
  const message: Partial<ReceivedMessage> = {
    body: '{"a":1}',
    receiveCount: 3,
    groupId: 'g1',
    attributes: {
      kind: { dataType: 'String', stringValue: 'order' },
      amount: { dataType: 'Number', stringValue: '12.5' },
      'dotted.name': { dataType: 'Binary', binaryValue: Buffer.from([1, 2]) },
    },
  };

  it.each([
    ['messageId', { messageId: [{ prefix: '059f36b4' }] }, true],
    ['receiptHandle', { receiptHandle: ['handle-1'] }, true],
    ['md5OfBody', { md5OfBody: [md5OfBody('{"a":1}')] }, true],
    ['md5OfBody of another body', { md5OfBody: [md5OfBody('{"a":2}')] }, false],
    ['a system attribute, which is a string', { attributes: { ApproximateReceiveCount: ['3'] } }, true],
    ['a system attribute is no number', { attributes: { ApproximateReceiveCount: [3] } }, false],
    ['a system attribute that does not apply', { attributes: { SequenceNumber: [{ exists: false }] } }, true],
    ['the message group', { attributes: { MessageGroupId: ['g1'] } }, true],
    ['a message attribute', { messageAttributes: { kind: { stringValue: ['order'] } } }, true],
    ['a Number attribute, which is a string', { messageAttributes: { amount: { stringValue: ['12.5'] } } }, true],
    ['the type of an attribute', { messageAttributes: { kind: { dataType: ['Number'] } } }, false],
    ['a binary attribute, in base64', { messageAttributes: { 'dotted.name': { binaryValue: ['AQI='] } } }, true],
    ['an attribute that is not there', { messageAttributes: { missing: { stringValue: [{ exists: true }] } } }, false],
    ['the event source', { eventSource: ['aws:sqs'], awsRegion: ['eu-west-1'] }, true],
    ['the queue', { eventSourceARN: [{ suffix: ':jobs' }] }, true],
    ['a field of no record', { a: [1] }, false],
    ['body and attribute together', { body: { a: [1] }, attributes: { MessageGroupId: ['g2'] } }, false],
  ])('%s', (_name, pattern, expected) => {
    expect(passes([pattern], message)).toBe(expected);
  });
});

describe('$or', () => {
  it('matches if one branch does', () => {
    const pattern = { $or: [{ a: [1] }, { b: { c: [2] } }], d: [3] };
    expect(bodyPasses(pattern, { a: 1, d: 3 })).toBe(true);
    expect(bodyPasses(pattern, { b: { c: 2 }, d: 3 })).toBe(true);
    expect(bodyPasses(pattern, { b: { c: 2 }, d: 4 })).toBe(false);
    expect(bodyPasses(pattern, { d: 3 })).toBe(false);
  });

  it('nests', () => {
    const pattern = { $or: [{ a: [1], $or: [{ b: [1] }, { c: [1] }] }, { d: [1] }] };
    expect(bodyPasses(pattern, { a: 1, c: 1 })).toBe(true);
    expect(bodyPasses(pattern, { c: 1 })).toBe(false);
    expect(bodyPasses(pattern, { d: 1 })).toBe(true);
  });

  it('stands beside the body as well', () => {
    const patterns = [{ $or: [{ body: { a: [1] } }, { attributes: { MessageGroupId: ['urgent'] } }] }];
    expect(passes(patterns, { body: '{"a":1}' })).toBe(true);
    expect(passes(patterns, { body: 'text', groupId: 'urgent' })).toBe(true);
    expect(passes(patterns, { body: 'text' })).toBe(false);
  });

  it.each([
    ['one branch', [{ a: [1] }]],
    ['a branch that is no object', [{ a: [1] }, 'b']],
  ])('is the name of a field with %s, and then its values must be valid', (_name, branches) => {
    expect(() => compileFilter([JSON.stringify({ body: { $or: branches } })])).toThrow(FilterError);
  });

  it('is the name of a field when its objects are operators', () => {
    const pattern = { $or: [{ prefix: 'a' }, { suffix: 'z' }] };
    expect(bodyPasses(pattern, { $or: 'abc' })).toBe(true);
    expect(bodyPasses(pattern, { $or: 'b' })).toBe(false);
  });

  it('is the name of a field when its list holds one plain value', () => {
    expect(bodyPasses({ $or: ['x'] }, { $or: 'x' })).toBe(true);
  });

  it('may make a thousand combinations and no more', () => {
    const ten = (name: string) => ({ $or: Array.from({ length: 10 }, (_, index) => ({ [`${name}${index}`]: [1] })) });
    const thousand = { x: ten('x'), y: ten('y'), z: ten('z') };
    expect(bodyPasses(thousand, { x: { x9: 1 }, y: { y0: 1 }, z: { z5: 1 } })).toBe(true);
    expect(bodyPasses(thousand, { x: { x9: 1 }, y: { y0: 1 } })).toBe(false);
    expect(() => compileFilter([JSON.stringify({ body: { ...thousand, w: ten('w') } })])).toThrow(
      /more than 1000 combinations/,
    );
  });
});

describe('dots', () => {
  it.each([
    ['a dotted pattern, a nested body', { 'a.b': [1] }, { a: { b: 1 } }],
    ['a nested pattern, a dotted body', { a: { b: [1] } }, { 'a.b': 1 }],
    ['a dotted pattern, a dotted body', { 'a.b': [1] }, { 'a.b': 1 }],
    ['a body dotted elsewhere', { 'a.b': { c: [1] } }, { a: { 'b.c': 1 } }],
    ['a place spread over two objects', { a: { b: [1], c: [2] } }, { a: { b: 1 }, 'a.c': 2 }],
    ['an empty name', { 'a..b': [1] }, { a: { '': { b: 1 } } }],
    ['a dotted body with an array', { a: { b: { c: [1] } } }, { 'a.b': [{ c: 2 }, { c: 1 }] }],
  ])('%s', (_name, pattern, body) => {
    expect(bodyPasses(pattern, body)).toBe(true);
  });

  it('reaches the body itself', () => {
    expect(passes([{ 'body.a': [1] }], { body: '{"a":1}' })).toBe(true);
    expect(passes([{ 'body.a': [1] }], { body: '{"a":2}' })).toBe(false);
  });

  it('does not match a longer name', () => {
    expect(bodyPasses({ a: { b: [1] } }, { 'a.bc': 1 })).toBe(false);
    expect(bodyPasses({ a: { b: [{ exists: false }] } }, { 'a.b': 1 })).toBe(false);
  });
});

describe('arrays', () => {
  it('asks one element for all fields', () => {
    const pattern = { people: { first: ['Anna'], last: ['Smith'] } };
    const anna = { first: 'Anna', last: 'Doe' };
    expect(bodyPasses(pattern, { people: [anna, { first: 'John', last: 'Smith' }] })).toBe(false);
    expect(bodyPasses(pattern, { people: [anna, { first: 'Anna', last: 'Smith' }] })).toBe(true);
  });

  it('looks into arrays of arrays', () => {
    expect(bodyPasses({ a: { b: [1] } }, { a: [[{ b: 2 }], [[{ b: 1 }]]] })).toBe(true);
  });

  it('calls a field absent only if no element has it', () => {
    const pattern = { a: { b: [{ exists: false }] } };
    expect(bodyPasses(pattern, { a: [{ c: 1 }, { c: 2 }] })).toBe(true);
    expect(bodyPasses(pattern, { a: [] })).toBe(true);
    expect(bodyPasses(pattern, { a: [1, 2] })).toBe(true);
    expect(bodyPasses(pattern, { a: [{ c: 1 }, { b: 2 }] })).toBe(false);
  });

  it('calls a field absent from the element that another field has chosen', () => {
    const pattern = { a: { b: [{ exists: false }], c: [1] } };
    expect(bodyPasses(pattern, { a: [{ b: 2 }, { c: 1 }] })).toBe(true);
    expect(bodyPasses(pattern, { a: [{ b: 2, c: 1 }] })).toBe(false);
  });

  it('matches scalars beside objects', () => {
    expect(bodyPasses({ a: [1] }, { a: [{ b: 2 }, 1] })).toBe(true);
    expect(bodyPasses({ a: [1], 'a.b': [2] }, { a: [{ b: 2 }, 1] })).toBe(true);
  });
});

describe('patterns that cannot be computed', () => {
  it.each([
    ['no JSON', '{', /not valid JSON/],
    ['null', 'null', /must be a JSON object/],
    ['a string', '"simple string"', /must be a JSON object/],
    ['an array', '[]', /must be a JSON object/],
    ['an empty object', '{}', /empty object/],
    ['an empty inner object', '{"body":{}}', /"body" is an empty object/],
    ['a leaf that is no array', '{"eventSource":"aws:sqs"}', /"eventSource" must be an object or an array/],
    ['an empty array', '{"eventSource":[]}', /"eventSource" is an empty array/],
    ['an array in a leaf', '{"a":[[1]]}', /"a": a value must be/],
    ['an unknown operator', '{"a":[{"regex":"x"}]}', /unknown operator "regex"/],
    ['an operator of Object.prototype', '{"a":[{"numeric":["toString",1]}]}', /the comparisons are/],
    ['two operators in one object', '{"a":[{"prefix":"x","suffix":"y"}]}', /exactly one key, not 2/],
    ['no operator in the object', '{"a":[{}]}', /exactly one key, not 0/],
    ['exists of a string', '{"a":[{"exists":"true"}]}', /exists must be true or false/],
    ['prefix of a number', '{"a":[{"prefix":1}]}', /prefix must be given a string/],
    ['prefix of an unknown operator', '{"a":[{"prefix":{"wildcard":"x"}}]}', /prefix takes a string or/],
    ['suffix with a bad ignore-case', '{"a":[{"suffix":{"equals-ignore-case":1}}]}', /suffix takes a string or/],
    ['equals-ignore-case of a list', '{"a":[{"equals-ignore-case":["x"]}]}', /must be given a string/],
    ['anything-but null', '{"a":[{"anything-but":null}]}', /strings or numbers/],
    ['anything-but mixed types', '{"a":[{"anything-but":["x",1]}]}', /all of one type/],
    ['anything-but an empty list', '{"a":[{"anything-but":[]}]}', /empty list/],
    ['anything-but exists', '{"a":[{"anything-but":{"exists":true}}]}', /anything-but takes prefix/],
    ['anything-but an empty prefix', '{"a":[{"anything-but":{"prefix":""}}]}', /would exclude every string/],
    ['anything-but prefixes with a number', '{"a":[{"anything-but":{"prefix":["x",1]}}]}', /must be given a string/],
    ['numeric without a list', '{"a":[{"numeric":5}]}', /a list of comparisons/],
    ['numeric with an unknown comparison', '{"a":[{"numeric":["!=",5]}]}', /the comparisons are/],
    ['numeric with a string bound', '{"a":[{"numeric":[">","5"]}]}', /followed by a number/],
    ['numeric with three terms', '{"a":[{"numeric":[">",1,"<"]}]}', /one comparison, or a range of two/],
    ['a numeric range turned around', '{"a":[{"numeric":["<",1,">",0]}]}', /begins with > or >=/],
    ['a numeric range of two lower bounds', '{"a":[{"numeric":[">",1,">",3]}]}', /ends with < or <=/],
    ['an empty numeric range', '{"a":[{"numeric":[">",3,"<",3]}]}', /must be less than its high end/],
    ['two stars', '{"a":[{"wildcard":"a**b"}]}', /two stars in a row at position 1/],
    ['a stray backslash', '{"a":[{"wildcard":"a\\\\b"}]}', /backslash at position 1/],
    ['cidr without a mask', '{"a":[{"cidr":"10.0.0.0"}]}', /cidr "10.0.0.0" must be/],
    ['cidr with a wide mask', '{"a":[{"cidr":"10.0.0.0/33"}]}', /0 to 31 mask bits/],
    ['cidr of no address', '{"a":[{"cidr":"10.0/8"}]}', /must be an IPv4 or IPv6 address/],
  ])('%s', (_name, pattern, message) => {
    expect(() => compileFilter([pattern])).toThrow(FilterError);
    expect(() => compileFilter([pattern])).toThrow(message);
  });

  it('fails for all patterns if one is bad, and names it', () => {
    expect(() => compileFilter(['{"body":{"a":[1]}}', '{"body":[]}'])).toThrow(
      /pattern \{"body":\[\]\} cannot be used/,
    );
  });
});
