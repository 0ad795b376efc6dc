import type { PastFailure } from '../../queue/failure.ts';
import type { MessageAttribute } from '../../queue/message.ts';
import type { BrowsedMessage, FoundMessage } from '../../queue/queue.ts';
import type { MessageName, QueueKey } from '../../store/store.ts';
import { logsHref } from '../logs-link.ts';
import { bytes, count, messageHref, type PageFrame, printable, queueHref, Table, Time } from './layout.tsx';
/** Messages that a page shows. */
export const SHOWN_MESSAGES = 20;
/** Bytes of records that a look reads for them: a page shows the beginning of each, and its own page shows the rest. */
export const SHOWN_BYTES = 524_288;
/** Characters of a body in its line, and when it is opened. */
const PREVIEW = 100;
const OPENED = 16_384;

const STATES: Readonly<Record<BrowsedMessage['state'], { readonly text: string; readonly until: string }>> = {
  visible: { text: 'visible', until: '' },
  delayed: { text: 'delayed', until: 'due in' },
  'in-flight': { text: 'in flight', until: 'back in' },
};

/**
 * The first messages of a queue. `messages` absent: nobody asked yet, for a look costs the store some commands and
 * shows what others wrote.
 */
export function Messages(props: {
  frame: PageFrame;
  queueKey: QueueKey;
  /** How often they were looked at before. */
  looks: number;
  messages?: readonly BrowsedMessage[] | undefined;
  /** Messages that the queue holds, in all; absent: unknown. */
  held: number | undefined;
}) {
  const { frame, queueKey, looks, messages, held = 0 } = props;
  const leftOut = messages === undefined ? 0 : held - messages.length;
  // Another address each time: a browser that is sent to the same place of the same page only scrolls.
  const look = `${queueHref(frame.base, queueKey)}?messages=${looks + 1}#messages`;
  return (
    <>
      <div class="row heading">
        <h2 id="messages">Messages</h2>
        <a href={`${frame.base}/ops/search?${new URLSearchParams({ queue: queueKey })}`}>Search</a>
        <a href={look}>{messages === undefined ? `Look at the first ${SHOWN_MESSAGES}` : 'Look again'}</a>
      </div>
      {messages === undefined ? (
        <p class="quiet small">
          Looking changes nothing: consumers still see every message, and no receive count grows.
        </p>
      ) : (
        <Table
          id="first-messages"
          columns={['Sent, UTC', 'State', { text: 'Receives', number: true }, 'Message']}
          rows={messages.map((message) => <Line base={frame.base} queueKey={queueKey} message={message} />)}
          empty="There is none."
        />
      )}
      {leftOut <= 0 ? null : (
        <p class="quiet small" id="left-out">
          {count(leftOut)} more are not shown: a look reads {SHOWN_MESSAGES} messages, and no more than{' '}
          {bytes(SHOWN_BYTES)} of them.
        </p>
      )}
    </>
  );
}

function Line(props: { base: string; queueKey: QueueKey; message: BrowsedMessage }) {
  const { base, queueKey, message: seen } = props;
  const { text, until } = STATES[seen.state];
  return (
    <tr>
      <td class="quiet small">
        <Time at={seen.sentAt} />
        <OpenMessage base={base} queueKey={queueKey} name={seen} />
      </td>
      <td class="state-of">
        {text}
        {until === '' ? null : (
          <div class="quiet small">
            {until} {count(Math.ceil(seen.dueInMs / 1000))} s
          </div>
        )}
      </td>
      <td class="number" data-label="receives">
        {count(seen.receiveCount)}
      </td>
      <td class="what">
        {seen.message === undefined ? (
          <span class="bad">stored by another version of Karin, which can read it</span>
        ) : (
          <Content seen={seen} message={seen.message} />
        )}
      </td>
    </tr>
  );
}

export function Content({
  seen,
  message,
}: {
  seen: Pick<FoundMessage, 'id' | 'sequenceNumber' | 'failure'>;
  message: NonNullable<FoundMessage['message']>;
}) {
  const { body, attributes } = message;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Message id', seen.id],
    ['Size', `${bytes(Buffer.byteLength(body))} of body`],
    ['Sender', message.senderId],
    ['Message group', message.groupId],
    ['Deduplication id', message.deduplicationId],
    ['Sequence number', seen.sequenceNumber],
    ['Dead letter of', message.deadLetterSourceArn?.split(':').at(-1)],
    ['Trace header', message.traceHeader],
    ...Object.entries(attributes).map(([name, attribute]) => [name, describe(attribute)] as const),
  ];
  return (
    <details>
      <summary>
        <code>{printable(body.slice(0, PREVIEW + 1).replaceAll(/\s+/g, ' '), PREVIEW)}</code>
        {seen.failure === undefined ? null : <div class="bad small">{printable(firstLine(seen.failure), PREVIEW)}</div>}
      </summary>
      {seen.failure === undefined ? null : <WhyItFailed failure={seen.failure} />}
      {/* A long body must be scrolled by keyboard as well. */}
      <pre tabindex={0}>{printable(body, OPENED)}</pre>
      {body.length > OPENED ? (
        <p class="quiet small">{count(body.length - OPENED)} more characters are not shown.</p>
      ) : null}
      <dl class="small">
        {facts.map(([name, value]) =>
          value === undefined ? null : (
            <>
              <dt>{printable(name, PREVIEW)}</dt>
              <dd>{printable(value, PREVIEW * 2)}</dd>
            </>
          ),
        )}
      </dl>
    </details>
  );
}

/** Leads from a list to the page of a message. */
export function OpenMessage(props: { base: string; queueKey: QueueKey; name: MessageName }) {
  const { base, queueKey, name } = props;
  return (
    <div class="small">
      <a href={messageHref(base, queueKey, name)} aria-label={`Open message ${name.id}`}>
        {name.id.slice(0, 8)}
      </a>
    </div>
  );
}

function firstLine({ errorType, message }: PastFailure): string {
  return `${errorType}: ${message}`.split('\n', 1)[0] ?? '';
}

export function WhyItFailed({ failure }: { failure: PastFailure }) {
  const { at, attempt, durationMs, functionArn, requestId, message, errorType, trace, logTail } = failure;
  const logs = logsHref(failure);
  return (
    <section class="failure">
      <p class="small">
        <b class="bad">Delivery {count(attempt)} failed</b> at <Time at={at} /> UTC after {count(durationMs)} ms in{' '}
        <span title={functionArn}>{printable(functionNameOf(functionArn), PREVIEW)}</span>
        {requestId === undefined ? null : (
          <>
            , request <code>{printable(requestId, PREVIEW)}</code>
          </>
        )}
        {logs === undefined ? null : (
          <>
            {' '}
            (<a href={logs}>CloudWatch Logs</a>)
          </>
        )}
      </p>
      <pre tabindex={0}>
        {printable(`${errorType}: ${message}${trace === undefined ? '' : `\n\n${trace}`}`, OPENED)}
      </pre>
      {logTail === undefined ? null : (
        <>
          <p class="small">The end of its log:</p>
          <pre class="log" tabindex={0}>
            {printable(logTail, OPENED)}
          </pre>
        </>
      )}
    </section>
  );
}

function functionNameOf(functionArn: string): string {
  return functionArn.split(':')[6] ?? functionArn;
}

function describe(attribute: MessageAttribute): string {
  if ('stringValue' in attribute) return `${attribute.stringValue} (${attribute.dataType})`;
  return `${bytes(attribute.binaryValue.length)}: ${Buffer.from(attribute.binaryValue).toString('base64')} (${attribute.dataType})`;
}
