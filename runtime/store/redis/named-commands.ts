/**
 * Messages by their names, in Redis. The scripts are `scripts/named.ts` and `scripts/fifo-named.ts`.
 *
 * @module
 */
import { checkBrowse, checkNames, checkScheduled, wholeMs } from '../steps.ts';
import {
  type BrowsedEntry,
  type FoundEntry,
  type FreeMessage,
  type HoldersReply,
  type Lease,
  type LookUpReply,
  type MessageName,
  type NamedMessages,
  type NamedOutcome,
  type NamedReply,
  type NamesReply,
  type QueueKey,
  type RecordsReply,
  type ScheduledReply,
  type StoredQueue,
  StoreUnavailableError,
  type TakeReply,
} from '../store.ts';
import {
  type Argument,
  idBytes,
  idText,
  integersIn,
  messageOf,
  type RedisCalls,
  ReplyReader,
  sequenceText,
  shortIdBytes,
  storedValue,
} from './calls.ts';
import { queueKeys, wakeSubject } from './keys.ts';
import { FIFO_DELETE_NAMED, FIFO_LOOK_UP, FIFO_MAKE_DUE, FIFO_TAKE } from './scripts/fifo-named.ts';
import { DELETE_NAMED, HOLDERS, LOOK_UP, MAKE_DUE, RECORDS, SCHEDULED, TAKE } from './scripts/named.ts';
import type { Script } from './scripts/script.ts';
import { readHeadLowered, readNextDue } from './standard-commands.ts';

/** Queues that one script asks for a message. */
const MOST_QUEUES_PER_CALL = 100;
/** Bytes of an id at the end of a place in the order of a FIFO queue, and of the sequence number before it. */
const [ID_BYTES, SEQUENCE_BYTES] = [16, 6];

interface NamedCommandsParts {
  readonly calls: RedisCalls;
  readonly channel: string;
  readonly instanceId: string;
  /** Whether one script may read many queues. */
  readonly manyQueues: boolean;
  /** Messages come or go. */
  readonly active: () => void;
}

export class NamedCommands implements NamedMessages {
  readonly #parts: NamedCommandsParts;
  #manyQueues: boolean;

  constructor(parts: NamedCommandsParts) {
    this.#parts = parts;
    this.#manyQueues = parts.manyQueues;
  }

  async lookUp(queue: StoredQueue, names: readonly MessageName[], maxBytes: number): Promise<LookUpReply> {
    checkNames(names);
    const reply = await this.#run(queue, [LOOK_UP, FIFO_LOOK_UP], names, maxBytes);
    const looked = reply.integer();
    const found: FoundEntry[] = [];
    while (!reply.done) found.push(readFound(reply));
    return { found, looked };
  }

  async delete(queue: StoredQueue, names: readonly FreeMessage[]): Promise<NamedReply> {
    return this.#act(queue, [DELETE_NAMED, FIFO_DELETE_NAMED], names);
  }

  async makeDue(queue: StoredQueue, names: readonly FreeMessage[]): Promise<NamedReply> {
    return this.#act(queue, [MAKE_DUE, FIFO_MAKE_DUE], names);
  }

  async take(queue: StoredQueue, names: readonly FreeMessage[], leaseMs: number): Promise<TakeReply> {
    checkNames(names);
    this.#parts.active();
    const reply = await this.#run(queue, [TAKE, FIFO_TAKE], names, wholeMs(leaseMs));
    const times = { ...readHeadLowered(reply), ...readNextDue(reply) };
    const outcomes: NamedOutcome[] = [];
    const leases: Lease[] = [];
    for (const { id, group } of names) {
      const outcome = readOutcome(reply);
      const [leaseNumber, sequence] = [reply.integer(), reply.integer()];
      outcomes.push(outcome);
      if (outcome !== 'done') continue;
      const place = group === undefined || sequence === -1 ? {} : { group, sequenceNumber: sequenceText(sequence) };
      leases.push({ id, leaseNumber, ...place });
    }
    return { outcomes, leases, ...times };
  }

  async names({ key, fifo }: StoredQueue, count: number, cursor = '0'): Promise<NamesReply> {
    checkBrowse(count);
    const { due, order } = queueKeys(key);
    const reply = await this.#parts.calls.command('zscan', fifo ? order : due, cursor, 'COUNT', count);
    const [next, found]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    const members = new ReplyReader(found);
    const names: MessageName[] = [];
    while (!members.done) {
      const member = members.bytes();
      // The score.
      members.bytes();
      names.push(fifo ? fifoName(member) : standardName(member));
    }
    const after = new ReplyReader([next]).text();
    return after === '0' ? { names } : { names, cursor: after };
  }

  async scheduled({ key }: StoredQueue, from: number, count: number): Promise<ScheduledReply> {
    checkScheduled(from, count);
    const reply = new ReplyReader(await this.#parts.calls.script(SCHEDULED, [queueKeys(key).delayed], [from, count]));
    const total = reply.integer();
    const scheduled: { readonly id: string; readonly dueInMs: number }[] = [];
    while (!reply.done) scheduled.push({ id: idText(reply.bytes()), dueInMs: reply.integer() });
    return { scheduled, total };
  }

  async records({ key, fifo }: StoredQueue, ids: readonly string[], maxBytes: number): Promise<RecordsReply> {
    checkNames(ids.map((id) => ({ id })));
    const args = [maxBytes, ...ids.map(fifo ? idBytes : shortIdBytes)];
    const reply = new ReplyReader(await this.#parts.calls.script(RECORDS, [queueKeys(key).messages], args));
    const looked = reply.integer();
    const records = new Map<string, Uint8Array>();
    while (!reply.done) {
      const id = ids[reply.integer() - 1];
      const { record } = storedValue(reply.bytes());
      if (id !== undefined) records.set(id, record);
    }
    return { records, looked };
  }

  async holders(queues: readonly StoredQueue[], id: string): Promise<HoldersReply> {
    checkNames([{ id }]);
    const most = this.#manyQueues ? MOST_QUEUES_PER_CALL : 1;
    const holders: QueueKey[] = [];
    let commands = 0;
    try {
      // One call after another: a search is never urgent, and takes no more of Redis than one call does.
      for (let at = 0; at < queues.length; at += most) {
        const some = queues.slice(at, at + most);
        const keys = some.map(({ key }) => queueKeys(key).messages);
        const ids = some.map(({ fifo }) => (fifo ? idBytes(id) : shortIdBytes(id)));
        const held = integersIn(await this.#parts.calls.script(HOLDERS, keys, ids));
        commands += 1 + some.length;
        for (const [index, { key }] of some.entries()) if (held[index] === 1) holders.push(key);
      }
      return { holders, commands };
    } catch (error) {
      // A cluster behind one address: a script may touch the keys of one queue only.
      if (!this.#manyQueues || !messageOf(error).includes('CROSSSLOT')) throw error;
      this.#manyQueues = false;
      return this.holders(queues, id);
    }
  }

  async #act(
    queue: StoredQueue,
    scripts: readonly [Script, Script],
    names: readonly FreeMessage[],
  ): Promise<NamedReply> {
    checkNames(names);
    this.#parts.active();
    const reply = await this.#run(queue, scripts, names, 0);
    const times = { ...readHeadLowered(reply), ...readNextDue(reply) };
    return { outcomes: names.map(() => readOutcome(reply)), ...times };
  }

  async #run(
    { key, fifo }: StoredQueue,
    [standardScript, fifoScript]: readonly [Script, Script],
    names: readonly FreeMessage[],
    number: number,
  ): Promise<ReplyReader> {
    const { calls, channel, instanceId } = this.#parts;
    const { due, messages, receives, delayed, order, flight, failures } = queueKeys(key);
    const args: Argument[] = [names.length, number];
    for (const { id, group = '', sequenceNumber, givenUp = -1 } of names) {
      args.push(fifo ? idBytes(id) : shortIdBytes(id), group, numberOf(sequenceNumber), givenUp);
    }
    args.push(channel, wakeSubject(key, instanceId));
    const places = fifo ? [order, flight] : [];
    const keys = [due, messages, receives, delayed, ...places, failures];
    return new ReplyReader(await calls.script(fifo ? fifoScript : standardScript, keys, args));
  }
}

/** -1 for none, and for one that no message here can have. */
function numberOf(sequenceNumber: string | undefined): number {
  const number = sequenceNumber !== undefined && /^\d{1,20}$/.test(sequenceNumber) ? Number(sequenceNumber) : -1;
  return number < 2 ** 48 ? number : -1;
}

const OUTCOMES: readonly NamedOutcome[] = ['done', 'in-flight', 'missing', 'behind', 'out-of-reach'];

function readOutcome(reply: ReplyReader): NamedOutcome {
  const outcome = OUTCOMES[reply.integer()];
  if (outcome === undefined) throw new StoreUnavailableError('Redis answered with an outcome that is not known');
  return outcome;
}

const STATES: readonly BrowsedEntry['state'][] = ['visible', 'delayed', 'in-flight'];

function readFound(reply: ReplyReader): FoundEntry {
  const id = idText(reply.bytes());
  const content = { ...storedValue(reply.bytes()), receiveCount: reply.integer(), firstReceivedAt: reply.integer() };
  const state = STATES[reply.integer()];
  const [dueInMs, group, sequence] = [reply.integer(), reply.text(), reply.integer()];
  if (state === undefined) return { id, ...content };
  return {
    ...{ id, ...content, state, dueInMs },
    ...(group === '' ? {} : { group }),
    ...(sequence === -1 ? {} : { sequenceNumber: sequenceText(sequence) }),
  };
}

/** The name in a member of `due`: `MEMBERS` in `scripts/script.ts`. */
function standardName(member: Buffer): MessageName {
  if (member.length <= ID_BYTES) return { id: idText(member) };
  const length = member.readUInt8(ID_BYTES);
  return { id: idText(member.subarray(0, length)), group: member.toString('utf8', ID_BYTES + 1) };
}

/** The name in a place of `order`: `scripts/fifo-groups.ts`. */
function fifoName(member: Buffer): MessageName {
  const idAt = member.length - ID_BYTES;
  const sequenceAt = idAt - SEQUENCE_BYTES;
  return {
    id: idText(member.subarray(idAt)),
    group: member.toString('utf8', 0, sequenceAt - 1),
    sequenceNumber: sequenceText(member.readUIntBE(sequenceAt, SEQUENCE_BYTES)),
  };
}
