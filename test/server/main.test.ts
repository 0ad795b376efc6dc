import { describe, expect, it } from 'vitest';
import { createLog } from '../../runtime/log.js';
import { type Overrides, startKarin } from '../../runtime/main.js';
import { readConfig } from '../../runtime/settings.js';
import { MemoryStore } from '../../runtime/store/memory/memory-store.js';
import type { Signal } from '../../runtime/store/store.js';
import { systemTime } from '../../runtime/time.js';
import { sqsCall } from '../http/running-karin.js';
import { arnOf, discoveryOf, keyOf, mappingOf, ScriptedSource } from '../sync/discoveries.js';

/** Works, but whoever ends to listen to it is told that this failed. */
class StubbornStore extends MemoryStore {
  override subscribe(listener: (signal: Signal) => void): () => void {
    const unsubscribe = super.subscribe(listener);
    return () => {
      unsubscribe();
      throw new Error('the listener cannot be taken off');
    };
  }
}

function server(overrides: Overrides) {
  const logged: string[] = [];
  const log = createLog({ level: 'info', write: (line) => logged.push(line) });
  const config = readConfig({ PORT: '0', KARIN_STOP_GRACE: '0', AWS_REGION: 'eu-west-1' }, 'dev');
  return { logged, start: () => startKarin(config, { log, ...overrides }) };
}

describe('a server that stops', () => {
  it('gives back what it has leased, and closes its port, although its consumer does not stop in order', async () => {
    const store = new StubbornStore({ time: systemTime });
    const source = new ScriptedSource();
    source.found = discoveryOf(['jobs'], { mappings: [mappingOf('jobs', { batchWindowSeconds: 300 })] });
    const karin = await server({ store, source }).start();
    const leased = new Promise<void>((resolve) => {
      karin.events.subscribe(({ kind }) => {
        if (kind === 'leased') resolve();
      });
    });
    const { account, name } = arnOf('jobs');
    const sent = await sqsCall(karin.url, 'SendMessage', {
      QueueUrl: `${karin.url}/${account}/${name}`,
      MessageBody: 'waits for its batch window',
    });
    expect(sent.status).toBe(200);
    await leased;

    await expect(karin.stop()).rejects.toThrow('stopping the consumer failed');
    const depth = await store.depth({ key: keyOf('jobs'), fifo: false });
    expect(depth).toMatchObject({ visible: 1, inFlight: 0 });
    await expect(fetch(`${karin.url}/healthz`)).rejects.toThrow('fetch failed');
  });
});

describe('a server that does not start', () => {
  it('says why, and not what then failed while it was taken down, which stands in the log', async () => {
    const reason = new Error('the start was given up');
    const given = new AbortController();
    const source = new ScriptedSource();
    const discover = source.discover.bind(source);
    source.discover = (...asked) => {
      given.abort(reason);
      return discover(...asked);
    };
    const { logged, start } = server({ store: new StubbornStore({ time: systemTime }), source, signal: given.signal });

    await expect(start()).rejects.toBe(reason);
    expect(logged.join('')).toContain('what was built before the start failed was not all taken down');
    expect(logged.join('')).toContain('the listener cannot be taken off');
    const [, port] = /"port":(\d+)/.exec(logged.join('')) ?? [];
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed');
  });
});
