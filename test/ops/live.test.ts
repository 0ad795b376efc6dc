import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import type { AppEnv } from '../../runtime/http/management.ts';
import { createLog } from '../../runtime/log.ts';
import { changedParts, createLive, type LivePart, ROWS, wholePart } from '../../runtime/ops/live.ts';
import { ManualTime } from '../support/manual-time.ts';

const table = (...rows: readonly (readonly [string, string])[]): LivePart => ({
  id: 'table',
  html: `<table id="table">${ROWS}</table>`,
  rows: rows.map(([id, text]) => ({ id, html: `<tr id="${id}">${text}</tr>` })),
});
const known = (...parts: readonly LivePart[]) => new Map(parts.map((part) => [part.id, part]));

describe('the smallest change of a page', () => {
  it('is nothing if nothing changed', () => {
    expect(changedParts(known(table(['a', '1'])), [table(['a', '1'])])).toEqual([]);
  });

  it('is one row if one number changed', () => {
    const before = known(table(['a', '1'], ['b', '2']));
    expect(changedParts(before, [table(['a', '1'], ['b', '3'])])).toEqual([{ id: 'b', html: '<tr id="b">3</tr>' }]);
  });

  it('is the whole table if a row came, went or changed places', () => {
    const before = known(table(['a', '1'], ['b', '2']));
    for (const after of [table(['b', '2'], ['a', '1']), table(['a', '1']), table(['a', '1'], ['b', '2'], ['c', '3'])]) {
      expect(changedParts(before, [after])).toEqual([{ id: 'table', html: wholePart(after) }]);
    }
  });

  it('takes a text that looks like a replacement pattern as it is', () => {
    expect(wholePart(table(['a', "$& $' $1"]))).toBe('<table id="table"><tr id="a">$& $\' $1</tr></table>');
  });
});

describe('a stream of changes', () => {
  function world() {
    const time = new ManualTime();
    const listeners = new Set<() => void>();
    const live = createLive({
      time,
      log: createLog({ level: 'silent' }),
      watch: (changed) => {
        listeners.add(changed);
        return () => listeners.delete(changed);
      },
    });
    const state = { number: 1, holds: true, renders: 0 };
    const stop = new AbortController();
    const app = new Hono<AppEnv>();
    app.get('/', (c) =>
      live.stream(c, {
        render: async () => {
          state.renders += 1;
          return [{ id: 'n', html: `<p id="n">${state.number}</p>` }];
        },
        holds: () => state.holds,
        // A signal of its own for each stream, as each response of a server has.
        ended: AbortSignal.any([stop.signal]),
      }),
    );
    const open = async () => {
      const response = await app.request('/');
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      return { response, read: async () => (await reader?.read())?.value, close: () => reader?.cancel() };
    };
    const changed = () => {
      for (const listener of listeners) listener();
    };
    return { time, state, stop, open, changed, listeners };
  }
  const patch = (number: number) => `event: patch\ndata: {"id":"n","html":"<p id=\\"n\\">${number}</p>"}\n\n`;

  it('begins with the page as it is, sends what changed, and renders at most once a second', async () => {
    const { time, state, open, changed } = world();
    const { read, close } = await open();
    expect(await read()).toBe(patch(1));
    for (const number of [2, 3, 4]) {
      state.number = number;
      changed();
    }
    await time.advanceAsync(999);
    expect(state.renders).toBe(1);
    await time.advanceAsync(1);
    expect(await read()).toBe(patch(4));
    expect(state.renders).toBe(2);
    await close();
  });

  it('says every 25 seconds that it is there, without rendering', async () => {
    const { time, state, open } = world();
    const { read, close } = await open();
    await read();
    await time.advanceAsync(1_000);
    await time.advanceAsync(25_000);
    expect(await read()).toBe(': still here\n\n');
    expect(state.renders).toBe(1);
    await close();
  });

  it('ends when the session does, and lets nothing be seen afterwards', async () => {
    const { time, state, open, changed, listeners } = world();
    const { read } = await open();
    await read();
    state.holds = false;
    state.number = 2;
    changed();
    await time.advanceAsync(1_000);
    expect(await read()).toBe('event: bye\ndata: \n\n');
    expect(await read()).toBeUndefined();
    expect(listeners.size).toBe(0);
  });

  it('ends when the server stops, and when the tab is gone', async () => {
    const { time, stop, open, listeners } = world();
    const first = await open();
    await first.read();
    await first.close();
    await time.advanceAsync(30_000);
    expect(listeners.size).toBe(0);
    const second = await open();
    await second.read();
    stop.abort();
    expect(await second.read()).toBeUndefined();
    expect(listeners.size).toBe(0);
    expect(time.pending).toBe(0);
  });

  it('refuses more pages than a server can keep fresh', async () => {
    const { stop, open } = world();
    for (let at = 0; at < 100; at += 1) expect((await open()).response.status).toBe(200);
    expect((await open()).response.status).toBe(503);
    stop.abort();
  });
});
