import { nameOf } from '../activity.ts';
import { age } from '../needs.ts';
import { breakEven, DEFAULT_MACHINE, DEFAULT_PRICE, idleCost, idleLines, POLLERS, scopesIn } from '../savings.ts';
import type { SystemView } from '../system.ts';
import { bytes, count, Page, type PageFrame, Table, Time } from './layout.tsx';

/** The server itself: for whoever asks what runs here, with which settings, and whether it pays. */
export function SystemPage({ frame, view }: { frame: PageFrame; view: SystemView }) {
  return (
    <Page frame={frame} title="System">
      <h1>System</h1>
      <div class="panels">
        <section class="card">
          <h2>Server</h2>
          <dl>
            <dt>Version</dt>
            <dd>
              {view.version}, Node {view.node}
            </dd>
            <dt>Region</dt>
            <dd>{view.region}</dd>
            <dt>Runs for</dt>
            <dd>{age(view.uptimeSeconds * 1000)}</dd>
            <dt>Memory</dt>
            <dd>{bytes(view.residentBytes)} resident</dd>
            <dt>Servers on this store</dt>
            <dd>{view.instances.length === 0 ? 'this one' : count(view.instances.length)}</dd>
          </dl>
        </section>
        <Store view={view} />
        <Savings view={view} />
        <LastSync view={view} />
      </div>
      <Scopes view={view} />
      <SavingsByStage view={view} />
      <Tokens view={view} />
      <Credentials view={view} />
      <h2>Settings</h2>
      <p class="quiet small">As this process reads them. Secrets are only said to be set.</p>
      <div class="card">
        <dl>
          {view.settings.map(({ name, value }) => (
            <>
              <dt>{name}</dt>
              <dd class={value.startsWith('not set') || value.startsWith('set;') ? 'quiet' : ''}>{value}</dd>
            </>
          ))}
        </dl>
      </div>
    </Page>
  );
}

function Store({ view }: { view: SystemView }) {
  const { store } = view;
  return (
    <section class="card">
      <h2>Store</h2>
      <dl>
        <dt>Kind</dt>
        <dd>{store.description}</dd>
        <dt>Reachable</dt>
        <dd class={store.reachable ? '' : 'bad'}>{store.reachable ? 'yes' : 'no'}</dd>
        {store.usedBytes === undefined ? null : (
          <>
            <dt>Memory</dt>
            <dd>
              {bytes(store.usedBytes)}
              {store.maxBytes === undefined ? ', no limit set' : ` of ${bytes(store.maxBytes)}`}
            </dd>
          </>
        )}
        <dt>Looking costs</dt>
        <dd>{count(view.commandsLately)} commands in the last minute</dd>
      </dl>
      {store.warnings.map((warning) => (
        <p class="warn small">{warning}</p>
      ))}
    </section>
  );
}

function Savings({ view }: { view: SystemView }) {
  const [most, least] = POLLERS.map((pollers) => idleCost(view.idleQueues, pollers));
  return (
    <section class="card">
      <h2>Savings</h2>
      <p>
        Polling {count(view.idleQueues)} {view.idleQueues === 1 ? 'queue' : 'queues'} would cost ${least?.toFixed(2)} to
        ${most?.toFixed(2)} a month; this machine costs about ${DEFAULT_MACHINE.toFixed(2)}.
      </p>
      <p class="quiet small">
        Assumed: all of them idle, {POLLERS[1]} to {POLLERS[0]} pollers each that long-poll for 20 s, $
        {DEFAULT_PRICE.toFixed(2)} per million requests, the first million free, and no other queues of the account; the
        smallest machine of Fly.io and a Redis that costs nothing. <code>karin cost</code> computes with your prices.
      </p>
    </section>
  );
}

/** Shown where there are several: of one, the last sync tells all. */
function Scopes({ view }: { view: SystemView }) {
  if (view.scopes.length < 2) return null;
  return (
    <>
      <h2>Accounts and regions</h2>
      <Table
        id="scopes"
        columns={['Account', 'Region', { text: 'Mappings served', number: true }, 'Read', 'Failed']}
        rows={view.scopes.map(({ account, region, mappings, syncedAt, failure }) => (
          <tr>
            <td>{account ?? "the server's own"}</td>
            <td>{region}</td>
            <td class="number" data-label="mappings served">
              {mappings === undefined ? '-' : count(mappings)}
            </td>
            <td data-label="read ">
              {syncedAt === undefined ? 'not since this process began' : <Time at={Date.parse(syncedAt)} />}
            </td>
            <td class={failure === undefined ? '' : 'bad'} data-label="failed ">
              {failure ?? 'no'}
            </td>
          </tr>
        ))}
      />
    </>
  );
}

function SavingsByStage({ view }: { view: SystemView }) {
  if (view.idleBy.length < 2) return null;
  const scopes = scopesIn(view.idleBy);
  const [most, least] = POLLERS.map((pollers) => breakEven(pollers, DEFAULT_MACHINE, DEFAULT_PRICE, scopes));
  return (
    <>
      <h2>What polling would cost, by account, region and stage</h2>
      <Table
        id="idle-by-stage"
        columns={['Account', 'Region', 'Stage', { text: 'Queues', number: true }, { text: 'A month', number: true }]}
        rows={idleLines(view.idleBy).map(({ account, region, stage, queues, costs, isSum }) => (
          <tr>
            <td class={isSum ? 'quiet' : ''}>{account}</td>
            <td class={isSum ? 'quiet' : ''}>{region}</td>
            <td class={isSum ? 'quiet' : ''}>{stage}</td>
            <td class="number" data-label="queues">
              {count(queues)}
            </td>
            <td class="number" data-label="a month">
              {[...costs]
                .reverse()
                .map((cost) => `$${cost.toFixed(2)}`)
                .join(' to ')}
            </td>
          </tr>
        ))}
      />
      <p class="quiet small">
        This server breaks even at {most} to {least} queues
        {scopes === 1 ? '' : ` in each of its ${count(scopes)} accounts and regions`}.
      </p>
    </>
  );
}

function LastSync({ view }: { view: SystemView }) {
  const { sync } = view;
  if (sync === undefined) return null;
  const lastReport = sync.report;
  const changes = lastReport === undefined ? [] : (['added', 'changed', 'removed', 'broken', 'leftAlone'] as const);
  return (
    <section class="card">
      <h2>Last sync</h2>
      <dl>
        <dt>Source</dt>
        <dd>{sync.source}</dd>
        <dt>Succeeded</dt>
        <dd>{sync.succeededAt === undefined ? 'not since this process began' : <Time at={sync.succeededAt} />}</dd>
        {sync.failure === undefined ? null : (
          <>
            <dt>Failed</dt>
            <dd class="bad">{sync.failure.message}</dd>
          </>
        )}
        {changes.map((change) => (
          <>
            <dt>{change === 'leftAlone' ? 'left alone' : change}</dt>
            <dd>
              {lastReport?.[change].length === 0
                ? 'none'
                : lastReport?.[change]
                    .map(({ queueArn, functionArn }) => `${queueArn.split(':').at(-1)} to ${nameOf(functionArn)}`)
                    .join(', ')}
            </dd>
          </>
        ))}
        {lastReport === undefined ? null : (
          <>
            <dt>unchanged</dt>
            <dd>{count(lastReport.unchanged)}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

/** Of the configuration: operators, access keys, tokens. */
function Credentials({ view }: { view: SystemView }) {
  if (view.credentials.length === 0) return null;
  return (
    <>
      <h2>Credentials of the configuration</h2>
      <Table
        id="credentials"
        columns={['Kind', 'Name', 'May', 'Queues', 'Last used']}
        rows={view.credentials.map(({ kind, name, may, queues, lastUsedAt }) => (
          <tr>
            <td>{kind}</td>
            <td>
              <code>{name}</code>
            </td>
            <td>{may}</td>
            <td>{queues}</td>
            <td>{lastUsedAt === undefined ? '-' : <Time at={lastUsedAt} />}</td>
          </tr>
        ))}
      />
      <p class="quiet small">Uses on other servers, and those before a crash, may be known up to six hours late.</p>
    </>
  );
}

function Tokens({ view }: { view: SystemView }) {
  return (
    <>
      <h2>Capabilities</h2>
      <Table
        id="tokens"
        columns={['Id', 'Name', 'May', 'Queues', 'Made', 'Ends', 'Last used']}
        rows={view.tokens.map(({ id, name, grant, createdAt, expiresAt, lastUsedAt }) => (
          <tr>
            <td>
              <code>{id}</code>
            </td>
            <td>{name ?? '-'}</td>
            <td>{grant.scopes.join(', ')}</td>
            <td>{grant.queues.join(', ')}</td>
            <td>{createdAt === 0 ? '-' : <Time at={createdAt} />}</td>
            <td>{expiresAt === undefined ? 'never' : <Time at={expiresAt} />}</td>
            <td>{lastUsedAt === undefined ? '-' : <Time at={lastUsedAt} />}</td>
          </tr>
        ))}
        empty={
          <>
            No token was made by command. <code>karin token create</code> makes one.
          </>
        }
      />
    </>
  );
}
