/**
 * The text format of Prometheus, version 0.0.4.
 *
 * @module
 */

export type Labels = Readonly<Record<string, string>>;

export interface MetricFamily {
  /** In `snake_case`; counters end in `_total`. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  /** One sentence with the unit. */
  readonly help: string;
  readonly samples: readonly { readonly labels?: Labels; readonly value: number }[];
}

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Families without samples are left out. */
export function exposition(families: readonly MetricFamily[]): string {
  return families
    .filter((family) => family.samples.length > 0)
    .map(
      ({ name, type, help, samples }) =>
        `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n${samples
          .map(({ labels, value }) => `${name}${labelText(labels)} ${value}\n`)
          .join('')}`,
    )
    .join('');
}

function labelText(labels: Labels | undefined): string {
  const pairs = Object.entries(labels ?? {});
  return pairs.length === 0 ? '' : `{${pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}
