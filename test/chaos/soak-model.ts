/**
 * What the rules of SQS and Lambda say about each message of the soak, held against every Invoke that is seen.
 *
 * The model sees only what Lambda sees. A server that is killed between a lease and its Invoke raises a receive count
 * that nobody sees, so counts may jump; they may never fall, repeat after anything but a throttle, or exceed
 * `maxReceiveCount`.
 *
 * @module
 */
import {
  type Answer,
  CRASH,
  type LambdaCall,
  type SeenRecord,
  SUCCESS,
  THROTTLED,
} from '../support/scriptable-lambda.ts';

/** What the message asks of the function, in its body. */
export interface Fate {
  readonly queue: string;
  /** Position within its group, from 0; messages without a group: within the queue. */
  readonly position: number;
  readonly group: string;
  /** Never handled: must end in the dead-letter queue. */
  readonly poison: boolean;
}

interface Known extends Fate {
  readonly id: string;
  /** At its last invocation. */
  receives: number;
  /** Its last Invoke did not reach the function, so it may be seen again under the same receive. */
  kept: boolean;
  /** The function answered success for it. */
  handled: boolean;
  /** It was seen in the dead-letter queue. */
  buried: boolean;
  /** A later message of its group was invoked although it was not handled: it must have been moved by then. */
  mustBeDead: boolean;
}

export interface SoakRules {
  readonly maxReceiveCount: number;
  /** Queues whose functions report failed messages one by one. */
  readonly reporting: ReadonlySet<string>;
  /** In [0, 1). */
  readonly random: () => number;
  /** Resolves late: after the lease of the messages has run out. */
  readonly tooLong: () => Promise<void>;
}

/** What happened in a soak, to be kept beside its seed. */
export interface SoakFigures {
  readonly messages: number;
  /** The function answered success for so many. */
  readonly handled: number;
  /** So many were seen in the dead-letter queue. */
  readonly buried: number;
  /** Invokes of the functions, by what came of them. */
  readonly outcomes: Readonly<Record<Outcome, number>>;
  /** The highest receive count at which a message was invoked. */
  readonly highestReceive: number;
}

type Outcome = 'throttled' | 'serverError' | 'crashed' | 'reset' | 'outlivedLease' | 'answered';

export class SoakModel {
  /** Rules that were broken, in words. */
  readonly broken: string[] = [];
  /** Resolves when every message was handled or buried. */
  readonly ended: Promise<void>;
  readonly #rules: SoakRules;
  readonly #messages = new Map<string, Known>();
  /** Messages of each FIFO group by position. */
  readonly #groups = new Map<string, Known[]>();
  readonly #outcomes: Record<Outcome, number> = {
    throttled: 0,
    serverError: 0,
    crashed: 0,
    reset: 0,
    outlivedLease: 0,
    answered: 0,
  };
  #highestReceive = 0;
  #open = 0;
  #complete = false;
  #resolve: () => void = () => {};

  constructor(rules: SoakRules) {
    this.#rules = rules;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** A message that is about to be sent. */
  expect(id: string, fate: Fate): void {
    const known = { ...fate, id, receives: 0, kept: false, handled: false, buried: false, mustBeDead: false };
    this.#messages.set(id, known);
    this.#open += 1;
    if (fate.group === '') return;
    const key = `${fate.queue} ${fate.group}`;
    this.#groups.set(key, [...(this.#groups.get(key) ?? []), known]);
  }

  /** No more messages will be sent. */
  allSent(): void {
    this.#complete = true;
    this.#checkEnd();
  }

  /** An Invoke of the function of a dead-letter queue. */
  bury({ records }: LambdaCall): Answer {
    for (const record of records) {
      const known = this.#known(record);
      if (known === undefined) continue;
      const receives = Number(record.attributes['ApproximateReceiveCount']);
      if (receives <= this.#rules.maxReceiveCount) this.#break(known, `was moved after ${receives - 1} receives`);
      this.#end(known, () => {
        known.buried = true;
      });
    }
    return SUCCESS;
  }

  /** An Invoke of the function of an ordinary queue. */
  async invoke(call: LambdaCall): Promise<Answer> {
    const batch = call.records.map((record) => this.#known(record)).filter((known) => known !== undefined);
    for (const record of call.records) this.#checkReceive(record);
    this.#checkOrder(batch);
    const chance = this.#rules.random();
    const outcome = outcomeOf(chance);
    this.#outcomes[outcome] += 1;
    switch (outcome) {
      case 'throttled':
        return this.#kept(batch, THROTTLED);
      case 'serverError':
        return this.#kept(batch, { kind: 'error', status: 500, type: 'ServiceException' });
      case 'crashed':
        return CRASH;
      case 'reset':
        return { kind: 'reset' };
      case 'outlivedLease':
        await this.#rules.tooLong();
        return this.#work(batch);
      case 'answered':
        return this.#work(batch);
    }
  }

  get figures(): SoakFigures {
    const known = [...this.#messages.values()];
    return {
      messages: known.length,
      handled: known.filter(({ handled }) => handled).length,
      buried: known.filter(({ buried }) => buried).length,
      outcomes: { ...this.#outcomes },
      highestReceive: this.#highestReceive,
    };
  }

  /** What is wrong at the end. */
  verdict(): readonly string[] {
    for (const known of this.#messages.values()) {
      if (known.poison && !known.buried) this.#break(known, 'is poison, but was not moved to the dead-letter queue');
      if (!known.handled && !known.buried) this.#break(known, 'was lost');
      if (known.mustBeDead && !known.buried) this.#break(known, 'was overtaken by a later message of its group');
    }
    return this.broken;
  }

  #known({ messageId }: SeenRecord): Known | undefined {
    const known = this.#messages.get(messageId);
    if (known === undefined) this.broken.push(`${messageId} was never sent`);
    return known;
  }

  #checkReceive(record: SeenRecord): void {
    const known = this.#messages.get(record.messageId);
    if (known === undefined) return;
    const receives = Number(record.attributes['ApproximateReceiveCount']);
    if (receives < known.receives || (receives === known.receives && !known.kept)) {
      this.#break(known, `was invoked at receive ${receives} after receive ${known.receives}`);
    }
    if (receives > this.#rules.maxReceiveCount) this.#break(known, `was invoked at receive ${receives}`);
    if (known.mustBeDead) this.#break(known, 'was invoked after a later message of its group');
    known.receives = receives;
    known.kept = false;
    this.#highestReceive = Math.max(this.#highestReceive, receives);
  }

  /**
   * In a batch the messages of a FIFO group stand in order, without a gap; whatever stands before them was handled or
   * is dead.
   */
  #checkOrder(batch: readonly Known[]): void {
    const expected = new Map<string, number>();
    for (const known of batch) {
      if (known.group === '') continue;
      const key = `${known.queue} ${known.group}`;
      const group = this.#groups.get(key) ?? [];
      const next = expected.get(key);
      const between = group.slice(next ?? 0, known.position).filter((earlier) => !earlier.handled && !earlier.buried);
      if (next !== undefined && between.length > 0)
        this.#break(known, 'stands in a batch that leaves out an earlier one');
      for (const earlier of between) earlier.mustBeDead = true;
      expected.set(key, known.position + 1);
    }
  }

  #kept(batch: readonly Known[], answer: Answer): Answer {
    for (const known of batch) known.kept = true;
    return answer;
  }

  /** The function itself: it fails on poison, and in a FIFO group on everything behind it. */
  #work(batch: readonly Known[]): Answer {
    const blocked = new Set<string>();
    const failed: Known[] = [];
    for (const known of batch) {
      const fails = known.poison || (known.group !== '' && blocked.has(known.group));
      if (fails) blocked.add(known.group);
      if (fails) failed.push(known);
    }
    if (failed.length > 0 && !this.#rules.reporting.has(batch[0]?.queue ?? '')) return CRASH;
    for (const known of batch) {
      if (failed.includes(known)) continue;
      this.#end(known, () => {
        known.handled = true;
      });
    }
    return { kind: 'answer', value: { batchItemFailures: failed.map(({ id }) => ({ itemIdentifier: id })) } };
  }

  #end(known: Known, mark: () => void): void {
    const before = known.handled || known.buried;
    mark();
    if (!before) this.#open -= 1;
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (this.#complete && this.#open === 0) this.#resolve();
  }

  #break({ queue, group, position, id }: Known, what: string): void {
    this.broken.push(`${queue} ${group} ${position} (${id}) ${what}`);
  }
}

/** What becomes of an Invoke. `chance`: in [0, 1). */
function outcomeOf(chance: number): Outcome {
  if (chance < 0.03) return 'throttled';
  if (chance < 0.05) return 'serverError';
  if (chance < 0.07) return 'crashed';
  if (chance < 0.08) return 'reset';
  if (chance < 0.083) return 'outlivedLease';
  return 'answered';
}
