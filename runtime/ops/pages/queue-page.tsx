import { formatQueueArn } from '../../queue/arn.ts';
import type { MoveTask } from '../../queue/move-task.ts';
import type { Activity } from '../activity.ts';
import type { MappingRow, QueueRow } from '../overview.ts';
import { ActivityTable } from './activity-table.tsx';
import { count, Form, type Notice, Page, type PageFrame, Time } from './layout.tsx';
import { Pause } from './pause.tsx';
import { Mode, queueHref } from './queue-state.tsx';

/** What the page of one queue shows. */
export interface QueueView {
  readonly row: QueueRow;
  /** What callers use, without a capability. */
  readonly url: string;
  readonly mappings: readonly MappingRow[];
  /** Names of the queues whose dead letters come here. */
  readonly sources: readonly string[];
  readonly moveTasks: readonly MoveTask[];
  readonly recent: readonly Activity[];
  /** The longest delay of a message, seconds. */
  readonly maxDelaySeconds: number;
  /** Whether messages can move to and from a queue in AWS. */
  readonly canMove: boolean;
}

export function QueuePage(props: { frame: PageFrame; view: QueueView; notice?: Notice | undefined }) {
  const { frame, view, notice } = props;
  const { row } = view;
  return (
    <Page frame={frame} title={row.queue.arn.name} notice={notice}>
      <h1>{row.queue.arn.name}</h1>
      <div id="live" data-live>
        <Depth row={row} />
        <MoveTasks tasks={view.moveTasks} />
      </div>
      <h2>About</h2>
      <About frame={frame} view={view} />
      <h2>Actions</h2>
      <div class="panels">
        <SendForm frame={frame} view={view} />
        <Interventions frame={frame} view={view} />
      </div>
      <h2>Recent activity, UTC</h2>
      <div id="activity" data-live>
        <ActivityTable
          base={frame.base}
          activities={view.recent}
          empty="Nothing happened here since the server began."
        />
      </div>
    </Page>
  );
}

function Depth({ row }: { row: QueueRow }) {
  return (
    <div class="cards">
      <div class="card quiet">
        <b>{count(row.depth?.visible)}</b>visible
      </div>
      <div class="card quiet">
        <b>{count(row.depth?.delayed)}</b>delayed
      </div>
      <div class="card quiet">
        <b>{count(row.depth?.inFlight)}</b>in flight
      </div>
      <div class="card quiet">
        <Mode row={row} />
        mode
      </div>
    </div>
  );
}

function MoveTasks({ tasks }: { tasks: readonly MoveTask[] }) {
  return (
    <>
      {tasks.map((task) => (
        <p class="small">
          Redrive begun at <Time at={task.startedAt} />: {task.status.toLowerCase()}, {count(task.moved)} of{' '}
          {count(task.toMove)} moved
          {task.failure === undefined ? '' : ` (${task.failure})`}
        </p>
      ))}
    </>
  );
}

function About({ frame, view }: { frame: PageFrame; view: QueueView }) {
  const { queue } = view.row;
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
        <dd>{ORIGINS[origin]}</dd>
        <dt>Visibility timeout</dt>
        <dd>{attributes.visibilityTimeoutSeconds} s</dd>
        <dt>Delay</dt>
        <dd>{attributes.delaySeconds} s</dd>
        <dt>Retention</dt>
        <dd>{count(attributes.messageRetentionPeriodSeconds)} s</dd>
        {policy === undefined ? null : (
          <>
            <dt>Dead letters</dt>
            <dd>
              to <code>{policy.deadLetterTargetArn.split(':').at(-1)}</code> after {policy.maxReceiveCount} receives
            </dd>
          </>
        )}
        {view.sources.length === 0 ? null : (
          <>
            <dt>Dead letters of</dt>
            <dd>{view.sources.join(', ')}</dd>
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

const ORIGINS = {
  aws: 'AWS: change its attributes there, then sync',
  api: 'this server: it was created here',
  'left-over': 'nobody: AWS no longer names it, but it still holds messages',
} as const;

function SendForm({ frame, view }: { frame: PageFrame; view: QueueView }) {
  const { key, definition } = view.row.queue;
  return (
    <div class="card">
      <h2>Send a test message</h2>
      <Form frame={frame} action={`${queueHref('', key)}/send`} class="stack">
        <label>
          Body
          <textarea name="body" required>
            {'{"hello": "world"}'}
          </textarea>
        </label>
        {definition.fifo ? (
          <>
            <label>
              Message group
              <input name="group" required value="test" />
            </label>
            {definition.attributes.contentBasedDeduplication ? null : (
              <label>
                Deduplication id
                <input name="deduplication" placeholder="a new one" />
              </label>
            )}
          </>
        ) : (
          <label>
            Delay, seconds
            <input type="number" name="delay" min="0" max={view.maxDelaySeconds} placeholder="as the queue" />
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
  const { key, arn, definition } = view.row.queue;
  const href = queueHref('', key);
  return (
    <div class="card">
      <h2>Intervene</h2>
      {view.sources.length === 0 ? null : (
        <Form
          frame={frame}
          action={`${href}/redrive`}
          confirm={`Move all messages of ${arn.name} back to where they came from?`}
        >
          <p>
            <button type="submit">Redrive</button>{' '}
            <span class="quiet small">moves what is here back to the queues it came from</span>
          </p>
        </Form>
      )}
      {definition.mode === 'forward' || view.row.held ? null : (
        <Form frame={frame} action={`${href}/${definition.mode === 'hold' ? 'consume' : 'hold'}`}>
          <p>
            <button type="submit">{definition.mode === 'hold' ? 'Go on' : 'Hold'}</button>{' '}
            <span class="quiet small">
              {definition.mode === 'hold' ? 'invokes functions again' : 'keeps messages, invokes no function'}
            </span>
          </p>
        </Form>
      )}
      {view.canMove ? <TransferForms frame={frame} view={view} /> : null}
      <Form
        frame={frame}
        action={`${href}/purge`}
        confirm={`Delete every message of ${arn.name}? They cannot be brought back.`}
      >
        <p>
          <button type="submit" class="danger">
            Purge
          </button>{' '}
          <span class="quiet small">deletes every message, in flight ones included</span>
        </p>
      </Form>
    </div>
  );
}

function TransferForms({ frame, view }: { frame: PageFrame; view: QueueView }) {
  const { row } = view;
  const { key, arn, definition } = row.queue;
  const href = queueHref('', key);
  return (
    <>
      {definition.mode === 'consume' ? null : (
        <Form
          frame={frame}
          action={`${href}/drain`}
          confirm={`Move all messages of ${arn.name} to SQS, and those that are sent to it from now on?`}
        >
          <p>
            <button type="submit">Drain to SQS</button>{' '}
            <span class="quiet small">moves what is here to the real queue, and all that is sent from now on</span>
          </p>
        </Form>
      )}
      {row.waitingInSqs > 0 || definition.mode === 'forward' ? (
        <Form
          frame={frame}
          action={`${href}/pull`}
          confirm={`Bring the messages of ${arn.name} that wait in SQS here?`}
        >
          <p>
            <button type="submit">Pull from SQS</button>{' '}
            <span class="quiet small">brings here what waits in the real queue</span>
          </p>
        </Form>
      ) : null}
    </>
  );
}
