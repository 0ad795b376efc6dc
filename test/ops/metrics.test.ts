import { describe, expect, it } from 'vitest';
import { createSources } from '../../runtime/http/ingest/sources.ts';
import { createTraffic } from '../../runtime/http/server.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { countMetrics } from '../../runtime/ops/counts.ts';
import { exposition } from '../../runtime/ops/exposition.ts';
import { createHealth } from '../../runtime/ops/health.ts';
import { createMetrics } from '../../runtime/ops/metrics.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { ANSWERED, DELETED, INVOKED, LEASED } from '../support/consumer-events.ts';
import { arnOf, discoveryOf, keyOf } from '../sync/discoveries.ts';

const OF = { mapping: 'uuid-a', queue: keyOf('a'), batch: 1, messageIds: ['1', '2', '3'] };
const OF_QUEUE = 'queue="a",account="111122223333",region="eu-west-1"';
const OF_MAPPING = `${OF_QUEUE},function="on-a",mapping="uuid-a"`;

function page(names: readonly string[] = ['a']) {
  const bus = createEventBus(() => {});
  const counts = countMetrics(bus);
  const traffic = createTraffic();
  let discovery = discoveryOf(names);
  const metrics = createMetrics({
    counts,
    traffic,
    health: createHealth(undefined),
    syncState: () => ({ source: 'x', sources: [], held: [], discovery, succeededAt: 1_700_000_000_000 }),
    queues: () => names.map((name) => ({ key: keyOf(name), arn: arnOf(name) })),
    depths: { refresh: async () => {}, of: () => undefined },
    sources: createSources(() => 0),
    failedAttempts: () => 7,
    version: '1.2.3',
    now: () => 1_700_000_000_123,
  });
  const found = (mappings: readonly string[]): void => {
    discovery = discoveryOf(mappings);
  };
  return { bus, traffic, metrics, found };
}

describe('the metrics page', () => {
  it('counts under the names of AWS, by mapping, queue and function', async () => {
    const { bus, metrics } = page();
    bus.emit({ ...LEASED, ...OF });
    bus.emit({ ...INVOKED, ...OF });
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 1500, ...OF });
    bus.emit({ ...DELETED, ...OF, messageIds: ['1', '2'] });
    bus.emit({ kind: 'filtered-out', ...OF, messageIds: ['4'] });
    const text = await metrics.page({ depth: false });
    const labels = `{${OF_MAPPING}}`;
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
    const { bus, metrics, found } = page();
    const of = { mapping: 'uuid-a', queue: keyOf('a') };
    bus.emit({ ...LEASED, ...OF });
    bus.emit({ kind: 'failed', reason: 'unreached', detail: '403', durationMs: 1, ...OF });
    bus.emit({ kind: 'lambda-trouble', detail: '403', ...of });
    const trouble = `karin_mapping_trouble{${OF_MAPPING}} 1\n`;
    expect(await metrics.page({ depth: false })).toContain(trouble);
    bus.emit({ kind: 'lambda-reached', ...of });
    expect(await metrics.page({ depth: false })).not.toContain(trouble);

    bus.emit({ kind: 'lambda-trouble', detail: '403', ...of });
    bus.emit({ kind: 'mapping-removed', ...of });
    found([]);
    expect(await metrics.page({ depth: false })).not.toContain('uuid-a');
  });

  it('leaves out what ends after its mapping was removed, and counts again once the mapping is started', async () => {
    const { bus, metrics, found } = page();
    const of = { mapping: 'uuid-a', queue: keyOf('a') };
    bus.emit({ ...LEASED, ...OF });
    found([]);
    bus.emit({ kind: 'mapping-removed', ...of });
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 1500, ...OF });
    bus.emit({ ...DELETED, ...OF, messageIds: ['1', '2'] });
    bus.emit({ kind: 'lambda-trouble', detail: '403', ...of });
    expect(await metrics.page({ depth: false })).not.toContain('uuid-a');

    found(['a']);
    bus.emit({ kind: 'mapping-started', ...of });
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 500, ...OF });
    const text = await metrics.page({ depth: false });
    const labels = `{${OF_MAPPING}}`;
    expect(text).toContain(`karin_failed_invoke_event_count_total${labels} 1\n`);
    expect(text).toContain(`karin_invocation_seconds_total${labels} 0.5\n`);
  });

  it('counts no Invoke for a record that is too large for one', async () => {
    const { bus, metrics } = page();
    bus.emit({ kind: 'failed', reason: 'oversize-record', detail: 'too large', durationMs: 0, ...OF });
    const text = await metrics.page({ depth: false });
    expect(text).toContain(`karin_invocations_total{${OF_MAPPING}} 0\n`);
    expect(text).toContain(`karin_failed_invoke_event_count_total{${OF_MAPPING}} 0\n`);
  });

  it('has every counter of a mapping and of a queue from the start, at 0', async () => {
    const text = await page().metrics.page({ depth: false });
    for (const line of [
      `karin_polled_event_count_total{${OF_MAPPING}} 0`,
      `karin_function_errors_total{${OF_MAPPING}} 0`,
      `karin_throttles_total{${OF_MAPPING}} 0`,
      `karin_invoke_failures_total{${OF_MAPPING}} 0`,
      `karin_invocation_seconds_total{${OF_MAPPING}} 0`,
      `karin_mapping_trouble{${OF_MAPPING}} 0`,
      `karin_dead_lettered_messages_total{${OF_QUEUE}} 0`,
      `karin_expired_messages_total{${OF_QUEUE}} 0`,
      `karin_sent_messages_total{${OF_QUEUE},source="sdk"} 0`,
      'karin_http_responses_total{status="500"} 0',
      'karin_http_responses_total{status="429"} 0',
      'karin_refused_deliveries_total{reason="QueueDoesNotExist"} 0',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
    // They would be a dozen series for each idle mapping.
    expect(text).not.toContain('_bucket');
  });

  it('counts what functions failed, what Lambda throttled and what did not get through apart', async () => {
    const { bus, metrics } = page();
    for (const outcome of ['success', 'function-error', 'throttled', 'throttled', 'unavailable', 'unreached'] as const)
      bus.emit({ ...ANSWERED, ...OF, outcome });
    for (const outcome of ['rejected', 'connection-lost'] as const) bus.emit({ ...ANSWERED, ...OF, outcome });
    const text = await metrics.page({ depth: false });
    for (const line of [
      `karin_function_errors_total{${OF_MAPPING}} 1`,
      `karin_throttles_total{${OF_MAPPING}} 2`,
      `karin_invoke_failures_total{${OF_MAPPING}} 4`,
      // Only the function's own time counts.
      `karin_invoke_duration_seconds_count{${OF_MAPPING}} 2`,
    ]) {
      expect(text).toContain(`${line}\n`);
    }
  });

  it('shows how long functions took, how late they were invoked, and how old messages were', async () => {
    const { bus, metrics } = page();
    bus.emit({ ...INVOKED, ...OF, lateMs: [4, 40, 4_000_000], agesMs: [900_500] });
    bus.emit({ ...ANSWERED, ...OF, durationMs: 250 });
    const text = await metrics.page({ depth: false });
    for (const line of [
      `karin_wake_latency_seconds_bucket{${OF_MAPPING},le="0.005"} 1`,
      `karin_wake_latency_seconds_bucket{${OF_MAPPING},le="0.05"} 2`,
      `karin_wake_latency_seconds_bucket{${OF_MAPPING},le="3600"} 2`,
      `karin_wake_latency_seconds_bucket{${OF_MAPPING},le="+Inf"} 3`,
      `karin_wake_latency_seconds_sum{${OF_MAPPING}} 4000.044`,
      `karin_wake_latency_seconds_count{${OF_MAPPING}} 3`,
      `karin_message_age_seconds_bucket{${OF_MAPPING},le="900"} 0`,
      `karin_message_age_seconds_bucket{${OF_MAPPING},le="3600"} 1`,
      `karin_invoke_duration_seconds_bucket{${OF_MAPPING},le="0.1"} 0`,
      `karin_invoke_duration_seconds_bucket{${OF_MAPPING},le="0.25"} 1`,
      '# TYPE karin_invoke_duration_seconds histogram',
    ]) {
      expect(text).toContain(`${line}\n`);
    }
  });

  it('shows a scraper of OpenMetrics the trace of the last observation in each bucket, and keeps none before one asks', async () => {
    const { bus, metrics } = page();
    const root = '1-5759e988-bd862e3fe1be46a994272793';
    const traced = { traceHeader: `Root=${root};Sampled=1` };
    bus.emit({ ...ANSWERED, ...OF, ...traced, durationMs: 250 });
    expect(await metrics.page({ depth: false, format: 'openmetrics' })).not.toContain('trace_id');
    bus.emit({ ...INVOKED, ...OF, ...traced, lateMs: [4], agesMs: [900_500] });
    bus.emit({ ...ANSWERED, ...OF, ...traced, durationMs: 251 });
    bus.emit({ ...ANSWERED, ...OF, durationMs: 900, traceHeader: `Root=${root};Sampled=0` });
    const text = await metrics.page({ depth: false, format: 'openmetrics' });
    const exemplar = (value: number) => `# {trace_id="5759e988bd862e3fe1be46a994272793"} ${value} 1700000000.123`;
    const lines = text.split('\n');
    expect(lines).toContain(`karin_wake_latency_seconds_bucket{${OF_MAPPING},le="0.005"} 1 ${exemplar(0.004)}`);
    expect(lines).toContain(`karin_message_age_seconds_bucket{${OF_MAPPING},le="3600.0"} 1 ${exemplar(900.5)}`);
    expect(lines).toContain(`karin_invoke_duration_seconds_bucket{${OF_MAPPING},le="0.5"} 2 ${exemplar(0.251)}`);
    // What X-Ray does not sample has no trace that could be found.
    expect(lines).toContain(`karin_invoke_duration_seconds_bucket{${OF_MAPPING},le="1.0"} 3`);
    expect(lines).toContain('# TYPE karin_invocations counter');
    expect(lines).toContain(`karin_invocations_total{${OF_MAPPING}} 0`);
    expect(lines.slice(-2)).toEqual(['# EOF', '']);
    expect(await metrics.page({ depth: false })).not.toMatch(/trace_id|# EOF/);
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
      `karin_dead_lettered_messages_total{${OF_QUEUE}} 2`,
      `karin_expired_messages_total{${OF_QUEUE}} 4`,
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
    expect(text).toContain(
      'karin_queue_messages{queue="jobs",account="000000000000",region="us-east-1",state="visible"} 1\n',
    );
  });

  it('shows a credential its own queues, and nothing of others or of the server', async () => {
    const { bus, metrics } = page(['a', 'b']);
    bus.emit({ ...LEASED, ...OF });
    bus.emit({ ...LEASED, ...OF, mapping: 'uuid-gone' });
    for (const name of ['a', 'b']) bus.emit({ kind: 'expired', queue: keyOf(name), count: 4 });
    const text = await metrics.page({ depth: false, sees: ({ name }) => name === 'b' });
    expect(text).toContain('karin_expired_messages_total{queue="b",account="111122223333",region="eu-west-1"} 4\n');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.filter((line) => !line.includes('{queue="b",'))).toEqual([]);
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

describe('what a scraper accepts', () => {
  it('is what it gets: OpenMetrics if it asks for that first, else the text format', async () => {
    const { url } = await runKarin();
    const ofPrometheus =
      'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
    for (const [accept, type] of [
      [ofPrometheus, 'application/openmetrics-text; version=1.0.0; charset=utf-8'],
      ['text/plain;q=0.9, application/openmetrics-text;q=0.1', 'text/plain; version=0.0.4; charset=utf-8'],
      ['*/*', 'text/plain; version=0.0.4; charset=utf-8'],
      ['application/json', 'text/plain; version=0.0.4; charset=utf-8'],
    ] as const) {
      const answer = await fetch(`${url}/metrics`, { headers: { accept } });
      expect([accept, answer.headers.get('content-type')]).toEqual([accept, type]);
      expect((await answer.text()).endsWith('# EOF\n')).toBe(type.startsWith('application/'));
    }
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
