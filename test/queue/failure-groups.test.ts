import { describe, expect, it } from 'vitest';
import { type Failure, groupFailures, NO_FAILURE, normalised } from '../../runtime/queue/failure.ts';
import { forEachStore, message } from './queue-world.ts';

describe('the message of an error', () => {
  it('loses what differs from message to message', () => {
    const same: readonly (readonly string[])[] = [
      ['order 17 has no lines', 'order 4,711 has no lines'],
      ['no user 6f9b1c1e-3f4b-4c8e-9d55-0a1b2c3d4e5f', 'no user 00000000-0000-4000-8000-000000000000'],
      ['timed out at 2026-11-28T15:26:08Z after 3.00 seconds', 'timed out at 2026-11-29 01:00:00.123 after 15 seconds'],
      ['mail to anna@example.com bounced', 'mail to bob.b+x@mail.example.org bounced'],
      ['connect ECONNREFUSED 10.0.0.1:5432', 'connect ECONNREFUSED 10.0.12.44:5432'],
      ['no object cats-01HF3ZJ8Q2W9C4 here', 'no object cats-77HF3ZJ8Q2W9C4 here'],
      ['checksum deadbeef01 differs', 'checksum 00c0ffee12 differs'],
      ['order-1001 failed\n  twice', 'order-1002 failed twice'],
      ['no row in table_17', 'no row in table_4'],
    ];
    for (const [one = '', other = ''] of same) expect(normalised(one), one).toBe(normalised(other));
  });

  it('keeps names, so that different errors stay apart', () => {
    for (const text of [
      "Cannot read properties of undefined (reading 'lines')",
      "The 'utf8' argument must be v2 of Http404",
      'Runtime exited without providing a reason',
    ]) {
      expect(normalised(text)).toBe(text);
    }
  });

  it('is cut, and read in time that grows with its length alone', () => {
    expect(normalised('x'.repeat(600))).toHaveLength(200);
    for (const nasty of ['a-'.repeat(300), '1.'.repeat(300), 'a@'.repeat(300), '-'.repeat(600), 'f0'.repeat(300)]) {
      expect(normalised(nasty).length).toBeLessThanOrEqual(200);
    }
  });
});

forEachStore('dead letters by why they failed', (open) => {
  const failure = (overrides: Partial<Failure> = {}): Failure => ({
    ...{ errorType: 'TypeError', message: 'order 1 has no lines', durationMs: 5, attempt: 1 },
    functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:on-jobs',
    ...overrides,
  });

  it('are groups of one error, the largest first, those without a kept failure last', async () => {
    const world = await open();
    const queue = await world.queue('dead');
    await queue.send(Array.from({ length: 6 }, (_, at) => message(String(at))));
    const received = await queue.receive({ maxMessages: 6 });
    const id = (at: number): string => received[at]?.id ?? '';
    await queue.keepFailures(
      new Map([
        [id(0), failure({ message: 'order 1 has no lines' })],
        [id(1), failure({ message: 'cannot connect', errorType: 'Error' })],
      ]),
    );
    world.time.advance(1_000);
    const other = 'arn:aws:lambda:eu-west-1:123456789012:function:on-mails';
    await queue.keepFailures(new Map([[id(2), failure({ message: 'order 22 has no lines', functionArn: other })]]));
    const { groups, looked, more } = await queue.messages.groups();
    expect({ looked, more }).toEqual({ looked: 6, more: false });
    expect(groups.map(({ error, messages }) => [error, messages.map((name) => name.id)])).toEqual([
      [{ type: 'TypeError', message: 'order <n> has no lines' }, [id(2), id(0)]],
      [{ type: 'Error', message: 'cannot connect' }, [id(1)]],
      [undefined, [id(3), id(4), id(5)].sort()],
    ]);
    const [first, , last] = groups;
    expect(first).toMatchObject({
      functionArns: [other, failure().functionArn],
      lastAt: (first?.firstAt ?? 0) + 1_000,
    });
    expect(first?.id).toMatch(/^[0-9a-f]{10}$/);
    expect(last?.id).toBe(NO_FAILURE);
  });

  it('are looked at up to a bound, and the rest is announced', async () => {
    const world = await open();
    const queue = await world.queue('dead');
    await queue.send(Array.from({ length: 700 }, (_, at) => message(String(at))));
    expect(await groupFailures(queue.store, 100)).toMatchObject({ looked: 100, more: true });
    expect(await groupFailures(queue.store, 600)).toMatchObject({ looked: 600, more: true });
    expect(await groupFailures(queue.store, 700)).toMatchObject({ looked: 700 });
    expect(await queue.messages.groups()).toMatchObject({ looked: 700, more: false });
  });
});
