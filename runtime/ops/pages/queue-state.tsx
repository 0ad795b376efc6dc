import type { QueueRow } from '../overview.ts';
import { count } from './layout.tsx';

const MODES = {
  consume: { text: 'consume', kind: 'good', title: 'Functions are invoked' },
  hold: { text: 'hold', kind: 'warn', title: 'Messages are kept, no function is invoked' },
  forward: { text: 'forward', kind: 'warn', title: 'Sends go to the real SQS queue' },
} as const;

export function Mode({ row }: { row: QueueRow }) {
  const { mode: name } = row.queue.definition;
  const mode = MODES[name];
  return (
    <div>
      {name === 'consume' && !row.consumed ? (
        <span class="quiet">no function</span>
      ) : (
        <span class={`badge ${mode.kind}`} title={mode.title}>
          {mode.text}
        </span>
      )}
      {row.held ? <div class="warn small">AWS consumes it: its mapping is not disabled</div> : null}
      {row.waitingInSqs > 0 ? (
        <div class="warn small">{row.waitingInSqs} wait in SQS; karin pull brings them here</div>
      ) : null}
    </div>
  );
}

/** Messages that may be received now. In a dead-letter queue each of them waits for a person. */
export function Visible({ row }: { row: QueueRow }) {
  const visible = row.depth?.visible;
  const waiting = row.deadLettersOf.length > 0 && (visible ?? 0) > 0;
  return <span class={waiting ? 'bad' : undefined}>{count(visible)}</span>;
}

export function queueHref(base: string, key: string): string {
  return `${base}/ops/queues/${encodeURIComponent(key)}`;
}
