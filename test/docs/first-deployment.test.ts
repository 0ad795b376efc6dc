/** What the guide to a first deployment says that the commands print is what they print. */
import { afterEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli/run-cli.ts';
import { runKarin } from '../http/running-karin.ts';
import { RedisServer } from '../support/redis-server.ts';
import { discoveryOf, ScriptedSource } from '../sync/discoveries.ts';
import { blocksOf } from './blocks.ts';

const PASSWORD = 'correct horse battery';
const SERVER = {
  KARIN_ADMIN_PASSWORD: PASSWORD,
  AWS_REGION: 'us-east-1',
  KARIN_ACCOUNT_ID: '111122223333',
  KARIN_PUBLIC_URL: 'https://karin.example.com',
};
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** The lines that the guide shows after the command that begins so. */
function shownAfter(command: string, guide = 'docs/guides/first-deployment.md'): readonly string[] {
  const blocks = blocksOf(guide);
  const typed = blocks.findIndex(({ code }) => code.split('\n').some((line) => line.startsWith(command)));
  const shown = blocks[typed + 1];
  expect(shown?.language, command).toBe('text');
  return shown?.code.split('\n') ?? [];
}

/** Lines without what differs from time to time: tokens, their ids, versions, the kind of store. */
const steady = (lines: readonly string[]): readonly string[] =>
  lines.map((line) =>
    line
      .trimEnd()
      .replaceAll(/karin_[\w-]{43}/g, '<token>')
      .replace(/its id is [0-9a-f]{12}/, 'its id is <id>')
      .replace(/^(version) .*/, '$1')
      .replace(/(the store answers:) .*/, '$1'),
  );

describe('the guide to a first deployment', () => {
  it('shows what karin token create prints', async () => {
    const karin = await runKarin(SERVER, { source: new ScriptedSource() });
    const command = ['token', 'create', '--scope', 'send', '--queue', '*', '--name', 'producers'];
    const { out } = await runCli(command, { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD });
    expect(steady(out.trimEnd().split('\n'))).toEqual(steady(shownAfter('karin token create')));
  });

  it('shows what karin status prints when a queue and its dead-letter queue are there', async () => {
    const source = new ScriptedSource();
    source.found = discoveryOf(['jobs', 'dead-letters']);
    const karin = await runKarin(SERVER, { source });
    const { out, status } = await runCli(['status'], { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD });
    expect(steady(out.trimEnd().split('\n'))).toEqual(steady(shownAfter('karin status')));
    expect(status).toBe(0);
  });

  it('shows what karin doctor prints before there is a queue', async () => {
    const redis = await RedisServer.start({ appendOnly: true });
    closers.push(() => redis.stop());
    const env = { ...SERVER, KARIN_TRUSTED_PROXIES: '1', KARIN_DISCOVERY: 'none', REDIS_URL: redis.url };
    const { out } = await runCli(['doctor'], env);
    // What it says of AWS is held by test/deploy/doctor.test.ts, which has an AWS.
    const shown = steady(shownAfter('docker exec karin karin doctor')).filter((line) => !line.includes('AWS ('));
    expect(steady(out.trimEnd().split('\n'))).toEqual(shown);
  });
});

it('the cookbook shows what karin sync prints after a deployment', async () => {
  const source = new ScriptedSource();
  const karin = await runKarin(SERVER, { source });
  source.found = discoveryOf(['jobs']);
  const { out } = await runCli(['sync'], { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD });
  const [summary = '', ...changes] =
    blocksOf('docs/guides/cookbook.md')
      .find(({ language }) => language === 'text')
      ?.code.split('\n') ?? [];
  expect(out.trimEnd().split('\n')[0]?.replace('a script', 'AWS (us-east-1)')).toBe(summary);
  expect(changes).toEqual(['+ jobs -> consumer']);
});
