import { raw } from 'hono/html';
import type { QueueArn } from '../../queue/names.ts';
import { type LivePart, ROWS } from '../live.ts';
import type { Need } from '../needs.ts';
import {
  FILTERS,
  type MappingRow,
  ORDERS,
  type Overview,
  QUEUES_PER_PAGE,
  type QueueQuery,
  type QueueRow,
} from '../overview.ts';
import { Sparkline } from './charts.tsx';
import {
  ActivityTable,
  bytes,
  count,
  Delayed,
  Form,
  Mode,
  type Notice,
  needHref,
  Page,
  type PageFrame,
  Parts,
  Pause,
  part,
  queueHref,
  Table,
  Visible,
  Waits,
} from './layout.tsx';
import { SourcesSection } from './sources.tsx';

/** Events shown; the rest is on the pages of the queues. */
const SHOWN_EVENTS = 25;
/** Needs shown; whoever has more looks at these first. */
const SHOWN_NEEDS = 20;

export function OverviewPage(props: { frame: PageFrame; overview: Overview; notice?: Notice | undefined }) {
  const { frame, overview, notice } = props;
  const [needs, totals, ...rest] = overviewParts(frame, overview);
  return (
    <Page frame={frame} title="Queues" notice={notice} live={overviewHref('', overview.query)}>
      <div class="row">
        <h1>Queues</h1>
        {overview.sync === undefined ? null : (
          <Form frame={frame} action="/ops/sync">
            <button type="submit">Sync with {overview.sync.source}</button>
          </Form>
        )}
      </div>
      <Parts parts={[needs, totals]} />
      <QueueSearch frame={frame} overview={overview} />
      <Parts parts={rest} />
    </Page>
  );
}

/** What of the overview is kept fresh, in the order of the page. */
export function overviewParts(frame: PageFrame, overview: Overview): readonly LivePart[] {
  const recent = overview.recent.slice(0, SHOWN_EVENTS);
  return [
    part('needs', <Needs frame={frame} needs={overview.needs} />),
    part('totals', <Totals overview={overview} />),
    queueTable(frame, overview),
    part('mappings-part', <MappingTable frame={frame} overview={overview} />),
    part('sources-part', <SourcesSection base={frame.base} overview={overview} />),
    part(
      'activity',
      <>
        <h2>Recent activity</h2>
        <ActivityTable base={frame.base} activities={recent} empty={NOTHING_YET} />
      </>,
    ),
  ];
}

const NOTHING_YET = 'Nothing happened since this server began.';

function Needs({ frame, needs }: { frame: PageFrame; needs: readonly Need[] }) {
  if (needs.length === 0) return <p class="calm">Nothing needs you.</p>;
  return (
    <>
      <h2>Needs you</h2>
      <ul class="needs">
        {needs.slice(0, SHOWN_NEEDS).map((need) => (
          <li id={`need-${encodeURIComponent(need.id)}`} class={need.urgency === 'now' ? 'now' : 'soon'}>
            <span class="what">{need.text}</span>
            {need.resume === undefined ? null : (
              <Form frame={frame} action={`/ops/mappings/${encodeURIComponent(need.resume)}/resume`}>
                <button type="submit">Resume</button>
              </Form>
            )}
            {need.queue === undefined ? null : (
              <a
                href={needHref(frame.base, need.queue, need.kind)}
                aria-label={`Look at ${need.queue.split(':').at(-1)}`}
              >
                Look
              </a>
            )}
          </li>
        ))}
      </ul>
      {needs.length > SHOWN_NEEDS ? <p class="quiet small">and {count(needs.length - SHOWN_NEEDS)} more</p> : null}
    </>
  );
}

function Totals({ overview }: { overview: Overview }) {
  const { store, sync, totals, limits, commandsLately } = overview;
  const used = store.usedBytes === undefined ? undefined : bytes(store.usedBytes);
  const of = store.maxBytes === undefined ? '' : ` of ${bytes(store.maxBytes)}`;
  return (
    <>
      <div class="cards">
        <Card label="visible" value={count(totals.visible)} />
        <Card label="delayed" value={count(totals.delayed)} />
        <Card label="in flight" value={count(totals.inFlight)} />
        <Card label={`invokes, of ${count(limits.invokes.limit)}`} value={count(limits.invokes.running)} />
        {used === undefined ? null : <Card label={`${store.description}${of}`} value={used} />}
      </div>
      <p class="quiet small">
        {store.description === 'memory' ? `${store.warnings.map((text) => `Note: ${text}.`).join(' ')} ` : ''}
        {sync?.succeededAt === undefined ? '' : `Synced ${utc(sync.succeededAt)}. `}
        In memory: {bytes(limits.bytesInMemory.used)} of {bytes(limits.bytesInMemory.limit)}. Looking at pages cost{' '}
        {count(commandsLately)} {commandsLately === 1 ? 'command' : 'commands'} to the store in the last minute.
      </p>
    </>
  );
}

function utc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function Card({ label, value }: { label: string; value: string }) {
  return (
    <div class="card quiet">
      <b>{value}</b>
      {label}
    </div>
  );
}

const FILTER_NAMES: Readonly<Record<(typeof FILTERS)[number], string>> = {
  all: 'all',
  busy: 'not empty',
  failing: 'failing',
  held: 'held',
};
const ORDER_NAMES: Readonly<Record<(typeof ORDERS)[number], string>> = {
  name: 'name',
  messages: 'messages',
  waiting: 'longest wait',
};

/** The address of the overview with these queues; what is as by default is left out. */
function overviewHref(base: string, query: Partial<QueueQuery>): string {
  const { search = '', filter = 'all', stage = '', order = 'name', page = 1 } = query;
  const params = new URLSearchParams();
  if (search !== '') params.set('q', search);
  if (filter !== 'all') params.set('show', filter);
  if (stage !== '') params.set('stage', stage);
  if (order !== 'name') params.set('sort', order);
  if (page !== 1) params.set('page', `${page}`);
  const text = params.toString();
  return `${base}/ops${text === '' ? '' : `?${text}`}`;
}

function QueueSearch({ frame, overview }: { frame: PageFrame; overview: Overview }) {
  const { query, stages } = overview;
  return (
    <search>
      <form method="get" action={`${frame.base}/ops`} class="search">
        <input
          type="search"
          id="search"
          name="q"
          value={query.search}
          placeholder="queue, function, ARN or message id"
          aria-label="Search queues"
          data-key="/"
        />
        <select name="show" aria-label="Which queues" data-submit>
          {FILTERS.map((filter) => (
            <option value={filter} selected={filter === query.filter}>
              {FILTER_NAMES[filter]}
            </option>
          ))}
        </select>
        {stages.length < 2 ? null : (
          <select name="stage" aria-label="Stage" data-submit>
            <option value="">every stage</option>
            {stages.map((stage) => (
              <option value={stage} selected={stage === query.stage}>
                {stage}
              </option>
            ))}
          </select>
        )}
        <select name="sort" aria-label="Order" data-submit>
          {ORDERS.map((order) => (
            <option value={order} selected={order === query.order}>
              by {ORDER_NAMES[order]}
            </option>
          ))}
        </select>
        <button type="submit">Search</button>
      </form>
      {query.search.trim() === '' ? null : (
        <p class="small">
          <a href={`${frame.base}/ops/search?${new URLSearchParams({ q: query.search.trim() })}`}>
            Look for it in messages
          </a>
        </p>
      )}
    </search>
  );
}

function queueTable(frame: PageFrame, overview: Overview): LivePart {
  const { queues, queueCount, allQueues } = overview;
  const heading = queueCount === allQueues ? count(allQueues) : `${count(queueCount)} of ${count(allQueues)}`;
  const empty =
    allQueues === 0
      ? 'No queue yet. Deploy an event source mapping that is disabled and sync, or create a queue with CreateQueue.'
      : 'No queue fits.';
  const html = (
    <section id="queues-part">
      <h2>
        {heading} {allQueues === 1 ? 'queue' : 'queues'}
      </h2>
      <Table
        id="queues"
        columns={[
          'Queue',
          'Function',
          { text: 'Visible', number: true },
          { text: 'Delayed', number: true },
          { text: 'In flight', number: true },
          { text: 'Waits', number: true, title: 'How long the first message has waited, or when the next one is due' },
          { text: 'Last hour', title: 'Messages sent, handled and failed, in bars of three minutes' },
          'Dead letters go to',
        ]}
        rows={queues.length === 0 ? [] : [raw(ROWS)]}
        empty={empty}
      />
      <Pager frame={frame} overview={overview} />
    </section>
  );
  const rows = queues.map((row) => ({
    id: `queue-${row.queue.key}`,
    html: `${<QueueLine frame={frame} row={row} />}`,
  }));
  return { id: 'queues-part', html: `${html}`, ...(rows.length === 0 ? {} : { rows }) };
}

/** The account of a queue without a name of its own; account and region where there are several. */
function placeOf({ account, region }: QueueArn, { friendlyName, isOneOfScopes }: QueueRow): string | undefined {
  if (isOneOfScopes) return `${account} ${region}`;
  return friendlyName === undefined ? account : undefined;
}

function QueueLine({ frame, row }: { frame: PageFrame; row: QueueRow }) {
  const { key, arn, definition } = row.queue;
  const target = definition.attributes.redrivePolicy?.deadLetterTargetArn.split(':').at(-1);
  const origin = definition.origin === 'aws' ? '' : definition.origin === 'api' ? 'created here' : 'no longer in AWS';
  return (
    <tr id={`queue-${key}`}>
      <td>
        <a href={queueHref(frame.base, key)}>{arn.name}</a>
        <div class="quiet small">
          {[row.friendlyName, placeOf(arn, row), origin].filter((text) => text !== undefined && text !== '').join(', ')}
        </div>
        {row.deadLettersOf.length === 0 ? null : (
          <div class="quiet small">dead letters of {row.deadLettersOf.join(', ')}</div>
        )}
      </td>
      <td data-label="function ">
        {row.functions.length === 0 ? null : <div>{row.functions.join(', ')}</div>}
        <Mode row={row} />
        {row.failure === undefined ? null : <div class="bad small">the last batch failed</div>}
      </td>
      <td class="number" data-label="visible">
        <Visible row={row} />
      </td>
      <td class="number" data-label="delayed">
        <Delayed base={frame.base} row={row} />
      </td>
      <td class="number" data-label="in flight">
        {count(row.depth?.inFlight)}
      </td>
      <td class="number" data-label="waits">
        <Waits row={row} />
      </td>
      <td class="wide">{row.lastHour === undefined ? null : <Sparkline bars={row.lastHour} />}</td>
      {target === undefined ? <td class="quiet wide">-</td> : <td data-label="dead letters go to ">{target}</td>}
    </tr>
  );
}

function Pager({ frame, overview }: { frame: PageFrame; overview: Overview }) {
  const { query, queueCount } = overview;
  const pages = Math.max(1, Math.ceil(queueCount / QUEUES_PER_PAGE));
  if (pages === 1) return null;
  const href = (page: number): string => overviewHref(frame.base, { ...query, page });
  return (
    <nav class="row pager" aria-label="Pages of queues">
      {query.page > 1 ? <a href={href(query.page - 1)}>previous</a> : null}
      <span class="quiet">
        page {count(query.page)} of {count(pages)}
      </span>
      {query.page < pages ? <a href={href(query.page + 1)}>next</a> : null}
    </nav>
  );
}

function MappingTable({ frame, overview }: { frame: PageFrame; overview: Overview }) {
  return (
    <>
      <h2>
        {count(overview.mappings.length)} {overview.mappings.length === 1 ? 'mapping' : 'mappings'}
      </h2>
      <Table
        id="mappings"
        columns={[
          'Queue',
          'Function',
          'Batches',
          { text: 'Running', number: true, title: 'Batches on their way, and how many may be now' },
          { text: 'Polled', number: true, title: 'Messages since the server began' },
          { text: 'Invoked', number: true, title: 'Messages since the server began' },
          { text: 'Failed', number: true, title: 'Messages since the server began' },
          { text: 'Deleted', number: true, title: 'Messages since the server began' },
        ]}
        rows={overview.mappings.slice(0, QUEUES_PER_PAGE).map((row) => <MappingLine frame={frame} row={row} />)}
        empty="No function is invoked by this server."
      />
    </>
  );
}

function MappingLine({ frame, row }: { frame: PageFrame; row: MappingRow }) {
  const { counts } = row;
  return (
    <tr id={`mapping-${row.uuid}`}>
      <td>
        <a href={queueHref(frame.base, row.queueKey)}>{row.queueName}</a>
      </td>
      <td>
        <span title={row.functionArn}>{row.functionName}</span>
        <Pause frame={frame} row={row} />
      </td>
      <td class="small">{describeBatches(row)}</td>
      <td class="number" data-label="running">
        {count(row.running)}
        {row.concurrency === undefined ? null : <span class="quiet"> of {count(row.concurrency)}</span>}
      </td>
      <td class="number" data-label="polled">
        {count(counts?.PolledEventCount ?? 0)}
      </td>
      <td class="number" data-label="invoked">
        {count(counts?.InvokedEventCount ?? 0)}
      </td>
      <td class={(counts?.FailedInvokeEventCount ?? 0) > 0 ? 'number bad' : 'number'} data-label="failed">
        {count(counts?.FailedInvokeEventCount ?? 0)}
      </td>
      <td class="number" data-label="deleted">
        {count(counts?.DeletedEventCount ?? 0)}
      </td>
    </tr>
  );
}

function describeBatches(row: MappingRow): string {
  return [
    `up to ${row.batchSize}`,
    ...(row.batchWindowSeconds > 0 ? [`within ${row.batchWindowSeconds} s`] : []),
    ...(row.maximumConcurrency === undefined ? [] : [`${row.maximumConcurrency} at a time`]),
    ...(row.filters > 0 ? [row.filters === 1 ? '1 filter' : `${row.filters} filters`] : []),
  ].join(', ');
}
