/**
 * A secret that all instances share and nobody has to configure: whoever starts first makes it.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Documents } from '../store/store.ts';

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
