import { describe, expect, it } from 'vitest';
import { LoopGuard, MOST_TURNS, traceOfBatch } from '../../runtime/consumer/intake.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { receivedMessage } from '../lambda/received-message.ts';
import { ManualTime } from '../support/manual-time.ts';

const WORKER = 'arn:aws:lambda:eu-west-1:111122223333:function:worker';
const PARTS = { time: new ManualTime(), randomness: systemRandomness };
const ROOT = 'Root=1-5759e988-bd862e3fe1be46a994272793';

/** The header that a message has after so many turns through the function. */
function afterTurns(turns: number, functionArn = WORKER): string {
  let header = `${ROOT};Sampled=1`;
  for (let turn = 0; turn < turns; turn += 1) header = traceOfBatch([header], functionArn, PARTS);
  return header;
}

function looping(header: string | undefined, functionArn = WORKER): boolean {
  const message = receivedMessage(header === undefined ? {} : { traceHeader: header });
  return new LoopGuard().looping([message], functionArn).length > 0;
}

describe('a chain of invocations', () => {
  it('is a loop when it went through one function sixteen times', () => {
    expect(looping(afterTurns(MOST_TURNS - 1))).toBe(false);
    expect(looping(afterTurns(MOST_TURNS))).toBe(true);
  });

  it('is counted for each function apart, its aliases and versions together', () => {
    const header = afterTurns(MOST_TURNS);
    expect(looping(header, `${WORKER}-2`)).toBe(false);
    expect(looping(header, `${WORKER}:live`)).toBe(true);
    const through = Array.from({ length: 40 }, (_, index) => `${WORKER}-${index}`);
    const long = through.reduce((before, functionArn) => traceOfBatch([before], functionArn, PARTS), header);
    expect(long.length).toBeLessThan(512);
    expect(through.some((functionArn) => looping(long, functionArn))).toBe(false);
  });

  it('is as deep as the shallowest message of a batch, so that what is sent anew is never stopped', () => {
    const mixed = traceOfBatch([afterTurns(15), undefined], WORKER, PARTS);
    expect(looping(traceOfBatch([mixed, undefined], WORKER, PARTS))).toBe(false);
  });

  it('is a loop by the count of Lambda too, in both forms that it has had', () => {
    expect(looping(`${ROOT};Lineage=1:a793ea9a:16`)).toBe(false);
    expect(looping(`${ROOT};Lineage=1:a793ea9a:17`)).toBe(true);
    expect(looping(`${ROOT};Lineage=a87bd80c:1|68fd508a:17`)).toBe(true);
  });

  it.each([undefined, '', 'Karin', `Karin=x:99`, `${ROOT};Karin=zzzzzzzz:99`, 'Karin=;;;', '='.repeat(5_000)])(
    'without a count that can be understood is none: %j',
    (header) => {
      expect(looping(header)).toBe(false);
    },
  );

  it('is reported once, and goes on for as many turns again when the operator says so', () => {
    const guard = new LoopGuard();
    const message = receivedMessage({ traceHeader: afterTurns(MOST_TURNS) });
    expect(guard.unreported([message, message])).toEqual(['1-5759e988-bd862e3fe1be46a994272793']);
    expect(guard.unreported([message])).toEqual([]);
    guard.allowMore();
    expect(guard.looping([message], WORKER)).toEqual([]);
  });
});

describe('the trace of a batch', () => {
  it('is that of its messages, where they have one', () => {
    const one = `${ROOT};Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:a793ea9a:2`;
    expect(traceOfBatch([undefined, one, one], WORKER, PARTS)).toMatch(
      /^Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Karin=[0-9a-f]{8}:1$/,
    );
    expect(traceOfBatch([one], WORKER, PARTS)).toContain(';Lineage=1:a793ea9a:2;');
  });

  it('of several is a new one, sampled if one of them is, and not if none is', () => {
    const other = 'Root=1-67891233-abcdef012345678912345678';
    const fresh = traceOfBatch([`${ROOT};Sampled=0`, `${other};Parent=53995c3f42cd8ad8;Sampled=1`], WORKER, PARTS);
    expect(fresh).toMatch(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Sampled=1;Karin=/);
    expect(fresh).not.toContain('5759e988');
    expect(traceOfBatch([`${ROOT};Sampled=0`, `${other};Sampled=0`], WORKER, PARTS)).toContain(';Sampled=0;');
    expect(traceOfBatch([`${ROOT};Sampled=0`, other], WORKER, PARTS)).not.toContain('Sampled');
  });

  it('begins where no message has one', () => {
    expect(traceOfBatch([undefined], WORKER, PARTS)).toMatch(
      /^Root=1-6774[0-9a-f]{4}-[0-9a-f]{24};Karin=[0-9a-f]{8}:1$/,
    );
  });
});
