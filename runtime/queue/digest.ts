/**
 * The MD5 digests of SQS. SDKs verify them, so a wrong one makes the server unusable.
 * Source: "Calculating the MD5 message digest for message attributes", SQS Developer Guide.
 *
 * @module
 */
import { createHash, type Hash } from 'node:crypto';
import type { MessageAttribute, MessageAttributes } from './message.ts';

/** Transport types of the algorithm: how the value is encoded in the digested bytes. */
const STRING_VALUE = 1;
const BINARY_VALUE = 2;

/** `MD5OfMessageBody` and `MD5OfBody`: lower-case hex. */
export function md5OfBody(body: string): string {
  return createHash('md5').update(body, 'utf8').digest('hex');
}

/** `MD5OfMessageAttributes`: lower-case hex over the given attributes; `undefined` if there are none (the member is then left out of the answer). */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  const entries = Object.entries(attributes).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  if (entries.length === 0) return undefined;
  const hash = createHash('md5');
  for (const [name, attribute] of entries) digestAttribute(hash, name, attribute);
  return hash.digest('hex');
}

/** `MD5OfMessageSystemAttributes`: the same algorithm over the only system attribute a sender may give; `undefined` without one. */
export function md5OfSystemAttributes(traceHeader: string | undefined): string | undefined {
  if (traceHeader === undefined) return undefined;
  return md5OfAttributes({ AWSTraceHeader: { dataType: 'String', stringValue: traceHeader } });
}

function digestAttribute(hash: Hash, name: string, attribute: MessageAttribute): void {
  digestWithLength(hash, Buffer.from(name));
  digestWithLength(hash, Buffer.from(attribute.dataType));
  if ('stringValue' in attribute) {
    hash.update(Uint8Array.of(STRING_VALUE));
    digestWithLength(hash, Buffer.from(attribute.stringValue));
  } else {
    hash.update(Uint8Array.of(BINARY_VALUE));
    digestWithLength(hash, attribute.binaryValue);
  }
}

function digestWithLength(hash: Hash, bytes: Uint8Array): void {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.byteLength);
  hash.update(length).update(bytes);
}
