/**
 * Every fault of `catalogue.ts` strikes two servers in the middle of a load, half of it FIFO: nothing that was accepted
 * is lost, message groups keep their order, and what is handled twice has the reason that the catalogue gives.
 *
 * `KARIN_TEST_SIZE=full` sends 50,000 messages under each, lets each strike three times, and writes its row of
 * `docs/chaos.md`; `KARIN_TEST_MESSAGES` asks for another number, a multiple of 400.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAULTS, type Fault, type Size } from './catalogue.ts';
import type { Recovery } from './ledger.ts';
import { type Run, writeRow } from './table.ts';
import { World } from './world.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const SIZE: Size = {
  messages: Number(process.env['KARIN_TEST_MESSAGES'] ?? (FULL ? 50_000 : 800)),
  strikes: FULL ? 3 : 1,
  leaseSeconds: FULL ? 5 : 2,
};
/** Where no fault may outlive a lease, it is so long that no slow machine does. */
const ENDLESS_LEASE_SECONDS = 60;
/** An answer that takes longer is none for a producer; likewise. Shorter than any fault lasts. */
const PATIENCE_MS = 2_000;
const ENDLESS_PATIENCE_MS = 60_000;
const DOCUMENT = 'docs/chaos.md';

/** Bundled once, because nearly all that a server costs at its start is to read the sources. */
const build = mkdtempSync(join(tmpdir(), 'karin-chaos-'));
const command = join(build, 'cli.js');
beforeAll(() => {
  execFileSync(process.execPath, ['runtime/build.mjs', build], { stdio: 'pipe' });
});
afterAll(() => rmSync(build, { recursive: true }));

interface Shown extends Run {
  readonly refusals: ReadonlyMap<string, number>;
}

/** `failed`: told what was seen so far, should it never end. */
async function run(fault: Fault, failed: (told: () => unknown) => void): Promise<Shown> {
  const releasers: (() => Promise<unknown>)[] = [];
  try {
    const target = await fault.prepare(SIZE, (thing) => {
      releasers.push(() => thing.stop());
      return thing;
    });
    const leaseSeconds = fault.redelivers === undefined ? ENDLESS_LEASE_SECONDS : SIZE.leaseSeconds;
    const patienceMs = fault.refuses === true ? PATIENCE_MS : ENDLESS_PATIENCE_MS;
    const world = await World.start({ ...target, command, leaseSeconds, patienceMs });
    releasers.push(() => world.stop());
    failed(() => [world.ledger.verdict(), world.refusals]);

    const strikes = fault.once === true ? 1 : SIZE.strikes;
    // In equal parts, one for each strike and one behind them: the fault strikes while most of its part is under way,
    // the rest is sent under it, and the next part when it is over.
    const upTo = (part: number): number => Math.floor((SIZE.messages * part) / (strikes + 1) / 10) * 10;
    const sending = world.send(SIZE.messages);
    const recoveries: Recovery[] = [];
    for (let strike = 1; strike <= strikes; strike += 1) {
      world.allow(upTo(strike - 0.25));
      await world.ledger.acceptedAre(upTo(strike - 0.5));
      const { recovery } = await target.strike(world, () => world.allow(upTo(strike)));
      world.allow(upTo(strike + 1));
      recoveries.push(await recovery);
    }
    world.allow(SIZE.messages);
    await sending;
    await world.drained();
    const refused = [...world.refusals.values()].reduce((sum, count) => sum + count, 0);
    return { verdict: world.ledger.verdict(), recoveries, refused, refusals: world.refusals };
  } finally {
    for (const release of releasers.reverse()) await release();
  }
}

// Each process that is started ends with this one, which listens for its end.
process.setMaxListeners(100);
const suite = FULL ? describe.sequential : describe.concurrent;
suite(`${SIZE.messages} messages, half of them FIFO, while`, () => {
  for (const fault of FAULTS) {
    it(`${fault.name}: none is lost, repeated, refused or overtaken but as the catalogue allows`, async ({
      onTestFailed,
      skip,
    }) => {
      const lacking = fault.lacking?.();
      if (lacking !== undefined) skip(lacking);
      const { refusals, ...shown } = await run(fault, (told) => onTestFailed(() => console.error(told())));
      const { verdict } = shown;
      if (FULL) process.stdout.write(`${JSON.stringify({ name: fault.name, ...shown, refusals: [...refusals] })}\n`);
      expect(verdict.accepted).toBe(SIZE.messages);
      expect(verdict.outOfOrder).toEqual([]);
      if (fault.loses === undefined) expect(verdict.lost).toEqual([]);
      if (fault.redelivers === undefined) expect(verdict.deliveredTwice).toBe(0);
      if (fault.refuses === true) expect(shown.refused).toBeGreaterThan(0);
      if (fault.refuses === false) expect([...refusals]).toEqual([]);
      if (FULL) writeRow(DOCUMENT, FAULTS, fault, shown);
    }, 300_000);
  }
});
