/**
 * The table of `docs/chaos.md`: a row for each fault, each written by the run it tells of.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { redisServerBinary } from '../../support/redis-server.ts';
import type { Fault } from './catalogue.ts';
import type { Recovery, Verdict } from './ledger.ts';

const BEGIN = '<!-- rows: written by npm run test:full -->';
const END = '<!-- end of rows -->';
const HEAD = [
  '| fault | messages | struck | lost | handled twice, and why | FIFO order broken | sends refused | goes on after: sends / deliveries | run |',
  '|---|---:|---:|---:|---|---:|---:|---:|---|',
];

/** What a run showed. */
export interface Run {
  readonly verdict: Verdict;
  readonly recoveries: readonly Recovery[];
  /** Requests of ten messages each, refused or unanswered. */
  readonly refused: number;
}

/** The document with the row of this run in the place of the last one of the same fault, in the order of the faults. */
export function withRow(document: string, faults: readonly Fault[], fault: Fault, row: string): string {
  const [before, rest] = split(document, BEGIN);
  const [between, after] = split(rest, END);
  const rows = new Map(
    between
      .split('\n')
      .filter((line) => line.startsWith('| ') && !HEAD.includes(line))
      .map((line) => [line.split(' | ')[0]?.slice(2) ?? '', line]),
  );
  rows.set(fault.name, row);
  const lines = faults.map(({ name }) => rows.get(name)).filter((line) => line !== undefined);
  return `${before}${BEGIN}\n\n${[...HEAD, ...lines].join('\n')}\n\n${END}${after}`;
}

/** What a row says; `where`: date, version and machine. */
export function rowOf(fault: Fault, { verdict, recoveries, refused }: Run, where: string): string {
  const { accepted, lost, outOfOrder } = verdict;
  const longest = (of: (recovery: Recovery) => number): string => duration(Math.max(...recoveries.map(of)));
  const cells = [
    fault.name,
    accepted.toLocaleString('en'),
    recoveries.length === 1 ? 'once' : `${recoveries.length} times`,
    lost.length === 0 ? '0' : `${lost.length}: ${fault.loses}`,
    twice(fault, verdict),
    String(outOfOrder.length),
    refused.toLocaleString('en'),
    `${longest(({ sendsMs }) => sendsMs)} / ${longest(({ deliveriesMs }) => deliveriesMs)}`,
    where,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** The names of the faults that the document has rows of, with the number of messages of each run. */
export function rowsOf(document: string): ReadonlyMap<string, number> {
  const [, rest] = split(document, BEGIN);
  const lines = split(rest, END)[0].split('\n').slice(HEAD.length);
  return new Map(
    lines
      .filter((line) => line.startsWith('| ') && !HEAD.includes(line))
      .map((line) => line.slice(2).split(' | '))
      .map(([name = '', messages = '']) => [name, Number(messages.replaceAll(',', ''))]),
  );
}

/** Writes the row into the document of this path. */
export function writeRow(path: string, faults: readonly Fault[], fault: Fault, run: Run): void {
  writeFileSync(path, withRow(readFileSync(path, 'utf8'), faults, fault, rowOf(fault, run, here())));
}

function twice({ redelivers }: Fault, { sentTwice, deliveredTwice }: Verdict): string {
  const parts = [
    ...(deliveredTwice === 0 ? [] : [`${deliveredTwice}: ${redelivers}`]),
    ...(sentTwice === 0 ? [] : [`${sentTwice}: the producer had no answer and sent the message again`]),
  ];
  return parts.length === 0 ? '0' : parts.join('; ');
}

function duration(ms: number): string {
  return ms < 1_000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** Date, commit and machine of this run. */
function here(): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const redis = execFileSync(redisServerBinary() ?? 'redis-server', ['--version'], { encoding: 'utf8' });
  const version = /v=(\S+)/.exec(redis)?.[1] ?? redis.trim();
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${commit}, ${availableParallelism()} cores, Node ${process.versions.node}, Redis ${version}`;
}

function split(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark);
  if (at < 0) throw new Error(`the document has no line ${mark}`);
  return [text.slice(0, at), text.slice(at + mark.length)];
}
