import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message, type World } from '../../support/consumer-world.ts';
import { type Answer, Gate, SUCCESS } from '../../support/scriptable-lambda.ts';

const TEN_MINUTES_MS = 600_000;
const MAX_RECEIVES = 3;

/** Lets time pass in small steps, each with the calls to Lambda and the store that it sets off. */
async function passWithCalls(world: World, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    await world.pass(500);
    await world.settled();
  }
}

forEachStore('An outage between Karin and Lambda', (open) => {
  it.each<[string, Answer]>([
    ['that refuses the credentials', { kind: 'error', status: 403, type: 'UnrecognizedClientException' }],
    ['whose permissions were taken away', { kind: 'error', status: 403, type: 'AccessDeniedException' }],
    ['that resets every connection after the request', { kind: 'reset' }],
  ])(
    'of ten minutes, %s: nothing is dead-lettered, all is delivered soon after',
    async (_, answer) => {
      const world = await open();
      const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', MAX_RECEIVES, {
        visibilityTimeoutSeconds: 10,
      });
      world.lambda.fail(answer);
      world.apply(mappingOf(queue, { functionTimeoutSeconds: 3 }));
      await queue.send(Array.from({ length: 100 }, (_, index) => message(String(index))));
      await passWithCalls(world, TEN_MINUTES_MS);
      expect(world.supervisor.snapshot().queues[0]?.mappings[0]?.trouble).toBeDefined();
      expect(world.events.of('lambda-trouble')).toHaveLength(1);
      world.lambda.mend();
      await passWithCalls(world, 10_000);

      const handled = new Set(world.events.of('deleted').flatMap(({ messageIds }) => messageIds));
      expect(handled.size).toBe(100);
      expect(await deadLetters.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
      expect(world.events.of('lambda-reached')).toHaveLength(1);
      expect(world.supervisor.snapshot().queues[0]?.mappings[0]?.trouble).toBeUndefined();
    },
    120_000,
  );

  it('in which Lambda cannot be reached counts no receive, and ends without a sync', async () => {
    const world = await open({ unreachable: true });
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 1, { visibilityTimeoutSeconds: 10 });
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 3 }));
    await queue.send(Array.from({ length: 100 }, (_, index) => message(String(index))));
    await passWithCalls(world, TEN_MINUTES_MS);
    expect(await queue.depth()).toMatchObject({ visible: 100, inFlight: 0 });
    world.way.open = true;
    await passWithCalls(world, 10_000);

    expect(new Set(world.events.of('deleted').flatMap(({ messageIds }) => messageIds)).size).toBe(100);
    expect(world.lambda.calls.flatMap(({ records }) => records).map(({ attributes }) => attributes)).toEqual(
      Array.from({ length: 100 }, () => expect.objectContaining({ ApproximateReceiveCount: '1' })),
    );
    expect(await deadLetters.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  }, 120_000);

  it('of one mapping does not touch another', async () => {
    const world = await open();
    const [refused, healthy] = [await world.queue('refused'), await world.queue('healthy')];
    world.lambda.behave(({ functionName }) =>
      functionName.endsWith(':3') ? { kind: 'error', status: 403, type: 'AccessDeniedException' } : SUCCESS,
    );
    const functionArn = 'arn:aws:lambda:eu-west-1:111122223333:function:worker:3';
    world.apply(mappingOf(refused, { functionArn }), mappingOf(healthy));
    await refused.send([message('waits')]);
    await world.events.next('lambda-trouble');
    await healthy.send([message('goes')]);

    expect((await world.events.next('deleted')).queue).toBe(healthy.key);
  });

  it('costs the store nothing while nothing gets through', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.fail({ kind: 'error', status: 403, type: 'AccessDeniedException' });
    world.apply(mappingOf(queue));
    await queue.send([message('waits')]);
    await world.events.next('released');
    await passWithCalls(world, 60_000);

    expect(world.lambda.probes).toBeGreaterThan(5);
    expect(world.events.of('leased')).toHaveLength(1);
  });

  it('asks for nothing while no message waits', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 300 });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return { kind: 'reset' };
    });
    world.apply(mappingOf(queue));
    await queue.send([message('lost')]);
    await world.lambda.next();
    gate.open();
    await world.events.next('lambda-trouble');
    await passWithCalls(world, 60_000);

    expect(world.lambda.probes).toBe(0);
  });
});
