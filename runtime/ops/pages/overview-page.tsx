import { type MappingRow, type Overview, QUEUES_PER_PAGE, type QueueRow } from '../overview.ts';
import {
  ActivityTable,
  bytes,
  count,
  Form,
  Mode,
  type Notice,
  Page,
  type PageFrame,
  Pause,
  queueHref,
  Visible,
} from './layout.tsx';
import { SourcesSection } from './sources.tsx';

/** Events shown; the rest is on the pages of the queues. */
const SHOWN_EVENTS = 25;

export function OverviewPage(props: { frame: PageFrame; overview: Overview; notice?: Notice | undefined }) {
  const { frame, overview, notice } = props;
  return (
    <Page frame={frame} title="Queues" notice={notice}>
      <div class="row">
        <h1>Queues</h1>
        {overview.sync === undefined ? null : (
          <Form frame={frame} action="/ops/sync">
            <button type="submit">Sync with {overview.sync.source}</button>
          </Form>
        )}
      </div>
      <div id="live" data-live>
        <Troubles overview={overview} />
        <Cards overview={overview} />
        <QueueTable frame={frame} overview={overview} />
        <MappingTable frame={frame} overview={overview} />
        <SourcesSection base={frame.base} overview={overview} />
        <h2>Recent activity</h2>
        <ActivityTable
          base={frame.base}
          activities={overview.recent.slice(0, SHOWN_EVENTS)}
          empty="Nothing happened since the server began."
        />
      </div>
    </Page>
  );
}

function Troubles({ overview }: { overview: Overview }) {
  const failure = overview.sync?.failure;
  const reasons = failure === undefined ? overview.readiness.reasons : [...overview.readiness.reasons, failure.message];
  const notes = [...overview.store.warnings, ...overview.problems];
  return (
    <>
      <List kind="bad" title="Not as it should be" texts={reasons} />
      <List
        kind="bad"
        title="Mappings that cannot be served"
        texts={overview.broken.map(({ name, queueName, reason }) => `${queueName} -> ${name}: ${reason}`)}
      />
      <List
        kind="warn"
        title="Warnings"
        texts={overview.warnings.map((warning) => `${warning.queue.split(':').at(-1)}: ${warning.text}`)}
      />
      <List kind="warn" title="Good to know" texts={notes} />
    </>
  );
}

function List(props: { kind: 'bad' | 'warn'; title: string; texts: readonly string[] }) {
  if (props.texts.length === 0) return null;
  return (
    <div class={`notice ${props.kind}`}>
      <b>{props.title}</b>
      <ul>
        {props.texts.map((text) => (
          <li>{text}</li>
        ))}
      </ul>
    </div>
  );
}

function Cards({ overview }: { overview: Overview }) {
  const total = (pick: (row: QueueRow) => number | undefined): number =>
    overview.queues.reduce((sum, row) => sum + (pick(row) ?? 0), 0);
  const { store, sync } = overview;
  return (
    <div class="cards">
      <Card label="visible" value={count(total((row) => row.depth?.visible))} />
      <Card label="delayed" value={count(total((row) => row.depth?.delayed))} />
      <Card label="in flight" value={count(total((row) => row.depth?.inFlight))} />
      <Card label="mappings served" value={count(overview.mappings.length)} />
      <Card
        label={`invokes, of ${count(overview.limits.invokes.limit)}`}
        value={count(overview.limits.invokes.running)}
      />
      <Card
        label={`in memory, of ${bytes(overview.limits.bytesInMemory.limit)}`}
        value={bytes(overview.limits.bytesInMemory.used)}
      />
      {store.usedBytes === undefined ? null : (
        <Card
          label={`${store.description}${store.maxBytes === undefined ? '' : `, of ${bytes(store.maxBytes)}`}`}
          value={bytes(store.usedBytes)}
        />
      )}
      {sync?.succeededAt === undefined ? null : (
        <div class="card quiet">
          <b>{new Date(sync.succeededAt).toISOString().slice(11, 19)}</b>
          synced {new Date(sync.succeededAt).toISOString().slice(0, 10)} UTC
        </div>
      )}
    </div>
  );
}

function Card({ label, value }: { label: string; value: string }) {
  return (
    <div class="card quiet">
      <b>{value}</b>
      {label}
    </div>
  );
}

function QueueTable({ frame, overview }: { frame: PageFrame; overview: Overview }) {
  const { queues, queueCount, page, search } = overview;
  const searchable = queueCount > QUEUES_PER_PAGE || search !== '' || page > 1;
  return (
    <>
      <h2>
        {count(queueCount)} {queueCount === 1 ? 'queue' : 'queues'}
      </h2>
      {searchable ? <Pager frame={frame} overview={overview} /> : null}
      <div class="scroll">
        <table id="queues">
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col">Mode</th>
              <th scope="col" class="number">
                Visible
              </th>
              <th scope="col" class="number">
                Delayed
              </th>
              <th scope="col" class="number">
                In flight
              </th>
              <th scope="col">Dead letters go to</th>
            </tr>
          </thead>
          <tbody>
            {queues.length === 0 ? (
              <tr>
                <td class="empty" colspan={6}>
                  {search === ''
                    ? 'No queue yet. Deploy an event source mapping that is disabled and sync, or create a queue with CreateQueue.'
                    : 'No queue has this in its name.'}
                </td>
              </tr>
            ) : (
              queues.map((row) => <QueueLine frame={frame} row={row} />)
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}

function QueueLine({ frame, row }: { frame: PageFrame; row: QueueRow }) {
  const { key, arn, definition } = row.queue;
  const target = definition.attributes.redrivePolicy?.deadLetterTargetArn.split(':').at(-1);
  return (
    <tr>
      <td>
        <a href={queueHref(frame.base, key)}>{arn.name}</a>
        <div class="quiet small">
          {arn.account}
          {definition.origin === 'aws' ? '' : `, ${definition.origin === 'api' ? 'created here' : 'no longer in AWS'}`}
        </div>
        {row.deadLettersOf.length === 0 ? null : (
          <div class="quiet small">dead letters of {row.deadLettersOf.join(', ')}</div>
        )}
      </td>
      <td>
        <Mode row={row} />
      </td>
      <td class="number" data-label="visible">
        <Visible row={row} />
      </td>
      <td class="number" data-label="delayed">
        {count(row.depth?.delayed)}
      </td>
      <td class="number" data-label="in flight">
        {count(row.depth?.inFlight)}
      </td>
      {target === undefined ? <td class="quiet wide">-</td> : <td data-label="dead letters go to ">{target}</td>}
    </tr>
  );
}

function Pager({ frame, overview }: { frame: PageFrame; overview: Overview }) {
  const { page, search, queueCount } = overview;
  const href = (to: number): string => `${frame.base}/ops?${new URLSearchParams({ q: search, page: `${to}` })}`;
  return (
    <form method="get" action={`${frame.base}/ops`} class="row">
      <input type="search" name="q" value={search} placeholder="part of a name" aria-label="Search queues" />
      <button type="submit">Search</button>
      {page > 1 ? <a href={href(page - 1)}>previous</a> : null}
      {page * QUEUES_PER_PAGE < queueCount ? <a href={href(page + 1)}>next</a> : null}
    </form>
  );
}

function MappingTable({ frame, overview }: { frame: PageFrame; overview: Overview }) {
  return (
    <>
      <h2>
        {count(overview.mappings.length)} {overview.mappings.length === 1 ? 'mapping' : 'mappings'}
      </h2>
      <div class="scroll">
        <table id="mappings">
          <thead>
            <tr>
              <th scope="col">Queue</th>
              <th scope="col">Function</th>
              <th scope="col">Batches</th>
              <th scope="col" class="number" title="Batches on their way, and how many may be now">
                Running
              </th>
              <th scope="col" class="number" title="Messages since the server began">
                Polled
              </th>
              <th scope="col" class="number" title="Messages since the server began">
                Invoked
              </th>
              <th scope="col" class="number" title="Messages since the server began">
                Failed
              </th>
              <th scope="col" class="number" title="Messages since the server began">
                Deleted
              </th>
            </tr>
          </thead>
          <tbody>
            {overview.mappings.length === 0 ? (
              <tr>
                <td class="empty" colspan={8}>
                  No function is invoked by this server.
                </td>
              </tr>
            ) : (
              overview.mappings.map((row) => <MappingLine frame={frame} row={row} />)
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}

function MappingLine({ frame, row }: { frame: PageFrame; row: MappingRow }) {
  const { counts } = row;
  return (
    <tr>
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
