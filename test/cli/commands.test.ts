import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../runtime/cli/token.ts';
import { breakEven, DEFAULT_MACHINE, DEFAULT_PRICE, idleCost, idleLines } from '../../runtime/ops/savings.ts';
import { runCli } from './run-cli.ts';

describe('karin', () => {
  it('has help for every command', async () => {
    const { out, status } = await runCli(['--help']);
    expect(status).toBe(0);
    for (const name of ['dev', 'start', 'sync', 'token', 'drain', 'pull', 'doctor', 'iam', 'cost']) {
      expect(out).toContain(`  ${name} `);
      expect((await runCli([name, '--help'])).out).toContain(`Usage: karin ${name}`);
    }
  });

  it('knows its version', async () => {
    const { version } = JSON.parse(readFileSync('runtime/package.json', 'utf8'));
    expect((await runCli(['--version'])).out.trim()).toBe(version);
  });

  it('names every setting of the server in the help of start', async () => {
    const { out } = await runCli(['start', '--help']);
    const source = readFileSync('runtime/settings.ts', 'utf8');
    const settings = new Set(source.match(/(?<=env\.\w+\(\s*')[A-Z_]+(?=')/g));
    expect(settings.size).toBeGreaterThan(15);
    for (const setting of settings) if (setting !== 'AWS_DEFAULT_REGION') expect(out).toContain(setting);
  });

  it.each([
    [['fly'], "unknown command 'fly'"],
    [['sync', '--now'], "unknown option '--now'"],
    [['token', 'create'], "required option '--scope <scope>' not specified"],
    [['cost', '--queues', 'many'], 'It must be a number.'],
    [['drain'], "missing required argument 'queue'"],
  ])('refuses %j', async (args, problem) => {
    const { err, status } = await runCli(args);
    expect(status).toBe(1);
    expect(err).toContain(problem);
  });
});

describe('karin cost', () => {
  it.each([
    [1, 0, 0],
    [5, 0.9, 0.12],
    [10, 2.19, 0.64],
    [20, 4.78, 1.67],
    [50, 12.56, 4.78],
    [100, 25.52, 9.97],
  ])('%i idle queues cost $%f with five pollers, $%f with two', (queues, five, two) => {
    expect(idleCost(queues, 5)).toBeCloseTo(five, 2);
    expect(idleCost(queues, 2)).toBeCloseTo(two, 2);
  });

  it('breaks even where polling begins to cost more than the machine', () => {
    for (const pollers of [5, 2]) {
      const queues = breakEven(pollers);
      expect(idleCost(queues, pollers)).toBeGreaterThan(2.02);
      expect(idleCost(queues - 1, pollers)).toBeLessThanOrEqual(2.02);
    }
    expect([breakEven(5), breakEven(2), breakEven(5, 0), breakEven(2, 0)]).toEqual([10, 24, 2, 4]);
  });

  it('shares one machine between several accounts and regions, as the README says', async () => {
    const readme = readFileSync('README.md', 'utf8');
    const rows = [...readme.matchAll(/^\| (\d+) \| (\d+) \/ (\d+) \| (\d+) \/ (\d+) \|$/gm)];
    expect(rows.length).toBeGreaterThan(4);
    for (const [, scopes = '', ...said] of rows) {
      const pollers = [5, 2];
      const shared = pollers.map((count) => breakEven(count, DEFAULT_MACHINE, DEFAULT_PRICE, Number(scopes)));
      const each = pollers.map((count) =>
        breakEven(count, DEFAULT_MACHINE * Number(scopes), DEFAULT_PRICE, Number(scopes)),
      );
      expect([...shared, ...each]).toEqual(said.map(Number));
    }
    const { out } = await runCli(['cost', '--scopes', '4']);
    expect(out).toContain('One server for 4 accounts and regions breaks even at 3 queues in each with 5 pollers');
    expect(out).toContain('A server in each would at 9 and 21.');
  });

  it('sums groups so that each sum is what its parts are, and the last is all', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const group = fc.record({ account: name, region: name, stage: name, queues: fc.integer({ min: 1, max: 50 }) });
    const groups = fc.uniqueArray(group, {
      minLength: 2,
      selector: (one) => `${one.account} ${one.region} ${one.stage}`,
    });
    fc.assert(
      fc.property(groups, (given) => {
        const sorted = given.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
        const lines = idleLines(sorted);
        expect(lines.filter(({ isSum }) => !isSum).map(({ queues }) => queues)).toEqual(
          sorted.map(({ queues }) => queues),
        );
        const total = sorted.reduce((sum, { queues }) => sum + queues, 0);
        for (const line of lines.filter(({ isSum }) => isSum)) {
          const fits = (one: string, part: string) => part === 'all' || part === one;
          const parts = sorted.filter((one) => fits(one.account, line.account) && fits(one.region, line.region));
          expect(parts.reduce((sum, { queues }) => sum + queues, 0)).toBe(line.queues);
          expect(line.costs[0]).toBeCloseTo((idleCost(total, 5) * line.queues) / total, 9);
        }
        expect(lines.at(-1)).toMatchObject({ account: 'all', queues: total, isSum: true });
      }),
    );
  });

  it.each([
    [['--scopes', '0'], '--scopes must be a whole number'],
    [['--scopes', '1.5'], '--scopes must be a whole number'],
    [['--json'], '--json prints what a server answers'],
  ])('refuses %j', async (args, problem) => {
    await expect(runCli(['cost', ...args])).rejects.toThrow(problem);
  });

  it('tells those off whom it would not help', async () => {
    expect((await runCli(['cost', '--queues', '3'])).out).toContain('For 3 idle queues SQS is the cheaper one.');
    expect((await runCli(['cost', '--queues', '1'])).out).toContain('For 1 idle queue SQS is the cheaper one.');
    expect((await runCli(['cost', '--queues', '20'])).out).toContain(
      'saves 2.76 dollars a month if MaximumConcurrency is set',
    );
    expect((await runCli(['cost', '--queues', '100'])).out).toContain('saves 7.95 to 23.50 dollars a month');
    expect((await runCli(['cost', '--queues', '3', '--machine', '0'])).out).toContain('For 3 idle queues');
  });
});

describe('a time', () => {
  it.each([
    ['30m', 1800],
    ['12h', 43_200],
    ['90d', 7_776_000],
  ])('%s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', '90', 'd', '1w', '0d', '-1d', '1.5h'])('is not %j', (text) => {
    expect(() => parseDuration(text)).toThrow('is not a time');
  });
});

it('ends without a word when its reader has read enough', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', 'runtime/cli/karin.ts', 'cost'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  const said: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk));
  const [status] = await once(child, 'close');
  expect([status, Buffer.concat(said).toString()]).toEqual([1, '']);
});
