/** The first guide, followed to the letter: what it sends is answered, and printed, as it says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dev, startDev } from '../../runtime/cli/dev.ts';
import { ForwardTime } from '../support/forward-time.ts';
import { type Block, blocksOf } from './blocks.ts';

/** Synthesizing an app takes its time where several suites share two cores. */
const PATIENCE_MS = 120_000;
const GUIDE = 'docs/guides/five-minutes.md';

interface Step {
  readonly at: string;
  readonly command: string;
  /** The blocks of output that follow the command. */
  readonly outputs: readonly string[];
}

/** The calls of curl, each with the output that the guide shows after it. */
function stepsOf(blocks: readonly Block[]): readonly Step[] {
  const steps: { at: string; command: string; outputs: string[] }[] = [];
  for (const { language, code, line } of blocks) {
    if (language === 'sh') steps.push({ at: `line ${line}`, command: code, outputs: [] });
    else if (language === 'text') steps.at(-1)?.outputs.push(code);
  }
  return steps.filter(({ command }) => command.startsWith('curl '));
}

/** What `curl <url> -d ... -d ...` sends. */
async function curl(command: string, origins: Readonly<Record<string, string>>): Promise<string> {
  const [, quoted, bare] = /^curl (?:"([^"]+)"|(\S+))/.exec(command) ?? [];
  const url = Object.entries(origins).reduce((text, [from, to]) => text.replace(from, to), quoted ?? bare ?? '');
  const data = [...command.matchAll(/ -d (\S+)/g)].map(([, value = '']) => value);
  const posted = {
    method: 'POST',
    body: data.join('&'),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  };
  const response = await fetch(url, data.length > 0 ? posted : {});
  expect(response.ok, command).toBe(true);
  return response.text();
}

/** A line of the guide as a pattern: ids and seconds differ each time, and `...` stands for more. */
function pattern(line: string): RegExp {
  const text = line
    .replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, '[0-9a-f-]{36}')
    .replace(/\\\.\\\.\\\.$/, '.*')
    .replace(/after [\d\\.]+ s/, 'after [\\d.]+ s')
    .replace(/\d+ ms/, '\\d+ ms');
  return new RegExp(`^${text}\\s*$`);
}

describe('the guide of five minutes', { timeout: PATIENCE_MS }, () => {
  const time = new ForwardTime();
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  let dev: Dev;
  let origins: Readonly<Record<string, string>>;

  beforeAll(async () => {
    const { PATH = '', HOME = '' } = process.env;
    dev = await startDev({
      project: 'examples/hello',
      port: 0,
      watch: false,
      environment: { PATH, HOME },
      time,
      write: (text) => {
        lines.push(...text.split('\n'));
        for (const watcher of watchers) watcher();
      },
    });
    const urlOf = (found: RegExp): string => found.exec(lines.join('\n'))?.[1] ?? '';
    origins = {
      'http://127.0.0.1:4000': urlOf(/karin ready (http:\S+)/),
      'http://127.0.0.1:4001': urlOf(/curl (http:\/\/[^/]+)\/functions/),
    };
  }, PATIENCE_MS);
  afterAll(() => dev?.stop());

  const printed = (expected: RegExp): Promise<void> =>
    new Promise((resolve) => {
      const watcher = (): void => {
        if (!lines.some((line) => expected.test(line))) return;
        watchers.delete(watcher);
        resolve();
      };
      watchers.add(watcher);
      watcher();
    });

  it('ends its first step with the line that says where the server is', () => {
    expect(lines.some((line) => line.startsWith('karin ready http://127.0.0.1:'))).toBe(true);
  });

  const steps = stepsOf(blocksOf(GUIDE));
  it('has steps that call the server', () => {
    expect(steps.length).toBeGreaterThan(4);
  });

  it.each(steps)('is answered, and printed by the function, as it says: $at', async ({ command, outputs }) => {
    const answer = await curl(command, origins);
    for (const output of outputs) {
      if (output.startsWith('[')) {
        if (command.includes('delay=')) time.skip(5_000);
        for (const line of output.split('\n')) await printed(pattern(line));
      } else expect(answer).toMatch(pattern(output));
    }
  });
});
