/**
 * The text format of Prometheus, version 0.0.4, and that of OpenMetrics, version 1.0.
 *
 * OpenMetrics is what a scraper gets that asks for it. Its families are named without `_total`, it ends with a line of
 * its own, and a bucket carries an exemplar: the trace of the last observation that fell into it. Source: "OpenMetrics
 * 1.0", Text Format.
 *
 * The few lines of it stand here and not in prom-client, because a page shows each reader his own queues, its labels
 * come from what the last sync found, and series end with their mapping. A registry of that library keeps series under
 * the labels they were counted with and has no such view; it would hold every number a second time, in 96 KB of code.
 *
 * @module
 */

export type Labels = Readonly<Record<string, string>>;

export interface MetricFamily {
  /** In `snake_case`; counters end in `_total`, histograms in their unit. */
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One sentence with the unit. */
  readonly help: string;
  readonly samples: readonly Sample[];
}

export interface Sample {
  /** Samples of one series of labels share the object: its text is made once for a page. */
  readonly labels?: Labels;
  /** The upper bound of a `_bucket`, beside the labels. */
  readonly le?: string;
  /** What follows the name of the family: `_bucket`, `_sum` and `_count` of a histogram. */
  readonly suffix?: string;
  readonly value: number;
  readonly exemplar?: Exemplar;
}

/** One observation of those that a bucket counts. */
export interface Exemplar {
  /** As OpenTelemetry writes it, 32 hex digits. */
  readonly traceId: string;
  /** Of the observation, in the unit of the family. */
  readonly value: number;
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number;
}

export type Format = 'prometheus' | 'openmetrics';

/** Content types of the formats. */
export const EXPOSITION_TYPES: Readonly<Record<Format, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** Families without samples are left out; exemplars are there only in OpenMetrics. */
export function exposition(families: readonly MetricFamily[], format: Format = 'prometheus'): string {
  const isOpen = format === 'openmetrics';
  const texts = new Map<Labels, string>();
  const textOf = (labels: Labels): string => {
    const text = texts.get(labels) ?? pairsText(labels);
    texts.set(labels, text);
    return text;
  };
  const labelText = ({ labels, le }: Sample): string => {
    const text = labels === undefined ? '' : textOf(labels);
    if (le !== undefined) return `{${text === '' ? '' : `${text},`}le="${isOpen ? asFloat(le) : le}"}`;
    return text === '' ? '' : `{${text}}`;
  };
  const written = families
    .filter((family) => family.samples.length > 0)
    .map(({ name, type, help, samples }) => {
      const family = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name;
      const told = isOpen ? escapeLabel(help) : help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n');
      const lines = samples.map((sample) => {
        const exemplar = isOpen && sample.exemplar !== undefined ? exemplarText(sample.exemplar) : '';
        return `${name}${sample.suffix ?? ''}${labelText(sample)} ${sample.value}${exemplar}\n`;
      });
      return `# HELP ${family} ${told}\n# TYPE ${family} ${type}\n${lines.join('')}`;
    });
  return `${written.join('')}${isOpen ? '# EOF\n' : ''}`;
}

function exemplarText({ traceId, value, at }: Exemplar): string {
  return ` # {trace_id="${escapeLabel(traceId)}"} ${value} ${(at / 1000).toFixed(3)}`;
}

/** Bounds are floating-point numbers in OpenMetrics: `1` is written `1.0`. */
function asFloat(bound: string): string {
  return /^\d+$/.test(bound) ? `${bound}.0` : bound;
}

function pairsText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',');
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
