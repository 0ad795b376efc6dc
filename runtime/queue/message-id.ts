/**
 * The ids that Karin gives to messages.
 *
 * To a caller they are random (version 4) UUIDs, as those of SQS. Their last four bytes are a checksum of the twelve before, so that a store may keep twelve bytes and
 * knows the rest. The 90 random bits that remain make two equal ids among a million messages less likely than one in 10^15.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import type { Randomness } from '../time.ts';

/** The bytes of an id from which the others follow. */
export const MESSAGE_ID_HEAD_BYTES = 12;

/** The last four bytes, as a number, of an id that begins with `head`. */
export function messageIdTail(head: Uint8Array): number {
  return crc32(head);
}

/** Four bytes as an id writes them: eight hexadecimal digits. */
export function messageIdTailText(head: Uint8Array): string {
  return messageIdTail(head).toString(16).padStart(8, '0');
}

/** A new id for a message. */
export function newMessageId(randomness: Pick<Randomness, 'uuid'>): string {
  const random = randomness.uuid();
  const head = Buffer.from(random.replaceAll('-', ''), 'hex').subarray(0, MESSAGE_ID_HEAD_BYTES);
  return random.slice(0, -8) + messageIdTailText(head);
}
