/**
 * Keeps open pages fresh: server-sent events with the parts of a page that have changed.
 *
 * A page consists of parts. Each has an id and its HTML; a table is a part whose rows are parts of their own, so that
 * one number that changes sends one row. A stream renders the parts of its page again when something happened (a look
 * at the depths found a change, an activity was noted), at most once a second, and sends those whose HTML is another
 * than what this page has. The script of the page patches them in: what did not change is not touched, so a selection,
 * the focus, the scroll position and typed text stay.
 *
 * A stream is open only while its tab is visible (the script closes it otherwise). It ends when the session ends, the
 * server stops, or the tab goes away.
 *
 * @module
 */
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { AppEnv } from '../http/management.ts';
import type { Log } from '../log.ts';
import type { Cancel, Time } from '../time.ts';

/** Between two renderings for one stream. */
const RENDER_MS = 1_000;
/** A comment keeps proxies from closing a quiet stream (nginx and Fly close after 60 s). */
const BEAT_MS = 25_000;
/** Streams of one server. Each holds the HTML of its page, 50 KB. */
const MOST_STREAMS = 100;

export interface LivePart {
  /** Of an element of the page; the HTML is that element. */
  readonly id: string;
  readonly html: string;
  /** The HTML is this frame with the rows in place of `ROWS`. */
  readonly rows?: readonly { readonly id: string; readonly html: string }[];
}

/** Stands in the HTML of a part where its rows go. */
export const ROWS = '<!--rows-->';

/** The HTML of a part, rows and all. */
export function wholePart({ html, rows }: LivePart): string {
  return rows === undefined ? html : html.replace(ROWS, () => rows.map((row) => row.html).join(''));
}

/** The smallest elements that make `before` into `after`; both are parts of one page. */
export function changedParts(
  before: ReadonlyMap<string, LivePart>,
  after: readonly LivePart[],
): readonly { readonly id: string; readonly html: string }[] {
  return after.flatMap((part) => {
    const old = before.get(part.id);
    const sameRows =
      old !== undefined &&
      old.html === part.html &&
      old.rows?.length === part.rows?.length &&
      (part.rows ?? []).every((row, at) => old.rows?.[at]?.id === row.id);
    if (!sameRows) return [{ id: part.id, html: wholePart(part) }];
    return (part.rows ?? []).filter((row, at) => old.rows?.[at]?.html !== row.html);
  });
}

export interface LiveParts {
  /** Calls back when something that pages show may have changed, until the returned function is called. */
  readonly watch: (changed: () => void) => Cancel;
  readonly time: Time;
  readonly log: Log;
}

export interface Live {
  /**
   * Answers with a stream of changes to a page. `render`: its parts now. `holds`: whether the session still does.
   * `ended`: aborted when the server stops or the tab is gone. 503 if there are too many streams.
   */
  stream(
    c: Context<AppEnv>,
    page: { render: () => Promise<readonly LivePart[]>; holds: () => boolean; ended: AbortSignal },
  ): Response;
}

export function createLive({ watch, time, log }: LiveParts): Live {
  let streams = 0;
  return {
    stream: (c, { render, holds, ended }) => {
      if (streams >= MOST_STREAMS) return c.text('too many pages are open; this one is not kept fresh', 503);
      streams += 1;
      // Proxies that gather an answer before they hand it on would keep the changes back.
      c.header('X-Accel-Buffering', 'no');
      return streamSSE(c, async (stream) => {
        let shown: ReadonlyMap<string, LivePart> = new Map();
        let dirty = true;
        /** Looks whether a pause may end early. */
        let ring: () => void = () => {};
        const gone = (): boolean => ended.aborted || stream.aborted;
        const pause = (ms: number, early: () => boolean): Promise<void> =>
          new Promise((resolve) => {
            const over = (): void => {
              ring = () => {};
              stop();
              resolve();
            };
            const stop = time.after(ms, over);
            ring = () => {
              if (early()) over();
            };
            ring();
          });
        const cancel = watch(() => {
          dirty = true;
          ring();
        });
        const end = (): void => ring();
        ended.addEventListener('abort', end);
        stream.onAbort(end);
        try {
          while (!gone()) {
            if (!holds()) {
              await stream.writeSSE({ event: 'bye', data: '' });
              return;
            }
            if (dirty) {
              dirty = false;
              const parts = await render();
              for (const change of changedParts(shown, parts)) {
                await stream.writeSSE({ event: 'patch', data: JSON.stringify(change) });
              }
              shown = new Map(parts.map((part) => [part.id, part]));
              await pause(RENDER_MS, gone);
            } else {
              await stream.write(': still here\n\n');
            }
            await pause(BEAT_MS, () => dirty || gone());
          }
        } catch (error) {
          // The script falls back to reading the page again.
          log.warn({ err: error }, 'a page could not be kept fresh');
        } finally {
          streams -= 1;
          cancel();
          ended.removeEventListener('abort', end);
        }
      });
    },
  };
}
