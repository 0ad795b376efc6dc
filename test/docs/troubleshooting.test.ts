/** The texts of errors in the guide are those that the code says. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './blocks.ts';

const GUIDE = 'docs/guides/troubleshooting.md';
const [, byErrorText = ''] = readFileSync(join(ROOT, GUIDE), 'utf8').split('## By error text');

/** Each error with the pieces of its text that do not differ. */
const ERRORS = [...byErrorText.matchAll(/^\*\*`([^`]+)`\*\*/gm)].map(([, text = '']) => ({
  text,
  pieces: text
    .split('...')
    .map((piece) => piece.trim())
    .filter((piece) => piece !== ''),
}));

const SOURCES = ['runtime', 'constructs'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(?:ts|tsx|mjs)$/.test(path) && !/(?:^|\/)(?:node_modules|dist)\//.test(path))
    .map((path) => readFileSync(join(ROOT, folder, path), 'utf8')),
);

describe('an error in the guide to troubleshooting', () => {
  it('is found at all', () => {
    expect(ERRORS.length).toBeGreaterThan(30);
  });

  it.each(ERRORS)('is what the code says: $text', ({ pieces }) => {
    expect(SOURCES.some((source) => pieces.every((piece) => source.includes(piece)))).toBe(true);
  });

  it('that the code no longer says is noticed', () => {
    expect(SOURCES.some((source) => source.includes('an error that no code has'))).toBe(false);
  });
});
