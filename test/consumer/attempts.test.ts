import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message } from '../support/consumer-world.ts';
import { CRASH, THROTTLED } from '../support/scriptable-lambda.ts';

const TRACE = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';

forEachStore('what the events say of an Invoke', (open) => {
  it('tells how late and how old each message is when it is shown, a delay counted in its age alone', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    await queue.send([message('at once'), message('delayed', { delayMs: 2_000 })]);
    await world.pass(2_700);
    world.lambda.script(CRASH);
    world.apply(mappingOf(queue));
    expect(await world.events.next('invoked')).toMatchObject({ lateMs: [2_700, 700], agesMs: [2_700, 2_700] });
    await world.events.next('failed');

    await world.settled();
    await world.pass(60_000);
    // They were shown before, so their age says nothing new.
    expect(await world.events.next('invoked')).toMatchObject({ lateMs: [0, 0], agesMs: [] });
    await world.events.next('deleted');
  });

  it('tells of every attempt how it ended, and counts the lateness of a message once in a lease', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script(THROTTLED);
    world.apply(mappingOf(queue));
    await queue.send([message('a', { traceHeader: TRACE })]);
    await world.events.next('retrying');
    await world.settled();
    await world.pass(1_000);
    await world.events.next('deleted');
    expect(world.events.of('answered').map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, 'throttled'],
      [2, 'success'],
    ]);
    expect(world.events.of('invoked').map(({ lateMs, agesMs }) => [lateMs, agesMs])).toEqual([
      [[0], [0]],
      [[], []],
    ]);
    const [invoked] = world.events.of('invoked');
    expect(invoked?.traceHeaders).toEqual([TRACE]);
    expect(invoked?.traceHeader).toContain('Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;');
    expect(world.lambda.calls[0]?.headers['x-amzn-trace-id']).toBe(invoked?.traceHeader);
  });
});
