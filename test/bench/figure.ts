/** One measured figure beside its bound. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The budget; absent where the figure is only told. */
  readonly bound?: { readonly kind: 'at-most' | 'at-least'; readonly value: number };
  /** What the figure was measured against, in the same run. */
  readonly note?: string;
}

/** Whether a figure keeps its bound; one without a bound always does. */
export function holds(figure: Figure): boolean {
  if (figure.bound === undefined) return true;
  return figure.bound.kind === 'at-most' ? figure.value <= figure.bound.value : figure.value >= figure.bound.value;
}

/** The value below which `share` (0 to 1) of the samples lie. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new Error('no samples were measured');
  return value;
}

/** A table of figures for people; a breach is marked. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    figure.name,
    `${round(figure.value)} ${figure.unit}`.trim(),
    figure.bound === undefined ? '' : `${figure.bound.kind === 'at-most' ? '<=' : '>='} ${figure.bound.value}`,
    holds(figure) ? '' : 'BREACH',
    figure.note ?? '',
  ]);
  const head = ['figure', 'measured', 'bound', '', 'note'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

function round(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}
