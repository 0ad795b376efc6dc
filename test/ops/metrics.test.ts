import { describe, expect, it } from 'vitest';
import { createEventBus } from '../../runtime/consumer/events.ts';
import { createSources } from '../../runtime/http/ingest/sources.ts';
import { createTraffic } from '../../runtime/http/server.ts';
import { createHealth } from '../../runtime/ops/health.ts';
import { countMetrics, createMetrics, exposition } from '../../runtime/ops/metrics.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { discoveryOf, keyOf } from '../sync/discoveries.ts';

const OF = { mapping: 'uuid-a', queue: keyOf('a'), batch: 1, messageIds: ['1', '2', '3'] };

function page() {
  const bus = createEventBus(() => {});
  const counts = countMetrics(bus);
  const traffic = createTraffic();
  const discovery = discoveryOf(['a']);
  const metrics = createMetrics({
    bus,
    counts,
    traffic,
    health: createHealth(undefined),
    syncState: () => ({ source: 'x', held: [], discovery, succeededAt: 1_700_000_000_000 }),
    queues: () => [],
    depths: { refresh: async () => {}, of: () => undefined },
    sources: createSources(() => 0),
    failedAttempts: () => 7,
    version: '1.2.3',
  });
  return { bus, traffic, metrics };
}

describe('the metrics page', () => {
  it('counts under the names of AWS, by mapping, queue and function', async () => {
    const { bus, metrics } = page();
    bus.emit({ kind: 'leased', receiveCounts: [1, 1, 1], ...OF });
    bus.emit({ kind: 'invoked', attempt: 1, functionArn: 'f', payloadBytes: 1, ...OF });
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 1500, ...OF });
    bus.emit({ kind: 'deleted', ...OF, messageIds: ['1', '2'] });
    bus.emit({ kind: 'filtered-out', ...OF, messageIds: ['4'] });
    const text = await metrics.page({ depth: false });
    const labels = '{mapping="uuid-a",queue="a",function="on-a"}';
    for (const line of [
      `karin_polled_event_count_total${labels} 3`,
      `karin_invoked_event_count_total${labels} 3`,
      `karin_failed_invoke_event_count_total${labels} 1`,
      `karin_filtered_out_event_count_total${labels} 1`,
      `karin_deleted_event_count_total${labels} 3`,
      `karin_invocations_total${labels} 1`,
      `karin_invocation_seconds_total${labels} 1.5`,
    ]) {
      expect(text).toContain(`${line}\n`);
    }
  });

  it('names the mappings whose invocations do not get through, and forgets a mapping that is gone', async () => {
    const { bus, metrics } = page();
    const of = { mapping: 'uuid-a', queue: keyOf('a') };
    bus.emit({ kind: 'leased', receiveCounts: [1, 1, 1], ...OF });
    bus.emit({ kind: 'failed', reason: 'unreached', detail: '403', durationMs: 1, ...OF });
    bus.emit({ kind: 'lambda-trouble', detail: '403', ...of });
    const trouble = 'karin_mapping_trouble{mapping="uuid-a",queue="a",function="on-a"} 1\n';
    expect(await metrics.page({ depth: false })).toContain(trouble);
    bus.emit({ kind: 'lambda-reached', ...of });
    expect(await metrics.page({ depth: false })).not.toContain(trouble);

    bus.emit({ kind: 'lambda-trouble', detail: '403', ...of });
    bus.emit({ kind: 'mapping-removed', ...of });
    expect(await metrics.page({ depth: false })).not.toContain('uuid-a');
  });

  it('leaves out what ends after its mapping was removed, and counts again once the mapping is started', async () => {
    const { bus, metrics } = page();
    const of = { mapping: 'uuid-a', queue: keyOf('a') };
    bus.emit({ kind: 'leased', receiveCounts: [1, 1, 1], ...OF });
    bus.emit({ kind: 'mapping-removed', ...of });
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 1500, ...OF });
    bus.emit({ kind: 'deleted', ...OF, messageIds: ['1', '2'] });
    bus.emit({ kind: 'lambda-trouble', detail: '403', ...of });
    expect(await metrics.page({ depth: false })).not.toContain('uuid-a');

    bus.emit({ kind: 'mapping-started', ...of });
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 500, ...OF });
    const text = await metrics.page({ depth: false });
    const labels = '{mapping="uuid-a",queue="a",function="on-a"}';
    expect(text).toContain(`karin_failed_invoke_event_count_total${labels} 1\n`);
    expect(text).toContain(`karin_invocation_seconds_total${labels} 0.5\n`);
  });

  it('counts no Invoke for a record that is too large for one', async () => {
    const { bus, metrics } = page();
    bus.emit({ kind: 'failed', reason: 'oversize-record', detail: 'too large', durationMs: 0, ...OF });
    const text = await metrics.page({ depth: false });
    expect(text).not.toContain('karin_invocations_total{');
    expect(text).not.toContain('karin_failed_invoke_event_count_total{');
  });

  it('counts dead letters, expiry, responses and failed attempts', async () => {
    const { bus, traffic, metrics } = page();
    bus.emit({ kind: 'dead-lettered', queue: keyOf('a'), target: keyOf('d'), messageIds: ['1', '2'] });
    bus.emit({ kind: 'expired', queue: keyOf('a'), count: 4 });
    traffic.answered(200);
    traffic.answered(200);
    traffic.answered(403);
    const text = await metrics.page({ depth: false });
    for (const line of [
      `karin_dead_lettered_messages_total{queue="${keyOf('a')}"} 2`,
      `karin_expired_messages_total{queue="${keyOf('a')}"} 4`,
      'karin_http_responses_total{status="200"} 2',
      'karin_http_responses_total{status="403"} 1',
      'karin_failed_attempts_total 7',
      'karin_info{version="1.2.3"} 1',
      'karin_mappings{state="served"} 1',
      'karin_discovery_timestamp_seconds 1700000000',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
  });

  it('asks the store for depths only when told to', async () => {
    const karin = await runKarin();
    await sqsCall(karin.url, 'CreateQueue', { QueueName: 'jobs' });
    await sqsCall(karin.url, 'SendMessage', { QueueUrl: 'jobs', MessageBody: 'x' });
    const without = await fetch(`${karin.url}/metrics`);
    expect(without.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await without.text()).not.toContain('karin_queue_messages');
    const text = await (await fetch(`${karin.url}/metrics?depth=1`)).text();
    expect(text).toContain('karin_queue_messages{queue="us-east-1:000000000000:jobs",state="visible"} 1\n');
  });

  it('shows a credential its own queues, and nothing of others or of the server', async () => {
    const { bus, metrics } = page();
    bus.emit({ kind: 'leased', receiveCounts: [1, 1, 1], ...OF });
    bus.emit({ kind: 'leased', receiveCounts: [1], ...OF, mapping: 'uuid-gone' });
    for (const name of ['a', 'b']) bus.emit({ kind: 'expired', queue: keyOf(name), count: 4 });
    const text = await metrics.page({ depth: false, sees: (name) => name === 'b' });
    expect(text).toContain(`karin_expired_messages_total{queue="${keyOf('b')}"} 4\n`);
    expect(text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toHaveLength(1);
  });

  it('shows the holder of a token what the token reaches', async () => {
    const karin = await runKarin({
      KARIN_TOKENS: 'tenant-token-tenant-token:manage:tenant-* all-token-all-token-all:all',
    });
    const [tenant, all] = [`${karin.url}/k/tenant-token-tenant-token`, `${karin.url}/k/all-token-all-token-all`];
    for (const QueueName of ['tenant-jobs', 'payments']) await sqsCall(all, 'CreateQueue', { QueueName });
    const seen = async (url: string) => (await fetch(`${url}/metrics?depth=1`)).text();
    expect(await seen(tenant)).toContain('tenant-jobs');
    expect(await seen(tenant)).not.toMatch(/payments|process_/);
    expect(await seen(all)).toMatch(/process_.*payments/s);
  });

  it('needs a credential where there are any', async () => {
    const karin = await runKarin({ KARIN_ADMIN_PASSWORD: 'correct horse battery' });
    const refused = await fetch(`${karin.url}/metrics`);
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="karin"']);
    const basic = Buffer.from('prometheus:correct horse battery').toString('base64');
    const allowed = await fetch(`${karin.url}/metrics`, { headers: { authorization: `Basic ${basic}` } });
    expect(allowed.status).toBe(200);
  });
});

describe('the text format', () => {
  it('escapes what others named', () => {
    const samples = [{ labels: { name: 'a"b\\c\nd' }, value: 1 }];
    expect(exposition([{ name: 'x', type: 'gauge', help: 'A \\ and\na line.', samples }])).toBe(
      '# HELP x A \\\\ and\\na line.\n# TYPE x gauge\nx{name="a\\"b\\\\c\\nd"} 1\n',
    );
  });

  it('leaves out what has no sample', () => {
    expect(exposition([{ name: 'x', type: 'gauge', help: 'X.', samples: [] }])).toBe('');
  });
});
