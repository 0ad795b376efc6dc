/**
 * Messages by their names, in memory: what `named-commands.ts` of the Redis store does.
 *
 * @module
 */
import type { Time } from '../../time.ts';
import { checkBrowse, checkNames, checkScheduled, wholeMs } from '../steps.ts';
import type { FoundEntry, HeadLowered, NamedMessages, NamedReply, StoredQueue } from '../store.ts';
import type { MemoryQueue } from './memory-queue.ts';

interface MemoryNamedParts {
  readonly time: Time;
  readonly queue: (queue: StoredQueue) => MemoryQueue;
  /** Forgets what is kept of the failures of these messages. */
  readonly forget: (queue: StoredQueue, ids: ReadonlySet<string>) => void;
  /** Tells others that the head was lowered. */
  readonly woken: <T extends HeadLowered>(queue: StoredQueue, reply: T) => T;
}

export function memoryNamed({ time, queue: open, forget, woken }: MemoryNamedParts): NamedMessages {
  return {
    lookUp: async (queue, names, maxBytes) => {
      checkNames(names);
      const stored = open(queue);
      const found: FoundEntry[] = [];
      let bytes = 0;
      let looked = 0;
      for (const name of names) {
        const message = stored.named(time.now(), name);
        bytes += message?.entry.record.length ?? 0;
        if (message !== undefined && bytes > maxBytes && found.length > 0) break;
        looked += 1;
        if (message !== undefined) found.push(message.withinReach ? message.entry : withoutState(message.entry));
      }
      return { found, looked };
    },
    delete: async (queue, names) => {
      checkNames(names);
      const reply = woken(queue, open(queue).deleteNamed(time.now(), names));
      forget(queue, done(names, reply));
      return reply;
    },
    makeDue: async (queue, names) => {
      checkNames(names);
      return woken(queue, open(queue).makeDue(time.now(), names));
    },
    take: async (queue, names, leaseMs) => {
      checkNames(names);
      return woken(queue, open(queue).take(time.now(), names, wholeMs(leaseMs)));
    },
    names: async (queue, count, cursor = '0') => {
      checkBrowse(count);
      const { names, last } = open(queue).names(Number(cursor), count);
      return { names, ...(last === undefined ? {} : { cursor: String(last) }) };
    },
    scheduled: async (queue, from, count) => {
      checkScheduled(from, count);
      return open(queue).scheduled(time.now(), from, count);
    },
    records: async (queue, ids, maxBytes) => {
      checkNames(ids.map((id) => ({ id })));
      const records = new Map<string, Uint8Array>();
      let bytes = 0;
      let looked = 0;
      for (const id of ids) {
        const record = open(queue).named(time.now(), { id })?.entry.record;
        bytes += record?.length ?? 0;
        if (record !== undefined && bytes > maxBytes && records.size > 0) break;
        looked += 1;
        if (record !== undefined) records.set(id, record);
      }
      return { records, looked };
    },
    holders: async (queues, id) => {
      checkNames([{ id }]);
      const holders = queues.filter((queue) => open(queue).named(time.now(), { id }) !== undefined);
      return { holders: holders.map(({ key }) => key), commands: 0 };
    },
  };
}

/** What the Redis store can tell of a message whose place it does not find. */
function withoutState({ state: _, dueInMs: __, group: ___, sequenceNumber: ____, ...entry }: FoundEntry): FoundEntry {
  return entry;
}

function done(names: readonly { readonly id: string }[], { outcomes }: NamedReply): ReadonlySet<string> {
  return new Set(names.flatMap(({ id }, at) => (outcomes[at] === 'done' ? [id] : [])));
}
