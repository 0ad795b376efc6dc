import { describe, expect, it } from 'vitest';
import { type QueueDefinition, readDefinition, writeDefinition } from '../../runtime/queue/definition.ts';
import type { DirectoryEvent, DiscoveredQueue } from '../../runtime/queue/directory.ts';
import { queueKey } from '../../runtime/queue/names.ts';
import type { StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import {
  arn,
  attributes,
  existing,
  forEachStore,
  type Instance,
  message,
  settled,
  signalsDelivered,
} from './queue-world.ts';

function discovered(name: string, overrides: Partial<DiscoveredQueue> = {}): DiscoveredQueue {
  return { arn: arn(name), attributes: attributes(), tags: {}, ...overrides };
}

function names(directory: StoredDirectory): readonly string[] {
  return directory.all().map((queue) => queue.arn.name);
}

/** Collects what the directory reports, as `kind name`. */
function reports(directory: StoredDirectory): readonly string[] {
  const seen: string[] = [];
  directory.subscribe(({ kind, queue }: DirectoryEvent) => seen.push(`${kind} ${queue.arn.name}`));
  return seen;
}

function heard(instance: Instance, matches: (directory: StoredDirectory) => boolean): Promise<void> {
  return settled(instance.directory, () => matches(instance.directory));
}

forEachStore('the directory', (open) => {
  it('creates a queue once, and says if it is there', async () => {
    const world = await open();
    const seen = reports(world.directory);
    const first = await world.directory.create(arn('jobs'), attributes({ delaySeconds: 7 }), { team: 'a' });
    const second = await world.directory.create(arn('jobs'), attributes(), {});
    expect([first.exists, second.exists]).toEqual([false, true]);
    expect(second.queue).toBe(first.queue);
    expect(first.queue.definition).toMatchObject({
      fifo: false,
      origin: 'api',
      mode: 'consume',
      tags: { team: 'a' },
      attributes: { delaySeconds: 7 },
      createdAt: world.time.now(),
      modifiedAt: world.time.now(),
    });
    expect(seen).toEqual(['added jobs']);
  });

  it('tells other instances of queues that are created, changed and deleted', async () => {
    const world = await open();
    const other = await world.another();
    const queue = await world.queue('jobs');
    await heard(other, (directory) => directory.byKey(queue.key) !== undefined);
    await world.directory.setAttributes(queue, attributes({ visibilityTimeoutSeconds: 99 }));
    await heard(
      other,
      (directory) => directory.byKey(queue.key)?.definition.attributes.visibilityTimeoutSeconds === 99,
    );
    await world.directory.remove(queue);
    await heard(other, (directory) => directory.byKey(queue.key) === undefined);
  });

  it('finds a queue that another instance has just created', async () => {
    const world = await open();
    const other = await world.another();
    const queue = await world.queue('jobs');
    expect((await other.directory.find(queue.key))?.arn.name).toBe('jobs');
    expect(await other.directory.find(queueKey(arn('nothing')))).toBeUndefined();
  });

  it('creates one queue when two instances create it at once', async () => {
    const world = await open();
    const other = await world.another();
    const both = await Promise.all([
      world.directory.create(arn('jobs'), attributes({ delaySeconds: 1 }), {}),
      other.directory.create(arn('jobs'), attributes({ delaySeconds: 2 }), {}),
    ]);
    expect(both.map(({ exists }) => exists).sort()).toEqual([false, true]);
    const [first, second] = both.map(({ queue }) => queue.definition.attributes.delaySeconds);
    expect(first).toBe(second);
  });

  it('loses neither of two changes that two instances make at once', async () => {
    const world = await open();
    const other = await world.another();
    const queue = await world.queue('jobs');
    const elsewhere = await other.directory.find(queue.key);
    if (elsewhere === undefined) throw new Error('the other instance does not find the queue');
    await Promise.all([world.directory.setMode(queue, 'hold'), other.directory.setTags(elsewhere, { a: 'b' })]);
    const fresh = await world.another();
    expect(existing(fresh.directory, 'jobs').definition).toMatchObject({ mode: 'hold', tags: { a: 'b' } });
  });

  it('keeps queues, modes and messages for an instance that starts later', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await world.directory.setMode(queue, 'hold');
    await queue.send([message('kept')]);
    const later = existing((await world.another()).directory, 'jobs');
    expect(later.definition).toEqual(queue.definition);
    expect((await later.receive({ maxMessages: 1 })).map(({ body }) => body)).toEqual(['kept']);
  });

  it('gives a new definition object after each change, and the same queue', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const before = queue.definition;
    world.time.advance(5_000);
    await world.directory.setTags(queue, { a: 'b' });
    expect(queue.definition).not.toBe(before);
    expect(queue.definition.modifiedAt).toBe(before.modifiedAt);
    await world.directory.setAttributes(queue, attributes({ delaySeconds: 3 }));
    expect(queue.definition.modifiedAt).toBe(before.modifiedAt + 5_000);
    expect(existing(world.directory, 'jobs')).toBe(queue);
  });

  it('reports no change where nothing changed', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const seen = reports(world.directory);
    await world.directory.setMode(queue, 'consume');
    await world.directory.setTags(queue, {});
    expect(seen).toEqual([]);
  });

  it('deletes a queue with its messages, and remembers that for sixty seconds everywhere', async () => {
    const world = await open();
    const other = await world.another();
    const queue = await world.queue('jobs');
    await queue.send([message('gone')]);
    await world.directory.remove(queue);
    expect(names(world.directory)).toEqual([]);
    expect(await other.directory.deletedRecently(queue.key)).toBe(true);
    world.time.advance(60_000);
    expect(await other.directory.deletedRecently(queue.key)).toBe(false);
    expect(await (await world.queue('jobs')).depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('stops telling those who no longer listen', async () => {
    const world = await open();
    const seen: string[] = [];
    const unsubscribe = world.directory.subscribe(({ kind }) => seen.push(kind));
    unsubscribe();
    await world.queue('jobs');
    expect(seen).toEqual([]);
  });

  it('hands a wake of another instance to the watch of its queue', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    expect(queue.watch.isDue()).toBe(false);
    const elsewhere = await (await world.another()).directory.find(queue.key);
    const due = new Promise<void>((resolve) => queue.watch.subscribe(resolve));
    await elsewhere?.send([message('a')]);
    await due;
    expect(queue.watch.isDue()).toBe(true);
  });
});

forEachStore('a discovery', (open) => {
  it('adds what AWS names, and changes what changed there', async () => {
    const world = await open();
    const seen = reports(world.directory);
    await world.directory.applyDiscovery([discovered('one'), discovered('two.fifo')]);
    expect(seen).toEqual(['added one', 'added two.fifo']);
    expect(existing(world.directory, 'two.fifo').definition).toMatchObject({ origin: 'aws', fifo: true });
    world.time.advance(1_000);
    await world.directory.applyDiscovery([
      discovered('one', { attributes: attributes({ delaySeconds: 9 }), tags: { b: '2', a: '1' } }),
      discovered('two.fifo'),
    ]);
    expect(seen).toEqual(['added one', 'added two.fifo', 'changed one']);
    expect(existing(world.directory, 'one').definition).toMatchObject({
      attributes: { delaySeconds: 9 },
      modifiedAt: world.time.now(),
      createdAt: world.time.now() - 1_000,
    });
  });

  it('writes nothing when it finds what was there', async () => {
    const world = await open();
    await world.directory.applyDiscovery([discovered('one', { tags: { a: '1', b: '2' } })]);
    await signalsDelivered(world.store);
    const written: string[] = [];
    world.store.subscribe((signal) => {
      if (signal.kind === 'document') written.push(signal.name);
    });
    world.time.advance(3_600_000);
    await world.directory.applyDiscovery([discovered('one', { tags: { b: '2', a: '1' } })]);
    await signalsDelivered(world.store);
    expect(written.filter((name) => name.startsWith('queue:'))).toEqual([]);
  });

  it('drops an empty queue that AWS no longer names, and keeps one that holds messages', async () => {
    const world = await open();
    await world.directory.applyDiscovery([discovered('empty'), discovered('full')]);
    await existing(world.directory, 'full').send([message('kept')]);
    await world.directory.applyDiscovery([]);
    expect(names(world.directory)).toEqual(['full']);
    expect(existing(world.directory, 'full').definition.origin).toBe('left-over');
    await existing(world.directory, 'full').purge();
    await world.directory.applyDiscovery([]);
    expect(names(world.directory)).toEqual([]);
  });

  it('takes a left-over queue back, with its mode', async () => {
    const world = await open();
    await world.directory.applyDiscovery([discovered('jobs')]);
    const queue = existing(world.directory, 'jobs');
    await world.directory.setMode(queue, 'hold');
    await queue.send([message('kept')]);
    await world.directory.applyDiscovery([]);
    await world.directory.applyDiscovery([discovered('jobs')]);
    expect(queue.definition).toMatchObject({ origin: 'aws', mode: 'hold' });
  });

  it('leaves queues created through the API alone, unless AWS names them too', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { delaySeconds: 1 });
    await world.directory.applyDiscovery([]);
    expect(queue.definition.origin).toBe('api');
    await world.directory.applyDiscovery([discovered('jobs')]);
    expect(queue.definition).toMatchObject({ origin: 'aws', attributes: { delaySeconds: 0 } });
  });
});

forEachStore('a directory that cannot rely on what is stored', (open) => {
  it('serves the other queues when one definition cannot be read, and says so', async () => {
    const world = await open();
    await world.queue('good');
    await world.store.documents.put('queue:eu-west-1:123456789012:bad', '{"arn":1}');
    const later = await world.another();
    expect(names(later.directory)).toEqual(['good']);
    expect(later.events).toMatchObject([
      { kind: 'queue-warning', queue: 'eu-west-1:123456789012:bad', what: 'unreadable-definition' },
    ]);
    await expect(later.directory.create(arn('bad'), attributes(), {})).rejects.toThrow('cannot be read');
  });

  it('does not take the definition of one queue for that of another', async () => {
    const world = await open();
    const queue = await world.queue('good');
    await world.store.documents.put('queue:eu-west-1:123456789012:bad', writeDefinition(queue.definition));
    expect(names((await world.another()).directory)).toEqual(['good']);
  });
});

describe('the document of a definition', () => {
  const full: QueueDefinition = {
    arn: arn('jobs.fifo'),
    fifo: true,
    origin: 'aws',
    mode: 'hold',
    createdAt: 1,
    modifiedAt: 2,
    tags: { b: '2', a: '1' },
    attributes: attributes({
      policy: '{}',
      kmsMasterKeyId: 'alias/aws/sqs',
      kmsDataKeyReusePeriodSeconds: 60,
      redrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:123456789012:dead.fifo', maxReceiveCount: 3 },
      redriveAllowPolicy: { redrivePermission: 'byQueue', sourceQueueArns: ['arn:aws:sqs:eu-west-1:1:x'] },
    }),
  };

  it('gives back every part', () => {
    expect(readDefinition(writeDefinition(full))).toEqual(full);
  });

  it('is one text for equal definitions, whatever the order of their members', () => {
    const turned: QueueDefinition = {
      ...full,
      tags: { a: '1', b: '2' },
      attributes: Object.fromEntries(Object.entries(full.attributes).reverse()) as unknown as typeof full.attributes,
    };
    expect(writeDefinition(turned)).toBe(writeDefinition(full));
    expect(writeDefinition(readDefinition(writeDefinition(full)))).toBe(writeDefinition(full));
  });
});
