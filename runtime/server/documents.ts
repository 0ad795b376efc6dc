/**
 * Which documents there are, and what each must look like. The store sets aside what cannot be read (a later version
 * wrote it, or a hand did), so that a server always starts.
 *
 * @module
 */
import * as z from 'zod/mini';
import { readDiscovery } from '../aws/discovery/discovery.ts';
import { AUDIT_DOCUMENT, readAuditTrail } from '../http/audit-trail.ts';
import { readCapability } from '../http/auth/tokens.ts';
import { ALERTS_DOCUMENT, readAlerts } from '../ops/alerts.ts';
import { HISTORY_PREFIX, readHistory } from '../ops/history.ts';
import { readDefinition } from '../queue/definition.ts';
import { readMoveTasks } from '../queue/move-task.ts';

const json =
  (schema: z.ZodMiniType) =>
  (text: string): void => {
    schema.parse(JSON.parse(text));
  };
const epochMs = (text: string): void => {
  if (!/^\d{1,15}$/.test(text)) throw new TypeError('it is not a time');
};
const secret = (text: string): void => {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) throw new TypeError('it is not a secret of 32 bytes');
};

/** By the beginnings of names. What no kind claims is not Karin's, or another version's, and is left alone. */
const KINDS: readonly (readonly [prefix: string, read: (text: string) => unknown])[] = [
  [ALERTS_DOCUMENT, readAlerts],
  [AUDIT_DOCUMENT, readAuditTrail],
  ['deleted-queue:', epochMs],
  ['discovery', readDiscovery],
  ['ended-sessions', json(z.record(z.string(), z.number()))],
  [HISTORY_PREFIX, readHistory],
  ['move-tasks:', readMoveTasks],
  ['purged-queue:', epochMs],
  ['queue:', readDefinition],
  ['secret:', secret],
  ['sync:held', json(z.array(z.string()))],
  ['token:', readCapability],
];

/** Why the document cannot be read, in words that hold nothing of it; `undefined`: it can. */
export function documentFault(name: string, text: string): string | undefined {
  const kind = KINDS.find(([prefix]) => name.startsWith(prefix));
  try {
    kind?.[1](text);
    return undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return 'it is not JSON';
    return error instanceof TypeError ? error.message : 'it has another shape than this version of the server knows';
  }
}
