/**
 * What a person is told of each invocation: one line with the count, the duration and the result; of a failure two
 * more, the line of the source and what happens to the messages next. What the server's log has to say beside that is
 * said in the same words.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as z from 'zod/mini';
import { functionError } from '../aws/invoke-outcome.ts';
import { failedIds } from '../consumer/event.ts';
import type { DiscoveredQueue } from '../queue/directory.ts';
import { formatQueueArn } from '../queue/names.ts';
import type { Invocation, LoggedResult } from './runtime-api.ts';
import type { TemplateApplication } from './template/model.ts';

/** `good`: it went well. `bad`: what failed. `more`: what is said of it. */
export type Tone = 'good' | 'bad' | 'more';

export interface ReportLine {
  readonly tone: Tone;
  readonly text: string;
}

/** An invocation that came to its end. */
export interface Run {
  readonly invocation: Pick<Invocation, 'functionArn' | 'payload'>;
  readonly result: LoggedResult;
  readonly durationMs: number;
}

type Stacks = Pick<TemplateApplication, 'queues' | 'mappings'>;

/** `folder`: that of the project, in which sources are named by relative paths. */
export function report(run: Run, stacks: Stacks, folder: string): readonly ReportLine[] {
  const batch = batchOf(run.invocation.payload);
  const took = `${Math.round(run.durationMs)} ms`;
  const what = batch === undefined ? took : `${counted(batch.messages.length)} of ${batch.queue}, ${took}`;
  if (run.result.kind === 'function-error') {
    const { errorType, message, trace = '' } = functionError(run.result.payload);
    // Some runtimes put the type into the message as well.
    const said = firstLine(message).replace(/^(RequestId: \S+ )?(Error: )?/, '');
    return [
      { tone: 'bad', text: `${errorType}: ${said} (${what})` },
      { tone: 'more', text: `  ${sourceLine(trace, message, folder) ?? 'no line of a source is known'}` },
      ...(batch === undefined ? [] : [{ tone: 'more', text: `  ${fate(batch, batch.messages, stacks)}` } as const]),
      ...(run.result.advice ?? []).map((text) => ({ tone: 'more', text }) as const),
    ];
  }
  const reported = batch === undefined ? undefined : reportedBy(run, batch, stacks);
  if (batch === undefined || reported === undefined) return [{ tone: 'good', text: `${what}: ok` }];
  if (typeof reported === 'string') {
    return [
      { tone: 'bad', text: `${reported} (${what})` },
      { tone: 'more', text: `  ${fate(batch, batch.messages, stacks)}` },
    ];
  }
  const ok = batch.messages.length - reported.length;
  return [
    { tone: 'bad', text: `${what}: ${ok} ok, ${reported.length} reported as failed` },
    { tone: 'more', text: `  ${fate(batch, reported, stacks)}` },
  ];
}

/*
 * The messages of a batch.
 */

const SqsEvent = z.object({
  Records: z.array(
    z.object({
      messageId: z.string(),
      eventSource: z.literal('aws:sqs'),
      eventSourceARN: z.string(),
      attributes: z.object({ ApproximateReceiveCount: z.coerce.number() }),
    }),
  ),
});

interface Message {
  readonly id: string;
  readonly receiveCount: number;
}

interface Batch {
  readonly queueArn: string;
  /** Its name. */
  readonly queue: string;
  readonly messages: readonly Message[];
}

/** `undefined`: the event is no batch of a queue. */
function batchOf(payload: Uint8Array): Batch | undefined {
  const event = SqsEvent.safeParse(JSON.parse(new TextDecoder().decode(payload)));
  const [first] = event.success ? event.data.Records : [];
  if (!event.success || first === undefined) return undefined;
  return {
    queueArn: first.eventSourceARN,
    queue: first.eventSourceARN.split(':').at(-1) ?? '',
    messages: event.data.Records.map(({ messageId, attributes }) => ({
      id: messageId,
      receiveCount: attributes.ApproximateReceiveCount,
    })),
  };
}

/** The messages that the function reported as failed; a text: what is wrong with its report; `undefined`: none. */
function reportedBy(
  { invocation, result }: Run,
  { queueArn, messages }: Batch,
  { mappings }: Stacks,
): readonly Message[] | string | undefined {
  const reports = mappings.some(
    ({ mapping }) =>
      mapping.functionArn === invocation.functionArn &&
      formatQueueArn(mapping.queueArn) === queueArn &&
      mapping.reportBatchItemFailures,
  );
  if (!reports) return undefined;
  const response = failedIds(result.payload, new Set(messages.map(({ id }) => id)));
  switch (response.kind) {
    case 'success':
      return undefined;
    case 'malformed':
      return `all messages count as failed: ${response.detail}`;
    case 'partial':
      return messages.filter(({ id }) => response.failed.has(id));
  }
}

/** What happens next to messages that failed. */
function fate({ queueArn }: Batch, failed: readonly Message[], { queues }: Stacks): string {
  const attributes = queues.find(({ arn }) => formatQueueArn(arn) === queueArn)?.attributes;
  const when = attributes === undefined ? 'later' : `${attributes.visibilityTimeoutSeconds} s after the receive`;
  const redrive = redriveOf(attributes);
  if (redrive === undefined) {
    return `${comeAgain(failed)} ${when}, until they succeed or expire: the queue has no dead-letter queue`;
  }
  const { most, target } = redrive;
  const last = failed.filter(({ receiveCount }) => receiveCount >= most);
  const again = failed.filter(({ receiveCount }) => receiveCount < most);
  const count = Math.max(0, ...again.map(({ receiveCount }) => receiveCount));
  return [
    ...(again.length === 0 ? [] : [`${comeAgain(again)} ${when} (receive ${count} of ${most})`]),
    ...(last.length === 0 ? [] : [`${counted(last.length)} received ${most} of ${most} times: to ${target}`]),
  ].join('; ');
}

function redriveOf(
  attributes: DiscoveredQueue['attributes'] | undefined,
): { most: number; target: string } | undefined {
  const policy = attributes?.redrivePolicy;
  if (policy === undefined) return undefined;
  return { most: policy.maxReceiveCount, target: policy.deadLetterTargetArn.split(':').at(-1) ?? '' };
}

function comeAgain(messages: readonly Message[]): string {
  return `${counted(messages.length)} come${messages.length === 1 ? 's' : ''} again`;
}

function counted(messages: number): string {
  return `${messages} message${messages === 1 ? '' : 's'}`;
}

/*
 * The line of a source that failed.
 */

/** A frame of a trace in Node, of one in Python, Ruby, and the place of an error of esbuild or a compiler. */
const FRAMES = [
  /(?:\(|at (?:async )?)((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^()]*?):(\d+):\d+\)?$/,
  /File "(.+?)", line (\d+)/,
  /^((?:\/|[A-Za-z]:\\).+?):(\d+):in /,
];
const MESSAGE_PLACE = /^\s*((?:\/|[A-Za-z]:\\).+?):(\d+):\d+/m;
/** What is not the user's. */
const FOREIGN =
  /[\\/](node_modules|site-packages|dist-packages)[\\/]|[\\/]bootstrap[\\/](node\.mjs|python\.py|ruby\.rb)$/;

/** `src/worker.ts:3  throw new Error(...)`; `undefined`: the failure names no line that is the user's. */
function sourceLine(trace: string, message: string, folder: string): string | undefined {
  const places = trace.split('\n').flatMap((line) => {
    const match = FRAMES.flatMap((frame) => frame.exec(line.trimEnd()) ?? []);
    return match.length === 0 ? [] : [{ file: match[1] ?? '', line: Number(match[2]) }];
  });
  const own = places.filter(({ file }) => !FOREIGN.test(file));
  // Python tells the innermost call last.
  const innermost = trace.includes('File "') ? own.at(-1) : own[0];
  const [, file = '', line] = MESSAGE_PLACE.exec(message) ?? [];
  const place = innermost ?? (line === undefined ? undefined : { file, line: Number(line) });
  if (place === undefined) return undefined;
  const path = place.file.startsWith('file://') ? fileURLToPath(place.file) : place.file;
  const named = relative(folder, path);
  return `at ${named.startsWith('..') ? path : named}:${place.line}  ${textAt(path, place.line)}`.trimEnd();
}

function textAt(path: string, line: number): string {
  try {
    return (readFileSync(path, 'utf8').split('\n')[line - 1] ?? '').trim().slice(0, LONGEST_EXCERPT);
  } catch {
    // A source that is not on this machine.
    return '';
  }
}

const LONGEST_EXCERPT = 120;

function firstLine(text: string): string {
  return (
    text
      .split('\n')
      .find((line) => line.trim() !== '')
      ?.trim() ?? ''
  );
}

/** What the log says of a batch. */
const BatchLine = z.object({
  msg: z.string(),
  queue: z.string(),
  reason: z.optional(z.string()),
  target: z.optional(z.string()),
  messageIds: z.array(z.string()),
});

/**
 * A line of the server's log in the words of `karin dev`; empty: the local Lambda has said all of it; `undefined`: it
 * is to be written as it is.
 */
export function saidOtherwise(line: string): string | undefined {
  const { success, data } = BatchLine.safeParse(JSON.parse(line));
  if (!success) return undefined;
  if (data.msg === 'failed' && FUNCTION_FAILED.has(data.reason)) return '';
  if (data.msg !== 'dead-lettered') return undefined;
  const name = (key = ''): string => key.split(':').at(-1) ?? '';
  return `${name(data.queue)}: ${counted(data.messageIds.length)} moved to ${name(data.target)}`;
}

/** Reasons that come from the answer of a function. */
const FUNCTION_FAILED: ReadonlySet<string | undefined> = new Set(['function-error', 'timeout', 'malformed-report']);
