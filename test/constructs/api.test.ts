import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as api from '../../constructs/index.ts';

const CONSTRUCTS = new URL('../../constructs/', import.meta.url);
const API = readFileSync(new URL('../../API.md', import.meta.url), 'utf8');
const README = readFileSync(new URL('README.md', CONSTRUCTS), 'utf8');

const sources = readdirSync(CONSTRUCTS)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(new URL(name, CONSTRUCTS), 'utf8'));

/** Names that index.ts exports, types as well. */
const exported = readFileSync(new URL('index.ts', CONSTRUCTS), 'utf8')
  .replaceAll(/\btype\b|\bexport\b|from '.*'/g, '')
  .match(/\w+/g);

/** The part of API.md about one type. */
const sectionOf = (name: string) => API.split(/^### /m).find((section) => section.startsWith(`${name}\n`)) ?? '';

// That the text of API.md is what the sources say is checked by test/conformance/run, with jsii; this needs nothing but
// the files.
describe('API.md', () => {
  it('describes every export', () => {
    expect(exported).toEqual(expect.arrayContaining(Object.keys(api)));
    expect(exported?.filter((name) => sectionOf(name) === '')).toEqual([]);
  });

  it('describes every property of every struct, with a default where it is optional', () => {
    const structs = sources.flatMap((source) => [
      ...source.matchAll(/^export interface (\w+(?:Props|Options|Attributes))\b[^{]*\{([\s\S]*?)^\}/gm),
    ]);
    expect(structs.length).toBeGreaterThan(8);
    for (const [, name = '', body = ''] of structs) {
      const section = sectionOf(name);
      for (const [, docs = '', property, optional] of body.matchAll(/\/\*\*([\s\S]*?)\*\/\s+readonly (\w+)(\??):/g)) {
        expect(section, `${name}.${property}`).toContain(`| \`${property}\` |`);
        expect(docs.includes('@default'), `@default of ${name}.${property}`).toBe(optional === '?');
      }
    }
  });
});

describe('the README of the constructs', () => {
  it('lists every warning', () => {
    const ids = new Set(
      sources.flatMap((source) => Array.from(source.matchAll(/addWarningV2\(\s*'(karin-queue:\w+)'/g), ([, id]) => id)),
    );
    expect(ids.size).toBeGreaterThan(4);
    for (const id of ids) expect(README).toContain(`| \`${id}\` `);
  });
});
