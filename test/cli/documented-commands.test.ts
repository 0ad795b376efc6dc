/**
 * What people copy from README files and guides is a command that there is, and what they follow leads to a place that
 * there is.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { createProgram } from '../../runtime/cli/program.ts';
import { DOCUMENTS } from '../docs/blocks.ts';
import { runCli } from './run-cli.ts';

const PAGES = [...DOCUMENTS, 'CHANGELOG.md'];

const program = createProgram({ env: {}, out: () => {}, err: () => {} }, () => {});

/** Commands of `karin` in the code of a page, each with its words. */
function commandsOn(page: string): readonly (readonly string[])[] {
  // Continued lines are one, and a bar in a table is written with a backslash, and read here as a choice of words.
  const text = readFileSync(page, 'utf8').replaceAll('\\\n', ' ').replaceAll('\\|', '/');
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```/gms)].map(([, code = '']) => code);
  const spans = [...text.replaceAll(/^```\w*\n.*?^```/gms, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  return [...blocks, ...spans].flatMap((code) =>
    // `karin ready` is what the server prints.
    [...code.matchAll(/(?<![\w/.-])karin(?:-server)? (?!karin\b|ready\b)([a-z][^\n#;|&)]*)/g)].map(([, words = '']) =>
      words.trim().split(/\s+/),
    ),
  );
}

/** What is wrong with a command; `undefined`: nothing. */
function complaint([name = '', ...words]: readonly string[]): string | undefined {
  const command = program.commands.find((candidate) => candidate.name() === name);
  if (command === undefined) return `there is no command karin ${name}`;
  const [second = '', ...others] = words;
  const choices = second.split('/').map((word) => command.commands.find((candidate) => candidate.name() === word));
  if (command.commands.length > 0 && second !== '' && choices.includes(undefined)) {
    return `karin ${name} has no ${second}`;
  }
  const [chosen = command] = command.commands.length > 0 ? choices : [];
  return unknownOption(chosen, command.commands.length > 0 ? others : words);
}

function unknownOption(command: Command, words: readonly string[]): string | undefined {
  const unknown = words.find(
    (word) =>
      word.startsWith('--') &&
      word !== '--help' &&
      !command.options.some(({ long }) => long === word.replace(/=.*/, '')),
  );
  return unknown === undefined ? undefined : `karin ${command.name()} has no ${unknown}`;
}

/** As GitHub makes them. */
function anchorsOf(path: string): ReadonlySet<string> {
  const headings = [...readFileSync(path, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function deadLinks(page: string): readonly string[] {
  const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)\s]*)\)/g)].map(([, link = '']) => link);
  return links.filter((link) => {
    const [file = '', anchor] = link.split('#');
    const path = file === '' ? page : join(dirname(page), file);
    return !existsSync(path) || (anchor !== undefined && !anchorsOf(path).has(anchor));
  });
}

describe.each(PAGES)('%s', (page) => {
  it('names commands of karin and options that there are', () => {
    expect(commandsOn(page).flatMap((command) => complaint(command) ?? [])).toEqual([]);
  });

  it('leads to files and headings that there are', () => {
    expect(deadLinks(page)).toEqual([]);
  });
});

it('finds commands at all', () => {
  expect(commandsOn('docs/guides/first-deployment.md')).toContainEqual(
    expect.arrayContaining(['token', 'create', '--scope', 'send', '--name', 'producers']),
  );
  expect(complaint(['token', 'make'])).toBe('karin token has no make');
  expect(complaint(['token', 'create', '--scopes=send'])).toBe('karin create has no --scopes=send');
  expect(complaint(['iam', '--deployed'])).toBeUndefined();
});

it.each(['README.md', 'docs/guides/commands.md'])('names every command in a table of %s', (page) => {
  const rows = readFileSync(page, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `karin '));
  const words = new Set(rows.flatMap((row) => (row.split(' | ')[0] ?? '').match(/[a-z]+(?:-[a-z]+)*/g) ?? []));
  const shown = program.createHelp().visibleCommands(program);
  const names = shown.map((command) => command.name()).filter((name) => name !== 'help');
  expect(names.length).toBeGreaterThan(25);
  expect(names.filter((name) => !words.has(name))).toEqual([]);
});

it('tells of the same settings in `karin start --help` and in the README of the server, each once', async () => {
  const { out } = await runCli(['start', '--help'], {});
  const settings = (text: string): readonly string[] =>
    text.match(/\b(?:KARIN_[A-Z_]+|REDIS_URL|AWS_REGION|HOST|PORT|LOG_LEVEL)\b/g)?.toSorted() ?? [];
  const listed = settings(out.replaceAll(/\(or [^)]*\)/g, ''));
  const table = readFileSync('runtime/README.md', 'utf8').matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \|/gm);
  const documented = settings([...table].map(([, names = '']) => names).join(' ')).filter(
    (name) => !name.endsWith('_FILE'),
  );
  expect(documented).toContain('KARIN_TOKENS');
  expect(listed).toEqual(documented);
});

it('shows in the README what `karin cost` says', async () => {
  const rows = [
    ...readFileSync('README.md', 'utf8').matchAll(/^\| (\d+) \| (\$[\d.]+) \| (\$[\d.]+) \| ~(\$[\d.]+) \|$/gm),
  ];
  expect(rows).toHaveLength(6);
  const { out } = await runCli(['cost'], {});
  for (const [, ...cells] of rows)
    expect(out).toMatch(new RegExp(`^${cells.join('\\s+').replaceAll(/[$.]/g, '\\$&')}\\s*$`, 'm'));
});
