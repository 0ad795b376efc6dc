/**
 * The common form of credentials in settings: entries separated by commas or white space, fields by colons, comments after `#` to the end of a line.
 *
 * @module
 */
import { FULL_GRANT, type Grant, parseQueueGlobs, parseScopes, parseShare } from './grant.ts';

/** An entry, with the place to name in a problem: its text may hold a secret and is never shown. */
export interface Entry {
  readonly fields: readonly string[];
  /** For example `KARIN_KEYS, entry 2`. */
  readonly where: string;
}

/** `source` is the name of the variable or file. */
export function splitEntries(text: string, source: string): readonly Entry[] {
  return text
    .replace(/(^|\s)#.*$/gm, '')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map((entry, index) => ({ fields: entry.split(':'), where: `${source}, entry ${index + 1}` }));
}

/** Reads `[scopes[:queue globs[:share]]]` at the end of an entry; problems are added to `problems`. */
export function readGrant(
  scopesText: string | undefined,
  globsText: string | undefined,
  shareText: string | undefined,
  fallback: Grant,
  where: string,
  problems: string[],
): Grant {
  const scopes = scopesText === undefined ? fallback.scopes : parseScopes(scopesText);
  const queues = globsText === undefined ? fallback.queues : parseQueueGlobs(globsText);
  const share = shareText === undefined ? {} : parseShare(shareText);
  if ('problem' in share) problems.push(`${where}: ${share.problem}`);
  if ('problem' in scopes) problems.push(`${where}: ${scopes.problem}`);
  if ('problem' in queues) problems.push(`${where}: ${queues.problem}`);
  return {
    scopes: 'problem' in scopes ? FULL_GRANT.scopes : scopes,
    queues: 'problem' in queues ? FULL_GRANT.queues : queues,
    ...('problem' in share ? {} : share),
  };
}
