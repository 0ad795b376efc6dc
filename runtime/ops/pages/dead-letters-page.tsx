import type { MoveTask } from '../../queue/move-task.ts';
import type { FoundMessage } from '../../queue/queue.ts';
import type { LivePart } from '../live.ts';
import type { QueueRow } from '../overview.ts';
import { SELECTABLE } from '../session.ts';
import {
  count,
  deadLettersHref,
  Form,
  mayAct,
  type Notice,
  Page,
  type PageFrame,
  Parts,
  part,
  printable,
  queueHref,
  Table,
  Time,
} from './layout.tsx';
import { Content, OpenMessage } from './messages.tsx';

/** Characters of an error in its line. */
const LONGEST_ERROR = 300;
const LONGEST_NAME = 100;

/** The errors of a queue that one page shows. */
export const SHOWN_GROUPS = 50;

export interface ErrorRow {
  readonly id: string;
  /** Absent: no failure is kept of these messages. */
  readonly error?: { readonly type: string; readonly message: string };
  readonly count: number;
  readonly functionNames: readonly string[];
  readonly firstAt?: number;
  readonly lastAt?: number;
}

/** What the page of dead letters shows. */
export interface DeadLettersView {
  readonly row: QueueRow;
  readonly tasks: readonly MoveTask[];
  readonly groups: readonly ErrorRow[];
  /** Groups that are not among them. */
  readonly moreGroups: number;
  /** Messages that were looked at, and whether there are more. */
  readonly looked: number;
  readonly more: boolean;
  /** The error whose messages are shown; absent: those of all. */
  readonly error?: string;
  /** Those of this page, of `chosen` ones. */
  readonly messages: readonly FoundMessage[];
  readonly chosen: number;
  /** Of messages that this page would show, those that one look did not come to. */
  readonly unread: number;
  /** From 1. */
  readonly page: number;
  /** Queues that are proposed as the target. */
  readonly targets: readonly string[];
}

export function DeadLettersPage(props: { frame: PageFrame; view: DeadLettersView; notice?: Notice | undefined }) {
  const { frame, view, notice } = props;
  const { key, arn } = view.row.queue;
  const group = view.groups.find(({ id }) => id === view.error);
  return (
    <Page frame={frame} title={`Dead letters in ${arn.name}`} notice={notice} live={deadLettersHref('', key)}>
      <h1>Dead letters in {arn.name}</h1>
      <p class="quiet small">
        of {view.row.deadLettersOf.join(', ') || 'no queue'} (<a href={queueHref(frame.base, key)}>the queue itself</a>)
      </p>
      <Parts parts={deadLettersParts(frame, view)} />
      <div class="row heading">
        <h2>Why they failed</h2>
        <a href={deadLettersHref(frame.base, key)}>Look again</a>
      </div>
      <Groups frame={frame} view={view} />
      <div class="row heading">
        <h2 id="messages">{group === undefined ? 'Messages' : `Messages with ${nameOf(group)}`}</h2>
        {group === undefined ? null : <a href={deadLettersHref(frame.base, key)}>show all messages</a>}
      </div>
      <Controls frame={frame} view={view} />
      <Letters frame={frame} view={view} />
    </Page>
  );
}

/** What of the page is kept fresh: how far redrives are. The rest stays, so that what was selected does. */
export function deadLettersParts(
  frame: PageFrame,
  { row, tasks }: Pick<DeadLettersView, 'row' | 'tasks'>,
): readonly LivePart[] {
  return [part('redrives', <Redrives frame={frame} queueKey={row.queue.key} tasks={tasks} back="dead-letters" />)];
}

/** The redrives of a queue, the newest first; one that runs can be cancelled. */
export function Redrives(props: {
  frame: PageFrame;
  queueKey: string;
  tasks: readonly MoveTask[];
  /** The page to which its button leads back; default: that of the queue. */
  back?: string;
}) {
  const { frame, queueKey, tasks, back } = props;
  return (
    <>
      {tasks.map((task) => (
        <div class="small task">
          <span>
            Redrive begun at <Time at={task.startedAt} /> UTC
            {task.destinationArn === undefined ? '' : ` to ${task.destinationArn.split(':').at(-1)}`}
            {task.maxPerSecond === undefined ? '' : `, ${count(task.maxPerSecond)} a second`}:{' '}
            {task.status.toLowerCase()}, {count(task.moved)} of {count(task.toMove)} moved
            {task.left === undefined || task.left === 0 ? '' : `, ${count(task.left)} left: gone or in flight`}
            {task.failure === undefined ? '' : ` (${FAILURES[task.failure]})`}
          </span>
          {task.status !== 'RUNNING' ? null : (
            <>
              <progress max={Math.max(1, task.toMove)} value={task.moved} aria-label="Messages moved" />
              <Form frame={frame} action={`${queueHref('', queueKey)}/cancel-redrive`}>
                {back === undefined ? null : <input type="hidden" name="back" value={back} />}
                <button type="submit">Cancel the redrive</button>
              </Form>
            </>
          )}
        </div>
      ))}
    </>
  );
}

const FAILURES: Readonly<Record<NonNullable<MoveTask['failure']>, string>> = {
  'AWS.SimpleQueueService.NonExistentQueue': 'the queue to move to does not exist here any more',
  CouldNotDetermineMessageSource: 'a message was sent to this queue directly: name the queue to move it to',
};

function nameOf({ error }: ErrorRow): string {
  return error === undefined ? 'no kept failure' : printable(error.type, LONGEST_NAME);
}

function Groups({ frame, view }: { frame: PageFrame; view: DeadLettersView }) {
  const { key } = view.row.queue;
  return (
    <>
      <Table
        id="errors"
        columns={['Error', { text: 'Messages', number: true }, 'Function', 'Last, UTC']}
        rows={view.groups.map((group) => (
          <tr class={group.id === view.error ? 'chosen' : undefined}>
            <td class="what">
              <a href={`${deadLettersHref(frame.base, key, group.id)}#messages`}>{nameOf(group)}</a>
              {group.error === undefined ? (
                <div class="quiet small">received by others than a function, or failed too long ago</div>
              ) : (
                <div class="small">{printable(group.error.message, LONGEST_ERROR)}</div>
              )}
            </td>
            <td class="number" data-label="count">
              {count(group.count)}
            </td>
            <td data-label="function ">
              {group.functionNames.map((name) => printable(name, LONGEST_NAME)).join(', ') || '-'}
            </td>
            <td class="quiet small">{group.lastAt === undefined ? '-' : <Time at={group.lastAt} />}</td>
          </tr>
        ))}
        empty="There is no message."
      />
      <p class="quiet small" id="looked">
        {view.more
          ? `${count(view.looked)} messages were looked at, and there are more: what is counted here is a part of them.`
          : `${count(view.looked)} ${view.looked === 1 ? 'message was' : 'messages were'} looked at: all there are.`}
        {view.moreGroups > 0 ? ` ${count(view.moreGroups)} rarer errors are not shown.` : ''}
      </p>
    </>
  );
}

/** Says what is done to which messages; the boxes in the table belong to it. */
function Controls({ frame, view }: { frame: PageFrame; view: DeadLettersView }) {
  const { key } = view.row.queue;
  if (view.chosen === 0) return null;
  const all = view.error === undefined ? 'all' : `all ${count(view.chosen)} of this error`;
  return (
    <Form frame={frame} action={`${queueHref('', key)}/redrive`} id="selection">
      <input type="hidden" name="back" value="dead-letters" />
      <input type="hidden" name="confirmed" value="" />
      {view.error === undefined ? null : <input type="hidden" name="error" value={view.error} />}
      <div class="controls">
        <label>
          Redrive to
          <input type="text" name="to" list="targets" placeholder="where each came from" maxlength={2_000} />
        </label>
        <datalist id="targets">
          {view.targets.map((name) => (
            <option value={name} />
          ))}
        </datalist>
        <label>
          Messages a second
          <input type="number" name="speed" min="1" max="500" placeholder="as fast as possible" />
        </label>
      </div>
      <div class="row">
        <button type="submit" class="main" name="which" value="selected">
          Redrive selected
        </button>
        <button
          type="submit"
          name="which"
          value={view.error === undefined ? 'all' : 'error'}
          data-confirm={view.error === undefined ? `Move all messages of ${view.row.queue.arn.name}?` : undefined}
        >
          Redrive {all}
        </button>
        <button
          type="submit"
          class="danger"
          name="which"
          value="selected"
          formaction={`${frame.base}${queueHref('', key)}/delete`}
          data-confirm="Delete the selected messages? They cannot be brought back."
        >
          Delete selected
        </button>
        {view.error === undefined ? null : (
          <button
            type="submit"
            class="danger"
            name="which"
            value="error"
            formaction={`${frame.base}${queueHref('', key)}/delete`}
            data-confirm={`Delete ${all}? They cannot be brought back.`}
          >
            Delete {all}
          </button>
        )}
        <AllBox />
      </div>
    </Form>
  );
}

function Letters({ frame, view }: { frame: PageFrame; view: DeadLettersView }) {
  const selectable = mayAct(frame, '/redrive');
  return (
    <>
      <Table
        id="letters"
        columns={[...(selectable ? ['Select'] : []), 'Failed, UTC', { text: 'Receives', number: true }, 'Message']}
        rows={view.messages.map((seen) => (
          <tr>
            {selectable ? (
              <td class="select">
                <Box name={seen} />
              </td>
            ) : null}
            <td class="quiet small">
              {seen.failure === undefined ? '-' : <Time at={seen.failure.at} />}
              <OpenMessage base={frame.base} queueKey={view.row.queue.key} name={seen} />
            </td>
            <td class="number" data-label="receives">
              {count(seen.receiveCount)}
            </td>
            <td class="what">
              <Found seen={seen} />
            </td>
          </tr>
        ))}
        empty="There is none."
      />
      {view.unread === 0 ? null : (
        <p class="quiet small">
          {count(view.unread)} more of this page are not shown: a look reads no more than 2 MiB of messages.
        </p>
      )}
      <PageNumbers
        page={view.page}
        pages={Math.ceil(view.chosen / SELECTABLE)}
        what="Pages of dead letters"
        href={(page) => pageHref(deadLettersHref(frame.base, view.row.queue.key, view.error), page)}
      />
    </>
  );
}

function pageHref(href: string, page: number): string {
  return `${href}${href.includes('?') ? '&' : '?'}page=${page}#messages`;
}

/*
 * What pages on which messages are selected have in common.
 */

/** What is known of a message that was looked up. */
export function Found({ seen }: { seen: FoundMessage }) {
  return seen.message === undefined ? (
    <span class="bad">stored by another version of Karin, which can read it</span>
  ) : (
    <Content seen={seen} message={seen.message} />
  );
}

/** Selects a message; the sequence number finds it again at once. */
export function Box({ name }: { name: { readonly id: string; readonly sequenceNumber?: string } }) {
  return (
    <input
      type="checkbox"
      form="selection"
      name={`message.${name.id}`}
      value={name.sequenceNumber ?? 'selected'}
      aria-label={`Select message ${name.id}`}
      data-one
    />
  );
}

/** Selects all of a page, by the script: without it the box would do nothing, so it is not there. */
export function AllBox() {
  return (
    <label class="check" hidden data-scripted>
      <input type="checkbox" data-all autocomplete="off" />
      Select all of this page
    </label>
  );
}

export function PageNumbers(props: { page: number; pages: number; what: string; href: (page: number) => string }) {
  const { page, pages, what, href } = props;
  if (pages < 2) return null;
  return (
    <nav class="row pager" aria-label={what}>
      {page > 1 ? <a href={href(page - 1)}>previous</a> : null}
      <span class="quiet">
        page {count(page)} of {count(pages)}
      </span>
      {page < pages ? <a href={href(page + 1)}>next</a> : null}
    </nav>
  );
}
