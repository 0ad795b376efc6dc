/**
 * What SQS itself was recorded to answer, against what is answered here: members, codes, statuses and texts, in both
 * protocols.
 */
import { expect, it } from 'vitest';
import type { ActionName } from '../../runtime/sqs/protocol/model.ts';
import { RECORDED_ANSWERS } from './data/recorded-answers.ts';
import { RECORDED_REFUSALS } from './data/recorded-refusals.ts';
import type { Step } from './data/steps.ts';
import { type Api, describeApi } from './support/describe-api.ts';
import { queueArnText, queueUrl } from './support/harness.ts';

/** Calls actions, with the places of their inputs filled in. */
class Caller {
  readonly #api: Api;
  handle = '';

  constructor(api: Api) {
    this.#api = api;
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      const answer = await this.#api.ok(...this.filled(step));
      this.handle = /"ReceiptHandle":"([^"]+)"/.exec(JSON.stringify(answer))?.[1] ?? this.handle;
    }
  }

  filled([action, input]: Step): [ActionName, object] {
    const text = JSON.stringify(input)
      .replaceAll('<handle>', this.handle)
      .replaceAll('<url>', queueUrl(''))
      .replaceAll('<arn>', queueArnText(''));
    // The data name actions of SQS; the compiler knows them as texts.
    return [action as ActionName, JSON.parse(text)];
  }
}

/** The answer with a matcher for each text in angle brackets. */
function expected(answer: unknown): unknown {
  if (typeof answer === 'string') return /^<.*>$/.test(answer) ? expect.any(String) : answer;
  if (Array.isArray(answer)) return answer.map(expected);
  if (typeof answer !== 'object' || answer === null) return answer;
  return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, expected(value)]));
}

describeApi('as recorded from SQS', (api) => {
  it.each(RECORDED_REFUSALS)('refuses $what', async ({ before = [], call, status, code, message }) => {
    const caller = new Caller(api);
    await caller.run(before);
    const text = typeof message === 'string' ? message : message[api.protocol];
    const refusal = await api.refused(...caller.filled(call));
    expect(refusal).toEqual({ status, code, message: text.replaceAll('<handle>', caller.handle) });
  });

  it.each(RECORDED_ANSWERS)('answers $what', async ({ before, call, answer }) => {
    const caller = new Caller(api);
    await caller.run(before);
    expect(await api.ok(...caller.filled(call))).toEqual(expected(answer));
  });
});
