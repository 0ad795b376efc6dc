import type { QueueRow } from '../overview.ts';

const MODES = {
  consume: { text: 'consume', kind: 'good', title: 'Functions are invoked' },
  hold: { text: 'hold', kind: 'warn', title: 'Messages are kept, no function is invoked' },
  forward: { text: 'forward', kind: 'warn', title: 'Sends go to the real SQS queue' },
} as const;

export function Mode({ row }: { row: QueueRow }) {
  const mode = MODES[row.queue.definition.mode];
  return (
    <div>
      <span class={`badge ${mode.kind}`} title={mode.title}>
        {mode.text}
      </span>
      {row.held ? <div class="warn small">AWS consumes it: its mapping is not disabled</div> : null}
      {row.waitingInSqs > 0 ? (
        <div class="warn small">{row.waitingInSqs} wait in SQS; karin pull brings them here</div>
      ) : null}
    </div>
  );
}

export function queueHref(base: string, key: string): string {
  return `${base}/ops/queues/${encodeURIComponent(key)}`;
}
