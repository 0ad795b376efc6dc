/**
 * Which documents there are, and what each must look like. The store sets aside what cannot be read (a later version
 * wrote it, or a hand did), so that a server always starts.
 *
 * @module
 */
import * as z from 'zod/mini';
import { readDefinition } from '../queue/definition.ts';
import { readMoveTasks } from '../queue/move-task.ts';

const arn = z.looseObject({ partition: z.string(), region: z.string(), account: z.string(), name: z.string() });
const mappingName = z.looseObject({ uuid: z.string(), queueArn: arn, functionArn: z.string() });
const foreignMapping = z.extend(mappingName, { state: z.string() });

/** What serving relies on; members that other versions add are kept. */
const discovery = z.looseObject({
  mappings: z.array(
    z.extend(mappingName, {
      batchSize: z.number(),
      batchWindowSeconds: z.number(),
      filterPatterns: z.array(z.string()),
      reportBatchItemFailures: z.boolean(),
      functionTimeoutSeconds: z.number(),
      tags: z.record(z.string(), z.string()),
    }),
  ),
  broken: z.array(z.extend(mappingName, { reason: z.string() })),
  foreign: z.array(foreignMapping),
  settling: z.optional(z.array(foreignMapping)),
  queues: z.array(z.looseObject({ arn, attributes: z.looseObject({}), tags: z.record(z.string(), z.string()) })),
  waitingInSqs: z.record(z.string(), z.number()),
  detailsReadAt: z.number(),
});

const token = z.looseObject({
  id: z.string(),
  hash: z.string(),
  grant: z.object({ scopes: z.array(z.enum(['send', 'consume', 'manage'])), queues: z.array(z.string()) }),
  createdAt: z.number(),
  expiresAt: z.optional(z.number()),
  name: z.optional(z.string()),
});

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
  ['deleted-queue:', epochMs],
  ['discovery', json(discovery)],
  ['ended-sessions', json(z.record(z.string(), z.number()))],
  ['move-tasks:', readMoveTasks],
  ['purged-queue:', epochMs],
  ['queue:', readDefinition],
  ['secret:', secret],
  ['sync:held', json(z.array(z.string()))],
  ['token:', json(token)],
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
