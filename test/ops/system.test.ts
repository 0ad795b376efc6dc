import { expect, it } from 'vitest';
import { runKarin } from '../http/running-karin.ts';
import { discoveryOf, ScriptedSource } from '../sync/discoveries.ts';

const SECRETS = {
  KARIN_KEYS: 'AKIAEXAMPLE:the-secret-of-a-key',
  KARIN_TOKENS: 'token-of-the-environment-0123456789',
  KARIN_ADMIN_PASSWORD: 'correct horse battery',
};

async function systemPage(env: Readonly<Record<string, string>>) {
  const source = new ScriptedSource();
  source.found = discoveryOf(['orders', 'mails']);
  const karin = await runKarin({ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', ...env }, { source });
  const login = await fetch(`${karin.url}/ops/login`, {
    method: 'POST',
    redirect: 'manual',
    body: new URLSearchParams({ password: env['KARIN_ADMIN_PASSWORD'] ?? '' }),
  });
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
  const read = async (): Promise<string> => (await fetch(`${karin.url}/ops/system`, { headers: { cookie } })).text();
  return { karin, read };
}

it('shows what runs, what the last sync changed, and what polling would cost, to those who are logged in', async () => {
  const { karin, read } = await systemPage(SECRETS);
  const page = await read();
  for (const text of [
    process.version,
    'orders to on-orders',
    'Polling 2 queues would cost $0.00 to $0.12 a month',
    'No token was made by command.',
  ]) {
    expect(page).toContain(text);
  }
  const stranger = await fetch(`${karin.url}/ops/system`, { redirect: 'manual' });
  expect(stranger.status).toBe(303);
});

it('says of a secret only that it is set', async () => {
  const { read } = await systemPage(SECRETS);
  const page = await read();
  expect(page).toContain('<dt>adminPassword</dt><dd class="quiet">set; not shown</dd>');
  expect(page).toContain('<dt>keysText</dt><dd class="quiet">set; not shown</dd>');
  for (const secret of ['the-secret-of-a-key', 'token-of-the-environment', 'correct horse']) {
    expect(page).not.toContain(secret);
  }
});

it('lists tokens by their ids, with what they may do', async () => {
  const { karin, read } = await systemPage(SECRETS);
  const made = await fetch(`${karin.url}/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${SECRETS.KARIN_ADMIN_PASSWORD}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'the shop', scopes: 'send', queues: 'app-*' }),
  });
  const { token = '' }: { token?: string } = JSON.parse(await made.text());
  const page = await read();
  expect(page).toContain('the shop');
  expect(page).toContain('app-*');
  expect(token).not.toBe('');
  expect(page).not.toContain(token);
});
