import type { Child } from 'hono/jsx';
import type { MessageAttribute } from '../../queue/message.ts';
import { isGivenUp } from '../../queue/messages.ts';
import type { FoundMessage, Queue } from '../../queue/queue.ts';
import type { FormFields } from '../actions.ts';
import type { Activity } from '../activity.ts';
import { formattedJson, fromBase64, hexDump, textOf } from '../body-views.ts';
import { LONGEST_EDITED, MESSAGE_ACTIONS, type MessageActionName } from '../message-actions.ts';
import {
  bytes,
  count,
  Form,
  messageHref,
  type Notice,
  Page,
  type PageFrame,
  printable,
  queueHref,
  Table,
  Time,
} from './layout.tsx';
import { WhyItFailed } from './messages.tsx';

/** Characters of a body that the page shows, raw and formatted; the rest is in the download. */
const SHOWN = 65_536;
/** Bytes that a dump shows. */
const DUMPED = 4_096;
const LONGEST_VALUE = 2_000;

/** What the page of one message shows. */
export interface MessageView {
  readonly queue: Queue;
  readonly id: string;
  /** Absent: it is not in the queue. */
  readonly found?: FoundMessage;
  /** What this server did with it lately, oldest first. */
  readonly events: readonly Activity[];
  /** Names of queues that it may move to. */
  readonly targets: readonly string[];
  readonly maxDelaySeconds: number;
  /** What was typed into the form of a send that was refused. */
  readonly typed?: FormFields;
}

export function MessagePage(props: { frame: PageFrame; view: MessageView; notice?: Notice | undefined }) {
  const { frame, view, notice } = props;
  const { queue, found, id } = view;
  return (
    <Page frame={frame} title={`Message ${id}`} notice={notice}>
      <p class="small">
        <a href={queueHref(frame.base, queue.key)}>{queue.arn.name}</a>
      </p>
      <h1>Message {id}</h1>
      {found === undefined ? <Gone /> : <Present frame={frame} view={view} found={found} />}
      <History view={view} />
    </Page>
  );
}

function Gone() {
  return (
    <div class="card" id="gone">
      <p>
        <b class="quiet">It is not in this queue.</b>
      </p>
      <p class="small">
        It was handled and deleted, moved, or removed by its age, or it never was here. A message that is gone leaves
        nothing in the store; what this server still remembers of it stands below.
      </p>
    </div>
  );
}

function Present({ frame, view, found }: { frame: PageFrame; view: MessageView; found: FoundMessage }) {
  return (
    <>
      <State found={found} />
      {found.failure === undefined ? null : <WhyItFailed failure={found.failure} />}
      <h2>Body</h2>
      <Body frame={frame} view={view} found={found} />
      <h2>Attributes</h2>
      <Attributes found={found} />
      <h2>Actions</h2>
      <div class="panels">
        <EditForm frame={frame} view={view} found={found} />
        <Interventions frame={frame} view={view} found={found} />
      </div>
    </>
  );
}

function State({ found }: { found: FoundMessage }) {
  const seconds = count(Math.ceil((found.dueInMs ?? 0) / 1000));
  return (
    <div class="card" id="state">
      {found.state === undefined ? (
        <p>It is in the queue; whether it is in flight is not known, as it stands far behind in its group.</p>
      ) : null}
      {found.state === 'visible' ? <p>It may be received now.</p> : null}
      {found.state === 'delayed' ? <p>It is delayed: due in {seconds} s.</p> : null}
      {found.state === 'in-flight' && isGivenUp(found) ? (
        <p>Its last delivery failed. It waits {seconds} s more for the end of its lease, then it comes again.</p>
      ) : null}
      {found.state === 'in-flight' && !isGivenUp(found) ? (
        <p>It is in flight: somebody has received it. If it is not deleted it comes back in {seconds} s.</p>
      ) : null}
    </div>
  );
}

/** A text in a box that a keyboard can scroll, with its name. */
function Box(props: { id: string; title: string; text: string; note?: Child }) {
  return (
    <div class="card">
      <h3>{props.title}</h3>
      <pre id={props.id} tabindex={0}>
        {printable(props.text, SHOWN)}
      </pre>
      {props.note}
    </div>
  );
}

function Body({ frame, view, found }: { frame: PageFrame; view: MessageView; found: FoundMessage }) {
  const { message } = found;
  if (message === undefined) return <p class="bad">Another version of Karin stored it, which can read it.</p>;
  const { body } = message;
  const formatted = formattedJson(body, SHOWN);
  const decoded = formatted === undefined ? fromBase64(body) : undefined;
  const download = messageHref(frame.base, view.queue.key, found, '/body');
  const hasUnseen = printable(body, body.length) !== body;
  return (
    <>
      <div class="panels">
        {formatted === undefined ? null : <Box id="formatted" title="JSON" text={formatted} />}
        <Box
          id="raw"
          title="As it was sent"
          text={body}
          note={
            body.length > SHOWN ? (
              <p class="quiet small">{count(body.length - SHOWN)} more characters are in the download.</p>
            ) : null
          }
        />
      </div>
      <p class="row small">
        <a href={download}>Download</a>
        <button type="button" data-copy={download} hidden>
          Copy
        </button>
        <span class="quiet">{bytes(Buffer.byteLength(body))}</span>
      </p>
      {decoded === undefined ? null : <Bytes title="It looks like base64, and stands for" value={decoded} />}
      {hasUnseen ? (
        <Bytes title="It has characters that cannot be seen; its bytes" value={Buffer.from(body)} asText={false} />
      ) : null}
    </>
  );
}

function Bytes({ title, value, asText = true }: { title: string; value: Uint8Array; asText?: boolean }) {
  const text = asText ? textOf(value) : undefined;
  return (
    <details>
      <summary>
        {title} ({bytes(value.length)})
      </summary>
      {text === undefined ? (
        <>
          <pre tabindex={0}>{hexDump(value, DUMPED)}</pre>
          {value.length > DUMPED ? <p class="quiet small">The first {bytes(DUMPED)} are shown.</p> : null}
        </>
      ) : (
        <pre tabindex={0}>{printable(formattedJson(text, SHOWN) ?? text, SHOWN)}</pre>
      )}
    </details>
  );
}

function Attributes({ found }: { found: FoundMessage }) {
  const { message } = found;
  const attributes = Object.entries(message?.attributes ?? {});
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Sender', message?.senderId],
    ['Message group', message?.groupId ?? found.group],
    ['Deduplication id', message?.deduplicationId],
    ['Sequence number', found.sequenceNumber],
    ['Trace header', message?.traceHeader],
  ];
  return (
    <div class="card">
      <dl id="attributes">
        {facts.map(([name, value]) =>
          value === undefined ? null : (
            <>
              <dt>{name}</dt>
              <dd>{printable(value, LONGEST_VALUE)}</dd>
            </>
          ),
        )}
        {attributes.map(([name, attribute]) => (
          <>
            <dt>
              <code>{printable(name, LONGEST_VALUE)}</code>
            </dt>
            <dd>
              <AttributeValue attribute={attribute} />
            </dd>
          </>
        ))}
      </dl>
      {attributes.length === 0 ? <p class="quiet small">It has no message attributes.</p> : null}
    </div>
  );
}

function AttributeValue({ attribute }: { attribute: MessageAttribute }) {
  const type = <span class="quiet small">{printable(attribute.dataType, LONGEST_VALUE)}</span>;
  if ('stringValue' in attribute) {
    return (
      <>
        {printable(attribute.stringValue, LONGEST_VALUE)} {type}
      </>
    );
  }
  const { binaryValue } = attribute;
  return (
    <>
      <code>{printable(Buffer.from(binaryValue).toString('base64'), LONGEST_VALUE)}</code> {type}
      <Bytes title="As hex" value={binaryValue} asText={false} />
    </>
  );
}

function EditForm({ frame, view, found }: { frame: PageFrame; view: MessageView; found: FoundMessage }) {
  const { queue, typed, maxDelaySeconds } = view;
  const { message } = found;
  if (message === undefined) return null;
  const value = (name: string): string | undefined => {
    const text = typed?.[name];
    return typeof text === 'string' ? text : undefined;
  };
  if (message.body.length > LONGEST_EDITED) {
    return (
      <div class="card">
        <h2>Edit and send again</h2>
        <p class="small">The body is too long for a page. Download it, and send it with karin send.</p>
      </div>
    );
  }
  const source = message.deadLetterSourceArn?.split(':').at(-1);
  return (
    <ActionForm frame={frame} view={view} found={found} action="again" class="stack">
      <div class="card stack">
        <h2>Edit and send again</h2>
        <label>
          Body
          {/* The first line end of a text area is left out by browsers. */}
          <textarea name="body" rows={8} required>
            {`\n${value('body') ?? message.body}`}
          </textarea>
        </label>
        <label>
          To the queue
          <input name="to" list="targets-again" required value={value('to') ?? source ?? queue.arn.name} />
        </label>
        <Targets id="targets-again" names={[queue.arn.name, ...view.targets]} />
        {queue.definition.fifo ? (
          <label>
            Message group
            <input name="group" required value={value('group') ?? message.groupId} />
          </label>
        ) : (
          <label>
            Delay, seconds
            <input
              type="number"
              name="delay"
              min="0"
              max={maxDelaySeconds}
              value={value('delay')}
              placeholder="as the queue"
            />
          </label>
        )}
        <label class="check">
          <input
            type="checkbox"
            name="replace"
            value="yes"
            checked={typed === undefined ? source !== undefined : value('replace') !== undefined}
          />
          Delete this message then
        </label>
        <p class="quiet small">Its attributes go with it. It is a new message: new id, no receives.</p>
        <div>
          <button type="submit" class="main">
            Send
          </button>
        </div>
      </div>
    </ActionForm>
  );
}

function Interventions({ frame, view, found }: { frame: PageFrame; view: MessageView; found: FoundMessage }) {
  const waits = found.state === 'delayed' || isGivenUp(found);
  const form = { frame, view, found };
  return (
    <div class="card">
      <h2>Intervene</h2>
      {waits ? (
        <ActionForm {...form} action="retry">
          <p class="action">
            <button type="submit">{found.state === 'delayed' ? 'Run now' : 'Retry now'}</button>
            <span class="quiet small">
              makes it due now{view.queue.definition.fifo ? ', in the order of its group' : ''}
            </span>
          </p>
        </ActionForm>
      ) : null}
      <ActionForm {...form} action="move">
        <p class="action">
          <label class="inline">
            <span class="quiet">To the queue</span>
            <input name="to" list="targets" required value={found.message?.deadLetterSourceArn?.split(':').at(-1)} />
          </label>
          <Targets id="targets" names={view.targets} />
          <button type="submit">Move</button>
          <span class="quiet small">as a new message, without its receives</span>
        </p>
      </ActionForm>
      <ActionForm {...form} action="delete">
        <p class="action">
          <button type="submit" class="danger">
            Delete
          </button>
          <span class="quiet small">cannot be brought back</span>
        </p>
      </ActionForm>
      {found.state === 'in-flight' && !waits ? (
        <p class="quiet small">While it is in flight, whoever has it comes first: move and delete are refused.</p>
      ) : null}
    </div>
  );
}

function Targets({ id, names }: { id: string; names: readonly string[] }) {
  return (
    <datalist id={id}>
      {names.map((name) => (
        <option value={name} />
      ))}
    </datalist>
  );
}

function ActionForm(props: {
  frame: PageFrame;
  view: MessageView;
  found: FoundMessage;
  action: MessageActionName;
  class?: string;
  children?: Child;
}) {
  const { frame, view, found, action } = props;
  const question = MESSAGE_ACTIONS.get(action)?.question;
  return (
    <Form
      frame={frame}
      action={messageActionHref(view.queue.key, found.id, action)}
      class={props.class}
      {...(question === undefined ? {} : { confirm: question })}
    >
      {found.sequenceNumber === undefined ? null : <input type="hidden" name="seq" value={found.sequenceNumber} />}
      {props.children}
    </Form>
  );
}

/** Below the base path. */
export function messageActionHref(key: string, id: string, action: string): string {
  return `${queueHref('', key)}/messages/${id}/${action}`;
}

function History({ view }: { view: MessageView }) {
  const { found, events } = view;
  const kept: { readonly at: number; readonly text: string; readonly level?: Activity['level'] }[] = [];
  if (found !== undefined) {
    const { sentAt, firstReceivedAt, receiveCount, failure, message } = found;
    const source = message?.deadLetterSourceArn?.split(':').at(-1);
    kept.push({ at: sentAt, text: source === undefined ? 'sent' : `sent, to ${source} or moved there` });
    if (firstReceivedAt > 0) {
      const times = receiveCount === 1 ? 'once until now' : `${count(receiveCount)} times until now`;
      kept.push({ at: firstReceivedAt, text: `received for the first time; ${times}` });
    }
    if (failure !== undefined) {
      const { at, attempt, errorType } = failure;
      kept.push({ at, text: `delivery ${count(attempt)} failed: ${errorType}`, level: 'bad' });
    }
  }
  const all = [...kept, ...events].sort((a, b) => a.at - b.at);
  return (
    <>
      <h2>History</h2>
      <Table
        class="activity"
        id="message-history"
        columns={['Time, UTC', 'What happened']}
        rows={all.map(({ at, text, level = 'info' }) => (
          <tr>
            <td class="quiet small">
              <Time at={at} />
            </td>
            <td class={level === 'info' ? 'what' : `what ${level}`}>{printable(text, LONGEST_VALUE)}</td>
          </tr>
        ))}
        empty="This server knows of nothing."
      />
      <p class="quiet small">
        The store keeps when a message was sent and first received, how often, and its last failure. The rest is what
        this server did lately with batches that had it; what other servers did, earlier receives, and what a dead
        letter went through before the last failure are not known here.
      </p>
    </>
  );
}
