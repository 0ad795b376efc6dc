/**
 * `/drain` and `/pull`: moves messages between here and SQS, and tells how it goes, one JSON text on each line, until
 * it is done. Whoever closes the connection ends it; it can be taken up again at any time.
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { stream as streamed } from 'hono/streaming';
import { TransferError } from '../aws/real-queues.ts';
import type { Log } from '../log.ts';
import { StoreFullError, StoreUnavailableError } from '../store/store.ts';
import type { Time } from '../time.ts';
import type { TransferEvent } from '../transfer/transfer.ts';
import type { Transfers } from '../transfer/transfers.ts';
import type { Audit } from './audit.ts';
import type { Credential } from './auth/credentials.ts';
import type { Edge } from './edge.ts';
import { type AppEnv, readJson, requireManage } from './management.ts';

/** One line of the answer; `result` or `failed` is the last. */
export type TransferLine =
  | TransferEvent
  | { readonly kind: 'result'; readonly result: Readonly<Record<string, unknown>> }
  | { readonly kind: 'failed'; readonly error: string };

/** Proxies close connections on which nothing moves for a minute. */
const BEAT_MS = 20_000;

export interface TransfersRouteParts {
  readonly edge: Edge;
  /** Absent: the queues have no counterpart in AWS. */
  readonly transfers?: Transfers;
  readonly onEvent: (event: TransferEvent) => void;
  readonly audit: Audit;
  readonly time: Time;
  readonly log: Log;
}

type Kind = 'drain' | 'pull';

export function transfersRoute(parts: TransfersRouteParts): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const guard = requireManage(parts.edge);
  for (const kind of ['drain', 'pull'] as const) app.post(`/${kind}`, guard, (c) => transfer(c, kind, parts));
  return app;
}

async function transfer(c: Context<AppEnv>, kind: Kind, parts: TransfersRouteParts): Promise<Response> {
  const { transfers, edge, time } = parts;
  if (transfers === undefined) {
    throw new HTTPException(409, { message: 'the queues of this server have no counterpart in AWS (KARIN_DISCOVERY)' });
  }
  const { queueText, waitForDelayed } = readRequest(await readJson(c, edge));
  const credential = c.get('credential');
  const queue = find(transfers, queueText, credential);
  const who = credential.senderId;
  parts.audit({ what: kind, who, from: edge.clientAddress(c.env.incoming), to: { queue: queue.key } });
  const signal = edge.endOf(c.env.outgoing);
  // One JSON text on each line. Proxies must neither guess another type nor hold lines back.
  c.header('Content-Type', 'application/x-ndjson');
  c.header('X-Content-Type-Options', 'nosniff');
  c.header('Transfer-Encoding', 'chunked');
  return streamed(c, async (stream) => {
    const write = async (line: TransferLine): Promise<void> => {
      await stream.write(`${JSON.stringify(line, mapsAsObjects)}\n`);
    };
    let cancelBeat = (): void => {};
    const beat = (): void => {
      void stream.write('\n');
      cancelBeat = time.after(BEAT_MS, beat);
    };
    cancelBeat = time.after(BEAT_MS, beat);
    const onEvent = (event: TransferEvent): void => {
      parts.onEvent(event);
      void write(event);
    };
    try {
      const result = await transfers[kind](queue, { signal, onEvent, waitForDelayed });
      await write({ kind: 'result', result: { ...result } });
    } catch (error) {
      await write({ kind: 'failed', error: messageOf(error, parts.log) });
    } finally {
      cancelBeat();
    }
  });
}

/** What the credential does not reach does not exist for it. Errors: `HTTPException`. */
function find(transfers: Transfers, text: string, credential: Credential) {
  try {
    return transfers.find(text, (queue) => credential.allows('manage', queue));
  } catch (error) {
    if (error instanceof TransferError) throw new HTTPException(404, { message: error.message });
    throw error;
  }
}

function readRequest(value: unknown): { readonly queueText: string; readonly waitForDelayed: boolean } {
  const body: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
  const queueText = body['queue'];
  if (typeof queueText !== 'string' || queueText === '') {
    throw new HTTPException(400, { message: 'name the queue: {"queue": "jobs"}' });
  }
  return { queueText, waitForDelayed: body['waitForDelayed'] === true };
}

function messageOf(error: unknown, log: Log): string {
  if (error instanceof TransferError || error instanceof StoreFullError) return error.message;
  if (error instanceof StoreUnavailableError) return 'the store of messages cannot be reached; try again';
  log.error({ err: error }, 'a transfer failed unexpectedly');
  return 'an unexpected error; see the log of the server';
}

function mapsAsObjects(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}
