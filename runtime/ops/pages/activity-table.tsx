import type { Activity } from '../activity.ts';
import { Time } from './layout.tsx';
import { queueHref } from './queue-state.tsx';

/** Events, newest first. `ofOneQueue`: the page has said which. */
export function ActivityTable(props: {
  base: string;
  activities: readonly Activity[];
  empty: string;
  ofOneQueue?: boolean;
}) {
  const { base, activities, ofOneQueue = false } = props;
  return (
    <div class="scroll">
      <table class="activity">
        <thead>
          <tr>
            <th scope="col">Time, UTC</th>
            {ofOneQueue ? null : <th scope="col">Queue</th>}
            <th scope="col">What happened</th>
          </tr>
        </thead>
        <tbody>
          {activities.length === 0 ? (
            <tr>
              <td class="empty" colspan={ofOneQueue ? 2 : 3}>
                {props.empty}
              </td>
            </tr>
          ) : (
            activities.map((activity) => (
              <tr>
                <td class="quiet small">
                  <Time at={activity.at} />
                </td>
                {ofOneQueue ? null : (
                  <td>
                    <a href={queueHref(base, activity.queue)}>{activity.queue.split(':').at(-1)}</a>
                  </td>
                )}
                <td class={activity.level === 'info' ? 'what' : `what ${activity.level}`}>{activity.text}</td>
              </tr>
            ))
          )}
        </tbody>
      </table>
    </div>
  );
}
