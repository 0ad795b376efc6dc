import { beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../runtime/log.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { type AlertMessage, AlertRefusedError, type AlertTarget } from '../../runtime/ops/alert-targets.ts';
import { type Alerts, createAlerts } from '../../runtime/ops/alerts.ts';
import { alertRule, type Need } from '../../runtime/ops/needs.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { type Documents, StoreUnavailableError } from '../../runtime/store/store.ts';
import { ManualTime } from '../support/manual-time.ts';

const KEY = 'eu-west-1:111122223333:dead';
const DEAD: Need = {
  id: `dead-letters ${KEY}`,
  kind: 'dead-letters',
  urgency: 'now',
  text: '1 dead letter',
  queue: KEY,
};
const FULL: Need = { id: 'store full', kind: 'store', urgency: 'now', text: 'the store is 81 % full' };

describe('alerts', () => {
  let time: ManualTime;
  let store: MemoryStore;
  let calls: number;
  let away: boolean;
  let documents: Documents;
  let logged: string[];

  beforeEach(() => {
    time = new ManualTime();
    store = new MemoryStore({ time });
    calls = 0;
    away = false;
    logged = [];
    const call = <T>(make: () => Promise<T>): Promise<T> => {
      calls += 1;
      return away ? Promise.reject(new StoreUnavailableError('away')) : make();
    };
    documents = {
      list: (prefix) => store.documents.list(prefix),
      each: (prefix) => store.documents.each(prefix),
      heldBy: () => {},
      remove: (name) => store.documents.remove(name),
      get: (name) => call(() => store.documents.get(name)),
      put: (name, value, expected) => call(() => store.documents.put(name, value, expected)),
    };
  });

  const server = (instance = 'a', { tag = '', names = ['hook'], fails = [] as Error[] } = {}) => {
    const bus = createEventBus(() => {});
    const sent: AlertMessage[] = [];
    const to = new Map<string, AlertMessage[]>(names.map((name) => [name, []]));
    const state = { needs: [] as readonly Need[], uses: 0, visible: 0, eventful: 0 };
    // Only what alerts read of a queue.
    const queue = () =>
      ({
        key: KEY,
        uses: state.uses,
        definition: { tags: tag === '' ? {} : { 'karin:alert': tag } },
      }) as unknown as Queue;
    const targets = names.map(
      (name): AlertTarget => ({
        name,
        send: async (message) => {
          const failure = fails.shift();
          if (failure !== undefined) throw failure;
          sent.push(message);
          to.get(name)?.push(message);
        },
      }),
    );
    const alerts: Alerts = createAlerts({
      targets,
      needs: async () => state.needs,
      depths: {
        of: () => ({ visible: state.visible, delayed: 0, inFlight: 0, readAt: 0 }),
        refresh: async (how) => {
          calls += 1;
          if (how?.calm === false) state.eventful += 1;
          if (away) throw new StoreUnavailableError('away');
        },
      },
      directory: { all: () => [queue()], byKey: queue },
      documents,
      bus,
      isStarting: () => false,
      instance,
      server: () => 'https://karin.example.com',
      link: (key) => `https://karin.example.com/ops/queues/${key}`,
      time,
      randomness: { uuid: () => 'uuid', fraction: () => 0 },
      log: createLog({ level: 'info', write: (line) => logged.push(line) }),
    });
    store.subscribe(alerts.heard);
    const deadLettered = () => bus.emit({ kind: 'dead-lettered', queue: 'jobs', target: KEY, messageIds: ['1'] });
    const texts = () => sent.map(({ began, resolved }) => [began.map(({ id }) => id), resolved.map(({ id }) => id)]);
    return { alerts, bus, sent, to, state, deadLettered, texts };
  };

  it('tell once of what came within half a minute, and once when it is gone', async () => {
    const { sent, state, deadLettered, texts } = server();
    state.needs = [DEAD];
    deadLettered();
    await time.advanceAsync(20_000);
    state.needs = [DEAD, FULL];
    deadLettered();
    await time.advanceAsync(9_999);
    expect(sent).toEqual([]);
    await time.advanceAsync(1);
    expect(sent).toEqual([
      {
        kind: 'alert',
        at: new Date(time.now()).toISOString(),
        server: 'https://karin.example.com',
        began: [{ ...DEAD, link: `https://karin.example.com/ops/queues/${KEY}` }, FULL],
        resolved: [],
        leftOut: 0,
      },
    ]);
    deadLettered();
    await time.advanceAsync(300_000);
    expect(sent).toHaveLength(1);
    state.needs = [FULL];
    await time.advanceAsync(120_000);
    expect(texts().slice(1)).toEqual([[[], [DEAD.id]]]);
  });

  it('ask nothing of the store while nothing happens and all queues are empty', async () => {
    server();
    await time.advanceAsync(24 * 3_600_000);
    expect(calls).toBe(0);
  });

  it('look at most once a minute, however much happens', async () => {
    const { deadLettered } = server();
    for (let second = 0; second < 600; second += 1) {
      deadLettered();
      await time.advanceAsync(1_000);
    }
    // One read of the document, and a refresh for each look.
    expect(calls).toBeLessThanOrEqual(11);
  });

  it('look each minute at the ages of a queue that holds something, though no event comes', async () => {
    const { state, texts } = server();
    state.uses = 1;
    state.visible = 1;
    await time.advanceAsync(120_000);
    state.needs = [{ ...DEAD, id: `old ${KEY}`, kind: 'old' }];
    await time.advanceAsync(120_000);
    expect(texts()).toEqual([[[`old ${KEY}`], []]]);
  });

  it('look calmly while one stands and nothing happens, and not calmly once something does', async () => {
    const { state, deadLettered } = server();
    state.needs = [DEAD];
    deadLettered();
    await time.advanceAsync(600_000);
    expect(state.eventful).toBe(1);
    state.uses += 1;
    await time.advanceAsync(120_000);
    expect(state.eventful).toBe(2);
    deadLettered();
    await time.advanceAsync(600_000);
    expect(state.eventful).toBe(3);
  });

  it('are sent by one of several servers, and resolved by the same', async () => {
    const [one, two] = [server('a'), server('b')];
    for (const { alerts } of [one, two]) alerts.heard({ kind: 'instances', ids: ['a', 'b'] });
    for (const { state, deadLettered } of [one, two]) {
      state.needs = [DEAD];
      deadLettered();
    }
    await time.advanceAsync(60_000);
    expect(one.sent.length + two.sent.length).toBe(1);
    const [teller, other] = one.sent.length === 1 ? [one, two] : [two, one];
    // The other one no longer sees it: that is not his to tell.
    other.state.needs = [];
    await time.advanceAsync(180_000);
    expect(other.sent).toEqual([]);
    teller.state.needs = [];
    await time.advanceAsync(180_000);
    expect(teller.texts()).toEqual([
      [[DEAD.id], []],
      [[], [DEAD.id]],
    ]);
    expect(other.sent).toEqual([]);
  });

  it('go on after a restart: what was told is not told again, and is resolved when it is gone', async () => {
    const before = server('a');
    before.state.needs = [DEAD];
    before.deadLettered();
    await time.advanceAsync(60_000);
    await before.alerts.close();
    const after = server('b');
    after.state.needs = [DEAD];
    after.deadLettered();
    await time.advanceAsync(60_000);
    expect(after.sent).toEqual([]);
    after.state.needs = [];
    await time.advanceAsync(120_000);
    expect(after.texts()).toEqual([[[], [DEAD.id]]]);
  });

  it('of what comes and goes are told at most every ten minutes', async () => {
    const { sent, state, deadLettered } = server();
    for (let minute = 0; minute < 30; minute += 1) {
      state.needs = minute % 2 === 0 ? [DEAD] : [];
      deadLettered();
      await time.advanceAsync(60_000);
    }
    expect(sent.filter(({ began }) => began.length > 0).length).toBeLessThanOrEqual(3);
  });

  it('are sent again after a pause if the target fails, and once', async () => {
    const { sent, state, deadLettered } = server('a', { fails: [new Error('it answered HTTP 503')] });
    state.needs = [DEAD];
    deadLettered();
    await time.advanceAsync(30_000);
    expect(sent).toEqual([]);
    await time.advanceAsync(1_000);
    expect(sent).toHaveLength(1);
  });

  it('are given up with a line in the log when the target refuses, or fails ten times', async () => {
    for (const fails of [[new AlertRefusedError('it answered HTTP 404')], Array(10).fill(new Error('HTTP 500'))]) {
      store = new MemoryStore({ time });
      const { sent, state, deadLettered } = server('a', { fails });
      state.needs = [DEAD];
      deadLettered();
      await time.advanceAsync(1_800_000);
      expect(sent).toEqual([]);
      expect(logged.splice(0).filter((line) => line.includes('it is given up'))).toHaveLength(1);
    }
  });

  it('to one target are few: what comes beyond that is told together, later', async () => {
    const { sent, state, deadLettered } = server();
    for (let minute = 0; minute < 60; minute += 1) {
      state.needs = Array.from({ length: minute + 1 }, (_, at) => ({ ...FULL, id: `need ${at}` }));
      deadLettered();
      await time.advanceAsync(60_000);
    }
    await time.advanceAsync(600_000);
    // Ten at once, and twenty in an hour.
    expect(sent.length).toBeLessThanOrEqual(33);
    expect(new Set(sent.flatMap(({ began }) => began.map(({ id }) => id))).size).toBe(60);
  });

  it('are told without the other servers while the store is away, and written down when it is back', async () => {
    const { alerts, sent, state } = server();
    away = true;
    state.needs = [{ id: 'server', kind: 'server', urgency: 'now', text: 'the store cannot be reached' }];
    alerts.heard({ kind: 'reachable', reachable: false });
    await time.advanceAsync(30_000);
    expect(sent).toHaveLength(1);
    away = false;
    alerts.heard({ kind: 'reachable', reachable: true });
    await time.advanceAsync(60_000);
    expect(await store.documents.get('alerts')).toContain('the store cannot be reached');
    expect(sent).toHaveLength(1);
  });

  it('of a queue follow its tag: off, or the targets that it names', async () => {
    const off = server('a', { tag: 'off' });
    off.state.needs = [DEAD];
    off.deadLettered();
    await time.advanceAsync(60_000);
    expect(off.sent).toEqual([]);
    const routed = server('a', { tag: 'age=10m mail', names: ['hook', 'mail'] });
    routed.state.needs = [DEAD, FULL];
    routed.deadLettered();
    await time.advanceAsync(60_000);
    const ids = (name: string) => routed.to.get(name)?.flatMap(({ began }) => began.map(({ id }) => id));
    expect(ids('mail')).toEqual([DEAD.id, FULL.id]);
    expect(ids('hook')).toEqual([FULL.id]);
  });

  it('do not swallow what is for a target that does not exist', async () => {
    const { sent, state, deadLettered } = server('a', { tag: 'nobody' });
    state.needs = [DEAD];
    deadLettered();
    await time.advanceAsync(30_000);
    expect(sent).toHaveLength(1);
  });
});

describe('the tag karin:alert', () => {
  it('is read as words: off, a bound on age, names of targets', () => {
    expect(alertRule({})).toEqual({ off: false, targets: [] });
    expect(alertRule({ 'karin:alert': 'off' })).toEqual({ off: true, targets: [] });
    expect(alertRule({ 'karin:alert': 'age=2h  slack mail' })).toEqual({
      off: false,
      oldestMs: 7_200_000,
      targets: ['slack', 'mail'],
    });
  });
});
