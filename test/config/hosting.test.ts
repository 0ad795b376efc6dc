/** The files by which people host the server: what they set exists, and what they ask for is what the server offers. */
import { readFileSync } from 'node:fs';
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

describe('the files for Fly and for a Docker host', () => {
  const fly = read('fly.toml');
  const compose = read('compose.yaml');
  const { stopGraceSeconds } = readConfig({ ...SECRETS, AWS_REGION: 'us-east-1' }, 'start');

  it('give the server its 256 MB, and open invokes their time', () => {
    expect(fly).toContain('memory = "256mb"');
    expect(compose).toContain('mem_limit: 256m');
    expect(Number(/kill_timeout = "(\d+)s"/.exec(fly)?.[1])).toBeGreaterThan(stopGraceSeconds);
    expect(Number(/stop_grace_period: (\d+)s/.exec(compose)?.[1])).toBeGreaterThan(stopGraceSeconds);
  });

  it('never stop it for want of traffic, and ask for its readiness', () => {
    expect(fly).toContain('auto_stop_machines = "off"');
    expect(fly).toContain('path = "/readyz"');
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
