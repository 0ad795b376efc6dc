import type { FunctionRow } from '../functions.ts';
import { Page, type PageFrame, queueHref } from './layout.tsx';

export function FunctionsPage(props: {
  frame: PageFrame;
  functions: readonly FunctionRow[];
  /** Why URLs may be missing. */
  hint?: string | undefined;
}) {
  const { frame, functions, hint } = props;
  return (
    <Page frame={frame} title="Functions">
      <h1>Functions</h1>
      {hint === undefined ? null : <p class="notice warn">{hint}</p>}
      <div class="scroll">
        <table id="functions">
          <thead>
            <tr>
              <th scope="col">Function</th>
              <th scope="col">Queues</th>
              <th scope="col">Function URL</th>
            </tr>
          </thead>
          <tbody>
            {functions.length === 0 ? (
              <tr>
                <td class="empty" colspan={3}>
                  No function is known.
                </td>
              </tr>
            ) : (
              functions.map((row) => (
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
                  <td>
                    {row.urls.length === 0 ? <span class="quiet wide">-</span> : null}
                    {row.urls.map((url) => (
                      <div>
                        <a href={url} rel="noreferrer">
                          {url}
                        </a>
                      </div>
                    ))}
                  </td>
                </tr>
              ))
            )}
          </tbody>
        </table>
      </div>
    </Page>
  );
}
