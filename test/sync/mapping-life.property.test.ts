/**
 * The life of mappings: random sequences of what AWS says of them and of what an operator does, through the real
 * discovery, the synchroniser and the directory. After every step the invariants of `mapping-state.ts` and `holds.ts`
 * are looked at.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { karinsOf, standingOf, unsettledOf } from '../../runtime/aws/discovery/mapping-state.ts';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import type { ApplyDiff } from '../../runtime/aws/sync/synchroniser.ts';
import { createSynchroniser } from '../../runtime/aws/sync/synchroniser.ts';
import { createLog } from '../../runtime/log.ts';
import type { QueueMode } from '../../runtime/queue/definition.ts';
import { createDirectory } from '../../runtime/queue/stored-directory.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { DENIED, FUNCTION, ScriptedAws, THROTTLED, wireMapping } from '../lambda/discovery/scripted-aws.ts';
import { message } from '../queue/queue-world.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, foreignOf } from './discoveries.ts';

const RUNS = process.env['KARIN_TEST_SIZE'] === 'full' ? 1_000 : 30;

const STATES = ['Creating', 'Enabling', 'Enabled', 'Disabling', 'Disabled', 'Updating', 'Deleting', 'gone'] as const;
type State = (typeof STATES)[number];
/** States in which AWS takes messages, or has some in flight, or will take some without another word. */
const CONSUMING: ReadonlySet<State> = new Set(['Enabling', 'Enabled', 'Disabling']);

const UUIDS = ['one', 'two'] as const;
type Uuid = (typeof UUIDS)[number];
const KEY = 'us-east-1:123456789012:jobs';
const BUSY = { status: 500, code: 'ServiceException', message: 'busy' };

type Step =
  | { readonly kind: 'state'; readonly uuid: Uuid; readonly state: State }
  /** `leave`: the tag that says that Karin must leave the mapping alone. */
  | { readonly kind: 'tags'; readonly uuid: Uuid; readonly tags: 'none' | 'leave' | 'refused' | 'throttled' }
  | { readonly kind: 'function'; readonly uuid: Uuid; readonly answers: 'well' | 'busy' | 'missing' }
  | { readonly kind: 'lists'; readonly readable: boolean }
  | { readonly kind: 'operator'; readonly does: 'hold' | 'resume' | 'drain' | 'pull' }
  | { readonly kind: 'restart' }
  | { readonly kind: 'send' };

const uuid = fc.constantFrom(...UUIDS);
const state = fc.constantFrom<State>(...STATES);
/** States and the operator most often: most of what must be true is true of these. */
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('state'), uuid, state }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('state'),
      uuid,
      state: fc.constantFrom<State>('Disabled', 'Enabled', 'Updating'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('operator'),
      does: fc.constantFrom('hold', 'hold', 'resume', 'drain', 'pull'),
    }),
  },
  fc.record({ kind: fc.constant('tags'), uuid, tags: fc.constantFrom('none', 'leave', 'refused', 'throttled') }),
  fc.record({ kind: fc.constant('function'), uuid, answers: fc.constantFrom('well', 'busy', 'missing') }),
  fc.record({ kind: fc.constant('lists'), readable: fc.boolean() }),
  fc.record({ kind: fc.constant('restart') }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('send') }) },
);

let aws: ScriptedAws;
beforeAll(async () => {
  aws = new ScriptedAws();
  await aws.start();
});
afterAll(() => aws.stop());

/** What AWS says of one mapping. */
interface Truth {
  state: State;
  tags: 'none' | 'leave' | 'refused' | 'throttled';
  answers: 'well' | 'busy' | 'missing';
}

class Life {
  readonly #store = new MemoryStore({ time: new ManualTime() });
  readonly #truth: Record<Uuid, Truth> = {
    one: { state: 'Disabled', tags: 'none', answers: 'well' },
    two: { state: 'gone', tags: 'none', answers: 'well' },
  };
  #listsReadable = true;
  #server: Awaited<ReturnType<Life['startServer']>> | undefined;
  /** What the operator said last. */
  #operatorHolds = false;
  #sent = 0;

  async startServer() {
    const time = new ManualTime();
    const directory = await createDirectory({
      store: this.#store,
      time,
      randomness: systemRandomness,
      notify: () => {},
    });
    let served: readonly Mapping[] = [];
    const serve = (mappings: readonly Mapping[]): ApplyDiff => {
      served = mappings;
      // While these are served, the queue must already be as they ask: nothing may be consumed for a moment that must
      // not be.
      this.#expectNobodyElse(served, directory.byKey(KEY)?.definition.mode);
      return { added: [], changed: [], removed: [], broken: [], leftAlone: [], unchanged: 0, warnings: [] };
    };
    const log = createLog({ level: 'fatal', write: () => {} });
    const { documents } = this.#store;
    const source = aws.source();
    const synchroniser = createSynchroniser({
      sources: [source],
      documents,
      instance: 'this server',
      directory,
      serve,
      time,
      log,
    });
    return { directory, synchroniser, served: () => served };
  }

  async begin(): Promise<void> {
    this.#script();
    this.#server = await this.startServer();
    await this.#sync();
  }

  end(): void {
    this.#server?.directory.close();
  }

  get #running() {
    if (this.#server === undefined) throw new Error('begin was not called');
    return this.#server;
  }

  get #mode(): QueueMode | undefined {
    return this.#running.directory.byKey(KEY)?.definition.mode;
  }

  async take(one: Step): Promise<void> {
    switch (one.kind) {
      case 'state':
        this.#truth[one.uuid].state = one.state;
        break;
      case 'tags':
        this.#truth[one.uuid].tags = one.tags;
        break;
      case 'function':
        this.#truth[one.uuid].answers = one.answers;
        break;
      case 'lists':
        this.#listsReadable = one.readable;
        break;
      case 'operator':
        await this.#operate(one.does);
        break;
      case 'restart':
        this.#running.directory.close();
        this.#server = await this.startServer();
        this.#script();
        await this.#server.synchroniser.restore();
        break;
      case 'send': {
        const queue = this.#running.directory.byKey(KEY);
        if (queue !== undefined) {
          await queue.send([message('kept')]);
          this.#sent += 1;
        }
        break;
      }
    }
    this.#script();
    await this.#sync();
    await this.#look();
  }

  async #operate(does: 'hold' | 'resume' | 'drain' | 'pull'): Promise<void> {
    const { directory } = this.#running;
    const queue = directory.byKey(KEY);
    if (queue === undefined) return;
    if (does === 'hold') await directory.setMode(queue, 'hold');
    else if (does === 'resume') await directory.setMode(queue, 'consume');
    else if (does === 'drain') await directory.setMode(queue, 'forward');
    // As a pull does it.
    else if (queue.definition.mode === 'forward') await directory.setMode(queue, 'consume');
    else return;
    this.#operatorHolds = does === 'hold';
  }

  /** Makes the endpoint say what is true. */
  #script(): void {
    const { script } = aws;
    const listed = UUIDS.filter((one) => this.#truth[one].state !== 'gone');
    script.pages = [
      listed.map((one) => wireMapping(one, { FunctionArn: functionOf(one), State: this.#truth[one].state })),
    ];
    script.refuseFirst = this.#listsReadable ? [] : [DENIED];
    script.functions = {};
    script.tags = {};
    for (const one of UUIDS) {
      const { answers, tags } = this.#truth[one];
      if (answers !== 'missing') script.functions[functionOf(one)] = answers === 'busy' ? BUSY : { Timeout: 3 };
      script.tags[wireMappingArn(one)] =
        tags === 'refused'
          ? DENIED
          : tags === 'throttled'
            ? THROTTLED
            : tags === 'leave'
              ? { 'karin:consume': 'false' }
              : {};
    }
    script.queues = { '123456789012/jobs': {} };
  }

  async #sync(): Promise<void> {
    await this.#running.synchroniser.sync({ full: true }).catch((error: unknown) => {
      if (this.#listsReadable) throw error;
    });
  }

  /** What must be true whenever mappings are handed over to be consumed, and after every step. */
  #expectNobodyElse(served: readonly Mapping[], mode: QueueMode | undefined): void {
    if (!this.#listsReadable) return;
    const consuming = UUIDS.filter((one) => CONSUMING.has(this.#truth[one].state));
    expect(served.filter(({ uuid: one }) => consuming.some((other) => other === one))).toEqual([]);
    if (consuming.length > 0) expect(mode).not.toBe('consume');
    for (const one of UUIDS) {
      // Whether a mapping must be left alone is known, or it is not served.
      if (this.#truth[one].tags === 'leave' && this.#truth[one].state === 'Disabled') {
        const tags = served.find((mapping) => mapping.uuid === one)?.tags;
        expect(tags ?? { 'karin:consume': 'false' }).toEqual({ 'karin:consume': 'false' });
      }
    }
  }

  async #look(): Promise<void> {
    const { directory, served, synchroniser } = this.#running;
    this.#expectNobodyElse(served(), this.#mode);
    // A hold of the operator ends by the operator, or with its queue: one that comes back later is another one.
    if (this.#mode === undefined) this.#operatorHolds = false;
    if (this.#operatorHolds) expect(this.#mode).toBe('hold');
    await this.#expectNothingLost();

    if (!this.#listsReadable) return;
    // What is in passing is looked at again.
    const { discovery = discoveryOf([]) } = synchroniser.state();
    const passing = UUIDS.some((one) => !['Enabled', 'Disabled', 'gone'].includes(this.#truth[one].state));
    if (passing) expect(unsettledOf(discovery)).toBeDefined();

    const all = UUIDS.map((one) => this.#truth[one]);
    const awsConsumes = discovery.foreign.length > 0;
    for (const one of UUIDS) {
      const { state, tags, answers } = this.#truth[one];
      if (state !== 'Disabled' || tags !== 'none' || answers === 'missing') continue;
      // The second look; nothing else is asked in full.
      await synchroniser.sync();
      expect(served().map((mapping) => mapping.uuid)).toContain(one);
      if (
        !awsConsumes &&
        !this.#operatorHolds &&
        all.every((truth) => truth.state === 'Disabled' || truth.state === 'gone')
      ) {
        expect(directory.byKey(KEY)?.definition.mode).not.toBe('hold');
      }
    }
  }

  async #expectNothingLost(): Promise<void> {
    const queue = this.#running.directory.byKey(KEY);
    if (queue === undefined) {
      expect(this.#sent).toBe(0);
      return;
    }
    const { visible, delayed, inFlight } = await queue.depth();
    expect(visible + delayed + inFlight).toBe(this.#sent);
  }
}

function functionOf(one: Uuid): string {
  return `${FUNCTION}-${one}`;
}

function wireMappingArn(one: Uuid): string {
  return `arn:aws:lambda:us-east-1:123456789012:event-source-mapping:${one}`;
}

describe('the life of a mapping', () => {
  it(
    'is consumed by one side at a time, held as long as the operator wants, consumed again when it is free, and loses nothing',
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
          const life = new Life();
          await life.begin();
          try {
            for (const one of steps) await life.take(one);
          } finally {
            life.end();
          }
        }),
        { numRuns: RUNS },
      );
    },
    RUNS * 1_000,
  );

  it("is Karin's when disabled, whoever had it before, and AWS's in every state in which AWS may consume", () => {
    for (const wasKarins of [true, false]) {
      expect(standingOf('Disabled', wasKarins)).toBe('karin');
      for (const state of ['Enabling', 'Enabled', 'Disabling', 'a state of tomorrow']) {
        expect(standingOf(state, wasKarins)).toBe('aws');
      }
      for (const state of ['Creating', 'Updating', 'Deleting']) {
        expect(standingOf(state, wasKarins)).toBe(wasKarins ? 'settling' : 'aws');
      }
    }
  });

  it('is known again by its queue and its function when a deployment replaces it', () => {
    const { queueArn, functionArn } = foreignOf('jobs');
    const was = karinsOf(discoveryOf(['jobs']));
    expect(was({ queueArn, functionArn })).toBe(true);
    expect(was({ queueArn, functionArn: `${functionArn}:live` })).toBe(false);
    expect(karinsOf(undefined)({ queueArn, functionArn })).toBe(false);
    const settling = { ...discoveryOf([]), settling: [{ ...foreignOf('jobs'), state: 'Deleting' }] };
    expect(karinsOf(settling)({ queueArn, functionArn })).toBe(true);
  });
});
