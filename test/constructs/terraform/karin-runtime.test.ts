import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Container } from '@cdktf/provider-docker/lib/container/index.js';
import { Image } from '@cdktf/provider-docker/lib/image/index.js';
import { Network } from '@cdktf/provider-docker/lib/network/index.js';
import { DockerProvider } from '@cdktf/provider-docker/lib/provider/index.js';
import { Volume } from '@cdktf/provider-docker/lib/volume/index.js';
import { App, TerraformStack, TerraformVariable, Testing } from 'cdktf';
import { describe, expect, it } from 'vitest';
import { KarinRuntime, type KarinRuntimeProps } from '../../../constructs/terraform';

const BASE: KarinRuntimeProps = {
  region: 'eu-central-1',
  build: { context: '.' },
  tokens: 'a-token-of-some-length:send',
};

/** The resources of one type in the Terraform JSON of a runtime, by construct path. */
function resources(
  props: KarinRuntimeProps,
): (type: { readonly tfResourceType: string }) => readonly Record<string, unknown>[] {
  const json = Testing.synthScope((scope) => {
    new DockerProvider(scope, 'docker');
    new KarinRuntime(scope, 'Karin', props);
  });
  // JSON.parse gives no type; each test asserts on what it reads.
  const parsed = JSON.parse(json) as { resource: Record<string, Record<string, Record<string, unknown>>> };
  return (type) => Object.values(parsed.resource[type.tfResourceType] ?? {});
}

describe('KarinRuntime (cdktf)', () => {
  it('brings a network, a volume, Redis and the server', () => {
    const of = resources(BASE);
    expect(of(Network)).toHaveLength(1);
    expect(of(Volume)).toHaveLength(1);
    expect(of(Image)).toHaveLength(2);
    expect(of(Container).map((container) => container['name'])).toEqual(['karin-redis', 'karin']);
  });

  it('runs Redis with an append-only file in the volume, and without eviction', () => {
    const [redis] = resources({ ...BASE, redisMemory: 100 })(Container);
    expect(redis?.['command']).toEqual([
      'redis-server',
      '--appendonly',
      'yes',
      '--appendfsync',
      'everysec',
      '--maxmemory',
      '100mb',
      '--maxmemory-policy',
      'noeviction',
    ]);
    expect(redis?.['volumes']).toEqual([
      { container_path: '/data', volume_name: expect.stringContaining('docker_volume') },
    ]);
    expect(redis).not.toHaveProperty('ports');
  });

  it('opens the port on loopback unless told otherwise', () => {
    expect(resources(BASE)(Container)[1]?.['ports']).toEqual([{ internal: 4000, external: 4000, ip: '127.0.0.1' }]);
    expect(resources({ ...BASE, listenAddress: '0.0.0.0', port: 80 })(Container)[1]?.['ports']).toEqual([
      { internal: 4000, external: 80, ip: '0.0.0.0' },
    ]);
  });

  it('gives secrets as files, never as environment variables', () => {
    const secrets = {
      tokens: 'the-token:send',
      keys: 'AKIA:the-key',
      adminPassword: 'the-password',
      redisUrl: 'rediss://:the-redis-password@example.com',
      awsCredentials: { accessKeyId: 'AKIA', secretAccessKey: 'the-secret' },
    };
    const [server] = resources({ ...BASE, ...secrets })(Container);
    const environment = JSON.stringify(server?.['env']);
    for (const secret of ['the-token', 'the-key', 'the-password', 'the-redis-password', 'the-secret']) {
      expect(environment).not.toContain(secret);
      expect(JSON.stringify(server?.['upload'])).toContain(secret);
    }
    expect(server?.['env']).toContain('KARIN_ADMIN_PASSWORD_FILE=/run/karin/admin-password');
    expect(server?.['env']).toContain('AWS_SHARED_CREDENTIALS_FILE=/run/karin/aws-credentials');
  });

  it('uses an existing Redis and then makes no container for it', () => {
    const of = resources({ ...BASE, redisUrl: 'rediss://example.com:6380' });
    expect(of(Volume)).toHaveLength(0);
    expect(of(Container).map((container) => container['name'])).toEqual(['karin']);
  });

  it('builds the image from the Dockerfile, or pulls one, and is replaced when the image changes', () => {
    const built = resources(BASE);
    expect(built(Image).find((image) => image['name'] === 'karin:local')?.['build']).toEqual({
      context: '.',
      dockerfile: 'runtime/Dockerfile',
    });
    expect(built(Container)[1]?.['image']).toMatch(/docker_image\..*\.image_id/);
    const { build: _, ...rest } = BASE;
    const pulled = resources({ ...rest, image: 'example/karin:1' });
    expect(pulled(Image)).toContainEqual({ name: 'example/karin:1', keep_locally: true });
  });

  it('limits memory, drops privileges, and leaves time for open Invokes on stop', () => {
    expect(resources(BASE)(Container)[1]).toMatchObject({
      memory: 256,
      memory_swap: 256,
      capabilities: { drop: ['ALL'] },
      security_opts: ['no-new-privileges:true'],
      stop_timeout: 75,
      restart: 'unless-stopped',
      wait: true,
    });
  });

  it('starts the server after Redis is healthy', () => {
    const [redis, server] = resources(BASE)(Container);
    expect(redis).toMatchObject({ wait: true, healthcheck: { test: ['CMD', 'redis-cli', 'ping'] } });
    expect(server?.['depends_on']).toEqual([expect.stringContaining('docker_container')]);
    expect(server?.['healthcheck']).toMatchObject({ interval: '30s' });
  });

  it('keeps a sensitive variable a reference', () => {
    const json = Testing.synthScope((scope) => {
      const tokens = new TerraformVariable(scope, 'tokens', { type: 'string', sensitive: true });
      new KarinRuntime(scope, 'Karin', { ...BASE, tokens: tokens.stringValue });
    });
    expect(json).toMatch(/\$\{var\.tokens\}/);
  });

  it.each([
    ['neither image nor build', { build: undefined }, /give either image .* or build .*, got neither/],
    ['both image and build', { image: 'x' }, /got both/],
    ['no credential', { tokens: undefined }, /no credential.*give tokens, keys or adminPassword/],
    ['a port out of range', { port: 0 }, /port must be a whole number from 1 to 65535, got 0/],
    ['too little memory', { memory: 64 }, /memory must be a whole number from 128/],
    [
      'a public URL with a slash at the end',
      { publicUrl: 'https://karin.example.com/' },
      /without a slash at the end, got 'https:\/\/karin.example.com\/'/,
    ],
    ['a Redis container beside an existing Redis', { redisUrl: 'redis://x', redisMemory: 32 }, /leave one side out/],
  ])('fails for %s', (_, change, message) => {
    // `undefined` takes a property away, which the exact types of the properties do not allow to be written.
    const props = Object.fromEntries(
      Object.entries({ ...BASE, ...change }).filter(([, value]) => value !== undefined),
    ) as unknown as KarinRuntimeProps;
    expect(() => Testing.synthScope((scope) => new KarinRuntime(scope, 'Karin', props))).toThrow(message);
  });

  it('tells every problem at once', () => {
    expect(() =>
      Testing.synthScope((scope) => new KarinRuntime(scope, 'Karin', { region: 'eu-central-1', port: -1 })),
    ).toThrow(/neither.*no credential.*port/);
  });

  it('makes Terraform JSON in which terraform validate finds nothing but the missing provider', (context) => {
    const binary = ['terraform', 'tofu'].find((name) => spawnSync(name, ['version']).status === 0);
    if (binary === undefined) {
      context.skip('neither terraform nor tofu is on the PATH');
      return;
    }
    const outdir = mkdtempSync(join(tmpdir(), 'karin-terraform-'));
    try {
      const app = new App({ outdir });
      const stack = new TerraformStack(app, 'karin');
      new DockerProvider(stack, 'docker');
      new KarinRuntime(stack, 'Karin', BASE);
      app.synth();
      const folder = join(outdir, 'stacks', 'karin');
      expect(readFileSync(join(folder, 'cdk.tf.json'), 'utf8')).toContain('docker_container');
      const { diagnostics } = JSON.parse(validate(binary, folder)) as { diagnostics: readonly { summary: string }[] };
      expect(new Set(diagnostics.map((diagnostic) => diagnostic.summary))).toEqual(
        new Set(['Missing required provider']),
      );
    } finally {
      rmSync(outdir, { recursive: true });
    }
  });
});

/**
 * `terraform validate -json` ends with status 1 when it has anything to say; what it says is on stdout all the same.
 */
function validate(binary: string, folder: string): string {
  try {
    return execFileSync(binary, ['validate', '-json'], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, CHECKPOINT_DISABLE: '1' },
    });
  } catch (error) {
    if (error instanceof Error && 'stdout' in error && typeof error.stdout === 'string') return error.stdout;
    throw error;
  }
}
