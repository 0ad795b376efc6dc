/** What the documents say of the repository: files that exist, settings that the server reads. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

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
});
