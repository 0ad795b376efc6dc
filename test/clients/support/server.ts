/**
 * A production server over a real Redis, with one access key and one capability.
 *
 * @module
 */

import { type Karin, startKarin } from '../../../runtime/main.ts';
import { readConfig } from '../../../runtime/settings.ts';
import { RedisServer } from '../../support/redis-server.ts';

export const REGION = 'eu-west-1';
export const ACCOUNT = '123456789012';
const ACCESS_KEY = 'AKIACLIENTTESTS00000';
const SECRET_KEY = 'client/tests+secret/of+forty-characters0';
export const TOKEN = 'client-tests-capability-0123456789abcdef';

export interface ClientServer {
  readonly karin: Karin;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startServer(): Promise<ClientServer> {
  const redis = await RedisServer.start();
  const karin = await startKarin(
    readConfig({
      REDIS_URL: redis.url,
      PORT: '0',
      AWS_REGION: REGION,
      KARIN_ACCOUNT_ID: ACCOUNT,
      KARIN_DISCOVERY: 'none',
      KARIN_KEYS: `${ACCESS_KEY}:${SECRET_KEY}`,
      KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
      LOG_LEVEL: 'silent',
    }),
  );
  return {
    karin,
    url: karin.url,
    async stop() {
      await karin.stop();
      await redis.stop();
    },
  };
}

/** The environment of a client program: the AWS settings that every SDK reads, and nothing of the machine's own. */
export function clientEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '/',
    AWS_ACCESS_KEY_ID: ACCESS_KEY,
    AWS_SECRET_ACCESS_KEY: SECRET_KEY,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
    PYTHONUNBUFFERED: '1',
    ...extra,
  };
}
