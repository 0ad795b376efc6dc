import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { credentialProblems } from '../../runtime/http/auth/credentials.ts';
import { ConfigError, type Environment, readConfig } from '../../runtime/settings.ts';

const MINIMUM = { REDIS_URL: 'redis://127.0.0.1:6379', AWS_REGION: 'eu-west-1' };

function problemsOf(env: Environment): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe('a production configuration', () => {
  it('reads an IPv6 address with the brackets of a URL or without', () => {
    for (const HOST of ['::1', '[::1]']) expect(readConfig({ HOST }, 'dev').host).toBe('::1');
  });

  it('needs a Redis and a region; everything else has a default', () => {
    expect(readConfig(MINIMUM)).toEqual({
      alertTargets: [],
      operatorsText: '',
      ownRegions: ['eu-west-1'],
      roles: [],
      alertAgeSeconds: 0,
      host: '127.0.0.1',
      port: 4000,
      redis: ['redis://127.0.0.1:6379'],
      dataDirectory: './karin-data',
      embeddedRedisBytes: 67_108_864,
      region: 'eu-west-1',
      discovery: { kind: 'aws' },
      syncIntervalSeconds: 3600,
      maxQueues: 1000,
      maxDelaySeconds: 900,
      keysText: '',
      tokensText: '',
      staysOpen: false,
      trustedProxies: 0,
      corsOrigins: [],
      onFly: false,
      connections: 4096,
      connectionsPerAddress: 0,
      maxConcurrency: 200,
      maxBytesInFlight: 10_485_760,
      stopGraceSeconds: 60,
      stopLoops: true,
      logLevel: 'info',
      queueNames: [],
      cloudWatchQueues: [],
      warnings: [],
    });
  });

  it('cannot be changed once it is read', () => {
    expect(Object.isFrozen(readConfig(MINIMUM))).toBe(true);
  });

  it('takes every setting', () => {
    const config = readConfig({
      ...MINIMUM,
      HOST: '0.0.0.0',
      PORT: '8080',
      REDIS_URL: 'rediss://a:6379, rediss://b:6379',
      KARIN_PUBLIC_URL: 'https://karin.example.com/base/',
      KARIN_ACCOUNT_ID: '123456789012',
      KARIN_DISCOVERY: 'template:cdk.out',
      KARIN_SYNC_INTERVAL: '0',
      KARIN_MAX_DELAY_SECONDS: '1209600',
      KARIN_CONSUME: 'app-* !app-old',
      KARIN_CLOUDWATCH_QUEUES: 'app-orders',
      KARIN_TRUSTED_PROXIES: '1',
      KARIN_CONNECTIONS: '1000',
      KARIN_CONNECTIONS_PER_ADDRESS: '100',
      KARIN_CORS_ORIGINS: 'https://App.example.com/, http://localhost:5173 *',
      KARIN_ADMIN_PASSWORD: 'a long password',
      LOG_LEVEL: 'debug',
    });
    expect(config).toMatchObject({
      host: '0.0.0.0',
      port: 8080,
      redis: ['rediss://a:6379', 'rediss://b:6379'],
      publicUrl: 'https://karin.example.com/base',
      accountId: '123456789012',
      discovery: { kind: 'template', path: 'cdk.out' },
      syncIntervalSeconds: 0,
      maxDelaySeconds: 1_209_600,
      queueNames: ['app-*', '!app-old'],
      cloudWatchQueues: ['app-orders'],
      trustedProxies: 1,
      connections: 1000,
      connectionsPerAddress: 100,
      corsOrigins: ['https://app.example.com', 'http://localhost:5173', '*'],
      adminPassword: 'a long password',
      logLevel: 'debug',
    });
  });

  it('takes AWS_DEFAULT_REGION where AWS_REGION is missing', () => {
    const { AWS_REGION: _, ...env } = MINIMUM;
    expect(readConfig({ ...env, AWS_DEFAULT_REGION: 'us-gov-west-1' }).region).toBe('us-gov-west-1');
  });

  it('takes an empty variable for none', () => {
    expect(readConfig({ ...MINIMUM, PORT: '', KARIN_PUBLIC_URL: ' ', KARIN_ADMIN_PASSWORD: '' })).toMatchObject({
      port: 4000,
    });
  });

  it.each([
    'app.example.com',
    'https://app.example.com/page',
    'ftp://app.example.com',
    'https://*.example.com',
    'null',
  ])('names %s as no origin of pages', (origin) => {
    expect(problemsOf({ ...MINIMUM, KARIN_CORS_ORIGINS: origin })).toEqual([
      `KARIN_CORS_ORIGINS: ${origin} is no origin: name scheme, host and port as browsers do, for example https://app.example.com, or * for pages of every site`,
    ]);
  });

  it('may have a private Redis instead', () => {
    const env = {
      KARIN_EMBEDDED_REDIS: '1',
      AWS_REGION: 'eu-west-1',
      KARIN_DATA_DIR: '/data',
      KARIN_EMBEDDED_REDIS_MEMORY: '32',
    };
    expect(readConfig(env)).toMatchObject({
      redis: 'embedded',
      dataDirectory: '/data',
      embeddedRedisBytes: 33_554_432,
    });
  });

  it('points at variables that are most likely misspelt', () => {
    expect(readConfig({ ...MINIMUM, KARIN_KEY: 'x', KARIN_URL: 'http://x' }).warnings).toEqual([
      'KARIN_KEY is not a setting of Karin; is it misspelt?',
    ]);
  });
});

describe('a wrong configuration', () => {
  it('lists every problem at once', () => {
    const problems = problemsOf({
      PORT: '70000',
      KARIN_CONCURRENCY: 'many',
      LOG_LEVEL: 'loud',
      KARIN_DISCOVERY: 'azure',
    });
    expect(problems).toHaveLength(6);
    const { message } = new ConfigError(problems);
    for (const name of [
      'REDIS_URL',
      'AWS_REGION',
      'PORT=70000',
      'KARIN_CONCURRENCY=many',
      'LOG_LEVEL=loud',
      'KARIN_DISCOVERY=azure',
    ]) {
      expect(message).toContain(name);
    }
  });

  it.each([
    [{ PORT: '-1' }, 'PORT=-1: must be a whole number from 0 to 65535; leave it out for 4000'],
    [
      { KARIN_MAX_DELAY_SECONDS: '899' },
      'KARIN_MAX_DELAY_SECONDS=899: must be a whole number of seconds from 900 to 1209600; leave it out for 900',
    ],
    [{ KARIN_PUBLIC_URL: 'karin.example.com' }, 'KARIN_PUBLIC_URL=karin.example.com: must be the address callers use'],
    [{ KARIN_PUBLIC_URL: 'https://x.example?a' }, 'KARIN_PUBLIC_URL=https://x.example?a: must be the address'],
    [{ KARIN_ACCOUNT_ID: '1234' }, 'KARIN_ACCOUNT_ID=1234: must be the twelve digits of an AWS account'],
    [{ AWS_REGION: 'Frankfurt' }, 'AWS_REGION=Frankfurt: must be the name of an AWS region'],
    [{ KARIN_EMBEDDED_REDIS: '1' }, 'KARIN_EMBEDDED_REDIS=1 and REDIS_URL are both set'],
    [{ KARIN_EMBEDDED_REDIS: 'yes', REDIS_URL: MINIMUM.REDIS_URL }, 'KARIN_EMBEDDED_REDIS=yes: must be 1 or 0'],
    [{ KARIN_DISCOVERY: 'template:' }, 'KARIN_DISCOVERY=template:: must be aws, none, or template:'],
  ])('%j', (change: Environment, problem) => {
    const [first = ''] = problemsOf({ ...MINIMUM, ...change });
    expect(first).toContain(problem);
  });

  it.each([
    ['redis://a/x', 'URL 1 of Redis is not of the form'],
    ['redis://a/1, redis://b', 'a cluster has no database but 0'],
    ['redis://:100%@a', 'a character such as / # @ % is written %2F %23 %40 %25'],
  ])('says what is wrong with REDIS_URL=%s before anything is connected to', (REDIS_URL, problem) => {
    expect(problemsOf({ ...MINIMUM, REDIS_URL })).toEqual([expect.stringContaining(problem)]);
  });

  it('names what another part finds wrong together with all else', () => {
    const read = (): unknown =>
      readConfig(
        { ...MINIMUM, PORT: 'x', KARIN_TOKENS: 'short', KARIN_KEYS_FILE: '/nowhere' },
        'start',
        credentialProblems,
      );
    expect(read).toThrow(
      /3 problems:\n.*PORT=x.*\n.*KARIN_KEYS_FILE=\/nowhere: cannot be read.*\n.*KARIN_TOKENS, entry 1/,
    );
  });

  it('never shows a secret', () => {
    const problems = problemsOf({
      ...MINIMUM,
      REDIS_URL: 'http://u:hunter2@x, redis://ok',
      KARIN_ADMIN_PASSWORD: 'hunter2',
    });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('hunter2');
    expect(problems[0]).toContain('REDIS_URL: URL 1 of Redis is not of the form redis://[user:password@]host');
    expect(problems[1]).toContain('KARIN_ADMIN_PASSWORD has 7 characters: use at least 12');
  });
});

describe('secrets in files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'karin-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  it('stand for the variable of the same name', () => {
    const env = {
      AWS_REGION: 'eu-west-1',
      REDIS_URL_FILE: file('redis', 'redis://:secret@h:6379\n'),
      KARIN_ADMIN_PASSWORD_FILE: file('password', 'a long password\n'),
      KARIN_KEYS_FILE: '/keys',
    };
    const expected = { redis: ['redis://:secret@h:6379'], adminPassword: 'a long password', keysFile: '/keys' };
    expect(readConfig(env)).toMatchObject(expected);
  });

  it('are reported when they cannot be read, are empty, or contradict', () => {
    const env = { ...MINIMUM, REDIS_URL_FILE: '/x', KARIN_ADMIN_PASSWORD_FILE: file('empty', ' \n') };
    expect(problemsOf(env)).toEqual([
      'REDIS_URL and REDIS_URL_FILE are both set: leave one of them out',
      `KARIN_ADMIN_PASSWORD_FILE=${join(folder, 'empty')}: the file is empty`,
    ]);
    expect(problemsOf({ ...MINIMUM, KARIN_ADMIN_PASSWORD_FILE: '/no/such/file' })[0]).toContain(
      '/no/such/file: cannot be read',
    );
  });
});

describe('durability', () => {
  it.each([
    [undefined, undefined],
    ['fsync', { kind: 'fsync' }],
    ['replica', { kind: 'replica', replicas: 1 }],
    ['replica:2', { kind: 'replica', replicas: 2 }],
  ])('%s', (text, expected) => {
    expect(readConfig({ ...MINIMUM, KARIN_DURABILITY: text }).durability).toEqual(expected);
  });

  it.each(['replica:0', 'replica:10', 'replica:', 'replicas', 'disk'])('refuses %s', (text) => {
    expect(problemsOf({ ...MINIMUM, KARIN_DURABILITY: text })).toEqual([
      `KARIN_DURABILITY=${text}: must be fsync, or replica, or replica:2 with a number from 1 to 9; leave it out to wait for neither`,
    ]);
  });

  it('is not promised where nothing can keep it', () => {
    const embedded = { ...MINIMUM, REDIS_URL: '', KARIN_EMBEDDED_REDIS: '1' };
    expect(readConfig({ ...embedded, KARIN_DURABILITY: 'fsync' }).durability).toEqual({ kind: 'fsync' });
    expect(problemsOf({ ...embedded, KARIN_DURABILITY: 'replica' })).toEqual([
      'KARIN_DURABILITY=replica: the embedded Redis has no replicas; use fsync, or a Redis of your own',
    ]);
    expect(() => readConfig({ KARIN_DURABILITY: 'fsync' }, 'dev')).toThrow('messages are kept in this process');
  });
});

describe('development', () => {
  it('needs nothing', () => {
    const config = readConfig({}, 'dev');
    expect(config).toMatchObject({
      redis: 'memory',
      region: 'us-east-1',
      discovery: { kind: 'none' },
      host: '127.0.0.1',
    });
  });

  it('takes a Redis if there is one', () => {
    expect(readConfig({ REDIS_URL: 'redis://h' }, 'dev').redis).toEqual(['redis://h']);
  });
});

describe('The endpoint of SNS', () => {
  it('is that of SNS alone before that of all services, and must be a URL', () => {
    const env = {
      AWS_ENDPOINT_URL: 'http://127.0.0.1:5000',
      AWS_ENDPOINT_URL_SNS: 'https://sns.us-east-1.amazonaws.com',
    };
    expect(readConfig(env, 'dev').snsEndpoint).toBe('https://sns.us-east-1.amazonaws.com');
    expect(readConfig({ AWS_ENDPOINT_URL: env.AWS_ENDPOINT_URL }, 'dev').snsEndpoint).toBe('http://127.0.0.1:5000');
    expect(readConfig({}, 'dev').snsEndpoint).toBeUndefined();
    expect(() => readConfig({ AWS_ENDPOINT_URL_SNS: 'localhost:5000' }, 'dev')).toThrow(
      'AWS_ENDPOINT_URL_SNS=localhost:5000: must be a URL, for example http://127.0.0.1:5000',
    );
  });
});

describe('the address for traces', () => {
  const tracesOf = (env: Environment) => readConfig({ ...MINIMUM, ...env }).traces;

  it('is none unless OpenTelemetry is told of one, and the path of the signal is added to the address of all', () => {
    expect(tracesOf({ OTEL_SERVICE_NAME: 'x' })).toBeUndefined();
    const all = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' };
    expect(tracesOf(all)).toEqual({ url: 'http://collector:4318/v1/traces', protocol: 'http/protobuf' });
    const own = { ...all, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces/in', OTEL_EXPORTER_OTLP_PROTOCOL: 'x' };
    expect(tracesOf({ ...own, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json' })).toEqual({
      url: 'https://traces/in',
      protocol: 'http/json',
    });
  });

  it('is none where traces are turned off, whatever else is wrong', () => {
    const wrong = { OTEL_EXPORTER_OTLP_ENDPOINT: 'nowhere' };
    expect(tracesOf({ ...wrong, OTEL_SDK_DISABLED: 'TRUE' })).toBeUndefined();
    expect(tracesOf({ ...wrong, OTEL_TRACES_EXPORTER: 'none' })).toBeUndefined();
  });

  it('must be a URL, which is not shown, and be spoken to over HTTP', () => {
    expect(problemsOf({ ...MINIMUM, OTEL_EXPORTER_OTLP_ENDPOINT: 'user:pass@host' })).toEqual([
      'OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL, for example http://127.0.0.1:4318',
    ]);
    const grpc = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://host:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' };
    expect(problemsOf({ ...MINIMUM, ...grpc })).toEqual([
      'OTEL_EXPORTER_OTLP_PROTOCOL=grpc: must be one of http/protobuf, http/json; leave it out for http/protobuf',
    ]);
  });
});
