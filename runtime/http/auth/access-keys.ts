/**
 * Access keys that Karin knows, for callers that sign their requests.
 *
 * @module
 */
import { readGrant, splitEntries } from './entries.ts';
import { FULL_GRANT, type Grant } from './grant.ts';

export interface AccessKey {
  readonly id: string;
  readonly secret: string;
  readonly grant: Grant;
}

const ID = /^[A-Za-z0-9_-]{3,128}$/;
const SHORTEST_SECRET = 16;

/**
 * Reads `id:secret[:scopes[:queue globs]]` entries. Several keys may be good at one time: to rotate, add the new one, move the callers, remove the old one.
 * What is wrong is added to `problems`, without the secret; `source` names the variable or file.
 */
export function parseAccessKeys(text: string, source: string, problems: string[]): readonly AccessKey[] {
  return splitEntries(text, source).flatMap(({ fields, where }) => {
    const [id = '', secret = '', scopes, globs, share, ...rest] = fields;
    const before = problems.length;
    if (!ID.test(id)) problems.push(`${where}: the access key id must be 3 to 128 letters, digits, - or _`);
    if (secret.length < SHORTEST_SECRET) {
      problems.push(
        `${where}: the secret must have at least ${SHORTEST_SECRET} characters, without a colon or comma; the form is id:secret[:scopes[:queue names]]`,
      );
    }
    if (rest.length > 0)
      problems.push(`${where}: has more than five fields; the form is id:secret[:scopes[:queue names[:sends=N]]]`);
    const grant = readGrant(scopes, globs, share, FULL_GRANT, where, problems);
    return problems.length > before ? [] : [{ id, secret, grant }];
  });
}
