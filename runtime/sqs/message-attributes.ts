/**
 * Message attributes as senders give them: the rules of their names, types and values.
 *
 * Source: SQS developer guide, "Amazon SQS message metadata"; texts as recorded from SQS.
 *
 * @module
 */
import { hasNone, type MessageAttribute, type MessageAttributes } from '../queue/message.ts';
import { echo, forbiddenCharacter, SqsError } from './errors.ts';
import { MAX_ATTRIBUTE_NAME_LENGTH, MAX_MESSAGE_ATTRIBUTES, MAX_TRACE_HEADER_LENGTH } from './limits.ts';
import type { AttributeValue } from './protocol/model.ts';

type WireAttributes = ReadonlyMap<string, AttributeValue>;

/** Reads the attributes of one message. Errors: `InvalidParameterValue`, `UnsupportedOperation` (list values). */
export function readMessageAttributes(given: WireAttributes): MessageAttributes {
  // No prototype: `__proto__` is a legal attribute name.
  const attributes: Record<string, MessageAttribute> = Object.create(null);
  if (given.size > MAX_MESSAGE_ATTRIBUTES) {
    throw invalid(
      `Number of message attributes [${given.size}] exceeds the allowed maximum [${MAX_MESSAGE_ATTRIBUTES}].`,
    );
  }
  for (const [name, value] of given) {
    checkName(name);
    attributes[name] = readValue(name, value, '(user) ');
  }
  return attributes;
}

/**
 * The attributes as they are stored: numbers without leading zeros, and without trailing ones behind the point ("Amazon
 * SQS removes leading and trailing zeros", developer guide, "Message attribute data types"; a function was seen to be
 * given `0012.3400` as `12.34`). The answer to the sender digests what was given, which is what SDKs compare; a receive
 * digests what it returns. A number with an exponent stays as it is.
 */
export function withPlainNumbers(given: MessageAttributes): MessageAttributes {
  if (hasNone(given)) return given;
  const plain: Record<string, MessageAttribute> = Object.create(null);
  for (const [name, attribute] of Object.entries(given)) {
    const isNumber = 'stringValue' in attribute && /^Number(?:\.|$)/.test(attribute.dataType);
    plain[name] = isNumber ? { ...attribute, stringValue: plainNumber(attribute.stringValue) } : attribute;
  }
  return plain;
}

/** Reads `AWSTraceHeader`, the only system attribute that a sender may give. Errors: `InvalidParameterValue`. */
export function readTraceHeader(given: WireAttributes): string | undefined {
  let traceHeader: string | undefined;
  for (const [name, value] of given) {
    if (name !== 'AWSTraceHeader') throw invalid(`Message system attribute name '${echo(name)}' is invalid.`);
    const attribute = readValue(name, value, 'system ');
    if (attribute.dataType !== 'String' || !('stringValue' in attribute)) {
      throw invalid("Message system attribute 'AWSTraceHeader' must be of type 'String'.");
    }
    if (attribute.stringValue.length > MAX_TRACE_HEADER_LENGTH) {
      throw invalid(`Message system attribute 'AWSTraceHeader' must be shorter than ${MAX_TRACE_HEADER_LENGTH} bytes.`);
    }
    traceHeader = attribute.stringValue;
  }
  return traceHeader;
}

/** What attributes count towards the size of a message: the bytes of names, types and values. */
export function sizeOfAttributes(given: WireAttributes): number {
  let size = 0;
  for (const [name, { DataType = '', StringValue = '', BinaryValue }] of given) {
    size += Buffer.byteLength(name) + Buffer.byteLength(DataType) + Buffer.byteLength(StringValue);
    size += BinaryValue?.byteLength ?? 0;
  }
  return size;
}

function checkName(name: string): void {
  if (name === '') throw invalid('The request must contain non-empty message (user) attribute names.');
  if (name.length > MAX_ATTRIBUTE_NAME_LENGTH) {
    throw invalid(`Message (user) attribute name must be shorter than ${MAX_ATTRIBUTE_NAME_LENGTH} bytes.`);
  }
  // Letters and digits of every script: SQS was recorded to take `attr.1øßä`, and to refuse `§`.
  if (!/^[\p{L}\p{Nd}_.-]+$/u.test(name)) {
    throw invalid(
      'Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores. ',
    );
  }
  if (/^(?:aws|amazon)\./i.test(name)) {
    throw invalid(
      "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use.",
    );
  }
  if (name.startsWith('.')) throw invalid("Message (user) attribute name must not begin with character '.'.");
  if (name.endsWith('.')) throw invalid("Message (user) attribute name must not end with character '.'.");
  if (name.includes('..')) throw invalid("Message (user) attribute name must not have successive '.' characters.");
}

function readValue(name: string, value: AttributeValue, kind: '(user) ' | 'system '): MessageAttribute {
  const { DataType, StringValue, BinaryValue, StringListValues = [], BinaryListValues = [] } = value;
  if (StringListValues.length > 0 || BinaryListValues.length > 0) {
    throw new SqsError(
      'UnsupportedOperation',
      'Message attribute list values in SendMessage operation are not supported.',
    );
  }
  if (DataType === undefined || DataType === '') {
    const lacking = StringValue === undefined && BinaryValue === undefined ? 'value' : 'type';
    throw invalid(`The message ${kind}attribute '${name}' must contain a non-empty message attribute ${lacking}.`);
  }
  const type = readType(name, DataType, kind);
  if (StringValue !== undefined && BinaryValue !== undefined) {
    throw invalid(`Message ${kind}attribute '${name}' must have a single value.`);
  }
  if (type === 'Binary' ? StringValue : BinaryValue) {
    const field = type === 'Binary' ? 'Binary' : 'String';
    throw invalid(`Message ${kind}attribute '${name}' with type '${type}' must use field '${field}'.`);
  }
  if (type === 'Binary') {
    if (BinaryValue === undefined || BinaryValue.byteLength === 0) throw empty(name, DataType, kind);
    return { dataType: DataType, binaryValue: BinaryValue };
  }
  if (StringValue === undefined || StringValue === '') throw empty(name, DataType, kind);
  // Not InvalidMessageContents as in a body: recorded from SQS.
  const problem = forbiddenCharacter(StringValue, `message ${kind}attribute '${name}'`);
  if (problem !== undefined) throw invalid(problem);
  if (type === 'Number') checkNumber(name, StringValue, kind);
  return { dataType: DataType, stringValue: StringValue };
}

function readType(name: string, dataType: string, kind: string): 'String' | 'Number' | 'Binary' {
  const [, type] = /^(String|Number|Binary)(?:\.[ -~]*)?$/.exec(dataType) ?? [];
  if (type !== 'String' && type !== 'Number' && type !== 'Binary') {
    throw invalid(
      `The type of message ${kind}attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
    );
  }
  if (dataType.length > MAX_ATTRIBUTE_NAME_LENGTH) {
    throw invalid(`Message ${kind}attribute type must be shorter than ${MAX_ATTRIBUTE_NAME_LENGTH} bytes.`);
  }
  return type;
}

/** A decimal number whose magnitude is 0 or between 10^-128 and 10^126. */
function checkNumber(name: string, text: string, kind: string): void {
  // Digits before the point and behind it must not be able to trade places: on a text of a mebibyte that would take
  // hours.
  if (!/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,9})?$/.test(text)) {
    throw invalid(`Can't cast the value of message ${kind}attribute '${name}' to a number.`);
  }
  const magnitude = Math.abs(Number(text));
  const isZero = !/[1-9]/.test(text.split(/[eE]/, 1)[0] ?? '');
  if (magnitude > 1e126 || (magnitude < 1e-128 && !isZero)) {
    throw invalid(`Number attribute value ${echo(text)} should be in range (-10**128..10**126)`);
  }
}

/** `-0012.3400` -> `-12.34`. */
function plainNumber(text: string): string {
  const [, sign = '', whole = '', fraction = ''] = /^([+-]?)(\d*)(?:\.(\d*))?$/.exec(text) ?? [];
  if (whole === '' && fraction === '') return text;
  let end = fraction.length;
  while (fraction[end - 1] === '0') end -= 1;
  const digits = whole.replace(/^0+(?=\d)/, '');
  if (end === 0) return `${sign}${digits === '' ? '0' : digits}`;
  return `${sign}${digits}.${fraction.slice(0, end)}`;
}

function empty(name: string, dataType: string, kind: string): SqsError {
  return invalid(`Message ${kind}attribute '${name}' must contain a non-empty value of type '${dataType}'.`);
}

function invalid(text: string): SqsError {
  return new SqsError('InvalidParameterValue', text);
}
