import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SpanStatusCode } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';
import { afterEach, describe, expect, it } from 'vitest';
import { createLog } from '../../runtime/log.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { openTraces } from '../../runtime/ops/traces.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { ANSWERED, DELETED, INVOKED, LEASED } from '../support/consumer-events.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, keyOf, ScriptedSource } from '../sync/discoveries.ts';

const OF = { mapping: 'uuid-a', queue: keyOf('a'), batch: 7, messageIds: ['1', '2'] };
const TRACE_ID = '5759e988bd862e3fe1be46a994272793';
const PARENT = '53995c3f42cd8ad8';
const ROOT = 'Root=1-5759e988-bd862e3fe1be46a994272793';
const HEADER = `${ROOT};Parent=${PARENT};Sampled=1`;
const OTHER = 'Root=1-5759e988-000000000000000000000001;Parent=00000000000000aa;Sampled=1';
const FUNCTION = 'arn:aws:lambda:eu-west-1:111122223333:function:on-a';

async function open() {
  const bus = createEventBus((error) => expect.unreachable(String(error)));
  const spans: ReadableSpan[] = [];
  const logged: string[] = [];
  const answer = { error: undefined as Error | undefined };
  const to: SpanExporter = {
    export: (batch, done) => {
      spans.push(...batch);
      done(answer.error === undefined ? { code: 0 } : { code: 1, error: answer.error });
    },
    shutdown: () => Promise.resolve(),
  };
  const log = createLog({ level: 'info', write: (line) => logged.push(line) });
  const time = new ManualTime();
  const traces = await openTraces({ bus, to, version: '1.2.3', instance: 'one', time, log });
  /** What was made, once everything is sent. */
  const sent = async () => {
    await traces.close();
    return new Map(spans.map((span) => [span.name, span]));
  };
  return { bus, time, spans, sent, answer, logged };
}

describe('traces', () => {
  it('show receive, invoke and settle of a batch, in the X-Ray trace that its function sees', async () => {
    const { bus, time, sent } = await open();
    const begun = time.now();
    time.advance(20);
    bus.emit({ ...LEASED, ...OF, traceHeaders: [HEADER, HEADER], tookMs: 20 });
    bus.emit({ ...INVOKED, ...OF, functionArn: FUNCTION, traceHeader: HEADER, traceHeaders: [HEADER, HEADER] });
    time.advance(500);
    bus.emit({ ...ANSWERED, ...OF, durationMs: 500 });
    bus.emit({ kind: 'succeeded', ...OF, failedIds: ['2'], durationMs: 500 });
    time.advance(3);
    bus.emit({ ...DELETED, ...OF, messageIds: ['1'], tookMs: 3 });
    const made = await sent();
    const [receive, invoke, settle] = ['receive a', 'invoke on-a', 'settle a'].map((name) => made.get(name));

    expect([receive, invoke, settle].map((span) => span?.spanContext().traceId)).toEqual([
      TRACE_ID,
      TRACE_ID,
      TRACE_ID,
    ]);
    expect([receive?.parentSpanContext?.spanId, invoke?.parentSpanContext?.spanId]).toEqual([PARENT, PARENT]);
    expect(settle?.parentSpanContext?.spanId).toBe(invoke?.spanContext().spanId);
    expect(invoke?.links.map(({ context }) => context.spanId)).toEqual([receive?.spanContext().spanId, PARENT]);
    const milliseconds = (span: ReadableSpan | undefined) => [
      ((span?.startTime[0] ?? 0) * 1e9 + (span?.startTime[1] ?? 0)) / 1e6 - begun,
      ((span?.duration[0] ?? 0) * 1e9 + (span?.duration[1] ?? 0)) / 1e6,
    ];
    expect([receive, invoke, settle].map(milliseconds)).toEqual([
      [0, 20],
      [20, 500],
      [520, 3],
    ]);
    expect(invoke?.attributes).toMatchObject({
      'messaging.system': 'aws_sqs',
      'messaging.destination.name': 'a',
      'messaging.batch.message_count': 2,
      'faas.invoked_name': 'on-a',
      'faas.invoked_region': 'eu-west-1',
      'karin.attempt': 1,
      'karin.outcome': 'success',
      'karin.failed_messages': 1,
    });
    expect(invoke?.resource.attributes).toMatchObject({ 'service.name': 'karin', 'service.version': '1.2.3' });
    expect(settle?.attributes['messaging.message.id']).toBe('1');
  });

  it('link to the traces of all messages where a batch has several, under the new id that its function sees', async () => {
    const { bus, sent } = await open();
    const traceHeaders = [HEADER, OTHER, undefined, 'nonsense', HEADER];
    bus.emit({ ...LEASED, ...OF, traceHeaders });
    bus.emit({ ...INVOKED, ...OF, traceHeaders, traceHeader: ROOT });
    bus.emit({ ...ANSWERED, ...OF });
    bus.emit({ kind: 'succeeded', ...OF, failedIds: [], durationMs: 1 });
    const made = await sent();
    const [receive, invoke] = [made.get('receive a'), made.get('invoke f')];
    expect(receive?.parentSpanContext).toBeUndefined();
    expect(receive?.links.map(({ context }) => context.spanId)).toEqual([PARENT, '00000000000000aa']);
    expect([invoke?.spanContext().traceId, invoke?.parentSpanContext]).toEqual([TRACE_ID, undefined]);
    expect(invoke?.links).toHaveLength(3);
  });

  it('show every attempt, and why one failed without the words of the function', async () => {
    const { bus, spans, sent } = await open();
    bus.emit({ ...INVOKED, ...OF });
    bus.emit({ ...ANSWERED, ...OF, outcome: 'throttled' });
    bus.emit({ kind: 'retrying', ...OF, attempt: 2, inMs: 1_000, reason: 'slow down' });
    bus.emit({ ...INVOKED, ...OF, attempt: 2 });
    bus.emit({ ...ANSWERED, ...OF, attempt: 2, outcome: 'function-error' });
    bus.emit({ kind: 'failed', ...OF, reason: 'timeout', detail: 'of card 4111', durationMs: 1 });
    await sent();
    expect(spans.map(({ attributes, status }) => [attributes['error.type'], status.code])).toEqual([
      ['throttled', SpanStatusCode.ERROR],
      ['timeout', SpanStatusCode.ERROR],
    ]);
    expect(JSON.stringify(spans.map(({ attributes, status, events }) => [attributes, status, events]))).not.toContain(
      '4111',
    );
  });

  it('leave out what X-Ray does not sample', async () => {
    const { bus, spans, sent } = await open();
    const unsampled = `${ROOT};Parent=${PARENT};Sampled=0`;
    bus.emit({ ...LEASED, ...OF, traceHeaders: [unsampled] });
    bus.emit({ ...INVOKED, ...OF, traceHeader: unsampled, traceHeaders: [unsampled] });
    bus.emit({ ...ANSWERED, ...OF });
    bus.emit({ kind: 'succeeded', ...OF, failedIds: [], durationMs: 1 });
    bus.emit({ ...DELETED, ...OF });
    await sent();
    expect(spans).toEqual([]);
  });

  it('are lost without harm, and with one warning, while nobody takes them', async () => {
    const { bus, sent, answer, logged } = await open();
    answer.error = new Error('connect ECONNREFUSED');
    bus.emit({ ...LEASED, ...OF, traceHeaders: [HEADER] });
    await sent();
    expect(logged.filter((line) => line.includes('traces could not be sent'))).toHaveLength(1);
  });
});

describe('a server that is told where traces go', () => {
  const closing: (() => void)[] = [];
  afterEach(() => {
    for (const close of closing.splice(0)) close();
  });

  /** A collector that keeps what it is sent. */
  async function collector() {
    const requests: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        requests.push({ path: request.url ?? '', headers: request.headers, body });
        response.setHeader('content-type', request.headers['content-type'] ?? '').end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(() => server.close());
    // A server that listens on a port has an address of this form.
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}`, requests };
  }

  async function deliverOne(env: Readonly<Record<string, string>>): Promise<void> {
    const source = new ScriptedSource();
    source.found = discoveryOf(['a']);
    const karin = await runKarin(
      { KARIN_DISCOVERY: 'none', KARIN_ACCOUNT_ID: '111122223333', AWS_REGION: 'eu-west-1', ...env },
      {
        source,
        invoker: {
          invoke: () => Promise.resolve({ kind: 'success', response: new Uint8Array() }),
          probe: () => Promise.resolve({ kind: 'reached' }),
          close: () => {},
        },
      },
    );
    const deleted = new Promise<void>((resolve) => {
      karin.events.subscribe(({ kind }) => kind === 'deleted' && resolve());
    });
    const headers = { 'x-amzn-trace-id': HEADER };
    await sqsCall(karin.url, 'SendMessage', { QueueUrl: '/111122223333/a', MessageBody: 'secret body' }, headers);
    await deleted;
    await karin.stop();
  }

  it.each(['http/json', 'http/protobuf'])(
    'sends the spans of a batch as %s, the last ones when it stops',
    async (protocol) => {
      const { url, requests } = await collector();
      await deliverOne({ OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/base/`, OTEL_EXPORTER_OTLP_PROTOCOL: protocol });
      expect(new Set(requests.map(({ path }) => path))).toEqual(new Set(['/base/v1/traces']));
      const all = requests.map(({ body }) => body).join('');
      for (const name of ['receive a', 'invoke on-a', 'settle a']) expect(all).toContain(name);
      expect(all).not.toContain('secret body');
      if (protocol === 'http/json') expect(all).toContain(`"traceId":"${TRACE_ID}"`);
    },
  );

  it('takes the address of the one signal before that of all, as it is', async () => {
    const { url, requests } = await collector();
    await deliverOne({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/here`,
    });
    expect(new Set(requests.map(({ path }) => path))).toEqual(new Set(['/here']));
  });

  it.each([{ OTEL_SDK_DISABLED: 'true' }, { OTEL_TRACES_EXPORTER: 'none' }])('sends none with %o', async (off) => {
    const { url, requests } = await collector();
    await deliverOne({ OTEL_EXPORTER_OTLP_ENDPOINT: url, ...off });
    expect(requests).toEqual([]);
  });
});
