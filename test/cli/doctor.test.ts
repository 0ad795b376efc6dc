import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisServer } from '../support/redis-server.ts';
import { runCli } from './run-cli.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(async () => {
  await redis.stop();
});

const env = (change: Readonly<Record<string, string>> = {}) => ({
  REDIS_URL: `redis://127.0.0.1:${redis.port}`,
  AWS_REGION: 'eu-west-1',
  KARIN_DISCOVERY: 'none',
  ...change,
});

describe('karin doctor', () => {
  it('finds nothing wrong with a good set-up, and says what it saw', async () => {
    const { out, status } = await runCli(
      ['doctor'],
      env({ KARIN_ADMIN_PASSWORD: 'correct horse battery', KARIN_KEYZ: 'x' }),
    );
    expect(out).toContain('ok     the configuration can be read');
    expect(out).toContain('note   KARIN_KEYZ is not a setting of Karin; is it misspelt?');
    expect(out).toContain('ok     0 access keys, 0 tokens of the environment, an admin password');
    expect(out).toMatch(/ok {5}the store answers: redis \d/);
    expect(out).not.toContain('WRONG');
    expect(status).toBe(0);
  });

  it('lists all problems of the configuration', async () => {
    const { out, status } = await runCli(['doctor'], { PORT: 'x', KARIN_KEYS: 'x', KARIN_KEYZ: 'x' });
    expect(status).toBe(1);
    expect(out.match(/^WRONG {2}/gm)).toHaveLength(5);
    expect(out).toContain('note   KARIN_KEYZ is not a setting of Karin; is it misspelt?');
  });

  it('finds a server that would be open, and a Redis that does not answer', async () => {
    const { out, status } = await runCli(['doctor'], env({ HOST: '0.0.0.0', REDIS_URL: 'redis://127.0.0.1:1' }));
    expect(status).toBe(1);
    expect(out).toContain('WRONG  HOST=0.0.0.0 can be reached from other machines, and no credential is configured');
    expect(out).toContain('WRONG  REDIS_URL: ');
  });

  it('says what AWS refused', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL', 'http://127.0.0.1:1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'x');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
    vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
    try {
      const { out, status } = await runCli(
        ['doctor', '--principal', 'arn:aws:iam::111122223333:role/karin'],
        env({ KARIN_DISCOVERY: 'aws' }),
      );
      expect(status).toBe(1);
      expect(out).toMatch(/^WRONG {2}.*eu-west-1/m);
      expect(out).toContain('note   permissions were not simulated: ');
    } finally {
      vi.unstubAllEnvs();
    }
  });
});
