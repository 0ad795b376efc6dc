/** What the documents say of the repository: files that exist, settings that the server reads. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as limits from '../../runtime/sqs/limits.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const PATH = /`((?:runtime|test|docs|constructs)\/[\w./-]*)`/g;
const VARIABLE = /\bKARIN_[A-Z_]*[A-Z]\b/g;

describe('the documents for contributors', () => {
  it.each(['ARCHITECTURE.md', 'CONTRIBUTING.md'])('name only files and folders that exist: %s', (document) => {
    const paths = [...read(document).matchAll(PATH)].map(([, path = '']) => path);
    expect(paths.length).toBeGreaterThan(5);
    expect(paths.filter((path) => !existsSync(new URL(`../../${path}`, import.meta.url)))).toEqual([]);
  });

  it.each([1, 2, 3])('lead through walk %i of ARCHITECTURE.md in at most twelve steps', (walk) => {
    const section =
      read('ARCHITECTURE.md')
        .split(/^## /m)
        .find((text) => text.startsWith(`Walk ${walk}:`)) ?? '';
    const steps = section.match(/^\d+\. /gm) ?? [];
    expect(steps.length).toBeGreaterThan(0);
    expect(steps.length).toBeLessThanOrEqual(12);
  });
});

describe('the settings of the server', () => {
  const settings = [
    ...new Set(
      [...read('runtime/settings.ts').matchAll(/env\.\w+\('(KARIN_[A-Z_]+)'/g)].map(([, variable = '']) => variable),
    ),
  ];

  it.each(['runtime/README.md', 'runtime/cli/program.ts'])('stand all in %s', (document) => {
    const named = new Set(read(document).match(VARIABLE));
    expect(settings.length).toBeGreaterThan(15);
    expect(settings.filter((variable) => !named.has(variable))).toEqual([]);
  });

  /** Numbers as the source writes them, `10 * MIB` too. */
  const numberOf = (text: string): number =>
    text
      .replace('MIB', '1_048_576')
      .split('*')
      .reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1);
  const numbers = [
    ...read('runtime/settings.ts').matchAll(/env\.integer\('(KARIN_[A-Z_]+)', [^,]+, [^,]+, ([\d_* MIB]+)/g),
  ]
    .map(([, variable = '', fallback = '']) => ({ variable, fallback: numberOf(fallback) }))
    // Its 0 means what the documents say: 256, but for this machine and behind proxies.
    .filter(({ variable }) => variable !== 'KARIN_CONNECTIONS_PER_ADDRESS');

  it.each(numbers)('have in the table of the README and in the help the default that holds: $variable', (setting) => {
    const { variable, fallback } = setting;
    const [, inTable] =
      new RegExp(`^\\| \`${variable}\` \\| \`?([^|\`]*)\`? \\|`, 'm').exec(read('runtime/README.md')) ?? [];
    const inHelp = new RegExp(`\\b${variable} .*\\((?:[^()]* )?([\\d,]+)[^()]*\\)$`, 'm').exec(
      read('runtime/cli/program.ts'),
    )?.[1];
    expect([inTable, inHelp].map((text) => Number((text ?? '').replaceAll(',', '').trim()))).toEqual([
      fallback,
      fallback,
    ]);
  });
});

describe('what constructs and runtime both write down', () => {
  it('publishes the metrics of a queue that the constructs name', () => {
    const [, listed = ''] = /PUBLISHED_METRICS[^=]*= \[([^\]]*)\]/.exec(read('constructs/karin-queue-base.ts')) ?? [];
    const [, units = ''] = /const UNITS = \{(.*?)\n\}/s.exec(read('runtime/ops/cloudwatch.ts')) ?? [];
    const named = [...listed.matchAll(/'(\w+)'/g)].map(([, name]) => name);
    const published = [...units.matchAll(/^ {2}([A-Z]\w+): '/gm)].map(([, name]) => name);
    expect(named.length).toBeGreaterThan(4);
    expect([...published].sort()).toEqual(named);
  });

  it.each([
    ['delivery delay', limits.MAX_DELAY_SECONDS],
    ['maximum message size', limits.MAX_MESSAGE_BYTES],
    ['message retention period', limits.RETENTION_SECONDS.most],
    ['receive wait time', limits.MAX_WAIT_SECONDS],
    ['data key reuse period', limits.KMS_REUSE_SECONDS.most],
    ['maximum receive count of the dead-letter queue', limits.MAX_RECEIVE_COUNT],
    ['visibility timeout', limits.MAX_VISIBILITY_TIMEOUT_SECONDS],
  ])('allows the same largest %s in the constructs as in the server', (label, most) => {
    const [, max = ''] =
      new RegExp(`label: '${label}'[^}]*?max: ([\\d_]+)`).exec(read('constructs/queue-limits.ts')) ?? [];
    expect(Number(max.replaceAll('_', ''))).toBe(most);
  });
});

describe('the recipes', () => {
  const guide = read('docs/guides/ingest-recipes.md');
  /** Fenced blocks with the file whose name stands before them; several may follow one name. */
  const quotes = [...guide.matchAll(/^`(docs\/guides\/recipes\/[\w.]+)`\n((?:\n```\w+\n[^`]+```\n)+)/gm)].flatMap(
    ([, file = '', blocks = '']) =>
      [...blocks.matchAll(/```\w+\n([^`]+)```/g)].map(([, quoted = '']) => ({ file, quoted })),
  );

  it('are quoted in the guide as their files have them', () => {
    expect(new Set(quotes.map(({ file }) => file)).size).toBe(4);
    expect(quotes.filter(({ file, quoted }) => !read(file).includes(quoted))).toEqual([]);
  });

  it('are all quoted: the guide has no other piece of a template', () => {
    expect(quotes).toHaveLength([...guide.matchAll(/```(?:yaml|hcl)\n/g)].length);
  });
});

describe('the pages in Korean', () => {
  const pages = [
    ['README.md', 'README.ko.md'],
    ['docs/guides/five-minutes.md', 'docs/ko/five-minutes.md'],
    ['docs/guides/first-deployment.md', 'docs/ko/first-deployment.md'],
  ] as const;
  const blocksOf = (text: string): readonly string[] =>
    [...text.matchAll(/^```[\s\S]*?^```/gm)].map(([block]) => block);
  const figuresOf = (text: string): readonly string[] =>
    [...text.matchAll(/^\|.*\|$/gm)].flatMap(([row]) => row.match(/\$[\d.]+|\b\d+ \/ \d+\b/g) ?? []);

  it.each(pages)('have the code and the figures of %s', (english, korean) => {
    const [original, translated] = [read(english), read(korean)];
    const blocks = blocksOf(translated);
    expect(blocks.length).toBeGreaterThan(3);
    // The README in Korean leads to the English one for reference and contributors.
    expect(blocksOf(original).slice(0, blocks.length)).toEqual(blocks);
    expect(figuresOf(original)).toEqual(figuresOf(translated));
  });

  it.each(pages)('link to files that exist: the translation of %s', (_english, korean) => {
    const links = [...read(korean).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = '']) => link);
    expect(links.length).toBeGreaterThan(5);
    const folder = new URL(`../../${korean}`, import.meta.url);
    expect(links.filter((link) => !existsSync(new URL(link, folder)))).toEqual([]);
  });
});
