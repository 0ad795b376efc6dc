/**
 * Runs a suite against every store and in both protocols.
 *
 * @module
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from 'vitest';
import type { ActionName } from '../../../runtime/sqs/protocol/model.ts';
import { ManualTime } from '../../support/manual-time.ts';
import {
  Harness,
  type HarnessOptions,
  PROTOCOLS,
  type Protocol,
  type Refusal,
  type RequestOptions,
} from './harness.ts';
import { storeFactories } from './stores.ts';
import type { PlainInput, PlainOutput } from './wire.ts';

/** The API of the running test, with its protocol. */
export interface Api {
  readonly protocol: Protocol;
  /** Only while a test runs. */
  readonly harness: Harness;
  /** Lets so many milliseconds pass. */
  pass(ms: number): Promise<void>;
  ok<N extends ActionName>(action: N, input: PlainInput<N>, options?: RequestOptions): Promise<PlainOutput<N>>;
  refused<N extends ActionName>(action: N, input: PlainInput<N>, options?: RequestOptions): Promise<Refusal>;
}

/**
 * `define` declares tests; what it is given works while they run. The API must have foreseen everything that happened
 * in a test.
 */
export function describeApi(
  name: string,
  define: (api: Api) => void,
  options: Pick<HarnessOptions, 'maxDelaySeconds' | 'inFlightLimit'> = {},
): void {
  describe.each(storeFactories())(`${name}, $name store`, (factory) => {
    beforeAll(() => factory.start());
    afterAll(() => factory.stop());

    describe.each(PROTOCOLS)('%s', (protocol) => {
      let harness: Harness;

      beforeEach(async () => {
        const time = new ManualTime();
        harness = await Harness.open({ store: await factory.open(time), time, ...options });
      });

      afterEach(async () => {
        await harness.close();
        expect(harness.reported).toEqual([]);
      });

      define({
        protocol,
        get harness() {
          return harness;
        },
        pass: (ms) => harness.pass(ms),
        ok: (action, input, requestOptions) => harness.ok(protocol, action, input, requestOptions),
        refused: (action, input, requestOptions) => harness.refused(protocol, action, input, requestOptions),
      });
    });
  });
}
