import type { FunctionActions } from '../function-actions.ts';
import type { FunctionRow } from '../functions.ts';
import { Form, type Notice, Page, type PageFrame, queueHref, Table, Time } from './layout.tsx';

export function FunctionsPage(props: {
  frame: PageFrame;
  functions: readonly FunctionRow[];
  actions: Pick<FunctionActions, 'checkOf' | 'logsUntil'>;
  notice?: Notice | undefined;
  /** Why URLs may be missing. */
  hint?: string | undefined;
}) {
  const { frame, functions, actions, notice, hint } = props;
  const invoked = functions.some(({ queues }) => queues.length > 0);
  return (
    <Page frame={frame} title="Functions" notice={notice}>
      <h1>Functions</h1>
      {hint === undefined ? null : <p class="notice warn">{hint}</p>}
      {invoked ? (
        <Form frame={frame} action="/functions/check">
          <button type="submit">Check permissions</button>{' '}
          <span class="quiet small">asks Lambda with a dry run of each function; none of them runs</span>
        </Form>
      ) : null}
      <Table
        id="functions"
        columns={['Function', 'Queues', 'Permission', 'Log', 'Function URL']}
        rows={functions.map((row) => <Row frame={frame} row={row} actions={actions} />)}
        empty="No function is known."
      />
    </Page>
  );
}

function Row({
  frame,
  row,
  actions,
}: {
  frame: PageFrame;
  row: FunctionRow;
  actions: Pick<FunctionActions, 'checkOf' | 'logsUntil'>;
}) {
  return (
    <tr>
      <td>
        <span title={row.arn}>{row.name}</span>
      </td>
      <td>
        {row.queues.map((queue) => (
          <div>
            <a href={queueHref(frame.base, queue.key)}>{queue.name}</a>
          </div>
        ))}
      </td>
      <td data-label="permission">
        <Permission row={row} actions={actions} />
      </td>
      <td data-label="log">
        {row.queues.length === 0 ? <Nothing /> : <Log frame={frame} row={row} actions={actions} />}
      </td>
      <td>
        {row.urls.length === 0 ? <Nothing /> : null}
        {row.urls.map((url) => (
          <div>
            <a href={url} rel="noreferrer">
              {url}
            </a>
          </div>
        ))}
      </td>
    </tr>
  );
}

function Nothing() {
  return <span class="quiet wide">-</span>;
}

function Permission({ row, actions }: { row: FunctionRow; actions: Pick<FunctionActions, 'checkOf'> }) {
  const check = actions.checkOf(row.arn);
  if (check === undefined) return row.queues.length === 0 ? <Nothing /> : <span class="quiet small">not checked</span>;
  return (
    <>
      {check.may ? <span class="good">may be invoked</span> : <span class="bad">{check.why}</span>}
      <div class="quiet small">
        <Time at={check.at} />
      </div>
    </>
  );
}

/** Beside the logs that are kept by themselves, of messages that come again. */
function Log({
  frame,
  row,
  actions,
}: {
  frame: PageFrame;
  row: FunctionRow;
  actions: Pick<FunctionActions, 'logsUntil'>;
}) {
  const until = actions.logsUntil(row.arn);
  if (until !== undefined) {
    return (
      <span class="small">
        kept with each failure until <Time at={until} />
      </span>
    );
  }
  return (
    <Form frame={frame} action="/functions/log-tails">
      <input type="hidden" name="function" value={row.arn} />
      <button type="submit" title="Its log is kept with each message on which it fails, not only when that comes again">
        Keep logs for 10 minutes
      </button>
    </Form>
  );
}
