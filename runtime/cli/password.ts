/**
 * `karin password`: the hash of a password, for `KARIN_OPERATORS`.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { hashPassword } from '../http/auth/operators.ts';
import { type CliContext, CliError } from './context.ts';

/** As short as a password of a setting may be. */
const SHORTEST = 12;

/** Errors: `CliError` (the password is too short). `input`: where it is read from, without its line end. */
export async function password(
  options: { readonly generate?: boolean },
  { out }: CliContext,
  input: NodeJS.ReadableStream = process.stdin,
): Promise<void> {
  if (options.generate === true) {
    const made = randomBytes(18).toString('base64url');
    return out(`${made}\n${await hashPassword(made)}\n`);
  }
  const given = (await text(input)).replace(/\r?\n$/, '');
  if (given.length < SHORTEST) {
    throw new CliError(`the password has ${given.length} characters: give at least ${SHORTEST} by standard input`);
  }
  out(`${await hashPassword(given)}\n`);
}
