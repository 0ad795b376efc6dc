import type { Child } from 'hono/jsx';
import type { MoveTask } from '../../queue/move-task.ts';
import { formatQueueArn } from '../../queue/names.ts';
import type { BrowsedMessage } from '../../queue/queue.ts';
import type { TransferKind } from '../../transfer/transfers.ts';
import { type ActionName, type FormFields, QUEUE_ACTIONS } from '../actions.ts';
import type { HistoryEvent, QueueHistory } from '../history.ts';
import type { LivePart } from '../live.ts';
import type { Need } from '../needs.ts';
import type { MappingRow, QueueRow } from '../overview.ts';
import { SELECTION_ACTIONS } from '../selection.ts';
import { DayChart } from './charts.tsx';
import { Redrives } from './dead-letters-page.tsx';
import {
  ActivityTable,
  count,
  Delayed,
  deadLettersHref,
  duration,
  Form,
  Mode,
  type Notice,
  Page,
  type PageFrame,
  Parts,
  Pause,
  part,
  queueHref,
  Visible,
  Waits,
} from './layout.tsx';
import { Messages } from './messages.tsx';

/** What the page of one queue shows. */
export interface QueueView {
  readonly row: QueueRow;
  /** What callers use, without a capability. */
  readonly url: string;
  readonly mappings: readonly MappingRow[];
  /** Of this queue. */
  readonly needs: readonly Need[];
  readonly moveTasks: readonly MoveTask[];
  /** Newest first. */
  readonly recent: readonly HistoryEvent[];
  /** The longest delay of a message, seconds. */
  /** Queues were not found in AWS, but in a template. */
  readonly fromTemplate: boolean;
  readonly maxDelaySeconds: number;
  /** Whether messages can move to and from a queue in AWS. */
  readonly canMove: boolean;
  /** Its first messages, if they were asked for. */
  readonly messages?: readonly BrowsedMessage[];
  /** How often they were asked for by whoever looks at the page. */
  readonly looks: number;
  /** What happened in the last 24 hours; absent: the store could not be asked. */
  readonly history?: QueueHistory;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: number;
  /** What was typed into the form of a send that was refused. */
  readonly typed?: FormFields;
  /** What moves messages to or from SQS now. */
  readonly transfer?: TransferKind;
}

export function QueuePage(props: { frame: PageFrame; view: QueueView; notice?: Notice | undefined }) {
  const { frame, view, notice } = props;
  const { row } = view;
  const [now, ...rest] = queueParts(frame, view);
  return (
    <Page frame={frame} title={row.queue.arn.name} notice={notice} live={queueHref('', row.queue.key)}>
      <h1>{row.queue.arn.name}</h1>
      {row.friendlyName === undefined ? null : <p class="quiet small">{row.friendlyName}</p>}
      <Parts parts={[now]} />
      <h2>About</h2>
      <About frame={frame} view={view} />
      <h2>Actions</h2>
      <div class="panels">
        <SendForm frame={frame} view={view} />
        <Interventions frame={frame} view={view} />
      </div>
      <Messages
        frame={frame}
        queueKey={row.queue.key}
        looks={view.looks}
        messages={view.messages}
        held={row.depth === undefined ? undefined : row.depth.visible + row.depth.delayed + row.depth.inFlight}
      />
      <Parts parts={rest} />
    </Page>
  );
}

/** What of the page of a queue is kept fresh, in the order of the page. */
export function queueParts(frame: PageFrame, view: QueueView): readonly LivePart[] {
  const { row } = view;
  return [
    part(
      'now',
      <>
        {view.needs.length === 0 ? null : <QueueNeeds needs={view.needs} />}
        <Depth frame={frame} row={row} />
        <Redrives frame={frame} queueKey={row.queue.key} tasks={view.moveTasks} />
        {view.transfer === undefined ? null : (
          <p class="small">{TRANSFERS[view.transfer]}. How far it is stands under recent activity.</p>
        )}
      </>,
    ),
    part('history', view.history === undefined ? null : <DayChart history={view.history} now={view.now} />),
    part(
      'activity',
      <>
        <h2>Recent activity</h2>
        <ActivityTable
          base={frame.base}
          activities={view.recent.map((event) => ({ ...event, queue: view.row.queue.key }))}
          empty="Nothing has happened here."
          ofOneQueue
        />
      </>,
    ),
  ];
}

function QueueNeeds({ needs }: { needs: readonly Need[] }) {
  return (
    <ul class="needs">
      {needs.map(({ text, urgency }) => (
        <li class={urgency}>
          <span class="what">{text}</span>
        </li>
      ))}
    </ul>
  );
}

function Depth({ frame, row }: { frame: PageFrame; row: QueueRow }) {
  return (
    <div class="cards">
      <div class="card quiet">
        <b>
          <Visible row={row} />
        </b>
        visible
      </div>
      <div class="card quiet">
        <b>
          <Delayed base={frame.base} row={row} />
        </b>
        delayed
      </div>
      <div class="card quiet">
        <b>{count(row.depth?.inFlight)}</b>in flight
      </div>
      <div class="card quiet">
        <b>
          <Waits row={row} />
        </b>
        the first waits
      </div>
      <div class="card quiet">
        <div class="state">
          <Mode row={row} />
        </div>
        mode
      </div>
    </div>
  );
}

function About({ frame, view }: { frame: PageFrame; view: QueueView }) {
  const { queue, deadLettersOf } = view.row;
  const { attributes, origin } = queue.definition;
  const policy = attributes.redrivePolicy;
  return (
    <div class="card">
      <dl>
        <dt>URL</dt>
        <dd>
          <code>{view.url}</code>
        </dd>
        <dt>ARN</dt>
        <dd>
          <code>{formatQueueArn(queue.arn)}</code>
        </dd>
        <dt>Belongs to</dt>
        <dd>{origin === 'aws' && view.fromTemplate ? TEMPLATE : ORIGINS[origin]}</dd>
        <dt>Visibility timeout</dt>
        <dd>{duration(attributes.visibilityTimeoutSeconds)}</dd>
        <dt>Delay</dt>
        <dd>{duration(attributes.delaySeconds)}</dd>
        <dt>Retention</dt>
        <dd>{duration(attributes.messageRetentionPeriodSeconds)}</dd>
        {policy === undefined ? null : (
          <>
            <dt>Dead letters</dt>
            <dd>
              to <code>{policy.deadLetterTargetArn.split(':').at(-1)}</code> after {policy.maxReceiveCount} receives
            </dd>
          </>
        )}
        {deadLettersOf.length === 0 ? null : (
          <>
            <dt>Dead letters of</dt>
            <dd>{deadLettersOf.join(', ')}</dd>
          </>
        )}
        <dt>Functions</dt>
        <dd>
          {view.mappings.length === 0 ? <span class="quiet">none</span> : null}
          {view.mappings.map((mapping) => (
            <div>
              <span title={mapping.functionArn}>{mapping.functionName}</span>
              <Pause frame={frame} row={mapping} />
            </div>
          ))}
        </dd>
      </dl>
    </div>
  );
}

const TRANSFERS: Readonly<Record<TransferKind, string>> = {
  drain: 'A drain is under way: what is held here moves to SQS',
  pull: 'A pull is under way: what waits in SQS comes here',
};

const TEMPLATE = 'the template: change it there, and it is read again';
const ORIGINS = {
  aws: 'AWS: change its attributes there, then sync',
  api: 'this server: it was created here',
  'left-over': 'nobody: AWS no longer names it, but it still holds messages',
} as const;

function SendForm({ frame, view }: { frame: PageFrame; view: QueueView }) {
  const { key, definition } = view.row.queue;
  const typed = (name: string): string | undefined => {
    const value = view.typed?.[name];
    return typeof value === 'string' ? value : undefined;
  };
  return (
    <div class="card">
      <h2>Send a test message</h2>
      <Form frame={frame} action={`${queueHref('', key)}/send`} class="stack">
        <label>
          Body
          <textarea name="body" required>
            {typed('body') ?? '{"hello": "world"}'}
          </textarea>
        </label>
        {definition.fifo ? (
          <>
            <label>
              Message group
              <input name="group" required value={typed('group') ?? 'test'} />
            </label>
            {definition.attributes.contentBasedDeduplication ? null : (
              <label>
                Deduplication id
                <input name="deduplication" value={typed('deduplication')} placeholder="a new one" />
              </label>
            )}
          </>
        ) : (
          <label>
            Delay, seconds
            <input
              type="number"
              name="delay"
              min="0"
              max={view.maxDelaySeconds}
              value={typed('delay')}
              placeholder="as the queue"
            />
          </label>
        )}
        <div>
          <button type="submit" class="main">
            Send
          </button>
        </div>
      </Form>
    </div>
  );
}

function Interventions({ frame, view }: { frame: PageFrame; view: QueueView }) {
  const { row } = view;
  const { mode } = row.queue.definition;
  const hold = mode === 'consume' && row.consumed;
  return (
    <div class="card">
      <h2>Intervene</h2>
      {row.deadLettersOf.length === 0 ? null : (
        <>
          <p class="action">
            <a href={deadLettersHref(frame.base, row.queue.key)}>Dead letters by error</a>
            <span class="quiet small">why they failed; redrive or delete some of them</span>
          </p>
          <Intervention frame={frame} row={row} action="redrive" button="Redrive">
            moves what is here back to the queues it came from
          </Intervention>
        </>
      )}
      {hold ? (
        <Intervention frame={frame} row={row} action="hold" button="Hold">
          keeps messages, invokes no function
        </Intervention>
      ) : null}
      {mode === 'hold' && !row.held ? (
        <Intervention frame={frame} row={row} action="consume" button="Go on">
          invokes functions again
        </Intervention>
      ) : null}
      {view.canMove && mode !== 'consume' ? (
        <Intervention frame={frame} row={row} action="drain" button="Drain to SQS">
          moves what is here to the real queue, and all that is sent from now on
        </Intervention>
      ) : null}
      {view.canMove && (row.waitingInSqs > 0 || mode === 'forward') ? (
        <Intervention frame={frame} row={row} action="pull" button="Pull from SQS">
          brings here what waits in the real queue
        </Intervention>
      ) : null}
      <Intervention frame={frame} row={row} action="purge" button="Purge" dangerous>
        deletes every message, in flight ones included
      </Intervention>
    </div>
  );
}

/** A button with what it does, and the question before it if there is one. */
function Intervention(props: {
  frame: PageFrame;
  row: QueueRow;
  action: ActionName | 'redrive';
  button: string;
  dangerous?: boolean;
  children?: Child;
}) {
  const { frame, row, action, button, dangerous = false } = props;
  const { key, arn } = row.queue;
  return (
    <Form
      frame={frame}
      action={`${queueHref('', key)}/${action}`}
      confirm={QUEUE_ACTIONS.get(action)?.question?.(arn.name) ?? SELECTION_ACTIONS.get(action)?.question(arn.name, {})}
    >
      <p class="action">
        <button type="submit" class={dangerous ? 'danger' : undefined}>
          {button}
        </button>
        <span class="quiet small">{props.children}</span>
      </p>
    </Form>
  );
}
