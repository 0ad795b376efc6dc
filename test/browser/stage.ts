/**
 * What most tests of pages need: a browser and a Redis for the whole file, a server with a queue of every kind for each
 * test.
 *
 * @module
 */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import type { Overrides } from '../../runtime/main.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { ForwardTime } from '../support/forward-time.ts';
import { RedisServer } from '../support/redis-server.ts';
import { discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { startChromium, type Visitor, visit } from './chromium.ts';

export const PASSWORD = 'correct horse battery';
const CLOSED = { KARIN_ADMIN_PASSWORD: PASSWORD, AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };
/** Between two looks at the depths of queues, and more. */
const LOOK_MS = 6_000;

interface Stage {
  /** Starts a server on a Redis that is empty; it is stopped after the test. */
  serve(env: Readonly<Record<string, string>>, overrides?: Overrides): Promise<RunningKarin>;
  /** Starts one with a queue of every kind, behind the admin password. */
  scene(found?: Partial<Discovery>, overrides?: Overrides, env?: Readonly<Record<string, string>>): Promise<Scene>;
  /** Opens an address in a browser with cookies of its own, which is closed after the test. */
  open(url: string, options?: BrowserContextOptions): Promise<Page>;
  /** Opens the overview with the admin password. */
  openLoggedIn(karin: RunningKarin, options?: BrowserContextOptions): Promise<Page>;
  /** Whoever opened a page last. */
  visitor(): Visitor;
  /** Waits for something that a look at the depths brings; the looks that it takes come at once. */
  seen<T>(what: Promise<T>): Promise<T>;
}

interface Scene {
  readonly karin: RunningKarin;
  readonly source: ScriptedSource;
}

/** To be called once, outside of tests. */
export function useStage(): Stage {
  let browser: Browser;
  let redis: RedisServer;
  let time = new ForwardTime();
  let last: Visitor | undefined;

  beforeAll(async () => {
    [browser, redis] = await Promise.all([startChromium(), RedisServer.start()]);
  });
  afterAll(async () => {
    await browser?.close();
    await redis?.stop();
  });
  afterEach(async () => {
    await last?.context.close();
    last = undefined;
  });

  const serve: Stage['serve'] = async (env, overrides = {}) => {
    await redis.ask((client) => client.flushall());
    time = new ForwardTime();
    return runKarin({ REDIS_URL: redis.url, ...env }, { time, ...overrides });
  };
  const open: Stage['open'] = async (url, options = {}) => {
    last = await visit(browser, options);
    await last.page.goto(url);
    return last.page;
  };
  return {
    serve,
    open,
    scene: async (found = {}, overrides = {}, env = {}) => {
      const source = new ScriptedSource();
      source.found = discoveryOf([], { ...EVERY_KIND, ...found });
      const success: InvokeOutcome = { kind: 'success', response: new Uint8Array() };
      const karin = await serve(
        { ...CLOSED, ...env },
        {
          source,
          invoker: { invoke: async () => success, probe: async () => ({ kind: 'reached' }), close: () => {} },
          functionUrls: { list: async () => ({ urls: [{ functionArn: ON_ORDERS, url: 'https://orders.example/' }] }) },
          ...overrides,
        },
      );
      return { karin, source };
    },
    openLoggedIn: async (karin, options = {}) => {
      const page = await open(`${karin.url}/ops`, options);
      await page.getByLabel('Admin password').fill(PASSWORD);
      await page.getByRole('button', { name: 'Log in' }).click();
      await page.getByRole('heading', { name: 'Queues', level: 1 }).waitFor();
      // The script, which the page's keys and changes need, runs before that and after the heading is there.
      await page.waitForLoadState('load');
      return page;
    },
    visitor: () => {
      if (last === undefined) throw new Error('nobody opened a page yet');
      return last;
    },
    seen: async (what) => {
      const looks = setInterval(() => time.skip(LOOK_MS), 50);
      return what.finally(() => clearInterval(looks));
    },
  };
}

const ON_ORDERS = mappingOf('orders').functionArn;

const EVERY_KIND: Partial<Discovery> = {
  mappings: [
    mappingOf('orders', { maximumConcurrency: 5, filterPatterns: ['{"body":{"a":[1]}}'] }),
    mappingOf('mails'),
  ],
  queues: [queueOf('orders', 'dead'), queueOf('mails'), queueOf('dead')],
  broken: [{ ...mappingOf('bills'), reason: 'its function is gone; delete the mapping' }],
  waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:mails': 3 },
};

export async function send(karin: RunningKarin, name: string, ...bodies: readonly string[]): Promise<void> {
  const messages = bodies.map((body) => ({ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' }));
  await karin.directory.byKey(keyOf(name))?.send(messages);
}

/** The address of the page of a queue. */
export function queuePage(karin: RunningKarin, name: string): string {
  return `${karin.url}/ops/queues/${encodeURIComponent(keyOf(name))}`;
}
