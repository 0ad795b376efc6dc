/**
 * Draws the comparison with other servers as an SVG for the documentation: one row a server, one bar for each of its
 * rates, light and dark.
 */
import type { Figure } from './figure.ts';

const KINDS = [
  { suffix: ': sends', title: 'sends', colour: '#2f6f6a' },
  { suffix: ': cycles', title: 'cycles of send, receive and delete', colour: '#c9803a' },
] as const;
const WIDTH = 760;
const LEFT = 230;
const ROW = 52;
const TOP = 64;

/** `date`: the day of the run, as it stands below the chart. */
export function chart(figures: readonly Figure[], date: string): string {
  const names = figures.flatMap(({ name }) => (name.endsWith(': sends') ? [name.slice(0, -': sends'.length)] : []));
  const value = (name: string, suffix: string): number =>
    figures.find((figure) => figure.name === name + suffix)?.value ?? 0;
  const note = (name: string): string =>
    figures.find((figure) => figure.name === `${name}: sends`)?.note?.split(';')[0] ?? '';
  const most = Math.max(...names.flatMap((name) => KINDS.map(({ suffix }) => value(name, suffix))), 1);
  const rows = names.map((name, row) => {
    const y = TOP + row * ROW;
    const bars = KINDS.map(({ suffix, colour }, n) => {
      const rate = value(name, suffix);
      const length = Math.max(2, (rate / most) * (WIDTH - LEFT - 90));
      const top = y + n * 18;
      return `<rect x="${LEFT}" y="${top}" width="${length.toFixed(1)}" height="14" rx="2" fill="${colour}"/>
<text x="${(LEFT + length + 6).toFixed(1)}" y="${top + 11}" class="rate">${Math.round(rate).toLocaleString('en')}/s</text>`;
    });
    return `<text x="${LEFT - 12}" y="${y + 12}" class="name">${escaped(name)}</text>
<text x="${LEFT - 12}" y="${y + 28}" class="what">${escaped(note(name))}</text>
${bars.join('\n')}`;
  });
  const height = TOP + names.length * ROW + 24;
  const legend = KINDS.map(
    ({ title, colour }, n) =>
      `<rect x="${LEFT + n * 90}" y="28" width="12" height="12" rx="2" fill="${colour}"/>
<text x="${LEFT + 18 + n * 90}" y="38" class="rate">${title}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="system-ui, sans-serif">
<title>Rates of Karin and of other servers of the SQS API, measured in one run</title>
<style>
text { fill: #24292f } .name { font-size: 14px; font-weight: 600; text-anchor: end } .what, .foot { font-size: 10px; fill: #6b7280 }
.what { text-anchor: end } .rate { font-size: 11px }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .what, .foot { fill: #9aa4af } }
</style>
<text x="${LEFT}" y="18" class="name" style="text-anchor:start">64 connections, JSON protocol, bodies of 300 bytes</text>
${legend.join('\n')}
${rows.join('\n')}
<text x="${LEFT}" y="${height - 8}" class="foot">${escaped(date)}, all in one run on two cores, short rounds of each in turn; npm run bench -- --only rivals</text>
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
