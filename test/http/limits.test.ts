import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { Hono } from 'hono';
import { afterEach, describe, expect, it } from 'vitest';
import { placesOf } from '../../runtime/aws/scope.ts';
import type { Authenticator } from '../../runtime/http/auth/authenticator.ts';
import type { Credential } from '../../runtime/http/auth/credentials.ts';
import { LARGEST_BODY } from '../../runtime/http/body.ts';
import type { ConnectionLimits } from '../../runtime/http/connections.ts';
import { createEdge } from '../../runtime/http/edge.ts';
import { publicAddress } from '../../runtime/http/location.ts';
import type { AppEnv } from '../../runtime/http/management.ts';
import { createMemory, FREE_BYTES, type MemoryBudget } from '../../runtime/http/memory.ts';
import { type HttpServer, openDoor, type ServerLimits } from '../../runtime/http/server.ts';
import { createSqsEndpoint } from '../../runtime/http/sqs-endpoint.ts';
import { createLog } from '../../runtime/log.ts';
import { md5OfBody } from '../../runtime/queue/message.ts';
import { SqsError } from '../../runtime/sqs/errors.ts';
import { MAX_MESSAGE_BYTES } from '../../runtime/sqs/limits.ts';
import type { SqsRequest } from '../../runtime/sqs/request.ts';
import { systemTime } from '../../runtime/time.ts';
import { runKarin, sqsCall } from './running-karin.ts';

const ADMIN: Credential = { kind: 'admin', senderId: 'admin', allows: () => true };
const anyone: Authenticator = {
  open: false,
  fromHead: () => ({ credential: ADMIN, sender: 'proven' }),
  authenticate: () => ADMIN,
  pause: () => undefined,
};
const nobody: Authenticator = {
  open: false,
  fromHead: () => ({ sender: 'stranger' }),
  pause: () => undefined,
  authenticate: () => {
    throw new SqsError('AccessDenied');
  },
};
const FORM = 'Content-Type: application/x-www-form-urlencoded';
const TOKEN = 'a-capability-of-this-suite-0123456789';
const JSON_SEND = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' };
const servers: HttpServer[] = [];
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await server.stop();
});

interface Options {
  readonly limits?: Partial<ServerLimits>;
  readonly memory?: Partial<MemoryBudget>;
  readonly connections?: Partial<ConnectionLimits>;
  /** Nobody has a credential. */
  readonly strangers?: boolean;
  readonly authenticator?: Authenticator;
  readonly handle?: (request: SqsRequest) => Promise<string>;
}

/** A server whose API answers with the size of the body, or as told. */
async function serve(options: Options = {}) {
  const logged: string[] = [];
  const log = createLog({ level: 'debug', write: (line) => logged.push(line) });
  const edge = createEdge({
    authenticator: options.authenticator ?? (options.strangers === true ? nobody : anyone),
    address: publicAddress(undefined),
    trustedProxies: 0,
    fallbackHost: () => '127.0.0.1',
    memory: createMemory(options.memory),
    time: systemTime,
    ...(options.connections && { limits: options.connections }),
  });
  const sqs = createSqsEndpoint({
    api: {
      handle: async (request) => ({
        status: 200,
        headers: {},
        body: (await options.handle?.(request)) ?? `${request.body.length}`,
      }),
      refuse: async (_head, error) => ({ status: error.status, headers: {}, body: error.code }),
    },
    edge,
    account: () => '000000000000',
    places: placesOf({ region: 'us-east-1' }, []),
    uuid: () => crypto.randomUUID(),
    log,
  });
  const responses = new EventEmitter();
  const answered = (status: number): void => void responses.emit('over', status);
  const parts = { edge, sqs, ingest: sqs, app: new Hono<AppEnv>(), answered, time: systemTime, log };
  const server = (await openDoor('127.0.0.1', 0, options.limits)).serve(parts);
  servers.push(server);
  return { server, edge, logged, responses, url: `http://127.0.0.1:${server.port}` };
}

/** A connection that sends what it is told and collects what comes until it is closed. */
function connect(port: number, from = '127.0.0.1') {
  const socket = createConnection({ port, host: '127.0.0.1', localAddress: from });
  sockets.push(socket);
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    received += text;
  });
  socket.on('error', () => {});
  const closed = new Promise<string>((resolve) => socket.once('close', () => resolve(received)));
  return { socket, closed, received: () => received };
}

function post(body: string, url: string) {
  return fetch(url, { method: 'POST', body });
}

/** Resolves when the client has gone or must not wait any longer. */
function end(signal: SqsRequest['signal']): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}

describe('a body', () => {
  it('may be as large as the bound and no larger', async () => {
    const { url } = await serve();
    expect(await (await post('x'.repeat(LARGEST_BODY), url)).text()).toBe(`${LARGEST_BODY}`);
  });

  it.each<[string, (url: string) => { readonly path: string; readonly queueUrl: string }]>([
    ['path', () => ({ path: `/k/${TOKEN}/`, queueUrl: 'jobs' })],
    ['QueueUrl', (url) => ({ path: '/', queueUrl: `${url}/k/${TOKEN}/000000000000/jobs` })],
  ])(
    'may be six times as large as the largest message that it holds, if the %s proves the sender',
    async (_, where) => {
      const { url } = await runKarin({ KARIN_TOKENS: `${TOKEN}:send+manage` });
      await sqsCall(`${url}/k/${TOKEN}`, 'CreateQueue', { QueueName: 'jobs' });
      const { path, queueUrl } = where(url);
      // As Python's json writes U+007F.
      const body = `{"QueueUrl":"${queueUrl}","MessageBody":"${'\\u007f'.repeat(MAX_MESSAGE_BYTES)}"}`;
      const answer = await fetch(`${url}${path}`, { method: 'POST', headers: JSON_SEND, body });
      expect(answer.status).toBe(200);
      const MD5OfMessageBody = md5OfBody('\u007f'.repeat(MAX_MESSAGE_BYTES));
      expect(await answer.json()).toMatchObject({ MD5OfMessageBody });
    },
  );

  it('is refused by its announcement, before it is sent', async () => {
    const { server } = await serve();
    const { socket, closed } = connect(server.port);
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${LARGEST_BODY + 1}\r\n\r\n`);
    const answer = await closed;
    expect(answer).toContain('HTTP/1.1 413');
    expect(answer).toContain('RequestEntityTooLarge');
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  it('is cut off while it is read, if it was not announced', async () => {
    const { server } = await serve();
    const { socket, closed } = connect(server.port);
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    // Without an end: only the server can bring this to one.
    const send = (): void => {
      while (!socket.destroyed && socket.write(chunk));
      if (!socket.destroyed) socket.once('drain', send);
    };
    send();
    // The answer may be lost with the connection, because the client still sends.
    expect((await closed).slice(0, 12)).toBeOneOf(['HTTP/1.1 413', '']);
  });

  it('waits its turn when all bodies together are too much, and gives its room back', async () => {
    const { server, url } = await serve({ memory: { callers: 100_000 } });
    const slow = connect(server.port);
    slow.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(99_999)}`);
    // The room is taken as bytes arrive: ask until they have.
    const refused = async (): Promise<string> => {
      const answer = await (await post('y'.repeat(50_000), url)).text();
      return answer === '50000' ? refused() : answer;
    };
    expect(await refused()).toBe('ServiceUnavailable');
    expect(await (await post('y'.repeat(FREE_BYTES), url)).text()).toBe(`${FREE_BYTES}`);
    slow.socket.write('x');
    const answered = async (): Promise<void> => {
      if (!slow.received().includes('100000')) {
        await once(slow.socket, 'data');
        return answered();
      }
    };
    await answered();
    expect(await (await post('y'.repeat(110_000), url)).text()).toBe('110000');
  });

  it('of a stranger that never ends makes room for those of others', async () => {
    const { server, url } = await serve({ strangers: true, memory: { strangers: 100_000 } });
    const held = connect(server.port);
    held.socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${FORM}\r\nContent-Length: 90000\r\n\r\n${'x'.repeat(89_999)}`);
    // Both are refused for want of a credential in the end, but the second is read, and the first had to go.
    const later = async (): Promise<void> => {
      const answer = await fetch(url, { method: 'POST', body: new URLSearchParams({ a: 'y'.repeat(89_000) }) });
      expect(await answer.text()).toBe('AccessDenied');
      if (!held.socket.destroyed) return later();
    };
    await later();
    expect(await held.closed).toContain('ServiceUnavailable');
  });

  it('of a stranger is not read beyond its first bytes if it would be too large, nor in chunks', async () => {
    const { server } = await serve({ strangers: true });
    const large = connect(server.port);
    large.socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${FORM}\r\nContent-Length: 2000000\r\n\r\n${'x'.repeat(3_000)}`);
    expect(await large.closed).toContain('HTTP/1.1 413');
    const chunked = connect(server.port);
    chunked.socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${FORM}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n`);
    expect(await chunked.closed).toContain('HTTP/1.1 413');
  });

  it('that never comes to its end costs nothing once the client is gone', async () => {
    const { server, url, logged } = await serve({ memory: { callers: 100_000 } });
    const gone = connect(server.port);
    gone.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(90_000)}`);
    gone.socket.end();
    await gone.closed;
    const whole = async (): Promise<void> => {
      if ((await (await post('y'.repeat(110_000), url)).text()) !== '110000') return whole();
    };
    await whole();
    expect(logged.join('')).not.toContain('"level":"error"');
  });
});

describe('a connection', () => {
  const quick = { headTimeoutMs: 50, requestTimeoutMs: 100, checkMs: 10 };

  it('is closed when the head of its request does not come', async () => {
    const { server } = await serve({ limits: quick });
    const { socket, closed } = connect(server.port);
    socket.write('POST / HTTP/1.1\r\nHost: x\r\n');
    expect(await closed).toContain('HTTP/1.1 408');
  });

  it('is closed when the body of its request does not come', async () => {
    const { server } = await serve({ limits: quick });
    const { socket, closed } = connect(server.port);
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx');
    expect(await closed).toContain('HTTP/1.1 408');
  });

  it('is refused a head that is too large', async () => {
    const { url } = await serve();
    expect((await fetch(`${url}/?${'x'.repeat(40_000)}`)).status).toBe(431);
  });

  it('is refused a request target that is no path', async () => {
    const { server } = await serve();
    const { socket, closed } = connect(server.port);
    socket.write('OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(await closed).toContain('HTTP/1.1 400');
  });
});

describe('a place', () => {
  const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

  /** One connection that sends nothing, once the server knows of it. */
  async function idle(port: number) {
    const connection = connect(port);
    await once(connection.socket, 'connect');
    return connection;
  }

  async function answerTo(connection: ReturnType<typeof connect>, text: string): Promise<void> {
    connection.socket.write(text);
    await once(connection.socket, 'data');
  }

  it('that a stranger holds without using it goes to a newcomer, the oldest first', async () => {
    const { server } = await serve({ connections: { connections: 3 } });
    const first = await idle(server.port);
    const others = [await idle(server.port), await idle(server.port)];
    const newcomer = await idle(server.port);
    await first.closed;
    await answerTo(newcomer, GET);
    expect(newcomer.received()).toContain('HTTP/1.1 200');
    expect(others.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
  });

  it('of one who has proven a credential is kept, however many strangers come', async () => {
    const { server } = await serve({ connections: { connections: 3 } });
    const known = connect(server.port);
    await answerTo(known, GET);
    const strangers = [];
    for (let n = 0; n < 20; n += 1) strangers.push(await idle(server.port));
    await strangers[17]?.closed;
    await answerTo(known, GET);
    expect(known.received().match(/HTTP\/1.1 200/g)).toHaveLength(2);
  });

  it('is not held by the beginning of a head, nor by that of a body', async () => {
    const { server } = await serve({ connections: { connections: 2 }, strangers: true });
    const head = await idle(server.port);
    head.socket.write('GET / HTTP/1.1\r\nHost: x\r\nA: b');
    const body = await idle(server.port);
    body.socket.write(`POST / HTTP/1.1\r\nHost: x\r\n${FORM}\r\nContent-Length: 10\r\n\r\nx`);
    await idle(server.port);
    await head.closed;
    await idle(server.port);
    await body.closed;
  });

  it('is found for each address by itself, where the setting counts them', async () => {
    const limits = { connections: 100, connectionsPerAddress: 2, countsLoopback: true };
    const { server } = await serve({ connections: limits });
    const other = connect(server.port, '127.0.0.2');
    await once(other.socket, 'connect');
    const own = [await idle(server.port), await idle(server.port), await idle(server.port)];
    await own[0]?.closed;
    await answerTo(other, GET);
    expect(other.received()).toContain('HTTP/1.1 200');
  });

  it('of a long poll goes to a newcomer, and the long poll is answered', async () => {
    const { server, edge } = await serve({
      connections: { connections: 1 },
      handle: async (request) => {
        if (request.headers('x-polls') === undefined) return 'sent';
        await end(request.signal);
        return 'nothing';
      },
    });
    const poll = connect(server.port);
    poll.socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Polls: 1\r\n\r\n');
    const waits = async (): Promise<void> => {
      if (edge.waiting() > 0) return;
      await new Promise((resolve) => setImmediate(resolve));
      return waits();
    };
    await waits();
    const newcomer = connect(server.port);
    await answerTo(newcomer, GET);
    expect(newcomer.received()).toContain('sent');
    expect(await poll.closed).toMatch(/200.*connection: close.*nothing/is);
  });

  it('of a stranger whose refusal waits, because guessing is slowed, goes to a newcomer', async () => {
    const pause: Authenticator['pause'] = async (_, gone) => void (await once(gone(), 'abort'));
    const { server, edge } = await serve({ connections: { connections: 1 }, authenticator: { ...nobody, pause } });
    const guess = connect(server.port);
    guess.socket.write(GET);
    while (edge.waiting() === 0) await new Promise((resolve) => setImmediate(resolve));
    await idle(server.port);
    await guess.closed;
  });

  it('is lost by some of those with large heads whose bodies do not end, when their heads are too much memory', async () => {
    const { server } = await serve({ strangers: true });
    const head = `POST / HTTP/1.1\r\nHost: x\r\n${FORM}\r\nContent-Length: 10\r\nA: ${'x'.repeat(32_000)}\r\n\r\nx`;
    const large = Array.from({ length: 400 }, () => connect(server.port));
    let closed = 0;
    const enough = new Promise<void>((resolve) => {
      for (const connection of large) {
        connection.socket.write(head);
        void connection.closed.then(() => {
          closed += 1;
          if (closed * 32_000 >= 400 * 32_000 - 8 * 1_048_576) resolve();
        });
      }
    });
    await enough;
  });

  it('that all others work on is refused with words of HTTP', async () => {
    const begun = new Promise<void>((resolve) => {
      void serve({
        connections: { connections: 1 },
        handle: () => {
          resolve();
          return new Promise(() => {});
        },
      }).then(({ server }) => {
        const busy = connect(server.port);
        busy.socket.write(GET);
      });
    });
    await begun;
    const newcomer = connect(servers.at(-1)?.port ?? 0);
    expect(await newcomer.closed).toContain('HTTP/1.1 503');
  });
});

describe('an answer', () => {
  /** More than the kernel takes for a reader who reads nothing. */
  const LARGE = 32_000_000;

  /** Asks, and reads nothing. */
  function askOnly(port: number) {
    const connection = connect(port);
    connection.socket.pause();
    connection.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    return connection;
  }

  it('that nobody reads ends with the time for writing', async () => {
    const { server, responses } = await serve({
      connections: { writeTimeoutMs: 50 },
      handle: async () => 'x'.repeat(LARGE),
    });
    const over = once(responses, 'over');
    const slow = askOnly(server.port);
    await over;
    slow.socket.resume();
    expect((await slow.closed).length).toBeLessThan(LARGE);
  });

  it('that nobody reads makes room for others', async () => {
    const { server, url } = await serve({ memory: { answers: LARGE * 2 }, handle: async () => 'x'.repeat(LARGE) });
    const slow = [1, 2, 3, 4].map(() => askOnly(server.port));
    for (let n = 0; n < 4; n += 1) expect(await (await fetch(url)).text()).toHaveLength(LARGE);
    slow[0]?.socket.resume();
    await slow[0]?.closed;
    expect(slow[0]?.received().length).toBeLessThan(LARGE);
  });
});

describe('a request', () => {
  it('has a signal that ends with its client', async () => {
    let aborted: Promise<unknown> | undefined;
    const { server } = await serve({
      handle: (request) => {
        aborted = end(request.signal);
        return new Promise(() => {});
      },
    });
    const { socket } = connect(server.port);
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx');
    const begun = async (): Promise<void> => {
      if (aborted === undefined) {
        await new Promise((resolve) => setImmediate(resolve));
        return begun();
      }
    };
    await begun();
    socket.destroy();
    await aborted;
  });

  it('that fails unexpectedly is answered, and reported without its body', async () => {
    const { url, logged } = await serve({ handle: () => Promise.reject(new Error('a bug')) });
    const answer = await post('a private body', url);
    expect([answer.status, await answer.text()]).toEqual([500, 'InternalFailure']);
    expect(logged.join('')).toContain('a bug');
    expect(logged.join('')).not.toContain('a private body');
  });
});

describe('requests that are sent without waiting for answers', () => {
  const pipelined = (count: number): string => 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(count);

  it('are all answered if they are few', async () => {
    const { server } = await serve();
    const { socket } = connect(server.port);
    socket.write(pipelined(16));
    let answers = '';
    while ((answers.match(/HTTP\/1\.1 /g) ?? []).length < 16) answers += String((await once(socket, 'data'))[0]);
  });

  it('cost the connection if they are many, before they are handled', async () => {
    let begun = 0;
    const { server } = await serve({
      handle: () => {
        begun += 1;
        return new Promise(() => {});
      },
    });
    const { socket, closed } = connect(server.port);
    const request = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
    socket.write(request.repeat(1_000));
    await closed;
    expect(begun).toBeLessThanOrEqual(16);
  });
});

describe('requests that one read of a connection begins', () => {
  const shapes = {
    plain: 'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'without a Host, which node:http refuses on its own': 'GET / HTTP/1.1\r\n\r\n',
    'with a Host that is none': 'GET /ops HTTP/1.1\r\nHost: a b\r\n\r\n',
    'with a body': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx',
    'with an expectation that node:http refuses on its own':
      'POST / HTTP/1.1\r\nHost: x\r\nExpect: x\r\nContent-Length: 0\r\n\r\n',
    'that wait for a Continue': 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n',
  };

  /** Closes the connection after the bytes, and resolves to how many requests node:http began. */
  async function begun(port: number, bytes: string): Promise<number> {
    let requests = 0;
    const count = (): void => {
      requests += 1;
    };
    subscribe('http.server.request.start', count);
    const { socket, closed } = connect(port);
    socket.resume().write(bytes);
    await closed;
    unsubscribe('http.server.request.start', count);
    return requests;
  }

  for (const [shape, bytes] of Object.entries(shapes)) {
    it(`are no more than 16 of those ${shape}, because the parser stops at the next`, async () => {
      const { server } = await serve();
      expect(await begun(server.port, bytes.repeat(Math.floor(60_000 / bytes.length)))).toBeLessThanOrEqual(17);
    });
  }

  it('are no more than 16 before anything is served', async () => {
    const door = await openDoor('127.0.0.1', 0);
    expect(await begun(door.port, shapes.plain.repeat(1_000))).toBeLessThanOrEqual(17);
    await door.close();
  });

  it('do not count those of earlier reads: a connection serves any number one after the other', async () => {
    const { server } = await serve();
    const { socket } = connect(server.port);
    for (let answered = 0; answered < 50; answered++) {
      socket.write(shapes.plain);
      expect(String((await once(socket, 'data'))[0])).toContain('HTTP/1.1 ');
    }
  });
});

describe('a server that stops', () => {
  it('ends long polls with an answer, lets responses finish and closes idle connections', async () => {
    const { server, edge, url } = await serve({
      handle: async (request) => {
        if (!request.signal.aborted) await end(request.signal);
        return 'ended';
      },
    });
    const polls = [post('a', url), post('b', url)];
    const idle = connect(server.port);
    idle.socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(idle.socket, 'data');
    // A signal is made when the request is handled; until both are, stopping would prove nothing.
    const open = async (): Promise<void> => {
      if (edge.waiting() < 2) {
        await new Promise((resolve) => setImmediate(resolve));
        return open();
      }
    };
    await open();
    await server.stop();
    expect(await Promise.all(polls.map(async (poll) => (await poll).text()))).toEqual(['ended', 'ended']);
    await idle.closed;
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  });
});
