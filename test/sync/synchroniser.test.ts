import { afterEach, describe, expect, it } from 'vitest';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import type { ApplyDiff } from '../../runtime/aws/sync/synchroniser.ts';
import { createSynchroniser } from '../../runtime/aws/sync/synchroniser.ts';
import { createLog } from '../../runtime/log.ts';
import { createDirectory, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { type Signal, StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import {
  arnOf,
  discoveryOf,
  foreignOf,
  keyOf,
  mappingOf,
  queueOf,
  ScriptedSource,
  UNREACHABLE,
} from './discoveries.ts';

const directories: StoredDirectory[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) directory.close();
});

const NO_CHANGE: ApplyDiff = {
  added: [],
  changed: [],
  removed: [],
  broken: [],
  leftAlone: [],
  unchanged: 0,
  warnings: ['the consumer has a doubt'],
};

/** A synchroniser on a store that others may share. */
async function open(store = new MemoryStore({ time: new ManualTime() })) {
  const time = new ManualTime();
  const source = new ScriptedSource();
  const logged: string[] = [];
  const log = createLog({ level: 'info', write: (line) => logged.push(line) });
  const directory = await createDirectory({ store, time, randomness: systemRandomness, notify: () => {} });
  directories.push(directory);
  const served: (readonly Mapping[])[] = [];
  const serve = (mappings: readonly Mapping[]): ApplyDiff => {
    const before = new Set((served.at(-1) ?? []).map((mapping) => mapping.uuid));
    served.push(mappings);
    return { ...NO_CHANGE, added: mappings.filter((mapping) => !before.has(mapping.uuid)) };
  };
  const synchroniser = createSynchroniser({
    sources: [source],
    documents: store.documents,
    instance: 'this server',
    directory,
    serve,
    time,
    log,
  });
  const names = () => directory.all().map((queue) => queue.arn.name);
  const mode = (name: string) => directory.byKey(keyOf(name))?.definition.mode;
  return { store, time, source, logged, directory, served, synchroniser, names, mode };
}

/** One turn of the event loop: the store hands its signals on at its end. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Hands the signals of the store on, one by one; `settled` waits for what they caused. */
function listenTo({ store, synchroniser }: Awaited<ReturnType<typeof open>>) {
  let caused: Promise<unknown> = Promise.resolve();
  store.subscribe((signal: Signal) => {
    const heard = synchroniser.heard(signal);
    caused = Promise.all([caused, heard]);
  });
  return {
    settled: async () => {
      await turn();
      await caused;
    },
  };
}

function puts(store: MemoryStore): { readonly names: string[] } {
  const names: string[] = [];
  store.subscribe((signal) => {
    if (signal.kind === 'document') names.push(signal.name);
  });
  return { names };
}

describe('a sync', () => {
  it('makes queues, serves mappings and reports the difference', async () => {
    const { source, synchroniser, served, names } = await open();
    const broken = { ...mappingOf('bad'), reason: 'its function is gone; delete the mapping' };
    source.found = discoveryOf(['a', 'b'], {
      broken: [broken],
      waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:a': 2, 'arn:aws:sqs:eu-west-1:111122223333:b': 0 },
      problems: [{ about: 'b', text: 'attributes of b may not be read' }],
    });
    const report = await synchroniser.sync();
    expect(names()).toEqual(['a', 'b']);
    expect(served).toHaveLength(1);
    expect(report).toEqual({
      source: 'a script',
      added: ['a', 'b'].map((name) => ({
        mapping: `uuid-${name}`,
        queueArn: `arn:aws:sqs:eu-west-1:111122223333:${name}`,
        functionArn: `arn:aws:lambda:eu-west-1:111122223333:function:on-${name}`,
      })),
      changed: [],
      removed: [],
      broken: [
        {
          mapping: 'uuid-bad',
          queueArn: 'arn:aws:sqs:eu-west-1:111122223333:bad',
          functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:on-bad',
          reason: 'its function is gone; delete the mapping',
        },
      ],
      leftAlone: [],
      unchanged: 0,
      held: [],
      waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:a': 2 },
      problems: ['attributes of b may not be read'],
      warnings: ['the consumer has a doubt'],
    });
  });

  it('writes only what differs', async () => {
    const { store, source, synchroniser } = await open();
    const written = puts(store);
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    await turn();
    expect(written.names).toContain('discovery');
    written.names.length = 0;
    await synchroniser.sync();
    // Members in another order are no difference.
    const { detailsReadAt, ...rest } = discoveryOf(['a']);
    source.found = { detailsReadAt, ...rest };
    await synchroniser.sync();
    await turn();
    expect(written.names).toEqual([]);
  });

  it('writes at the next one what could not be written, and says meanwhile what is true', async () => {
    const { store, source, synchroniser, names, logged } = await open();
    source.found = discoveryOf(['a']);
    const { put } = store.documents;
    store.documents.put = async (name, ...rest) => {
      if (name === 'discovery') throw new StoreUnavailableError('Redis went away');
      return put.call(store.documents, name, ...rest);
    };
    await expect(synchroniser.sync()).rejects.toThrow('Redis went away');
    expect(names()).toEqual(['a']);
    expect(synchroniser.state().failure).toBeUndefined();
    expect(logged.join('')).toContain('what was found is served, but could not be stored');
    expect(logged.join('')).not.toContain('what was found last is served on');
    store.documents.put = put;
    await synchroniser.sync();
    const another = await open(store);
    expect(await another.synchroniser.restore()).toBe(true);
    expect(another.names()).toEqual(['a']);
  });

  it('leaves the details of unchanged mappings out, except when asked and once a day', async () => {
    const { source, synchroniser, time } = await open();
    source.found = discoveryOf(['a'], { detailsReadAt: time.now() });
    await synchroniser.sync();
    await synchroniser.sync();
    await synchroniser.sync({ full: true });
    time.advance(86_400_000);
    await synchroniser.sync();
    expect(source.asked.map(({ full }) => full)).toEqual([false, false, true, true]);
    expect(source.asked.map(({ previous }) => previous?.mappings.length)).toEqual([undefined, 1, 1, 1]);
  });

  it('that is asked for during another begins after it, once for all who asked', async () => {
    const { source, synchroniser } = await open();
    source.found = discoveryOf(['old']);
    const release = source.hold();
    const first = synchroniser.sync();
    await turn();
    source.found = discoveryOf(['new']);
    const second = synchroniser.sync();
    const third = synchroniser.sync({ full: true });
    release();
    expect((await first).added.map((mapping) => mapping.mapping)).toEqual(['uuid-old']);
    expect((await second).added.map((mapping) => mapping.mapping)).toEqual(['uuid-new']);
    expect(await third).toBe(await second);
    expect(source.asked.map(({ full }) => full)).toEqual([false, true]);
  });

  it('that fails leaves everything as it was, and says so', async () => {
    const { source, synchroniser, names, served, time, logged } = await open();
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    source.found = UNREACHABLE;
    await expect(synchroniser.sync()).rejects.toThrow('cannot be reached');
    expect(names()).toEqual(['a']);
    expect(served).toHaveLength(1);
    expect(synchroniser.state()).toMatchObject({ failure: { message: UNREACHABLE.message, at: time.now() } });
    expect(logged.join('')).toContain('what was found last is served on');
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    expect(synchroniser.state().failure).toBeUndefined();
  });
});

describe('the last good discovery', () => {
  it('is served by a server that starts while its source is unreachable', async () => {
    const before = await open();
    before.source.found = discoveryOf(['a']);
    await before.synchroniser.sync();

    const after = await open(before.store);
    after.source.found = UNREACHABLE;
    expect(await after.synchroniser.restore()).toBe(true);
    expect(after.served.at(-1)).toMatchObject([{ uuid: 'uuid-a' }]);
    await expect(after.synchroniser.sync()).rejects.toThrow();
    expect(after.synchroniser.state()).toMatchObject({ discovery: { mappings: [{ uuid: 'uuid-a' }] } });
    expect(after.synchroniser.state().succeededAt).toBeUndefined();
  });

  it('is not there at first', async () => {
    const { synchroniser, served } = await open();
    expect(await synchroniser.restore()).toBe(false);
    expect(served).toEqual([]);
  });

  const whole = discoveryOf(['a']);
  it.each([
    ['that ends early', '{"mappings": ['],
    ['of another shape', '{}'],
    ['of a mapping without an ARN', JSON.stringify({ ...whole, mappings: [{ ...whole.mappings[0], mappingArn: 7 }] })],
    ['of a batch size of none', JSON.stringify({ ...whole, mappings: [mappingOf('a', { batchSize: 0 })] })],
    ['of a queue without attributes', JSON.stringify({ ...whole, queues: [{ ...queueOf('a'), attributes: {} }] })],
    ['of a queue that SQS could not have', JSON.stringify({ ...whole, queues: [queueOf('not a name')] })],
  ])('is asked for anew if it is a text %s', async (_what, text) => {
    const { store, synchroniser, source, logged, served } = await open();
    await store.documents.put('discovery', text);
    expect(await synchroniser.restore()).toBe(false);
    expect(served).toEqual([]);
    expect(logged.join()).toContain('cannot be read');
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    expect(served.at(-1)).toMatchObject([{ uuid: 'uuid-a' }]);
    expect(await (await open(store)).synchroniser.restore()).toBe(true);
  });

  it('comes back as it was stored, and without what this version does not know', async () => {
    const one = await open();
    one.source.found = discoveryOf(['a', 'b'], {
      mappings: [
        mappingOf('a', { maximumConcurrency: 2, startConcurrency: 1, managedInstances: true, tags: { owner: 'me' } }),
        mappingOf('b', { durableExecutionTimeoutSeconds: 600 }),
      ],
      foreign: [foreignOf('c')],
      settling: [foreignOf('d')],
      queues: [queueOf('a', 'dead'), queueOf('b'), queueOf('dead')],
      waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:a': 3 },
      problems: [{ about: 'a', text: 'it is slow', passing: true }],
      unread: ['uuid-b'],
      functions: { 'on-a': '1' },
    });
    await one.synchroniser.sync();
    const stored = (await one.store.documents.get('discovery')) ?? '';
    await one.store.documents.put('discovery', JSON.stringify({ ...JSON.parse(stored), later: true }));
    const other = await open(one.store);
    expect(await other.synchroniser.restore()).toBe(true);
    expect(other.synchroniser.state().discovery).toEqual(one.source.found);
  });

  it('reaches the other instances without a call to the source', async () => {
    const one = await open();
    const other = await open(one.store);
    const { settled } = listenTo(other);
    one.source.found = discoveryOf(['a']);
    await one.synchroniser.sync();
    await settled();
    expect(other.served.at(-1)).toMatchObject([{ uuid: 'uuid-a' }]);
    expect(other.source.asked).toEqual([]);
  });

  it('is read again after signals were lost, and applied only if it differs', async () => {
    const one = await open();
    const other = await open(one.store);
    one.source.found = discoveryOf(['a']);
    await one.synchroniser.sync();
    await other.synchroniser.heard({ kind: 'gap' });
    await other.synchroniser.heard({ kind: 'gap' });
    expect(other.served).toHaveLength(1);
  });
});

describe('a mapping that AWS consumes', () => {
  it('puts its queue on hold, with everything in it, until it is disabled again', async () => {
    const { source, synchroniser, names, mode, served } = await open();
    source.found = discoveryOf(['a', 'b'], { queues: [queueOf('a', 'dead'), queueOf('b'), queueOf('dead')] });
    await synchroniser.sync();

    source.found = discoveryOf(['b'], { foreign: [foreignOf('a'), foreignOf('never-here')] });
    const report = await synchroniser.sync();
    expect(report.held).toEqual(['arn:aws:sqs:eu-west-1:111122223333:a']);
    expect(names()).toEqual(['a', 'b', 'dead']);
    expect([mode('a'), mode('b')]).toEqual(['hold', 'consume']);
    expect(served.at(-1)).toMatchObject([{ uuid: 'uuid-b' }]);
    // A sync later it is still known.
    await synchroniser.sync();
    expect(names()).toEqual(['a', 'b', 'dead']);

    source.found = discoveryOf(['a', 'b']);
    expect((await synchroniser.sync()).held).toEqual([]);
    expect(mode('a')).toBe('consume');
  });

  it('lets a drained queue come back when it is disabled again, but not when it is deleted', async () => {
    const { source, synchroniser, directory, mode } = await open();
    for (const back of [true, false]) {
      source.found = discoveryOf(['a']);
      await synchroniser.sync();
      source.found = discoveryOf([], { foreign: [foreignOf('a')] });
      await synchroniser.sync();
      const queue = directory.byKey(keyOf('a'));
      if (queue === undefined) throw new Error('the queue is gone');
      await directory.setMode(queue, 'forward');
      await synchroniser.sync();
      expect(mode('a')).toBe('forward');
      source.found = discoveryOf(back ? ['a'] : [], { queues: [queueOf('a')] });
      await synchroniser.sync();
      expect(mode('a')).toBe(back ? 'consume' : 'forward');
    }
  });

  it.each(['before AWS consumes it', 'while AWS consumes it'])(
    'leaves a hold of the operator in force when AWS does no longer consume it: held %s',
    async (when) => {
      const { source, synchroniser, directory, mode } = await open();
      const hold = async (): Promise<void> => {
        const queue = directory.byKey(keyOf('a'));
        if (queue === undefined) throw new Error('the queue is gone');
        await directory.setMode(queue, 'hold');
      };
      source.found = discoveryOf(['a']);
      await synchroniser.sync();
      if (when.startsWith('before')) await hold();
      source.found = discoveryOf([], { foreign: [foreignOf('a')] });
      await synchroniser.sync();
      if (when.startsWith('while')) await hold();
      expect(mode('a')).toBe('hold');
      source.found = discoveryOf(['a']);
      await synchroniser.sync();
      await synchroniser.sync();
      expect(mode('a')).toBe('hold');
    },
  );

  it('is not consumed when the operator ends a hold meanwhile, and goes on when AWS does no longer consume it', async () => {
    const { source, synchroniser, directory, mode } = await open();
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    const queue = directory.byKey(keyOf('a'));
    if (queue === undefined) throw new Error('the queue is gone');
    await directory.setMode(queue, 'hold');
    source.found = discoveryOf([], { foreign: [foreignOf('a')] });
    await synchroniser.sync();
    await directory.setMode(queue, 'consume');
    expect(mode('a')).toBe('hold');
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    expect(mode('a')).toBe('consume');
  });

  it('takes over the list of held queues that earlier versions kept', async () => {
    const { store, source, synchroniser, directory, mode } = await open();
    source.found = discoveryOf(['a', 'b', 'c']);
    await synchroniser.sync();
    for (const name of ['a', 'b', 'c']) {
      const queue = directory.byKey(keyOf(name));
      if (queue !== undefined) await directory.setMode(queue, 'hold');
    }
    await store.documents.put('sync:held', JSON.stringify([keyOf('a'), keyOf('b')]));
    const after = await open(store);
    after.source.found = discoveryOf(['a', 'c'], {
      foreign: [foreignOf('b')],
      queues: ['a', 'b', 'c'].map((name) => queueOf(name)),
    });
    await after.synchroniser.sync();
    expect(['a', 'b', 'c'].map(after.mode)).toEqual(['consume', 'hold', 'hold']);
    expect(await store.documents.get('sync:held')).toBeUndefined();
    after.source.found = discoveryOf(['a', 'b', 'c']);
    await after.synchroniser.sync();
    expect(['a', 'b', 'c'].map(after.mode)).toEqual(['consume', 'consume', 'hold']);
    expect(mode('c')).toBe('hold');
  });

  it('is held although the list of earlier versions cannot be read', async () => {
    const { store, source, synchroniser, mode } = await open();
    await store.documents.put('sync:held', '{"not": "a list"');
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    source.found = discoveryOf([], { foreign: [foreignOf('a')] });
    await synchroniser.sync();
    expect(mode('a')).toBe('hold');
  });

  it('does not touch a queue that an operator put on hold', async () => {
    const { source, synchroniser, directory, mode } = await open();
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    const queue = directory.byKey(keyOf('a'));
    if (queue === undefined) throw new Error('the queue is gone');
    await directory.setMode(queue, 'hold');
    await synchroniser.sync();
    expect(mode('a')).toBe('hold');
  });

  it('holds before anything is served', async () => {
    const { source, synchroniser, directory } = await open();
    source.found = discoveryOf(['a']);
    await synchroniser.sync();
    const modes: (string | undefined)[] = [];
    directory.subscribe(({ queue }) => modes.push(queue.definition.mode));
    source.found = discoveryOf(['a'], { foreign: [{ ...foreignOf('a'), uuid: 'another' }] });
    await synchroniser.sync();
    expect(modes).toEqual(['hold']);
    expect(directory.byKey(keyOf('a'))?.arn).toEqual(arnOf('a'));
  });
});
