/**
 * The ids that Karin gives to messages.
 *
 * To a caller they are random (version 4) UUIDs, as those of SQS. Their last eight digits are a checksum of the text before, so that a store may keep twelve bytes and
 * knows the rest. The 90 random bits that remain make two equal ids among a million messages less likely than one in 10^15.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import type { Randomness } from '../time.ts';

/** The bytes of an id from which the others follow. */
export const MESSAGE_ID_HEAD_BYTES = 12;

/** The characters of an id from which the others follow. */
const HEAD_CHARACTERS = 28;

/** The whole id that begins with these 28 characters. */
export function messageIdOf(head: string): string {
  return head + crc32(head).toString(16).padStart(8, '0');
}

/** Whether the end of an id follows from its beginning. */
export function isOwnMessageId(id: string): boolean {
  return crc32(id.slice(0, HEAD_CHARACTERS)) === Number.parseInt(id.slice(HEAD_CHARACTERS), 16);
}

/** A new id for a message. */
export function newMessageId(randomness: Pick<Randomness, 'uuid'>): string {
  return messageIdOf(randomness.uuid().slice(0, HEAD_CHARACTERS));
}
