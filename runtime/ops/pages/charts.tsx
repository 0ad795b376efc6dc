/**
 * Charts as inline SVG, drawn by the server: they need no script and no library.
 *
 * @module
 */
import { bars, percentile, type QueueHistory } from '../history.ts';
import { age } from '../needs.ts';
import { count } from './layout.tsx';

type Bars = ReturnType<typeof bars>;

/** What one bar says, in the order of the legend; colours are those of the style sheet. */
const SERIES = [
  { name: 'sent', kind: 'sent' },
  { name: 'handled', kind: 'handled' },
  { name: 'failed', kind: 'failed' },
] as const;

/** A line of small bars: what was handled, below it what failed. Empty where nothing happened. */
export function Sparkline({ bars }: { bars: Bars }) {
  const most = Math.max(...bars.map(({ handled, failed, sent }) => Math.max(handled + failed, sent)));
  if (most === 0) return null;
  const total = (name: 'sent' | 'handled' | 'failed'): number => bars.reduce((sum, bar) => sum + bar[name], 0);
  const said = SERIES.map(({ name }) => `${count(total(name))} ${name}`).join(', ');
  return (
    <svg class="spark" viewBox={`0 0 ${bars.length * 4} 20`} role="img" aria-label={`last hour: ${said}`}>
      <title>{said}</title>
      {bars.map(({ sent, handled, failed }, at) => (
        <Stack x={at * 4} width={3} height={20} most={most} sent={sent} handled={handled} failed={failed} />
      ))}
    </svg>
  );
}

/** The last 24 hours in bars of a quarter of an hour, with how long Invokes took. */
export function DayChart({ history, now }: { history: QueueHistory; now: number }) {
  const day = bars(history, now, 1_440, 96);
  const total = (name: keyof Bars[number]): number => day.reduce((sum, bar) => sum + bar[name], 0);
  const most = Math.max(...day.map(({ handled, failed, sent }) => Math.max(handled + failed, sent)));
  const names = ['sent', 'handled', 'failed', 'deadLettered', 'throttled'] as const;
  const said = names
    .filter((name) => name === 'sent' || name === 'handled' || total(name) > 0)
    .map((name) => `${count(total(name))} ${name === 'deadLettered' ? 'to the dead-letter queue' : name}`);
  const spread = (what: string, measured: QueueHistory['durations']): string => {
    const [median, high] = [percentile(measured, 0.5), percentile(measured, 0.95)];
    return median === undefined || high === undefined
      ? ''
      : ` ${what}: half up to ${ms(median)}, 95 % up to ${ms(high)}.`;
  };
  const took = spread('Invokes took', history.durations) + spread('Age at the first Invoke', history.ages);
  return (
    <>
      <h2>Last 24 hours</h2>
      <p class="small">
        {most === 0 && total('failed') === 0 ? 'Nothing was sent and nothing handled.' : `${said.join(', ')}.${took}`}
      </p>
      {most === 0 ? null : (
        // On a phone it is scrolled sideways, by keyboard as well.
        <figure class="scroll chart" tabindex={0}>
          <svg viewBox="0 0 960 120" role="img" aria-label={`last 24 hours: ${said.join(', ')}`}>
            {day.map((bar, at) => (
              <Stack x={at * 10} width={8} height={100} most={most} {...bar} />
            ))}
            {[0, 24, 48, 72].map((at) => (
              <text x={at * 10} y="116">
                {hour(now - (96 - at) * 900_000)}
              </text>
            ))}
          </svg>
          <p class="legend small">
            {SERIES.map(({ name, kind }) => (
              <span>
                <i class={kind} /> {name}
              </span>
            ))}
            <span class="quiet">most in a quarter of an hour: {count(most)}</span>
          </p>
        </figure>
      )}
    </>
  );
}

/** What was handled and failed, one on the other, and a mark at what was sent. */
function Stack(props: {
  x: number;
  width: number;
  height: number;
  most: number;
  sent: number;
  handled: number;
  failed: number;
}) {
  const { x, width, height, most } = props;
  const long = (value: number): number => (value === 0 ? 0 : Math.max(1, (value / most) * height));
  const [handled, failed, sent] = [long(props.handled), long(props.failed), long(props.sent)];
  return (
    <>
      {handled === 0 ? null : <rect class="handled" x={x} y={height - handled} width={width} height={handled} />}
      {failed === 0 ? null : <rect class="failed" x={x} y={height - handled - failed} width={width} height={failed} />}
      {sent === 0 ? null : <rect class="sent" x={x} y={height - sent} width={width} height={1} />}
    </>
  );
}

function ms(value: number): string {
  return value < 1000 ? `${Math.round(value)} ms` : value < 120_000 ? `${(value / 1000).toFixed(1)} s` : age(value);
}

function hour(at: number): string {
  return `${new Date(at).toISOString().slice(11, 16)} UTC`;
}
