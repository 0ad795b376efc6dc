/**
 * OpenTelemetry traces, sent by OTLP over HTTP. Loaded only by a server that is told where to send them: the packages
 * are 114 KB of code in chunks of their own and take 4 MiB once loaded. Without the setting nobody listens to the
 * events for them.
 *
 * Spans. `receive` for each receive of the consumer, `invoke` for each attempt, `settle` for each delete and give-back.
 * The invoke belongs to the X-Ray trace that its function sees: `Root` of the header is the id of the trace, `Parent`
 * the span before it. So it stands beside the segments of the function, and beside those of the sender where all
 * messages of the batch come from one trace. Every span of a batch also links to the spans that its messages name in
 * `AWSTraceHeader`. What X-Ray decided not to sample (`Sampled=0`) is left out; beyond that the sampler decides that
 * `OTEL_TRACES_SAMPLER` names.
 *
 * A span names queue, function and outcome; never a body, nor what a function said of its error.
 *
 * The spans of a batch are made from its events. An `invoke` is open between `invoked` and the event that follows
 * `answered`, which always comes; `receive` and `settle` are made when they are over. Of batches that are no longer
 * remembered the later spans stand alone. The exporter has a timer only while spans wait for it.
 *
 * @module
 */
import {
  type Attributes,
  type HrTime,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type IdGenerator,
  RandomIdGenerator,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import type { ConsumerEvent, EventBus } from '../consumer/events.ts';
import { membersOf, traceIdOf } from '../consumer/intake.ts';
import type { Log } from '../log.ts';
import type { TraceExport } from '../settings.ts';
import type { Time } from '../time.ts';
import { nameOf } from './activity.ts';

export interface TracesOptions {
  readonly bus: EventBus;
  /** Where to, as the settings say; or an exporter, for a test. */
  readonly to: TraceExport | SpanExporter;
  readonly version: string;
  /** Which of the processes on one store this is. */
  readonly instance: string;
  readonly time: Time;
  readonly log: Log;
}

export interface Traces {
  /** Sends what waits, for a few seconds at most, and listens no longer. Never rejects. */
  close(): Promise<void>;
}

/** Batches whose spans are remembered for those that follow; the oldest is forgotten. */
const REMEMBERED_BATCHES = 1_000;
/** Links of a span: the limit that the SDK has by default. */
const MOST_LINKS = 128;
/** How long a stopping server waits for a collector, ms. */
const LAST_EXPORT_MS = 5_000;

/** Makes spans of the events of `bus` from now on. */
export async function openTraces(options: TracesOptions): Promise<Traces> {
  const { bus, to, version, instance, time, log } = options;
  const exporter = reported('protocol' in to ? await exporterTo(to) : to, log);
  const ids = new TraceIds();
  const provider = new BasicTracerProvider({
    idGenerator: ids,
    resource: resourceFromAttributes({
      'service.name': 'karin',
      'service.version': version,
      'service.instance.id': instance,
      // What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say holds before it.
    }).merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const spans = new BatchSpans(provider.getTracer('karin', version), ids, time);
  const stopListening = bus.subscribe((event) => spans.heard(event));
  const shutDown = async (): Promise<void> => {
    stopListening();
    let cancel = (): void => {};
    const patience = new Promise<void>((resolve) => {
      cancel = time.after(LAST_EXPORT_MS, resolve);
    });
    // What fails here was reported by the exporter.
    await Promise.race([provider.shutdown().catch(() => undefined), patience]);
    cancel();
  };
  let closed: Promise<void> | undefined;
  return {
    close: () => {
      closed ??= shutDown();
      return closed;
    },
  };
}

/** Headers, time limit, compression and certificates are read by the exporter from `OTEL_EXPORTER_OTLP_*`. */
async function exporterTo({ url, protocol }: TraceExport): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter({ url });
}

/** Says once that spans are not taken, and once that they are again. */
function reported(exporter: SpanExporter, log: Log): SpanExporter {
  let failing = false;
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const failed = result.error !== undefined || result.code !== 0;
        if (failed && !failing)
          log.warn({ err: result.error }, 'traces could not be sent; spans are lost until they can');
        if (!failed && failing) log.info('traces are sent again');
        failing = failed;
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush !== undefined && { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  };
}

/** Random ids, but for a trace that has one already. */
class TraceIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  #given: string | undefined;

  /** The trace that a span made by `make` begins has this id; `undefined`: a random one. */
  within<T>(traceId: string | undefined, make: () => T): T {
    this.#given = traceId;
    try {
      return make();
    } finally {
      this.#given = undefined;
    }
  }

  generateTraceId(): string {
    return this.#given ?? this.#random.generateTraceId();
  }

  generateSpanId(): string {
    return this.#random.generateSpanId();
  }
}

type OfBatch = Extract<ConsumerEvent, { readonly batch: number }>;

interface KnownBatch {
  receive?: SpanContext;
  invoke?: SpanContext;
}

interface OpenInvoke {
  readonly span: Span;
  /** When it was answered; absent: not yet. */
  endedAt?: HrTime;
}

class BatchSpans {
  readonly #tracer: Tracer;
  readonly #ids: TraceIds;
  readonly #time: Time;
  readonly #invokes = new Map<number, OpenInvoke>();
  readonly #batches = new Map<number, KnownBatch>();

  constructor(tracer: Tracer, ids: TraceIds, time: Time) {
    this.#tracer = tracer;
    this.#ids = ids;
    this.#time = time;
  }

  heard(event: ConsumerEvent): void {
    switch (event.kind) {
      case 'leased':
        this.#received(event);
        break;
      case 'invoked':
        this.#invoked(event);
        break;
      case 'answered':
        this.#answered(event);
        break;
      case 'succeeded':
        this.#ended(event.batch, { 'karin.failed_messages': event.failedIds.length });
        break;
      case 'failed':
        this.#ended(event.batch, { 'error.type': event.reason });
        break;
      case 'retrying':
        this.#ended(event.batch, { 'karin.next_attempt_ms': event.inMs });
        break;
      case 'deleted':
      case 'released':
        this.#settled(event);
        break;
      default:
        break;
    }
  }

  #received(event: OfBatch & { readonly kind: 'leased' }): void {
    if (event.traceHeaders.every(isUnsampled)) return;
    const links = linksOf(event.traceHeaders);
    const [only, ...others] = links;
    const span = this.#tracer.startSpan(
      `receive ${queueNameOf(event)}`,
      { kind: SpanKind.CLIENT, startTime: this.#ago(event.tookMs), attributes: attributesOf(event, 'receive'), links },
      others.length === 0 ? within(only?.context) : ROOT_CONTEXT,
    );
    span.end(this.#ago(0));
    this.#known(event.batch).receive = span.spanContext();
  }

  #invoked(event: OfBatch & { readonly kind: 'invoked' }): void {
    if (isUnsampled(event.traceHeader)) return;
    const known = this.#known(event.batch);
    const links = [
      ...(known.receive === undefined ? [] : [{ context: known.receive }]),
      ...linksOf(event.traceHeaders),
    ].slice(0, MOST_LINKS);
    const attributes = {
      ...attributesOf(event, 'process'),
      'faas.invoked_name': nameOf(event.functionArn),
      'faas.invoked_provider': 'aws',
      'faas.invoked_region': event.functionArn.split(':')[3] ?? '',
      'karin.attempt': event.attempt,
    };
    const span = this.#ids.within(traceIdOf(event.traceHeader), () =>
      this.#tracer.startSpan(
        `invoke ${nameOf(event.functionArn)}`,
        { kind: SpanKind.CLIENT, startTime: this.#ago(0), attributes, links },
        within(contextOf(event.traceHeader)),
      ),
    );
    known.invoke = span.spanContext();
    this.#invokes.set(event.batch, { span });
  }

  #answered(event: OfBatch & { readonly kind: 'answered' }): void {
    const invoke = this.#invokes.get(event.batch);
    if (invoke === undefined) return;
    invoke.endedAt = this.#ago(0);
    invoke.span.setAttribute('karin.outcome', event.outcome);
    if (event.outcome === 'success') return;
    invoke.span.setAttribute('error.type', event.outcome);
    invoke.span.setStatus({ code: SpanStatusCode.ERROR });
  }

  /** What became of the attempt is known. */
  #ended(batch: number, attributes: Attributes): void {
    const invoke = this.#invokes.get(batch);
    if (invoke?.endedAt === undefined) return;
    this.#invokes.delete(batch);
    invoke.span.setAttributes(attributes);
    if ('error.type' in attributes) invoke.span.setStatus({ code: SpanStatusCode.ERROR });
    invoke.span.end(invoke.endedAt);
  }

  #settled(event: OfBatch & { readonly kind: 'deleted' | 'released' }): void {
    const known = this.#batches.get(event.batch);
    if (known === undefined) return;
    const span = this.#tracer.startSpan(
      `settle ${queueNameOf(event)}`,
      {
        kind: SpanKind.CLIENT,
        startTime: this.#ago(event.tookMs),
        attributes: { ...attributesOf(event, 'settle'), 'karin.settlement': event.kind },
        links: known.receive === undefined ? [] : [{ context: known.receive }],
      },
      within(known.invoke),
    );
    span.end(this.#ago(0));
  }

  #known(batch: number): KnownBatch {
    const known = this.#batches.get(batch) ?? {};
    this.#batches.set(batch, known);
    for (const oldest of this.#batches.keys()) {
      if (this.#batches.size <= REMEMBERED_BATCHES) break;
      this.#batches.delete(oldest);
    }
    return known;
  }

  #ago(ms: number): HrTime {
    const microseconds = Math.round((this.#time.now() - ms) * 1_000);
    return [Math.floor(microseconds / 1_000_000), (microseconds % 1_000_000) * 1_000];
  }
}

/** Source: OpenTelemetry semantic conventions, "Messaging spans" and "AWS SQS". */
function attributesOf(event: OfBatch, operation: 'receive' | 'process' | 'settle'): Attributes {
  const [id, ...others] = event.messageIds;
  return {
    'messaging.system': 'aws_sqs',
    'messaging.operation.type': operation,
    'messaging.destination.name': queueNameOf(event),
    'messaging.batch.message_count': event.messageIds.length,
    ...(id !== undefined && others.length === 0 && { 'messaging.message.id': id }),
    'karin.queue': event.queue,
    'karin.mapping': event.mapping,
    'karin.batch': event.batch,
  };
}

function queueNameOf({ queue }: { readonly queue: string }): string {
  return queue.slice(queue.lastIndexOf(':') + 1);
}

/** The spans that these headers name, each once. */
function linksOf(headers: readonly (string | undefined)[]): Link[] {
  const found = new Map<string, Link>();
  for (const header of headers) {
    const context = contextOf(header);
    if (context !== undefined) found.set(`${context.traceId} ${context.spanId}`, { context });
    if (found.size === MOST_LINKS) break;
  }
  return [...found.values()];
}

function within(parent: SpanContext | undefined) {
  return parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}

function isUnsampled(header: string | undefined): boolean {
  return membersOf(header).get('Sampled') === '0';
}

/** The span that an X-Ray header names; `undefined`: none, or not in the form of X-Ray. */
function contextOf(header: string | undefined): SpanContext | undefined {
  const traceId = traceIdOf(header);
  const spanId = membersOf(header).get('Parent')?.toLowerCase();
  if (traceId === undefined || spanId === undefined || !/^(?!0{16})[0-9a-f]{16}$/.test(spanId)) return undefined;
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true };
}
