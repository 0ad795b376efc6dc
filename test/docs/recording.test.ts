/** The recorded session of the README: small, true to the guide, readable in both schemes, and how it is drawn. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COLUMNS, drawTerminals, shortened } from '../../site/terminal-svg.ts';
import { blocksOf, ROOT } from './blocks.ts';

const SESSION = 'docs/images/session.svg';
const drawn = readFileSync(join(ROOT, SESSION), 'utf8');
/** What stands in a picture, a line for each row. */
const linesOf = (svg: string): readonly string[] =>
  [...svg.matchAll(/<text y=[^>]*>(.*?)<\/text>/g)].map(([, text = '']) =>
    text
      .replaceAll(/<[^>]*>/g, '')
      .replaceAll('&quot;', '"')
      .replaceAll('&gt;', '>')
      .replaceAll('&lt;', '<')
      .replaceAll('&amp;', '&'),
  );

describe('the recorded session', () => {
  it('is smaller than 100 KB, and shown by the README', () => {
    expect(Buffer.byteLength(drawn)).toBeLessThan(100_000);
    expect(readFileSync(join(ROOT, 'README.md'), 'utf8')).toContain(`](${SESSION})`);
  });

  it('types what the guide of five minutes types, and shows what the function printed', () => {
    const typed = linesOf(drawn).flatMap((line) => (line.startsWith('$ ') ? [line.slice(2)] : []));
    const taught = blocksOf('docs/guides/five-minutes.md').flatMap(({ code }) => code.split('\n'));
    expect(typed.length).toBeGreaterThan(3);
    expect(typed.filter((command) => !taught.includes(command))).toEqual([]);
    expect(linesOf(drawn).some((line) => /^\[Consumer\] hello \(after/.test(line))).toBe(true);
  });

  it('names no folder of the machine that it was recorded on', () => {
    expect(linesOf(drawn).filter((line) => /\/(?:home|root|tmp|Users|work)\//.test(line))).toEqual([]);
  });

  it('has colours for both schemes, and stands still where people want less motion', () => {
    expect(drawn).toContain('prefers-color-scheme:dark');
    expect(drawn).toContain('prefers-reduced-motion:reduce');
  });
});

describe('terminals as a picture', () => {
  const pane = (...lines: (readonly [number, string])[]) => ({
    title: 'one',
    rows: 2,
    lines: lines.map(([at, text]) => ({ at, text })),
  });

  it('show each line from its share of the round on', () => {
    const svg = drawTerminals([pane([0, 'first'], [6_000, 'second'])], 'Two lines');
    expect(linesOf(svg)).toEqual(['first', 'second']);
    // A round is ten seconds: six until the last line, and four of rest.
    expect(svg).toContain('@keyframes k0{0%{opacity:0}60%{opacity:1}}');
    expect(svg).toContain('animation:k0 10000ms step-end infinite');
  });

  it('move up by a row for each line beyond the last row, and end there', () => {
    const svg = drawTerminals([pane([0, 'a'], [1_000, 'b'], [6_000, 'c'])], 'Three lines in two rows');
    expect(svg).toContain('{0%{transform:none}60%{transform:translateY(-19px)}}');
    expect(svg).toContain('style="transform:translateY(-19px);');
  });

  it('wrap what is too long, and colour what the program coloured', () => {
    const long = drawTerminals([pane([0, 'x'.repeat(COLUMNS + 3)])], 'A long line');
    expect(linesOf(long)).toEqual(['x'.repeat(COLUMNS), 'xxx']);
    const svg = drawTerminals([pane([0, '\u001b[36m[f]\u001b[39m <done>\u001b[K'])], 'A coloured line');
    expect(svg).toContain('<tspan class="c6">[f]</tspan> &lt;done&gt;</text>');
  });

  it('share one clock whose pauses are shortened', () => {
    const [one, two] = shortened([pane([0, 'a'], [9_000, 'c']), pane([500, 'b'], [9_100, 'd'])], 1_000);
    expect(one?.lines.map(({ at }) => at)).toEqual([0, 1_500]);
    expect(two?.lines.map(({ at }) => at)).toEqual([500, 1_600]);
  });
});
