import type { Activity } from '../activity.ts';
import { Time } from './layout.tsx';
import { queueHref } from './queue-state.tsx';

/** Events, newest first. */
export function ActivityTable(props: { base: string; activities: readonly Activity[]; empty: string }) {
  return (
    <div class="scroll">
      <table>
        <tbody>
          {props.activities.length === 0 ? (
            <tr>
              <td class="empty">{props.empty}</td>
            </tr>
          ) : (
            props.activities.map((activity) => (
              <tr>
                <td class="quiet small">
                  <Time at={activity.at} />
                </td>
                <td>
                  <a href={queueHref(props.base, activity.queue)}>{activity.queue.split(':').at(-1)}</a>
                </td>
                <td class={activity.level === 'info' ? '' : activity.level}>{activity.text}</td>
              </tr>
            ))
          )}
        </tbody>
      </table>
    </div>
  );
}
