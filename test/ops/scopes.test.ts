/** What an operator sees of a server with several accounts and regions. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { DiscoveryError } from '../../runtime/aws/discovery/discovery.ts';
import { queueChooser } from '../../runtime/consumer/tuning.ts';
import { grants } from '../../runtime/http/auth/credentials.ts';
import { formatQueueArn, isNameOf, queueKey } from '../../runtime/queue/names.ts';
import { runCli } from '../cli/run-cli.ts';
import { runKarin } from '../http/running-karin.ts';
import { foundIn, OWN_ACCOUNT, scopedSource } from '../sync/discoveries.ts';
import { browser } from './page-visitor.ts';

const PASSWORD = 'admin-has-a-password';
const OTHER = '111122223333';
const WHY = `the role arn:aws:iam::${OTHER}:role/karin cannot be assumed (AccessDenied)`;

const Counts = z.object({ queues: z.object({ created: z.number(), present: z.number() }) });

async function open() {
  const own = scopedSource({ region: 'eu-west-1' }, 'discovery');
  const far = scopedSource({ region: 'us-east-1' }, 'discovery:own:us-east-1');
  const other = scopedSource({ account: OTHER, region: 'eu-west-1' }, `discovery:${OTHER}:eu-west-1`);
  const { queues, ...rest } = foundIn(OTHER, 'eu-west-1');
  other.script.found = { ...rest, queues: queues.map((queue) => ({ ...queue, tags: { stage: 'test' } })) };
  const env = { AWS_REGION: 'eu-west-1', KARIN_ADMIN_PASSWORD: PASSWORD };
  const karin = await runKarin(env, { source: [own.source, far.source, other.source] });
  other.script.found = new DiscoveryError(WHY, { reason: 'its role cannot be assumed' });
  await karin.sync();
  const person = browser(karin.url);
  await person.logIn('admin');
  const command = async (...args: readonly string[]) =>
    (await runCli(args, { KARIN_URL: karin.url, KARIN_TOKEN: PASSWORD })).out;
  return { karin, person, command };
}

it('shows each account and region, why one cannot be read, and what polling would cost by stage', async () => {
  const { person } = await open();
  const page = await person.page('/ops/system');
  const [scopes = '', savings = ''] = ['scopes', 'idle-by-stage'].map((id) => {
    const from = page.indexOf(`<table id="${id}"`);
    return page.slice(from, page.indexOf('</table>', from)).replace(/<time[^>]*>[^<]*<\/time>/g, 'a while ago');
  });
  const cells = (table: string) =>
    [...table.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row = '']) =>
      [...row.matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, cell = '']) => cell),
    );
  expect(cells(scopes).filter((row) => row.length > 0)).toEqual([
    [OWN_ACCOUNT, 'eu-west-1', '1', 'a while ago', 'no'],
    [OWN_ACCOUNT, 'us-east-1', '1', 'a while ago', 'no'],
    [OTHER, 'eu-west-1', '1', 'a while ago', WHY],
  ]);
  expect(cells(savings).filter((row) => row.length > 0)).toEqual([
    [OTHER, 'eu-west-1', 'test', '1', '$0.00 to $0.13'],
    [OWN_ACCOUNT, 'eu-west-1', '-', '1', '$0.00 to $0.13'],
    [OWN_ACCOUNT, 'us-east-1', '-', '1', '$0.00 to $0.13'],
    [OWN_ACCOUNT, 'all', 'all', '2', '$0.00 to $0.25'],
    ['all', 'all', 'all', '3', '$0.00 to $0.38'],
  ]);
  expect(page).toContain('This server breaks even at 4 to 8 queues in each of its 3 accounts and regions.');
  const overview = await person.page('/ops');
  expect(overview).toContain(`the last sync of AWS (${OTHER}, eu-west-1) failed: ${WHY}`);
  expect(overview).toContain(`${OWN_ACCOUNT} us-east-1`);
});

it('tells the commands and the metrics the same', async () => {
  const { karin, command } = await open();
  const status = await command('status');
  expect(status).toMatch(/^AWS \(own, us-east-1\): 1 mappings served, read [\d-]+T[\d:.]+Z$/m);
  expect(status).toMatch(
    new RegExp(`^AWS \\(${OTHER}, eu-west-1\\): 1 mappings served, .*, its last sync failed$`, 'm'),
  );
  expect(await command('queues')).toMatch(new RegExp(`^jobs +${OTHER} eu-west-1 +on-jobs`, 'm'));
  const page = await (await fetch(`${karin.url}/metrics`, { headers: { authorization: `Bearer ${PASSWORD}` } })).text();
  expect(page).toContain(`karin_scope_ok{account="${OWN_ACCOUNT}",region="us-east-1"} 1\n`);
  expect(page).toContain(`karin_scope_ok{account="${OTHER}",region="eu-west-1"} 0\n`);
});

it('counts what polling would cost by account, region and stage, with the prices of whoever asks', async () => {
  const { karin, command } = await open();
  const lines = (await command('cost', '--price', '4', '--machine', '10'))
    .split('\n')
    .map((line) => line.split(/ {2,}/));
  expect(lines.slice(2, 8)).toEqual([
    ['account', 'region', 'stage', 'queues', 'SQS, 5 pollers', 'SQS, 2 pollers'],
    [OTHER, 'eu-west-1', 'test', '1', '$1.26', '$0.00'],
    [OWN_ACCOUNT, 'eu-west-1', '-', '1', '$1.26', '$0.00'],
    [OWN_ACCOUNT, 'us-east-1', '-', '1', '$1.26', '$0.00'],
    [OWN_ACCOUNT, 'all', 'all', '2', '$2.52', '$0.00'],
    ['all', 'all', 'all', '3', '$3.78', '$0.00'],
  ]);
  const text = lines.map((cells) => cells.join('  ')).join('\n');
  expect(text).toContain('One server for 3 accounts and regions breaks even at 2 queues in each with 5 pollers');
  expect(text).toContain('For 3 idle queues SQS is the cheaper one.');
  expect(JSON.parse(await command('cost', '--json'))).toMatchObject({
    lines: [{ queues: 1 }, {}, {}, {}, { queues: 3 }],
  });
  // Numbers that are given need no server.
  expect(await command('cost', '--queues', '20')).toContain('For 20 idle queues Karin saves 2.76 dollars a month');
  await expect(command('cost', '--queues', '20', '--url', karin.url)).rejects.toThrow('give one');
});

it('says so where there is nothing that AWS would poll', async () => {
  const karin = await runKarin({ KARIN_DISCOVERY: 'none', KARIN_ADMIN_PASSWORD: PASSWORD });
  const { out } = await runCli(['cost', '--url', karin.url], { KARIN_TOKEN: PASSWORD });
  expect(out).toBe(`${karin.url} serves no mapping: there is nothing that AWS would poll.\n`);
});

it('asks which queue is meant where several have the name', async () => {
  const { karin } = await open();
  const peek = async (queue: string) => {
    const url = `${karin.url}/api/v1/queues/${encodeURIComponent(queue)}/messages`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${PASSWORD}` } });
    return [response.status, await response.json()];
  };
  const keys = [`eu-west-1:${OTHER}:jobs`, `eu-west-1:${OWN_ACCOUNT}:jobs`, `us-east-1:${OWN_ACCOUNT}:jobs`];
  expect(await peek('jobs')).toEqual([
    409,
    { error: `several queues are named jobs; name one of them as ${keys.join(', ')}` },
  ]);
  expect(await peek(`us-east-1:${OWN_ACCOUNT}:jobs`)).toEqual([200, { messages: [] }]);
  expect((await peek(`${karin.url}/r/us-east-1/${OWN_ACCOUNT}/jobs`))[0]).toBe(200);
  expect((await peek(`${karin.url}/r/eu-west-1/${OWN_ACCOUNT}/jobs`))[0]).toBe(200);
  expect((await peek(`${karin.url}/${OWN_ACCOUNT}/jobs`))[0]).toBe(409);
});

/**
 * Each way on which somebody chooses queues by patterns: which keys it chooses with these. Whoever adds a way adds it
 * here; `hold` asks the server for one queue where the pattern has no wildcard.
 */
it('chooses queues by account, region and name on every way that takes a pattern', async () => {
  const { karin, command } = await open();
  const keys = [`eu-west-1:${OTHER}:jobs`, `eu-west-1:${OWN_ACCOUNT}:jobs`, `us-east-1:${OWN_ACCOUNT}:jobs`];
  const arns = karin.directory.all().map(({ arn }) => arn);
  const authorization = `Bearer ${PASSWORD}`;
  const exported = async (query: string): Promise<string> => {
    const response = await fetch(`${karin.url}/api/v1/export${query}`, { headers: { authorization } });
    return response.text();
  };
  const everything = await exported('');
  const keysIn = (text: string): readonly string[] => keys.filter((key) => text.includes(`"queue":"${key}"`)).sort();
  const query = (patterns: readonly string[]): string =>
    `?${patterns.map((pattern) => `queue=${encodeURIComponent(pattern)}`).join('&')}`;
  const ways: Readonly<Record<string, (patterns: readonly string[]) => Promise<readonly string[]>>> = {
    'KARIN_CONSUME and KARIN_CLOUDWATCH_QUEUES': async (patterns) => arns.filter(queueChooser(patterns)).map(queueKey),
    'a credential': async (queues) =>
      arns
        .filter((arn) => grants({ scopes: ['send'], queues }, 'send', arn, { isHome: () => true }))
        .map((arn) => queueKey(arn)),
    export: async (patterns) => keysIn(await exported(query(patterns))),
    import: async (patterns) => {
      const url = `${karin.url}/api/v1/import${query(patterns)}&dryRun=1`;
      const response = await fetch(url, { method: 'POST', headers: { authorization }, body: everything });
      const { queues } = Counts.parse(await response.json());
      // It tells how many. Which they are, an export with the same pattern tells.
      expect(queues.created + queues.present).toBe(keysIn(await exported(query(patterns))).length);
      return keysIn(await exported(query(patterns)));
    },
    'hold and resume': async (patterns) => {
      for (const pattern of patterns) await command('hold', pattern);
      const held = karin.directory.all().filter(({ definition }) => definition.mode === 'hold');
      for (const pattern of patterns) await command('resume', pattern);
      expect(karin.directory.all().some(({ definition }) => definition.mode === 'hold')).toBe(false);
      return held.map(({ key }) => key);
    },
  };
  const cases: ReadonlyArray<readonly [patterns: readonly string[], chosen: readonly string[]]> = [
    [['j?bs'], keys],
    [['*'], keys],
    [[`${OTHER}/eu-west-1/jobs`], keys.slice(0, 1)],
    [[`${OWN_ACCOUNT}/us-*/j*`], keys.slice(2)],
    [['*/eu-west-1/*'], keys.slice(0, 2)],
    [
      [`${OTHER}/*/*`, '*/us-east-1/jobs'],
      [keys[0] ?? '', keys[2] ?? ''],
    ],
  ];
  for (const [way, choose] of Object.entries(ways)) {
    for (const [patterns, chosen] of cases) {
      expect([way, patterns, [...(await choose(patterns))].sort()]).toEqual([way, patterns, [...chosen].sort()]);
    }
  }
});

it('takes the form of a pattern for one queue, too, to look at it and to move its messages', async () => {
  const { karin, command } = await open();
  const name = `${OWN_ACCOUNT}/us-east-1/jobs`;
  expect(await command('peek', name)).toBe('the queue is empty\n');
  const queue = karin.directory.byKey(`us-east-1:${OWN_ACCOUNT}:jobs`);
  if (queue === undefined) throw new Error('the discovery names the queue');
  for (const text of [name, queue.key, formatQueueArn(queue.arn)]) expect(isNameOf(text, queue.arn)).toBe(true);
  expect(isNameOf(`${OTHER}/us-east-1/jobs`, queue.arn)).toBe(false);
});
