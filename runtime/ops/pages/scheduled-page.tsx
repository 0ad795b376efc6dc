import type { ScheduledMessages } from '../../queue/queue.ts';
import { age } from '../needs.ts';
import type { QueueRow } from '../overview.ts';
import { SELECTABLE } from '../session.ts';
import { AllBox, Box, Found, PageNumbers } from './dead-letters-page.tsx';
import {
  count,
  Form,
  mayAct,
  type Notice,
  Page,
  type PageFrame,
  queueHref,
  scheduledHref,
  Table,
  Time,
} from './layout.tsx';
import { OpenMessage } from './messages.tsx';

/** What the page of scheduled messages shows. */
export interface ScheduledView extends ScheduledMessages {
  readonly row: QueueRow;
  /** From 1. */
  readonly page: number;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: number;
}

export function ScheduledPage(props: { frame: PageFrame; view: ScheduledView; notice?: Notice | undefined }) {
  const { frame, view, notice } = props;
  const { key, arn } = view.row.queue;
  return (
    <Page frame={frame} title={`Scheduled in ${arn.name}`} notice={notice}>
      <h1>Scheduled in {arn.name}</h1>
      <div class="row heading">
        <p class="quiet small">
          {count(view.total)} {view.total === 1 ? 'message is' : 'messages are'} delayed (
          <a href={queueHref(frame.base, key)}>the queue itself</a>)
        </p>
        <a href={scheduledHref(frame.base, key)}>Look again</a>
      </div>
      {view.messages.length === 0 ? null : <Controls frame={frame} queueKey={key} />}
      <ScheduledTable frame={frame} view={view} />
      <PageNumbers
        page={view.page}
        pages={Math.ceil(view.total / SELECTABLE)}
        what="Pages of scheduled messages"
        href={(page) => `${scheduledHref(frame.base, key)}?page=${page}`}
      />
    </Page>
  );
}

function Controls({ frame, queueKey }: { frame: PageFrame; queueKey: string }) {
  return (
    <Form frame={frame} action={`${queueHref('', queueKey)}/run-now`} id="selection">
      <input type="hidden" name="back" value="scheduled" />
      <input type="hidden" name="which" value="selected" />
      <input type="hidden" name="confirmed" value="" />
      <div class="row controls">
        <button type="submit" class="main">
          Run selected now
        </button>
        <button
          type="submit"
          class="danger"
          formaction={`${frame.base}${queueHref('', queueKey)}/cancel`}
          data-confirm="Cancel the selected messages? They are deleted, and cannot be brought back."
        >
          Cancel selected
        </button>
        <AllBox />
      </div>
    </Form>
  );
}

function ScheduledTable({ frame, view }: { frame: PageFrame; view: ScheduledView }) {
  const selectable = mayAct(frame, '/cancel');
  return (
    <Table
      id="scheduled"
      columns={[...(selectable ? ['Select'] : []), 'Due, UTC', 'Message']}
      rows={view.messages.map(({ id, dueInMs, found }) => (
        <tr>
          {selectable ? (
            <td class="select">
              <Box name={found ?? { id }} />
            </td>
          ) : null}
          <td class="state-of">
            <Time at={view.now + dueInMs} />
            <div class="quiet small">in {age(dueInMs)}</div>
            <OpenMessage base={frame.base} queueKey={view.row.queue.key} name={found ?? { id }} />
          </td>
          <td class="what">
            {found === undefined ? (
              <span class="quiet">
                <code>{id}</code> was not read: a look reads no more than 2 MiB of messages.
              </span>
            ) : (
              <Found seen={found} />
            )}
          </td>
        </tr>
      ))}
      empty={view.total === 0 ? 'Nothing is scheduled.' : 'There is nothing on this page.'}
    />
  );
}
