/**
 * Receipt handles: what proves a lease to DeleteMessage and ChangeMessageVisibility, on any instance, without asking
 * the store.
 *
 * Layout before base64url, numbers big-endian:
 *
 *   version (1 byte) | message id (16) | lease number (4) | received at, epoch ms (6) | MAC (10) | FIFO only: sequence
 *   number (8), group id (UTF-8)
 *
 * Older servers wrote the receive count where the lease number stands, and compared it with the first number of the
 * receive history, which is the lease number now (`HISTORY` in `store/redis/scripts/script.ts`). So the handles of
 * either are good on the other.
 *
 * The MAC is the first 80 bits of HMAC-SHA-256 over everything else and the identity of the queue, under a secret that
 * all instances share. So a handle of another queue, a guessed one or an altered one is not a handle; without it
 * whoever may call DeleteMessage could delete messages that he never received.
 *
 * @module
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Documents, Lease, QueueKey } from '../store/store.ts';

/** What a handle says. */
export interface Receipt extends Lease {
  /** When the message was received, epoch milliseconds by the store's clock as well as the issuing instance knew it. */
  readonly receivedAt: number;
}

/** Issues and reads the receipt handles of all queues. */
export interface ReceiptHandles {
  /** Writes a handle for a lease of `queue`. At most 256 characters, of `A-Z a-z 0-9 - _`. */
  issue(queue: QueueKey, receipt: Receipt): string;
  /** Reads a handle; `undefined` if it is not one that was issued for this queue. */
  read(queue: QueueKey, handle: string): Receipt | undefined;
  /**
   * Another secret is the one that all instances share. Handles that this instance issued before stay readable here.
   */
  renew(secret: Uint8Array): void;
}

const VERSION = 1;
const ID_AT = 1;
const LEASE_AT = 17;
const RECEIVED_AT = 21;
const MAC_AT = 27;
const MAC_BYTES = 10;
const SEQUENCE_AT = MAC_AT + MAC_BYTES;
const GROUP_AT = SEQUENCE_AT + 8;
/** A group id has at most 128 ASCII characters; anything longer is not a handle and is not worth decoding. */
const LONGEST_HANDLE = 256;
const SEQUENCE_DIGITS = 20;
/** The present secret, and those before it that handles may still have. */
const MOST_SECRETS = 3;

/** `secret`: at least 32 random bytes, the same on every instance. */
export function createReceiptHandles(secret: Uint8Array): ReceiptHandles {
  /** The first one issues. */
  let secrets: readonly Uint8Array[] = [secret];
  const mac = (queue: QueueKey, bytes: Buffer, key: Uint8Array): Buffer =>
    createHmac('sha256', key)
      .update(queue)
      .update('\0')
      .update(bytes.subarray(0, MAC_AT))
      .update(bytes.subarray(SEQUENCE_AT))
      .digest()
      .subarray(0, MAC_BYTES);

  return {
    issue(queue, receipt) {
      const bytes = pack(receipt);
      mac(queue, bytes, secrets[0] ?? secret).copy(bytes, MAC_AT);
      return bytes.toString('base64url');
    },
    read(queue, handle) {
      if (handle.length > LONGEST_HANDLE) return undefined;
      const bytes = Buffer.from(handle, 'base64url');
      if (bytes.length < SEQUENCE_AT || bytes[0] !== VERSION) return undefined;
      // Node ignores characters outside the alphabet; only the text that was issued counts.
      if (bytes.toString('base64url') !== handle) return undefined;
      const given = bytes.subarray(MAC_AT, SEQUENCE_AT);
      for (const key of secrets) if (timingSafeEqual(mac(queue, bytes, key), given)) return unpack(bytes);
      return undefined;
    },
    renew(next) {
      if (Buffer.from(next).equals(secrets[0] ?? secret)) return;
      secrets = [next, ...secrets].slice(0, MOST_SECRETS);
    },
  };
}

function pack(receipt: Receipt): Buffer {
  const group = receipt.group === undefined ? undefined : Buffer.from(receipt.group);
  const fifo = receipt.sequenceNumber !== undefined;
  const bytes = Buffer.alloc(fifo ? GROUP_AT + (group?.length ?? 0) : SEQUENCE_AT);
  bytes[0] = VERSION;
  const id = receipt.id.replaceAll('-', '');
  if (bytes.write(id, ID_AT, 'hex') !== LEASE_AT - ID_AT || id.length !== 32) {
    throw new TypeError(`message id ${receipt.id} is not a UUID`);
  }
  bytes.writeUInt32BE(receipt.leaseNumber, LEASE_AT);
  bytes.writeUIntBE(Math.floor(receipt.receivedAt), RECEIVED_AT, 6);
  if (receipt.sequenceNumber !== undefined) {
    bytes.writeBigUInt64BE(BigInt(receipt.sequenceNumber), SEQUENCE_AT);
    group?.copy(bytes, GROUP_AT);
  }
  return bytes;
}

function unpack(bytes: Buffer): Receipt {
  const id = bytes.toString('hex', ID_AT, LEASE_AT);
  const receipt = {
    id: `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`,
    leaseNumber: bytes.readUInt32BE(LEASE_AT),
    receivedAt: bytes.readUIntBE(RECEIVED_AT, 6),
  };
  if (bytes.length < GROUP_AT) return receipt;
  return {
    ...receipt,
    sequenceNumber: bytes.readBigUInt64BE(SEQUENCE_AT).toString().padStart(SEQUENCE_DIGITS, '0'),
    group: bytes.subarray(GROUP_AT).toString('utf8'),
  };
}

/*
 * A secret that all instances share and nobody has to configure: whoever starts first makes it.
 */

const SECRET_BYTES = 32;

/** The secret stored under `name`: 32 random bytes, made now if there is none. Errors: `StoreUnavailableError`. */
export async function sharedSecret(documents: Documents, name: string): Promise<Uint8Array> {
  const stored = await documents.get(name);
  if (stored !== undefined) return Buffer.from(stored, 'base64');
  const made = randomBytes(SECRET_BYTES);
  if (await documents.put(name, made.toString('base64'), null)) return made;
  // Another instance was faster, and its secret is the one.
  return sharedSecret(documents, name);
}
