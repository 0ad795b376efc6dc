/** Several scopes of AWS behind one synchroniser: what one gives is served whatever becomes of the others. */
import { afterEach, describe, expect, it } from 'vitest';
import { DiscoveryError } from '../../runtime/aws/discovery/discovery.ts';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import { mergedDiscovery } from '../../runtime/aws/sync/readings.ts';
import { createSynchroniser } from '../../runtime/aws/sync/synchroniser.ts';
import { createLog } from '../../runtime/log.ts';
import { createHealth } from '../../runtime/ops/health.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { queueKey } from '../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import { queueArn } from '../../runtime/sqs/queue-url.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import type { Signal } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { message } from '../queue/queue-world.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, foundIn, OWN_ACCOUNT, scopedSource } from './discoveries.ts';

const directories: StoredDirectory[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) directory.close();
});

const OWN = OWN_ACCOUNT;
const OTHER = '111122223333';

type Scope = 'own' | 'far' | 'other';

/** A server on a store that others may share; `reads`: its scopes. */
async function open(
  store = new MemoryStore({ time: new ManualTime() }),
  { instance = 'this server', reads = ['own', 'far', 'other'] }: { instance?: string; reads?: readonly Scope[] } = {},
) {
  const time = new ManualTime();
  const log = createLog({ level: 'silent' });
  const directory = await createDirectory({ store, time, randomness: systemRandomness, notify: () => {} });
  directories.push(directory);
  const own = scopedSource({ region: 'eu-west-1' }, 'discovery');
  const far = scopedSource({ region: 'us-east-1' }, 'discovery:own:us-east-1');
  const other = scopedSource({ account: OTHER, region: 'eu-west-1' }, `discovery:${OTHER}:eu-west-1`);
  let served: readonly Mapping[] = [];
  const synchroniser = createSynchroniser({
    sources: reads.map((scope) => ({ own, far, other })[scope].source),
    documents: store.documents,
    instance,
    directory,
    serve: (mappings) => {
      const known = new Set(served.map(({ uuid }) => uuid));
      const wanted = new Set(mappings.map(({ uuid }) => uuid));
      const diff = {
        added: mappings.filter(({ uuid }) => !known.has(uuid)),
        changed: [],
        removed: served.filter(({ uuid }) => !wanted.has(uuid)),
        broken: [],
        leftAlone: [],
        unchanged: mappings.filter(({ uuid }) => known.has(uuid)).length,
        warnings: [],
      };
      served = mappings;
      return diff;
    },
    time,
    log,
  });
  const keys = () => directory.all().map(({ key }) => key);
  return { store, time, directory, synchroniser, own, far, other, keys, served: () => served.map(({ uuid }) => uuid) };
}

const KEYS = [`eu-west-1:${OTHER}:jobs`, `eu-west-1:${OWN}:jobs`, `us-east-1:${OWN}:jobs`];
const REVOKED = new DiscoveryError('the role arn:aws:iam::111122223333:role/karin cannot be assumed (AccessDenied)', {
  reason: 'its role cannot be assumed',
});

describe('several scopes', () => {
  it('are served together, and reported as one', async () => {
    const { synchroniser, keys, served } = await open();
    const report = await synchroniser.sync();
    expect(keys()).toEqual(KEYS);
    expect(served()).toHaveLength(3);
    expect(report.source).toBe('3 scopes of AWS');
    expect(report.added.map(({ queueArn: arn }) => arn).sort()).toEqual([
      `arn:aws:sqs:eu-west-1:${OTHER}:jobs`,
      `arn:aws:sqs:eu-west-1:${OWN}:jobs`,
      `arn:aws:sqs:us-east-1:${OWN}:jobs`,
    ]);
    expect(report.failed).toBeUndefined();
    expect(await synchroniser.sync()).toMatchObject({ added: [], changed: [], removed: [], unchanged: 3 });
  });

  it('are served each as soon as it was read: one that hangs holds up no other', async () => {
    const { synchroniser, far, keys } = await open();
    const release = far.script.hold();
    const sync = synchroniser.sync();
    await expect.poll(keys).toEqual(KEYS.slice(0, 2));
    release();
    await sync;
    expect(keys()).toEqual(KEYS);
  });

  it('fail each for itself: the others go on, and the reason is told', async () => {
    const { synchroniser, own, other, served, keys } = await open();
    await synchroniser.sync();
    other.script.found = REVOKED;
    own.script.found = foundIn(OWN, 'eu-west-1', ['jobs', 'more']);
    const report = await synchroniser.sync();
    expect(report.failed).toEqual([{ source: 'AWS (111122223333, eu-west-1)', reason: REVOKED.message }]);
    expect(report.added).toHaveLength(1);
    expect(report.removed).toEqual([]);
    expect(served()).toHaveLength(4);
    expect(keys()).toContain(`eu-west-1:${OTHER}:jobs`);
    const health = createHealth(() => synchroniser.state());
    const { ready, reasons } = health.readiness();
    expect(ready).toBe(true);
    expect(reasons).toEqual([
      expect.stringMatching(
        /^AWS \(account …3333, eu-west-1\) could not be read at .* \(its role cannot be assumed\); what was found last is served on$/,
      ),
    ]);
    expect(synchroniser.unsettled()).toBe('AWS (111122223333, eu-west-1) failed');
    other.script.found = foundIn(OTHER, 'eu-west-1');
    await synchroniser.sync();
    expect([health.readiness().reasons, synchroniser.unsettled()]).toEqual([[], undefined]);
  });

  it('fail together only if all do', async () => {
    const { synchroniser, own, far, other } = await open();
    for (const { script } of [own, far, other]) script.found = REVOKED;
    await expect(synchroniser.sync()).rejects.toBe(REVOKED);
  });

  it('keep what is stored of each, so that a server starts with all of them although one cannot be read', async () => {
    const { store, synchroniser } = await open();
    await synchroniser.sync();
    const next = await open(store);
    expect(await next.synchroniser.restore()).toBe(true);
    expect(next.keys()).toEqual(KEYS);
    expect(next.served()).toHaveLength(3);
    for (const { script } of [next.own, next.far, next.other]) script.found = REVOKED;
    await expect(next.synchroniser.sync()).rejects.toBe(REVOKED);
    expect(next.served()).toHaveLength(3);
  });

  it('conclude nothing about a region that was never read: its queues stay, and callers are told to try again', async () => {
    const { store, synchroniser } = await open();
    await synchroniser.sync();
    await store.documents.remove('discovery:own:us-east-1');
    const next = await open(store);
    next.far.script.found = REVOKED;
    await next.synchroniser.restore();
    await next.synchroniser.sync();
    expect(next.keys()).toEqual(KEYS);
    const health = createHealth(() => next.synchroniser.state());
    expect(health.readiness().ready).toBe(true);
    expect(health.unknownQueues({ account: OWN, region: 'eu-west-1' })).toBeUndefined();
    expect(health.unknownQueues()).toBeUndefined();
    expect(health.unknownQueues({ account: OWN, region: 'us-east-1' })).toContain('Not all queues are known yet');
  });

  it('apply what another server found in one of them, without asking AWS', async () => {
    const one = await open();
    await one.synchroniser.sync();
    const two = await open(one.store);
    await two.synchroniser.restore();
    one.far.script.found = foundIn(OWN, 'us-east-1', ['jobs', 'more']);
    await one.synchroniser.sync();
    await two.synchroniser.heard({ kind: 'document', name: 'discovery:own:us-east-1' });
    expect(two.served()).toHaveLength(4);
    expect(two.far.script.asked).toEqual([]);
  });
});

describe('servers with different scopes on one store', () => {
  const OLD = 'old server';
  const NEW = 'new server';
  const BOTH: Signal = { kind: 'instances', ids: [OLD, NEW] };

  /** One with a single scope, and beside it one that reads two more. */
  async function rollOut() {
    const store = new MemoryStore({ time: new ManualTime() });
    const old = await open(store, { instance: OLD, reads: ['own'] });
    await old.synchroniser.sync();
    const wide = await open(store, { instance: NEW });
    for (const { synchroniser } of [old, wide]) await synchroniser.heard(BOTH);
    await wide.synchroniser.sync();
    await old.directory.load();
    return { store, old, wide };
  }

  it('leave alone what only another one knows, in another region and in another account', async () => {
    const { old } = await rollOut();
    await old.synchroniser.sync();
    expect(old.keys()).toEqual(KEYS);
  });

  it('leave it alone before the other has found anything, and while it starts', async () => {
    const { store, old } = await rollOut();
    const text = await store.documents.get('sync:scopes');
    expect(JSON.parse(text ?? '')).toEqual({ [OLD]: [expect.any(String)], [NEW]: Array(3).fill(expect.any(String)) });
    await old.synchroniser.heard({ kind: 'instances', ids: [OLD, NEW, 'one that starts, or an earlier version'] });
    await old.synchroniser.sync();
    expect(old.keys()).toEqual(KEYS);
  });

  it('keep messages of such a queue in a queue that is not called left over', async () => {
    const { old } = await rollOut();
    const queue = old.directory.byKey(KEYS[0] ?? '');
    await queue?.send([message('for the new scope')]);
    await old.synchroniser.sync();
    expect(old.directory.byKey(KEYS[0] ?? '')?.definition.origin).not.toBe('left-over');
  });

  it('leave a hold alone that the other set, because AWS consumes the queue', async () => {
    const { old, wide } = await rollOut();
    const enabled = foundIn(OTHER, 'eu-west-1').mappings.map(({ uuid, queueArn, functionArn }) => {
      return { uuid, queueArn, functionArn, state: 'Enabled' };
    });
    wide.other.script.found = { ...foundIn(OTHER, 'eu-west-1'), mappings: [], foreign: enabled };
    await wide.synchroniser.sync();
    await old.directory.load();
    await old.synchroniser.sync();
    await wide.directory.load();
    expect(wide.directory.byKey(KEYS[0] ?? '')?.definition.mode).toBe('hold');
  });

  it('conclude all the same about what their own scopes named before', async () => {
    const { old } = await rollOut();
    old.own.script.found = foundIn(OWN, 'eu-west-1', ['another']);
    await old.synchroniser.sync();
    expect(old.keys()).toEqual([KEYS[0], `eu-west-1:${OWN}:another`, KEYS[2]]);
  });

  it('conclude about everything if they read all that the others read', async () => {
    const { old, wide } = await rollOut();
    await old.synchroniser.sync();
    wide.other.script.found = foundIn(OTHER, 'eu-west-1', []);
    await wide.synchroniser.sync();
    expect(wide.keys()).toEqual(KEYS.slice(1));
  });

  it('let go of what no scope names any more once the last server that read it is gone', async () => {
    const { store, old } = await rollOut();
    await old.synchroniser.heard({ kind: 'instances', ids: [OLD] });
    await old.synchroniser.sync();
    expect(old.keys()).toEqual([KEYS[1]]);
    expect(Object.keys(JSON.parse((await store.documents.get('sync:scopes')) ?? ''))).toEqual([OLD]);
  });

  it('keep more rather than less where the list of scopes cannot be read', async () => {
    const { store, old } = await rollOut();
    await store.documents.put('sync:scopes', '["of a later version"]');
    await old.synchroniser.sync();
    expect(old.keys()).toEqual(KEYS);
    expect(await store.documents.get('sync:scopes')).toBe('["of a later version"]');
  });
});

describe('discoveries of several scopes as one', () => {
  it('know a queue that functions of two accounts draw from as its own account describes it', () => {
    const arn = queueArn(OTHER, 'shared', 'eu-west-1');
    const seen = (delaySeconds: number) =>
      discoveryOf([], { queues: [{ arn, attributes: { ...DEFAULT_ATTRIBUTES, delaySeconds }, tags: {} }] });
    const merged = mergedDiscovery([
      { place: { region: 'eu-west-1' }, discovery: seen(1) },
      { place: { account: OTHER, region: 'eu-west-1' }, discovery: seen(2) },
    ]);
    expect(merged?.queues.map(({ arn: one, attributes }) => [queueKey(one), attributes.delaySeconds])).toEqual([
      [queueKey(arn), 2],
    ]);
  });

  it('serve a mapping once that two of them have, and say that an account is read twice', () => {
    const merged = mergedDiscovery([
      { place: { region: 'eu-west-1' }, discovery: foundIn(OTHER, 'eu-west-1') },
      { place: { account: OTHER, region: 'eu-west-1' }, discovery: foundIn(OTHER, 'eu-west-1') },
    ]);
    expect(merged?.mappings).toHaveLength(1);
    expect(merged?.problems?.map(({ text }) => text)).toEqual([
      '111122223333/eu-west-1 is read twice, because KARIN_ROLES names a role in an account that is read already; remove one of them',
    ]);
  });
});
