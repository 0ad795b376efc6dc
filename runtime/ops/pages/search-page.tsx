import { isGivenUp } from '../../queue/messages.ts';
import type { Queue } from '../../queue/queue.ts';
import { type FoundInQueue, type IdSearch, type SearchStep, START, STEP, type TextSearch } from '../message-search.ts';
import { bytes, count, messageHref, Page, type PageFrame, printable, queueHref, Table, Time } from './layout.tsx';

/** Characters of a line that has a hit. */
const LONGEST_LINE = 400;

export interface SearchView {
  readonly search: TextSearch;
  /** The one queue that is searched, if it is one. */
  readonly queue?: Queue;
  /** Queues that would be read, and messages in them as far as is known. */
  readonly queues: number;
  readonly messages: number;
  /** What a step read; absent: nobody asked yet. */
  readonly step?: SearchStep;
  /** Messages that the steps before this one read. */
  readonly readBefore: number;
  /** The text is an id, and this is where it is. */
  readonly byId?: IdSearch;
}

export function SearchPage({ frame, view }: { frame: PageFrame; view: SearchView }) {
  const { search, byId, step, queue } = view;
  return (
    <Page frame={frame} title="Search messages">
      <h1>Search messages</h1>
      <search>
        <form method="get" action={`${frame.base}/ops/search`} class="search">
          {queue === undefined ? null : <input type="hidden" name="queue" value={queue.key} />}
          <input
            type="search"
            name="q"
            value={search.text}
            placeholder="message id, or a text in bodies"
            aria-label="Search messages"
            data-key="/"
            required
          />
          <button type="submit">Search</button>
        </form>
      </search>
      {queue === undefined ? null : (
        <p class="small">
          In <a href={queueHref(frame.base, queue.key)}>{queue.arn.name}</a> only.{' '}
          <a href={`${frame.base}/ops/search?${new URLSearchParams({ q: search.text })}`}>In all queues</a>
        </p>
      )}
      {byId === undefined ? null : <ById frame={frame} byId={byId} />}
      {search.text === '' || byId !== undefined ? null : step === undefined ? (
        <Announcement frame={frame} view={view} />
      ) : (
        <Result frame={frame} view={view} step={step} />
      )}
    </Page>
  );
}

function ById({ frame, byId }: { frame: PageFrame; byId: IdSearch }) {
  const { found, asked, queues } = byId;
  return (
    <>
      {found.length === 0 ? (
        <p id="none">No queue holds a message of this id: it was handled, deleted or moved, or removed by its age.</p>
      ) : (
        <ul id="found">
          {found.map((one) => (
            <FoundLine frame={frame} one={one} />
          ))}
        </ul>
      )}
      {asked < queues ? (
        <p class="quiet small">
          {count(asked)} of {count(queues)} queues were asked{found.length > 0 ? ', those with messages first' : ''}.
        </p>
      ) : null}
    </>
  );
}

function FoundLine({ frame, one: { queue, found } }: { frame: PageFrame; one: FoundInQueue }) {
  const state = isGivenUp(found) ? 'waits to be retried' : (found.state ?? 'waits in its group').replace('-', ' ');
  return (
    <li>
      <a href={messageHref(frame.base, queue.key, found)}>{found.id}</a> in{' '}
      <a href={queueHref(frame.base, queue.key)}>{queue.arn.name}</a>: {state}, sent <Time at={found.sentAt} />
    </li>
  );
}

/** What a step costs is said before anybody presses. */
function Announcement({ frame, view }: { frame: PageFrame; view: SearchView }) {
  const { queues, messages } = view;
  return (
    <div class="card" id="announcement">
      {queues === 0 ? (
        <p>No queue holds a message.</p>
      ) : (
        <>
          <p>
            {queues === 1 ? 'The queue holds' : `${count(queues)} queues hold`} about {count(messages)}{' '}
            {messages === 1 ? 'message' : 'messages'}. A text can only be found by reading them: a step reads up to{' '}
            {count(STEP.messages)} messages or {bytes(STEP.bytes)}, and stops after {STEP.hits} hits. It receives
            nothing.
          </p>
          <StepForm frame={frame} view={view} from={START} button="Read and search" />
        </>
      )}
    </div>
  );
}

function Result({ frame, view, step }: { frame: PageFrame; view: SearchView; step: SearchStep }) {
  const read = view.readBefore + step.messages;
  return (
    <>
      <p id="read">
        {step.hits.length === 0 ? 'No hit' : step.hits.length === 1 ? '1 hit' : `${count(step.hits.length)} hits`} in{' '}
        {count(step.messages)} {step.messages === 1 ? 'message' : 'messages'}, {bytes(step.bytes)}
        {view.readBefore === 0 ? '' : `; ${count(read)} were read in all`}.{' '}
        {step.next === undefined ? 'That was all.' : `There are more: about ${count(view.messages)} in all.`}
      </p>
      {step.hits.length === 0 ? null : (
        <Table
          id="hits"
          columns={['Queue', 'Message']}
          rows={step.hits.map(({ queue, hit }) => (
            <tr>
              <td>
                <a href={queueHref(frame.base, queue.key)}>{queue.arn.name}</a>
              </td>
              <td class="what">
                <a href={messageHref(frame.base, queue.key, hit)}>{hit.id}</a>{' '}
                <span class="quiet small">{bytes(hit.bytes)}</span>
                <div>
                  <code>
                    {hit.from > 0 ? '... ' : ''}
                    {printable(hit.line.replaceAll(/\s+/g, ' '), LONGEST_LINE)}
                  </code>
                </div>
              </td>
            </tr>
          ))}
        />
      )}
      {step.next === undefined ? null : (
        <StepForm frame={frame} view={view} from={step.next} read={read} button="Go on" />
      )}
    </>
  );
}

function StepForm(props: { frame: PageFrame; view: SearchView; from: string; read?: number; button: string }) {
  const { frame, view, from, read, button } = props;
  return (
    <form method="get" action={`${frame.base}/ops/search`} class="pager">
      <input type="hidden" name="q" value={view.search.text} />
      {view.queue === undefined ? null : <input type="hidden" name="queue" value={view.queue.key} />}
      <input type="hidden" name="from" value={from} />
      {read === undefined ? null : <input type="hidden" name="read" value={`${read}`} />}
      <button type="submit" class="main">
        {button}
      </button>
    </form>
  );
}
