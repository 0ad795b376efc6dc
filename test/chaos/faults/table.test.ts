import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FAULTS, type Fault } from './catalogue.ts';
import { type Run, rowOf, rowsOf, withRow } from './table.ts';

const BEGIN = '<!-- rows: written by npm run test:full -->';
const END = '<!-- end of rows -->';
const [first, second] = FAULTS;
if (first === undefined || second === undefined) throw new Error('there are no faults');

const RUN: Run = {
  verdict: { accepted: 50_000, lost: [], sentTwice: 0, deliveredTwice: 0, outOfOrder: [] },
  recoveries: [
    { sendsMs: 12.4, deliveriesMs: 340 },
    { sendsMs: 8, deliveriesMs: 1_240 },
  ],
  refused: 1_234,
};

describe('The table of docs/chaos.md', () => {
  it('tells the longest recovery, and leaves out what did not happen', () => {
    expect(rowOf(first, RUN, '2026-11-28, abc')).toBe(
      `| ${first.name} | 50,000 | 2 times | 0 | 0 | 0 | 1,234 | 12 ms / 1.2 s | 2026-11-28, abc |`,
    );
  });

  it('tells why messages were lost and came twice, in the words of the catalogue', () => {
    const fault: Fault = { ...first, loses: 'the last second', redelivers: 'a lease ended' };
    const verdict = { accepted: 40, lost: ['a', 'b'], sentTwice: 3, deliveredTwice: 4, outOfOrder: ['c'] };
    const row = rowOf(fault, { ...RUN, recoveries: RUN.recoveries.slice(1), verdict }, 'now');
    expect(row).toBe(
      `| ${first.name} | 40 | once | 2: the last second | 4: a lease ended; 3: the producer had no answer and sent the message again | 1 | 1,234 | 8 ms / 1.2 s | now |`,
    );
  });

  it('keeps the rows of other faults, in the order of the catalogue, and what stands around them', () => {
    const empty = `before\n\n${BEGIN}\n\n${END}\n\nafter\n`;
    const one = withRow(empty, FAULTS, second, rowOf(second, RUN, 'first run'));
    const two = withRow(one, FAULTS, first, rowOf(first, RUN, 'second run'));
    const three = withRow(two, FAULTS, second, rowOf(second, RUN, 'third run'));
    expect(two.indexOf(first.name)).toBeLessThan(two.indexOf(second.name));
    expect(three).toBe(two.replace('first run', 'third run'));
    expect(three.startsWith(`before\n\n${BEGIN}\n\n| fault |`)).toBe(true);
    expect(three.endsWith(`|\n\n${END}\n\nafter\n`)).toBe(true);
  });

  it('forgets the row of a fault that is no longer in the catalogue', () => {
    const document = withRow(`${BEGIN}\n\n${END}`, FAULTS, second, rowOf(second, RUN, 'a run'));
    expect(withRow(document, [first], first, rowOf(first, RUN, 'a run'))).not.toContain(second.name);
  });

  it('has a row of 50,000 messages or more for every fault', () => {
    const rows = rowsOf(readFileSync('docs/chaos.md', 'utf8'));
    expect([...rows.keys()]).toEqual(FAULTS.map(({ name }) => name));
    for (const messages of rows.values()) expect(messages).toBeGreaterThanOrEqual(50_000);
  });

  it('refuses a document that has no place for it', () => {
    expect(() => withRow('nothing', FAULTS, first, '| row |')).toThrow('has no line');
  });
});
