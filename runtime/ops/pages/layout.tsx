import { raw } from 'hono/html';
import type { Child } from 'hono/jsx';
import { mayActAs, type Role, roleFor } from '../../http/auth/operators.ts';
import type { Activity } from '../activity.ts';
import { type LivePart, wholePart } from '../live.ts';
import { age } from '../needs.ts';
import type { MappingRow, QueueRow } from '../overview.ts';

/** What every page knows about the server it comes from. */
export interface PageFrame {
  /** Base path, empty or with a leading slash. */
  readonly base: string;
  readonly version: string;
  readonly region: string;
  /** Sent along with every form; absent: nobody is logged in. */
  readonly formToken?: string;
  /** Who looks; absent: nobody is logged in. */
  readonly operator?: { readonly name: string; readonly role: Role };
  /** Whether there is a password to log out from. */
  readonly canLogOut: boolean;
}

export interface Notice {
  readonly text: string;
  readonly kind: 'good' | 'bad';
}

/** `live`: the address, below the base, of the stream that keeps the page fresh; absent: the page stays as it is. */
export function Page(props: {
  frame: PageFrame;
  title: string;
  notice?: Notice | undefined;
  live?: string;
  children?: Child;
}) {
  const { frame, title, notice, live } = props;
  return (
    <>
      {raw('<!DOCTYPE html>')}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <title>{title} - Karin</title>
          <link rel="stylesheet" href={`${frame.base}/ops/style.css`} />
          <script src={`${frame.base}/ops/ops.js`} defer />
        </head>
        <body data-base={frame.base} data-live={live === undefined ? undefined : frame.base + live}>
          {frame.formToken === undefined ? null : <Header frame={frame} title={title} />}
          <main>
            <p id="status" class="bad small" role="status" />
            {notice === undefined ? null : (
              <p class={`notice ${notice.kind}`} role={notice.kind === 'bad' ? 'alert' : 'status'}>
                {notice.text}
              </p>
            )}
            {props.children}
          </main>
          {frame.formToken === undefined ? null : <Keys />}
        </body>
      </html>
    </>
  );
}

function Keys() {
  return (
    <dialog id="keys" aria-label="Keys">
      <dl>
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>search</dd>
        <dt>
          <kbd>g</kbd> <kbd>q</kbd>
        </dt>
        <dd>queues</dd>
        <dt>
          <kbd>g</kbd> <kbd>f</kbd>
        </dt>
        <dd>functions</dd>
        <dt>
          <kbd>g</kbd> <kbd>s</kbd>
        </dt>
        <dd>system</dd>
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>this list</dd>
      </dl>
      <form method="dialog">
        <button type="submit">Close</button>
      </form>
    </dialog>
  );
}

/** By the titles of the pages. */
const NAVIGATION = [
  ['Queues', '/ops'],
  ['Functions', '/functions'],
  ['System', '/ops/system'],
  ['Audit', '/ops/audit'],
] as const;

function Header({ frame, title }: { frame: PageFrame; title: string }) {
  return (
    <header>
      <div>
        <a class="name" href={`${frame.base}/ops`}>
          Karin
        </a>
        <nav>
          {NAVIGATION.map(([name, path]) => (
            <a href={frame.base + path} aria-current={name === title ? 'page' : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <span class="quiet small">
          {frame.region}, version {frame.version}
        </span>
        {frame.canLogOut ? (
          <Form frame={frame} action="/ops/logout">
            <button type="submit" title={`${frame.operator?.name}: ${frame.operator?.role}`}>
              Log out
            </button>
          </Form>
        ) : null}
      </div>
    </header>
  );
}

/**
 * A form that another site cannot forge. `confirm`: a question that the script asks first; without the script the
 * server does. It is not there for those whose role does not allow it.
 */
export function Form(props: {
  frame: PageFrame;
  action: string;
  /** For fields that stand outside of it. */
  id?: string;
  confirm?: string | undefined;
  class?: string | undefined;
  children?: Child;
}) {
  const { frame, action, confirm } = props;
  if (!mayAct(frame, action)) return null;
  return (
    <form method="post" action={frame.base + action} id={props.id} class={props.class} data-confirm={confirm}>
      <input type="hidden" name="csrf" value={frame.formToken} />
      {confirm === undefined ? null : <input type="hidden" name="confirmed" value="" />}
      {props.children}
    </form>
  );
}

/** Whether the role of whoever looks allows what a form does. */
export function mayAct(frame: PageFrame, action: string): boolean {
  return mayActAs(frame.operator?.role ?? 'look', roleFor('POST', action));
}

/** Date and time of day, UTC: where a few messages come in a month, the time alone would say little. */
export function Time({ at }: { at: number }) {
  const iso = new Date(at).toISOString();
  return (
    <time datetime={iso} title={iso} class="time">
      {iso.slice(0, 10)} {iso.slice(11, 19)}
    </time>
  );
}

/** Whole days, hours or minutes where it is that, else seconds. */
export function duration(seconds: number): string {
  for (const [unit, name] of [
    [86_400, 'days'],
    [3600, 'h'],
    [60, 'min'],
  ] as const) {
    if (seconds >= unit && seconds % unit === 0) return `${seconds / unit} ${seconds === 86_400 ? 'day' : name}`;
  }
  return `${count(seconds)} s`;
}

/** Bytes for people. */
export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  if (count < 1_048_576) return `${(count / 1024).toFixed(1)} KiB`;
  if (count < 1_073_741_824) return `${(count / 1_048_576).toFixed(1)} MiB`;
  return `${(count / 1_073_741_824).toFixed(1)} GiB`;
}

/** A number with separators, the same in every locale. */
export function count(value: number | undefined): string {
  return value === undefined ? '-' : value.toLocaleString('en-US');
}

/** `to`: the page to open then. `asksName`: there are operators with names. */
export function LoginPage(props: { frame: PageFrame; notice?: Notice | undefined; asksName: boolean; to: string }) {
  const { frame, notice, asksName, to } = props;
  return (
    <Page frame={frame} title="Log in">
      <div class="card login">
        <h1>Karin</h1>
        {notice === undefined ? null : (
          <p class={`notice ${notice.kind}`} role="alert">
            {notice.text}
          </p>
        )}
        <form method="post" action={`${frame.base}/ops/login`} class="stack">
          <input type="hidden" name="to" value={to} />
          {asksName ? (
            <label>
              Name
              <input type="text" name="name" autocomplete="username" required autofocus />
            </label>
          ) : null}
          <label>
            {asksName ? 'Password' : 'Admin password'}
            <input type="password" name="password" autocomplete="current-password" required autofocus={!asksName} />
          </label>
          <button type="submit" class="main">
            Log in
          </button>
        </form>
        <p class="quiet small">
          {asksName ? (
            <>
              Names and roles are those of <code>KARIN_OPERATORS</code>.
            </>
          ) : (
            <>
              The password is <code>KARIN_ADMIN_PASSWORD</code> of the server.
            </>
          )}
        </p>
      </div>
    </Page>
  );
}

/** A question before something that cannot be undone, for browsers that run no script. */
export function ConfirmPage(props: {
  frame: PageFrame;
  question: string;
  action: string;
  back: string;
  /** What the form says that was sent, and says again. */
  fields?: Readonly<Record<string, string>>;
}) {
  const { frame, question, action, back, fields = {} } = props;
  return (
    <Page frame={frame} title="Are you sure?">
      <h1>Are you sure?</h1>
      <p>{question}</p>
      <Form frame={frame} action={action} class="row">
        <input type="hidden" name="confirmed" value="yes" />
        {Object.entries(fields).map(([name, value]) => (
          <input type="hidden" name={name} value={value} />
        ))}
        <button type="submit" class="danger">
          Yes
        </button>
        <a href={frame.base + back}>No, go back</a>
      </Form>
    </Page>
  );
}

/** What could not be done, in a sentence. */
export function ErrorPage(props: { frame: PageFrame; message: string }) {
  const { frame, message } = props;
  return (
    <Page frame={frame} title="Not done" notice={{ text: message, kind: 'bad' }}>
      <h1>Not done</h1>
      <p>
        <a href={`${frame.base}/ops`}>To the queues</a>
      </p>
    </Page>
  );
}

/*
 * Makes the text of strangers fit for a page. Markup is escaped elsewhere; this is about characters that cannot be
 * seen, or that make a text look like another one.
 */

/**
 * Control characters, marks that change the direction of text, the invisible, and halves of surrogate pairs; but not
 * the joiners, without which some scripts cannot be written.
 */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The text with unseen characters but tab and line feed written as `\u{hex}`, cut after `limit` characters. */
export function printable(text: string, limit: number): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}...` : text;
  return cut.replaceAll(UNSEEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/*
 * What the page of the queues and that of one queue both show.
 */

const MODES = {
  consume: { text: 'consume', kind: 'good', title: 'Functions are invoked' },
  hold: { text: 'hold', kind: 'warn', title: 'Messages are kept, no function is invoked' },
  forward: { text: 'forward', kind: 'warn', title: 'Sends go to the real SQS queue' },
} as const;

export function Mode({ row }: { row: QueueRow }) {
  const { mode: name } = row.queue.definition;
  const mode = MODES[name];
  return (
    <div>
      {name === 'consume' && !row.consumed ? (
        <span class="quiet">no function</span>
      ) : (
        <span class={`badge ${mode.kind}`} title={mode.title}>
          {mode.text}
        </span>
      )}
      {row.held ? <div class="warn small">AWS consumes it: its mapping is not disabled</div> : null}
      {row.waitingInSqs > 0 ? (
        <div class="warn small">{row.waitingInSqs} wait in SQS; karin pull brings them here</div>
      ) : null}
    </div>
  );
}

/** Messages that may be received now. In a dead-letter queue each of them waits for a person. */
export function Visible({ row }: { row: QueueRow }) {
  const visible = row.depth?.visible;
  const waiting = row.deadLettersOf.length > 0 && (visible ?? 0) > 0;
  return <span class={waiting ? 'bad' : undefined}>{count(visible)}</span>;
}

/** Messages whose delay runs; they lead to the page that lists them. */
export function Delayed({ base, row }: { base: string; row: QueueRow }) {
  const delayed = row.depth?.delayed;
  if (delayed === undefined || delayed === 0) return <>{count(delayed)}</>;
  return (
    <a href={scheduledHref(base, row.queue.key)} title="What is scheduled, by due time">
      {count(delayed)}
    </a>
  );
}

/** The page of a queue on which its dead letters are redriven, or those of one error. */
export function deadLettersHref(base: string, key: string, error?: string): string {
  return `${queueHref(base, key)}/dead-letters${error === undefined ? '' : `?error=${error}`}`;
}

/** The page on which something is done about a need of this kind. */
export function needHref(base: string, key: string, kind: string): string {
  return kind === 'dead-letters' ? deadLettersHref(base, key) : queueHref(base, key);
}

export function scheduledHref(base: string, key: string): string {
  return `${queueHref(base, key)}/scheduled`;
}

export function queueHref(base: string, key: string): string {
  return `${base}/ops/queues/${encodeURIComponent(key)}`;
}

/** The page of one message; a sequence number finds one that stands far behind in its group. */
export function messageHref(
  base: string,
  key: string,
  { id, sequenceNumber }: { readonly id: string; readonly sequenceNumber?: string },
  part: '' | '/body' = '',
): string {
  return `${queueHref(base, key)}/messages/${id}${part}${sequenceNumber === undefined ? '' : `?seq=${sequenceNumber}`}`;
}

/** Why a mapping takes nothing, and the button that ends it, where a person has to. */
export function Pause({ frame, row }: { frame: PageFrame; row: MappingRow }) {
  if (row.paused === undefined) return null;
  const why = <span class="warn small">paused: {row.paused}</span>;
  if (!row.resumable) return <div>{why}</div>;
  return (
    <Form frame={frame} action={`/ops/mappings/${encodeURIComponent(row.uuid)}/resume`} class="row">
      {why}
      <button type="submit">Resume</button>
    </Form>
  );
}

/** The heading of a column. `number`: of numbers, which stand at the right. `title`: what a pointer on it shows. */
export type Column = string | { readonly text: string; readonly number?: true; readonly title?: string };

/**
 * A table, which scrolls by itself where the screen is narrow. `class` is `activity` where the first column is a time.
 * `empty`: what stands there without any row.
 */
export function Table(props: {
  id?: string;
  class?: 'activity';
  columns: readonly Column[];
  rows: readonly Child[];
  empty?: Child;
}) {
  const { columns, rows, empty } = props;
  const whole = columns.map((column) => (typeof column === 'string' ? { text: column } : column));
  return (
    <div class="scroll">
      <table id={props.id} class={props.class}>
        <thead>
          <tr>
            {whole.map(({ text, number, title }) => (
              <th scope="col" class={number && 'number'} title={title}>
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.length > 0 || empty === undefined ? (
            rows
          ) : (
            <tr>
              <td class="empty" colspan={columns.length}>
                {empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

/** Events, newest first. `ofOneQueue`: the page has said which. */
export function ActivityTable(props: {
  base: string;
  activities: readonly Pick<Activity, 'at' | 'queue' | 'level' | 'text'>[];
  empty: string;
  ofOneQueue?: boolean;
}) {
  const { base, activities, ofOneQueue = false } = props;
  const ids = eventIds(activities);
  return (
    <Table
      class="activity"
      columns={['Time, UTC', ...(ofOneQueue ? [] : ['Queue']), 'What happened']}
      rows={activities.map((activity, index) => (
        <tr id={ids[index]}>
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
      ))}
      empty={props.empty}
    />
  );
}

/** For each event the same while newer ones come. Those of one millisecond are counted from the oldest on. */
function eventIds(events: readonly Pick<Activity, 'at'>[]): readonly string[] {
  const counts = new Map<number, number>();
  return events
    .toReversed()
    .map(({ at }) => {
      const before = counts.get(at) ?? 0;
      counts.set(at, before + 1);
      return `event-${at}-${before}`;
    })
    .reverse();
}

/** A part whose element has its id. */
export function part(id: string, content: Child): LivePart {
  return { id, html: `${<section id={id}>{content}</section>}` };
}

/** Parts in a page. */
export function Parts({ parts }: { parts: readonly (LivePart | undefined)[] }) {
  return <>{parts.map((one) => (one === undefined ? null : raw(wholePart(one))))}</>;
}

/** Since when the first message waits; where none does, when the next delay or lease ends. */
export function Waits({ row }: { row: QueueRow }) {
  if (row.waitsMs !== undefined) return <>{age(row.waitsMs)}</>;
  if (row.depth?.nextDueInMs === undefined) return <span class="quiet">-</span>;
  return <span class="quiet">next in {age(row.depth.nextDueInMs)}</span>;
}
