/**
 * Redis comes back empty while two servers take sends: once it is killed and started without a file, once it is emptied
 * by `FLUSHALL` on open connections.
 *
 * Half of the callers use a token of the environment, half one that was made by command; queues are discovered, made
 * over the API, and on hold. `KARIN_TEST_SIZE=full` makes 12,000 sends and holds the refusals to five seconds each
 * time; otherwise it is a tenth of that, and only what is refused and delivered is looked at.
 */
import { Redis } from 'ioredis';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { ACCOUNT, type AwsEndpoint, startAwsEndpoint } from '../support/aws-endpoint.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';

const IS_FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const SENDS = IS_FULL ? 12_000 : 1_200;
const CALLERS_PER_SERVER = 4;
const PASSWORD = 'correct horse battery';
const ENVIRONMENT_TOKEN = 'environment-token-environment-token';
const DISCOVERED = Array.from({ length: 8 }, (_, index) => `jobs-${index}`);
const HELD = 'held';
const MADE = 'made-by-api';
/** The longest that callers may be refused after each loss, ms. */
const LONGEST_REFUSAL_MS = 5_000;

const releasers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

interface World {
  readonly aws: AwsEndpoint;
  readonly servers: readonly RunningServer[];
  /** One of the environment, one that was made by command. */
  readonly tokens: readonly string[];
  /** Bodies that functions were invoked with. */
  readonly invoked: ReadonlySet<string>;
  /** Resolves once functions were invoked with all of these. */
  invokedWith(bodies: ReadonlySet<string>): Promise<void>;
  startServer(): Promise<RunningServer>;
}

async function startWorld(redisUrl: string): Promise<World> {
  const aws = await startAwsEndpoint([...DISCOVERED, HELD]);
  releasers.push(() => aws.close());
  const invoked = new Set<string>();
  let look = (): void => {};
  aws.onInvoke = ({ Records }) => {
    for (const { body } of Records) invoked.add(body);
    look();
  };
  const startServer = async (): Promise<RunningServer> => {
    const server = await startServerProcess({
      ...aws.environment,
      REDIS_URL: redisUrl,
      KARIN_ADMIN_PASSWORD: PASSWORD,
      KARIN_TOKENS: `${ENVIRONMENT_TOKEN}:send`,
    });
    releasers.push(() => server.stop());
    return server;
  };
  const servers = [await startServer(), await startServer()];
  const [{ url } = { url: '' }] = servers;

  const made = await admin(url, '/tokens', { scopes: 'send', queues: '*' });
  const { token } = z.object({ token: z.string() }).parse(JSON.parse(made.text));
  expect((await admin(url, '/', { QueueName: MADE }, 'CreateQueue')).status).toBe(200);
  await hold(url, HELD);
  return {
    aws,
    servers,
    tokens: [ENVIRONMENT_TOKEN, token],
    invoked,
    invokedWith: (bodies) =>
      new Promise((resolve) => {
        const missing = new Set(bodies);
        look = () => {
          // Deleting members while walking over them is allowed.
          for (const body of missing) if (invoked.has(body)) missing.delete(body);
          if (missing.size === 0) resolve();
        };
        look();
      }),
    startServer,
  };
}

/** A call of an administrator, as a program makes it. */
async function admin(
  url: string,
  path: string,
  body: object,
  action?: string,
): Promise<{ status: number; text: string }> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${PASSWORD}`,
      'content-type': action === undefined ? 'application/json' : 'application/x-amz-json-1.0',
      ...(action === undefined ? {} : { 'x-amz-target': `AmazonSQS.${action}` }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, text: await response.text() };
}

/** Presses the button of the operator's page. */
async function hold(url: string, queue: string): Promise<void> {
  const logIn = new URLSearchParams({ password: PASSWORD });
  const entered = await fetch(`${url}/ops/login`, { method: 'POST', body: logIn, redirect: 'manual' });
  const cookie = entered.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ');
  const page = `${url}/ops/queues/${encodeURIComponent(`us-east-1:${ACCOUNT}:${queue}`)}`;
  const html = await (await fetch(page, { headers: { cookie } })).text();
  const [, csrf = ''] = /name="csrf" value="([^"]+)"/.exec(html) ?? [];
  const pressed = await fetch(`${page}/hold`, {
    method: 'POST',
    headers: { cookie },
    body: new URLSearchParams({ csrf }),
    redirect: 'manual',
  });
  expect(pressed.status).toBe(303);
}

interface Sends {
  /**
   * Bodies whose send began after the loss and was answered 200, without those of the queue on hold and the one without
   * a function.
   */
  readonly accepted: ReadonlySet<string>;
  /** Status, and the code of SQS: how often. */
  readonly refusals: ReadonlyMap<string, number>;
  /** From the first refusal to the last, ms. */
  readonly refusedForMs: number;
  /** Lines that each server had logged before. */
  readonly saidBefore: readonly number[];
}

/**
 * Two servers take `SENDS` sends, in the middle of which `lose` empties Redis. A caller that is refused tries the same
 * again until it is accepted, as an SDK does. Sends that begin while `lose` is under way may be lost with it.
 */
async function sendWhile(world: World, name: string, lose: () => Promise<void>): Promise<Sends> {
  const accepted = new Set<string>();
  const refusals = new Map<string, number>();
  const refusedAt: number[] = [];
  let begun = 0;
  let lost = false;
  let losing: Promise<void> | undefined;
  const caller = async (url: string, token: string): Promise<void> => {
    while (begun < SENDS) {
      const number = begun;
      begun += 1;
      if (number === Math.floor(SENDS / 3)) {
        losing = lose().then(() => {
          lost = true;
        });
      }
      const queue = [...DISCOVERED, HELD, MADE][number % (DISCOVERED.length + 2)] ?? '';
      const body = `${name} ${number}`;
      for (;;) {
        const counts = lost;
        const { status, text } = await send(`${url}/k/${token}/`, `${url}/${ACCOUNT}/${queue}`, body);
        if (status === 200) {
          if (counts && queue !== HELD && queue !== MADE) accepted.add(body);
          break;
        }
        const kind = `${status} ${/"__type":"([^"]*)"/.exec(text)?.[1] ?? text}`;
        refusals.set(kind, (refusals.get(kind) ?? 0) + 1);
        refusedAt.push(performance.now());
      }
    }
  };
  const { servers, tokens } = world;
  const saidBefore = servers.map(({ said }) => said.length);
  await Promise.all(
    servers.flatMap(({ url }) =>
      Array.from({ length: CALLERS_PER_SERVER }, (_, index) => caller(url, tokens[index % tokens.length] ?? '')),
    ),
  );
  await losing;
  return { accepted, refusals, refusedForMs: (refusedAt.at(-1) ?? 0) - (refusedAt[0] ?? 0), saidBefore };
}

async function send(url: string, QueueUrl: string, MessageBody: string): Promise<{ status: number; text: string }> {
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ QueueUrl, MessageBody }) });
  return { status: response.status, text: await response.text() };
}

/** What `test:full` prints for `docs/soak.md`. */
function say(line: string): void {
  if (IS_FULL) process.stdout.write(`${line}\n`);
}

/**
 * Everything accepted after the loss is delivered, refusals were of one kind, and a server that starts now finds the
 * world as it was.
 */
async function expectHealed(world: World, name: string, sends: Sends): Promise<void> {
  say(
    `${name}: refused for ${Math.round(sends.refusedForMs)} ms, ${JSON.stringify([...sends.refusals])}, ${sends.accepted.size} delivered`,
  );
  expect([...sends.refusals.keys()].filter((kind) => !kind.startsWith('503 '))).toEqual([]);
  if (IS_FULL) expect(sends.refusedForMs).toBeLessThanOrEqual(LONGEST_REFUSAL_MS);
  await world.invokedWith(sends.accepted);
  for (const [index, server] of world.servers.entries()) {
    await server.saying(/the store came back empty/, sends.saidBefore[index]);
    expect(await (await fetch(`${server.url}/readyz`)).text()).toContain('came back empty');
  }

  const third = await world.startServer();
  for (const token of world.tokens) {
    for (const queue of [...DISCOVERED, HELD, MADE]) {
      const body = `${name} afterwards ${queue}`;
      expect(await send(`${third.url}/k/${token}/`, `${third.url}/${ACCOUNT}/${queue}`, body)).toMatchObject({
        status: 200,
      });
    }
  }
  await world.invokedWith(new Set(DISCOVERED.map((queue) => `${name} afterwards ${queue}`)));
  expect(world.invoked).not.toContain(`${name} afterwards ${HELD}`);
  await third.stop();
}

it(`${SENDS} sends by two servers while Redis is killed and started empty: every refusal is a 503, what is accepted afterwards is delivered, and modes and tokens are as they were`, async () => {
  const redis = await RedisServer.start();
  releasers.push(() => redis.stop());
  const world = await startWorld(redis.url);

  const killed = await sendWhile(world, 'killed', async () => {
    await redis.kill();
    await redis.restart();
  });
  await expectHealed(world, 'killed', killed);

  const client = new Redis(redis.url);
  releasers.push(async () => client.disconnect());
  const flushed = await sendWhile(world, 'flushed', async () => {
    await client.flushall();
  });
  await expectHealed(world, 'flushed', flushed);
}, 300_000);

it(`${SENDS} sends by two servers while every node of a cluster is emptied: the same`, async () => {
  const cluster = await startRedisCluster();
  releasers.push(() => cluster.stop());
  const world = await startWorld(cluster.urls.join(','));
  const clients = cluster.urls.map((url) => new Redis(url));
  releasers.push(async () => {
    for (const client of clients) client.disconnect();
  });
  const flushed = await sendWhile(world, 'cluster', async () => {
    await Promise.all(clients.map((client) => client.flushall()));
  });
  await expectHealed(world, 'cluster', flushed);
}, 300_000);
