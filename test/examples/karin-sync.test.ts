import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runKarin } from '../http/running-karin.ts';
import { discoveryOf, mappingOf, ScriptedSource } from '../sync/discoveries.ts';

const PASSWORD = 'correct horse battery';
const CLOSED = { KARIN_ADMIN_PASSWORD: PASSWORD, AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };

interface Plugin {
  readonly hooks: Readonly<Record<string, () => Promise<void>>>;
}
type Service = { readonly service: { readonly custom?: { readonly karin?: { readonly endpoint?: string } } } };
type PluginClass = new (
  serverless: Service,
  options: unknown,
  utils: { readonly log: { notice(text: string): void; warning(text: string): void } },
) => Plugin;

// The framework loads it by `require` as well; its shape is what the framework expects of a plugin.
const KarinSync = createRequire(import.meta.url)('../../examples/broadcast/karin-sync.cjs') as PluginClass;

/** What the deployment of a service with this endpoint says at its end. */
async function deploy(endpoint: string | undefined): Promise<readonly string[]> {
  const said: string[] = [];
  const plugin = new KarinSync(
    { service: endpoint === undefined ? {} : { custom: { karin: { endpoint } } } },
    {},
    {
      log: { notice: (text) => void said.push(text), warning: (text) => void said.push(`warning: ${text}`) },
    },
  );
  expect(Object.keys(plugin.hooks)).toEqual(['after:deploy:deploy']);
  expect(said).toEqual([]);
  await plugin.hooks['after:deploy:deploy']?.();
  return said;
}

describe('the Serverless Framework plugin of examples/broadcast, after a deployment', () => {
  beforeEach(() => {
    vi.stubEnv('KARIN_ADMIN_PASSWORD', PASSWORD);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('has the server read AWS again, and says what changed', async () => {
    const source = new ScriptedSource();
    const karin = await runKarin(CLOSED, { source });
    source.found = discoveryOf(['a', 'b']);
    expect(await deploy(karin.url)).toEqual(['Karin: 2 added, 0 changed, 0 removed, 0 as before']);
    source.found = discoveryOf(['b']);
    expect(await deploy(karin.url)).toEqual(['Karin: 0 added, 0 changed, 1 removed, 1 as before']);
  });

  it('finds the server behind the capability that functions get, with or without a slash at its end', async () => {
    const karin = await runKarin(CLOSED, { source: new ScriptedSource() });
    for (const end of ['/k/a-token-of-some-length', '/k/a-token-of-some-length/', '/']) {
      expect(await deploy(karin.url + end)).toEqual(['Karin: 0 added, 0 changed, 0 removed, 0 as before']);
    }
  });

  it('warns of a mapping that cannot be served', async () => {
    const source = new ScriptedSource();
    const karin = await runKarin(CLOSED, { source });
    source.found = discoveryOf(['a'], { broken: [{ ...mappingOf('bad'), reason: 'its function is gone' }] });
    expect(await deploy(karin.url)).toEqual([
      'Karin: 1 added, 0 changed, 0 removed, 0 as before',
      expect.stringMatching(/^warning: Karin cannot serve \S*on-bad: its function is gone$/),
    ]);
  });

  it('warns, and leaves the deployment alone, where the server does not let it in or does not answer', async () => {
    const karin = await runKarin(CLOSED, { source: new ScriptedSource() });
    vi.stubEnv('KARIN_ADMIN_PASSWORD', 'a wrong password');
    expect(await deploy(karin.url)).toEqual([expect.stringMatching(/^warning: Karin: \S+\/sync answered 40[13]: /)]);
    expect(await deploy('http://127.0.0.1:1')).toEqual([
      expect.stringMatching(/^warning: Karin: http:\/\/127\.0\.0\.1:1\/sync could not be reached: /),
    ]);
  });

  it('says what it lacks', async () => {
    expect(await deploy(undefined)).toEqual([expect.stringContaining('custom.karin.endpoint is not set')]);
    vi.stubEnv('KARIN_ADMIN_PASSWORD', '');
    expect(await deploy('http://127.0.0.1:1')).toEqual([expect.stringContaining('KARIN_ADMIN_PASSWORD is not set')]);
  });
});
