import type { SubscriptionState } from '../../http/ingest/sources.ts';
import type { SourceKind } from '../../sqs/request.ts';
import type { Overview } from '../overview.ts';
import { count, queueHref, Table, Time } from './layout.tsx';

const SENDERS: Readonly<Record<SourceKind, string>> = {
  sdk: 'the SQS API',
  page: 'this page',
  ingest: 'the ingest endpoint',
  eventbridge: 'EventBridge',
  sns: 'SNS',
};

const STATES: Readonly<Record<SubscriptionState, string>> = {
  waiting: 'waits for confirmation',
  confirmed: 'confirmed',
  ended: 'has ended: messages of this topic no longer come',
};

/** Rows shown of the busiest senders. */
const SHOWN = 50;

/**
 * Where messages come from, subscriptions to topics, and deliveries that were refused; each only where there is
 * something to say.
 */
export function SourcesSection({ base, overview }: { base: string; overview: Overview }) {
  const { counts, subscriptions, refused } = overview;
  const busiest = counts.toSorted((a, b) => b.messages - a.messages).slice(0, SHOWN);
  return (
    <>
      {busiest.length === 0 ? null : (
        <>
          <h2>Where messages come from</h2>
          <Table
            id="sources"
            columns={['Queue', 'From', { text: 'Messages, since the server began', number: true }]}
            rows={busiest.map(({ queue, kind, name, messages }) => (
              <tr>
                <td>
                  <a href={queueHref(base, queue)}>{queueName(queue)}</a>
                </td>
                <td>
                  {SENDERS[kind]}
                  {name === undefined ? null : <span class="quiet small"> {name}</span>}
                </td>
                <td class="number" data-label="messages">
                  {count(messages)}
                </td>
              </tr>
            ))}
          />
        </>
      )}
      {subscriptions.length === 0 ? null : (
        <>
          <h2>Subscriptions to SNS topics</h2>
          <Table
            id="subscriptions"
            columns={['Queue', 'Topic', 'State']}
            rows={subscriptions.map(({ queue, topic, state, since }) => (
              <tr>
                <td>{queueName(queue)}</td>
                <td>{topic}</td>
                <td class={state === 'confirmed' ? '' : 'warn'}>
                  {STATES[state]}
                  <span class="quiet small">
                    {' '}
                    <Time at={since} />
                  </span>
                </td>
              </tr>
            ))}
          />
        </>
      )}
      {refused.length === 0 ? null : (
        <>
          <h2>Refused deliveries</h2>
          <Table
            id="refused"
            class="activity"
            columns={['Time, UTC', 'Queue', 'Answer']}
            rows={refused.map(({ at, queue, status, text }) => (
              <tr>
                <td>
                  <Time at={at} />
                </td>
                <td>{queue.split('/').at(-1)}</td>
                <td class={status < 500 && status !== 429 ? 'bad' : ''}>
                  {status}: {text}
                </td>
              </tr>
            ))}
          />
        </>
      )}
    </>
  );
}

function queueName(key: string): string {
  return key.slice(key.lastIndexOf(':') + 1);
}
