/**
 * `karin export`: everything that the queues hold, as the lines of `export-format.ts`.
 *
 * It only looks: nothing is received, and whoever uses a queue meanwhile notices nothing. So what it writes is one
 * moment of a queue only if nobody does. A message that is sent meanwhile may be in the file or not. One that is
 * consumed meanwhile may be in it, and comes again where it is imported. In a standard queue one that is received or
 * returned may also be missed, because it moves to another place. So a queue is to be on hold, with nothing in flight;
 * the last line warns of each queue that was not.
 *
 * A page of messages is in memory at one time, and the next one is read when the reader has taken the one before.
 *
 * @module
 */
import { queueAttributes } from '../queue/definition.ts';
import { readFailure } from '../queue/failure.ts';
import { formatQueueArn } from '../queue/names.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';
import type { Page } from '../store/store.ts';
import { type EndLine, EXPORT_VERSION, type HeadLine, iso, type QueueLine, writeMessage } from './export-format.ts';

const MESSAGES_ON_A_PAGE = 200;
/** Bytes of records that one page has at most, unless its first message alone has more. */
const BYTES_ON_A_PAGE = 524_288;

export interface ExportOptions {
  readonly queues: readonly StoredQueue[];
  /** Globs that chose the queues; absent: all there are. */
  readonly chosen?: readonly string[];
  /** Tokens as they are stored: hashes, never secrets. */
  readonly tokens: readonly object[];
  /** UUID of this export. */
  readonly id: string;
  /** Version of this server. */
  readonly version: string;
  /** Wall clock, epoch ms. */
  readonly now: number;
}

/** The lines, several at one time, each with its newline. Errors: `StoreUnavailableError`. */
export async function* exportLines(options: ExportOptions): AsyncGenerator<string> {
  const { queues, chosen, tokens, id, version, now } = options;
  const head: HeadLine = {
    kind: 'karin-export',
    version: EXPORT_VERSION,
    id,
    at: iso(now),
    server: version,
    scopes: [...new Set(queues.map(({ arn }) => `${arn.region}:${arn.account}`))],
    ...(chosen === undefined ? {} : { chosen: [...chosen] }),
  };
  yield lineOf(head);
  const warnings: EndLine['warnings'] = [];
  let n = 0;
  for (const queue of queues) {
    const before = n;
    const depth = await queue.store.depth();
    let after: string | undefined;
    do {
      const page = await pageOf(queue, after);
      let lines = after === undefined ? lineOf(queueLine(queue, page.lastSequence)) : '';
      const failures = await queue.store.failures(page.messages.map((message) => message.id));
      for (const message of page.messages) {
        n += 1;
        const failure = failures.get(message.id);
        lines += `${writeMessage(n, queue.key, message, failure === undefined ? undefined : readFailure(failure))}\n`;
      }
      yield lines;
      after = page.next;
    } while (after !== undefined);
    for (const text of doubts(queue, n - before, depth, await queue.store.depth())) {
      warnings.push({ queue: queue.key, text });
    }
  }
  for (const token of tokens) yield lineOf({ kind: 'token', token });
  yield lineOf({ kind: 'end', queues: queues.length, messages: n, tokens: tokens.length, warnings });
}

function pageOf(queue: StoredQueue, after: string | undefined): Promise<Page> {
  return queue.store.page({
    limit: MESSAGES_ON_A_PAGE,
    maxBytes: BYTES_ON_A_PAGE,
    ...(after === undefined ? {} : { after }),
  });
}

function queueLine({ key, definition }: StoredQueue, lastSequence: number | undefined): QueueLine {
  const { arn, fifo, origin, madeBy, mode, modeAfterAws, createdAt, modifiedAt, attributes, tags } = definition;
  return {
    kind: 'queue',
    queue: key,
    arn: formatQueueArn(arn),
    fifo,
    origin,
    ...(madeBy === undefined ? {} : { madeBy }),
    mode: modeAfterAws ?? mode,
    createdAt: iso(createdAt),
    modifiedAt: iso(modifiedAt),
    // Parsing gives a plain copy of what may be packed.
    attributes: queueAttributes.parse(attributes),
    tags: { ...tags },
    ...(lastSequence === undefined ? {} : { lastSequenceNumber: String(lastSequence).padStart(20, '0') }),
  };
}

type Depth = Awaited<ReturnType<StoredQueue['depth']>>;

/** Why what was written of a queue may be no moment of it. */
function doubts({ definition }: StoredQueue, written: number, before: Depth, after: Depth): readonly string[] {
  const total = ({ visible, delayed, inFlight }: Depth): number => visible + delayed + inFlight;
  const inFlight = Math.max(before.inFlight, after.inFlight);
  const texts: string[] = [];
  if (definition.mode === 'consume' && total(before) + total(after) > 0) {
    texts.push('it was not on hold, so messages may have been consumed, moved or missed meanwhile');
  }
  if (inFlight > 0) {
    texts.push(`messages in flight: ${inFlight}; where they are imported they come again when their leases end`);
  }
  if (written !== total(before) || written !== total(after)) {
    texts.push(`it changed meanwhile: ${total(before)} messages before, ${written} written, ${total(after)} after`);
  }
  return texts;
}

function lineOf(line: object): string {
  return `${JSON.stringify(line)}\n`;
}
