/** The files by which people host the server: what they set exists, and what they ask for is what the server offers. */
import { readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { readConfig } from '../../runtime/settings.ts';

const read = (name: string): string => readFileSync(new URL(`../../runtime/${name}`, import.meta.url), 'utf8');

const Variable = z.object({ name: z.string(), value: z.string() });
const Probe = z.object({ httpGet: z.object({ path: z.string(), port: z.literal('http') }) });
const Deployment = z.object({
  kind: z.literal('Deployment'),
  spec: z.object({
    selector: z.object({ matchLabels: z.record(z.string(), z.string()) }),
    template: z.object({
      metadata: z.object({ labels: z.record(z.string(), z.string()) }),
      spec: z.object({
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.object({ runAsNonRoot: z.literal(true), runAsUser: z.number() }),
        containers: z.tuple([
          z.object({
            args: z.array(z.string()),
            env: z.array(Variable),
            ports: z.tuple([z.object({ name: z.literal('http'), containerPort: z.number() })]),
            livenessProbe: Probe,
            readinessProbe: Probe,
            lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }),
            resources: z.object({ limits: z.object({ memory: z.string() }) }),
          }),
        ]),
      }),
    }),
  }),
});
const Selecting = z.object({ spec: z.object({ selector: z.unknown() }) });

/** What both get from elsewhere. */
const SECRETS = { REDIS_URL: 'redis://127.0.0.1', KARIN_ADMIN_PASSWORD: 'correct horse battery' };

describe('the manifest for Kubernetes', () => {
  const documents = parseAllDocuments(read('kubernetes.yaml')).map((document) => document.toJS() as unknown);
  const { spec } = Deployment.parse(
    documents.find((document) => z.object({ kind: z.literal('Deployment') }).safeParse(document).success),
  );
  const pod = spec.template.spec;
  const [container] = pod.containers;
  const config = readConfig(
    { ...SECRETS, ...Object.fromEntries(container.env.map(({ name, value }) => [name, value])) },
    'start',
  );

  it('sets what the server understands, without a warning', () => {
    expect(config.warnings).toEqual([]);
    expect(container.args).toEqual(['start']);
    expect(config.trustedProxies).toBe(1);
  });

  it('asks for life and for readiness at the port of the server', () => {
    expect(container.ports[0].containerPort).toBe(config.port);
    expect(container.livenessProbe.httpGet.path).toBe('/healthz');
    expect(container.readinessProbe.httpGet.path).toBe('/readyz');
  });

  it('leaves open invokes their time after the endpoints have forgotten the server', () => {
    const { seconds } = container.lifecycle.preStop.sleep;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(config.stopGraceSeconds + seconds);
  });

  it('runs as the user of the image', () => {
    const user = /--uid (\d+)/.exec(read('Dockerfile'))?.[1];
    expect(pod.securityContext.runAsUser).toBe(Number(user));
  });

  it('gives the server its 256 MB, and leads its service and its budget to the pods', () => {
    expect(container.resources.limits.memory).toBe('256Mi');
    const labels = spec.template.metadata.labels;
    expect(spec.selector.matchLabels).toEqual(labels);
    const selectors = documents.flatMap((document) => {
      const parsed = Selecting.safeParse(document);
      return parsed.success ? [parsed.data.spec.selector] : [];
    });
    expect(selectors).toEqual(expect.arrayContaining([labels, { matchLabels: labels }]));
  });
});

/**
 * What `fly deploy` reads, as far as these files use it: the names and types of flyctl (its package `appconfig`). A key
 * that it does not know is refused here.
 */
const Duration = z.string().regex(/^\d+s$/);
const FlyConfig = z.strictObject({
  app: z.string(),
  primary_region: z.string().length(3),
  kill_signal: z.enum(['SIGTERM', 'SIGINT']),
  kill_timeout: Duration,
  build: z.strictObject({ dockerfile: z.string() }),
  deploy: z.strictObject({ strategy: z.enum(['rolling', 'immediate', 'canary', 'bluegreen']) }).optional(),
  env: z.record(z.string(), z.string()),
  mounts: z
    .array(z.strictObject({ source: z.string(), destination: z.string(), initial_size: z.string().regex(/^\d+gb$/) }))
    .optional(),
  http_service: z.strictObject({
    internal_port: z.number(),
    force_https: z.boolean(),
    auto_stop_machines: z.enum(['off', 'stop', 'suspend']),
    auto_start_machines: z.boolean(),
    min_machines_running: z.number(),
    checks: z.tuple([
      z.strictObject({
        method: z.literal('GET'),
        path: z.string(),
        interval: Duration,
        timeout: Duration,
        grace_period: Duration,
      }),
    ]),
  }),
  vm: z.tuple([z.strictObject({ size: z.string(), memory: z.string() })]),
});

describe.each(['fly.toml', 'fly.volume.toml'])('the file for Fly, %s', (name) => {
  const fly = FlyConfig.parse(parseToml(read(name)));
  const hasVolume = fly.mounts !== undefined;
  const secrets: Record<string, string> = hasVolume ? { KARIN_ADMIN_PASSWORD: SECRETS.KARIN_ADMIN_PASSWORD } : SECRETS;
  const config = readConfig({ ...secrets, ...fly.env }, 'start');

  it('sets what the server understands, without a warning, and leads to its port', () => {
    expect(config.warnings).toEqual([]);
    expect(config.trustedProxies).toBe(1);
    expect(fly.http_service.internal_port).toBe(config.port);
    // Beside the file, as flyctl looks for it.
    expect(read(fly.build.dockerfile)).toContain('ENTRYPOINT ["karin-entrypoint"]');
  });

  it('keeps the data of a Redis inside the machine on a volume where the image has it, and has none without one', () => {
    expect(config.redis === 'embedded').toBe(hasVolume);
    const folder = /KARIN_DATA_DIR=(\S+)/.exec(read('Dockerfile'))?.[1];
    expect((fly.mounts ?? []).every(({ destination }) => destination === folder)).toBe(true);
    // A machine beside the one with the volume would have queues of its own.
    expect(['canary', 'bluegreen']).not.toContain(hasVolume ? fly.deploy?.strategy : 'rolling');
  });

  it('gives the server its 256 MB, open invokes their time, and never stops it for want of traffic', () => {
    expect(fly.vm[0].memory).toBe('256mb');
    expect(Number.parseInt(fly.kill_timeout, 10)).toBeGreaterThan(config.stopGraceSeconds);
    expect(fly.http_service).toMatchObject({ auto_stop_machines: 'off', min_machines_running: 1 });
    expect(fly.http_service.checks[0].path).toBe('/readyz');
  });
});

describe('the file for a Docker host', () => {
  const compose = read('compose.yaml');
  const { stopGraceSeconds } = readConfig({ ...SECRETS, AWS_REGION: 'us-east-1' }, 'start');

  it('gives the server its 256 MB, open invokes their time, and starts it again', () => {
    expect(compose).toContain('mem_limit: 256m');
    expect(Number(/stop_grace_period: (\d+)s/.exec(compose)?.[1])).toBeGreaterThan(stopGraceSeconds);
    expect(compose).toContain('restart: unless-stopped');
  });
});

describe('the unit for systemd', () => {
  const lines = read('karin.service').split('\n');
  const valuesOf = (key: string): readonly string[] =>
    lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));

  it('starts the server with settings that it understands', () => {
    expect(valuesOf('ExecStart')).toEqual(['/usr/bin/env karin start']);
    const environment = Object.fromEntries(valuesOf('Environment').flatMap((value) => value.split(' ').map(pair)));
    const config = readConfig({ ...SECRETS, AWS_REGION: 'us-east-1', ...environment }, 'start');
    expect(config.warnings).toEqual([]);
    expect(config.host).toBe('127.0.0.1');
    expect(Number(valuesOf('TimeoutStopSec')[0])).toBeGreaterThan(config.stopGraceSeconds);
  });

  it('gives it its 256 MB, a user of its own and a folder to write into', () => {
    expect(valuesOf('MemoryMax')).toEqual(['256M']);
    expect(valuesOf('DynamicUser')).toEqual(['yes']);
    expect(valuesOf('StateDirectory')).toEqual(['karin']);
  });
});

function pair(text: string): readonly [string, string] {
  const equals = text.indexOf('=');
  return [text.slice(0, equals), text.slice(equals + 1)];
}
