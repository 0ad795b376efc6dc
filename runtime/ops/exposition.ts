/**
 * The text format of Prometheus, version 0.0.4, and the histograms that it shows.
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
}

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Families without samples are left out. */
export function exposition(families: readonly MetricFamily[]): string {
  const texts = new Map<Labels, string>();
  const textOf = (labels: Labels): string => {
    const text = texts.get(labels) ?? pairsText(labels);
    texts.set(labels, text);
    return text;
  };
  const labelText = ({ labels, le }: Sample): string => {
    const text = labels === undefined ? '' : textOf(labels);
    if (le !== undefined) return `{${text === '' ? '' : `${text},`}le="${le}"}`;
    return text === '' ? '' : `{${text}}`;
  };
  return families
    .filter((family) => family.samples.length > 0)
    .map(
      ({ name, type, help, samples }) =>
        `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n${samples
          .map((sample) => `${name}${sample.suffix ?? ''}${labelText(sample)} ${sample.value}\n`)
          .join('')}`,
    )
    .join('');
}

function pairsText(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',');
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

/** Counts observations by their size. */
export class Histogram {
  readonly #bounds: readonly number[];
  /** By the first bound that the observation does not exceed; the last count: those beyond all bounds. */
  readonly #counts: number[];
  #sum = 0;

  /** `bounds`: in seconds, ascending, without infinity. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    const found = this.#bounds.findIndex((bound) => seconds <= bound);
    const at = found === -1 ? this.#bounds.length : found;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += seconds;
  }

  /** As Prometheus wants them: each bucket with all smaller ones, then the sum and the count. */
  samples(labels: Labels): readonly Sample[] {
    let count = 0;
    const buckets = this.#counts.map((within, at) => {
      count += within;
      return { labels, le: `${this.#bounds[at] ?? '+Inf'}`, suffix: '_bucket', value: count };
    });
    return [...buckets, { labels, suffix: '_sum', value: this.#sum }, { labels, suffix: '_count', value: count }];
  }
}
