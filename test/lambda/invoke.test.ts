import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  createInvoker,
  type InvokeRequest,
  type Invoker,
  type InvokerOptions,
  TIMEOUT_MARGIN_MS,
} from '../../runtime/aws/invoke.ts';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import { systemTime } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { respond, type ScriptedLambda, type SeenInvoke, startScriptedLambda } from './scripted-lambda.ts';

const FUNCTION_ARN = 'arn:aws:lambda:eu-west-1:111122223333:function:worker:live';

const opened: AsyncDisposable[] = [];
const invokers: Invoker[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const invoker of invokers.splice(0)) invoker.close();
  for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
});

async function lambda(answer: (invoke: SeenInvoke) => void): Promise<ScriptedLambda> {
  const server = await startScriptedLambda(answer);
  opened.push(server);
  return server;
}

function invoker(options: Partial<InvokerOptions>): Invoker {
  const created = createInvoker({
    region: 'eu-west-1',
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
    maxSockets: 10,
    time: systemTime,
    ...options,
  });
  invokers.push(created);
  return created;
}

function request(overrides: Partial<InvokeRequest> = {}): InvokeRequest {
  return { functionArn: FUNCTION_ARN, payload: Buffer.from('{"Records":[]}'), longestSeconds: 900, ...overrides };
}

describe('the request', () => {
  it('is one synchronous Invoke of the function as named, without its log', async () => {
    const server = await lambda((seen) => respond(seen, 200, '{"ok":true}', { 'x-amz-executed-version': '7' }));
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request());

    expect(outcome).toEqual({ kind: 'success', response: expect.anything(), executedVersion: '7' });
    expect(outcome.kind === 'success' && Buffer.from(outcome.response).toString()).toBe('{"ok":true}');
    const [seen] = server.seen;
    expect(decodeURIComponent(seen?.path ?? '')).toBe(`/2015-03-31/functions/${FUNCTION_ARN}/invocations`);
    expect(seen?.headers).toMatchObject({
      'x-amz-invocation-type': 'RequestResponse',
      'x-amz-log-type': 'None',
      authorization: expect.stringContaining('/eu-west-1/lambda/aws4_request'),
    });
    expect(seen?.body.toString()).toBe('{"Records":[]}');
  });

  it('asks for the end of the log where that is wanted, and reads it from the answer, of a failure too', async () => {
    const header = { 'x-amz-log-result': Buffer.from('START\nbecause of ü\n').toString('base64') };
    const answers = [{}, { 'x-amz-function-error': 'Unhandled' }];
    const server = await lambda((seen) => respond(seen, 200, '{}', { ...header, ...answers.shift() }));
    const one = invoker({ endpoint: server.endpoint });
    expect(await one.invoke(request({ logTail: true }))).toMatchObject({
      kind: 'success',
      logTail: 'START\nbecause of ü\n',
    });
    expect(await one.invoke(request({ logTail: true }))).toMatchObject({
      kind: 'function-error',
      logTail: 'START\nbecause of ü\n',
    });
    expect(server.seen.map(({ headers }) => headers['x-amz-log-type'])).toEqual(['Tail', 'Tail']);
  });

  it('carries the trace header of the sender', async () => {
    const server = await lambda((seen) => respond(seen, 200, ''));
    const trace = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a793ea9a:0';
    await invoker({ endpoint: server.endpoint }).invoke(request({ traceHeader: trace }));
    expect(server.seen[0]?.headers['x-amzn-trace-id']).toBe(trace);
  });

  it.each(['', 'Root=1\r\nX-Evil: 1', 'Root=ä', ' Root=1', 'x'.repeat(2_000)])(
    'leaves a trace header behind that no HTTP header can carry: %j',
    async (traceHeader) => {
      const server = await lambda((seen) => respond(seen, 200, ''));
      expect(await invoker({ endpoint: server.endpoint }).invoke(request({ traceHeader }))).toMatchObject({
        kind: 'success',
      });
      expect(server.seen[0]?.headers).not.toHaveProperty('x-amzn-trace-id');
      expect(server.seen[0]?.headers).not.toHaveProperty('x-evil');
    },
  );

  it('goes where the standard AWS variables say', async () => {
    const server = await lambda((seen) => respond(seen, 200, ''));
    vi.stubEnv('AWS_ENDPOINT_URL_LAMBDA', server.endpoint);
    vi.stubEnv('AWS_REGION', 'ap-south-1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDFROMENV');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    const plain = createInvoker({ maxSockets: 1, time: systemTime });
    invokers.push(plain);
    expect(await plain.invoke(request())).toMatchObject({ kind: 'success' });
    expect(server.seen[0]?.headers.authorization).toMatch(/AKIDFROMENV\/\d+\/ap-south-1\/lambda/);
  });

  it('is sent 200 times at once, none waiting for another', async () => {
    const waiting: SeenInvoke[] = [];
    const server = await lambda((seen) => {
      waiting.push(seen);
      if (waiting.length === 200) for (const each of waiting) respond(each, 200, 'null');
    });
    const many = invoker({ endpoint: server.endpoint, maxSockets: 200 });
    const outcomes = await Promise.all(Array.from({ length: 200 }, () => many.invoke(request())));
    expect(outcomes.filter(({ kind }) => kind === 'success')).toHaveLength(200);
  });
});

describe('failures of the function', () => {
  it.each([
    [
      'an exception',
      'Unhandled',
      '{"errorType":"TypeError","errorMessage":"x is undefined","trace":["at handler"]}',
      { errorType: 'TypeError', message: 'x is undefined', trace: 'at handler' },
    ],
    [
      'a timeout',
      'Unhandled',
      '{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1 Error: Task timed out after 3.00 seconds"}',
      { errorType: 'Sandbox.Timedout', message: 'RequestId: 1 Error: Task timed out after 3.00 seconds' },
    ],
    ['an error without a type', 'Handled', '{"errorMessage":"no"}', { errorType: 'Error', message: 'no' }],
    ['an error of another shape', 'Unhandled', '[1]', { errorType: 'Error', message: expect.any(String) }],
    ['an error that is no JSON', 'Unhandled', 'oops', { errorType: 'Error', message: expect.any(String) }],
  ])('%s', async (_name, header, body, expected) => {
    const server = await lambda((seen) => respond(seen, 200, body, { 'x-amz-function-error': header }));
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request());
    expect(outcome).toEqual({ kind: 'function-error', ...expected });
  });

  it('keeps only the beginning of a long message', async () => {
    const body = JSON.stringify({ errorType: 'E', errorMessage: 'x'.repeat(100_000) });
    const server = await lambda((seen) => respond(seen, 200, body, { 'x-amz-function-error': 'Unhandled' }));
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request());
    expect(outcome.kind === 'function-error' && outcome.message.length).toBe(1_000);
  });

  it('does not read a response beyond the limit', async () => {
    const server = await lambda((seen) => respond(seen, 200, 'x'.repeat(2_000_000)));
    const outcome = await invoker({ endpoint: server.endpoint, maxResponseBytes: 1_000_000 }).invoke(request());
    expect(outcome).toMatchObject({ kind: 'function-error', errorType: 'Function.ResponseSizeTooLarge' });
  });

  it('reads a response of the largest size that Lambda allows', async () => {
    const server = await lambda((seen) => respond(seen, 200, Buffer.alloc(6_291_556, 'x')));
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request());
    expect(outcome.kind === 'success' && outcome.response.byteLength).toBe(6_291_556);
  });

  it('reads two large responses at one time and leaves the others with their senders; one that is given up waits no longer', async () => {
    const arrivals = new EventEmitter();
    const server = await lambda((seen) => {
      if (seen.body.toString() === '"small"') return respond(seen, 200, 'null');
      seen.response.writeHead(200, { 'content-type': 'application/json' });
      seen.response.write(Buffer.alloc(1_000_000, 'x'));
      arrivals.emit(seen.body.toString(), seen.response);
    });
    const client = invoker({ endpoint: server.endpoint });
    const settled: string[] = [];
    const giveUp = new AbortController();
    const call = async (name: string, signal?: AbortSignal): Promise<[ServerResponse, Promise<InvokeOutcome>]> => {
      const arrived = once(arrivals, `"${name}"`);
      const outcome = client.invoke(request({ payload: Buffer.from(`"${name}"`), ...(signal && { signal }) }));
      void outcome.then(() => settled.push(name));
      const [response] = await arrived;
      return [response, outcome];
    };
    /** Enough round trips for everything that was written to have arrived, and small responses pass. */
    const roundTrips = async (): Promise<void> => {
      for (let count = 0; count < 20; count += 1) {
        expect(await client.invoke(request({ payload: Buffer.from('"small"') }))).toMatchObject({ kind: 'success' });
      }
    };
    const [first] = await call('first');
    const [second, secondOutcome] = await call('second');
    await roundTrips();
    const [third, thirdOutcome] = await call('third');
    const [, givenUp] = await call('given up', giveUp.signal);
    const [fifth, fifthOutcome] = await call('fifth');
    third.end();
    fifth.end();
    await roundTrips();
    expect(settled).toEqual([]);

    giveUp.abort();
    expect(await givenUp).toMatchObject({ kind: 'connection-lost' });
    expect(settled).toEqual(['given up']);
    second.end();
    expect(await secondOutcome).toMatchObject({ kind: 'success' });
    expect(await thirdOutcome).toMatchObject({ kind: 'success' });
    expect(await fifthOutcome).toMatchObject({ kind: 'success' });
    first.end();
  });
});

describe('refusals of Lambda', () => {
  interface Row {
    readonly status: number;
    readonly type: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly expected: object;
  }
  const ROWS: readonly Row[] = [
    { status: 429, type: 'TooManyRequestsException', expected: { kind: 'throttled' } },
    {
      status: 429,
      type: 'TooManyRequestsException',
      headers: { 'retry-after': '4' },
      expected: { kind: 'throttled', retryAfterMs: 4_000 },
    },
    { status: 500, type: 'ServiceException', expected: { kind: 'unavailable' } },
    { status: 502, type: 'EC2ThrottledException', expected: { kind: 'unavailable' } },
    { status: 502, type: 'KMSAccessDeniedException', expected: { kind: 'unavailable' } },
    { status: 503, type: 'ServiceUnavailable', expected: { kind: 'unavailable' } },
    { status: 409, type: 'ResourceConflictException', expected: { kind: 'unavailable' } },
    { status: 409, type: 'SnapStartNotReadyException', expected: { kind: 'unavailable' } },
    { status: 408, type: 'SnapStartTimeoutException', expected: { kind: 'unavailable' } },
    { status: 400, type: 'RecursiveInvocationException', expected: { kind: 'rejected', status: 400 } },
    { status: 400, type: 'InvalidRequestContentException', expected: { kind: 'rejected', status: 400 } },
    { status: 400, type: 'InvalidParameterValueException', expected: { kind: 'unreached', why: 'no-way' } },
    { status: 400, type: 'ExpiredTokenException', expected: { kind: 'unreached', why: 'no-way' } },
    { status: 403, type: 'UnrecognizedClientException', expected: { kind: 'unreached', why: 'no-way' } },
    { status: 403, type: 'AccessDeniedException', expected: { kind: 'unreached', why: 'no-way' } },
    { status: 404, type: 'ResourceNotFoundException', expected: { kind: 'unreached', why: 'not-found' } },
    { status: 413, type: 'RequestTooLargeException', expected: { kind: 'rejected', status: 413 } },
    { status: 415, type: 'UnsupportedMediaTypeException', expected: { kind: 'rejected', status: 415 } },
  ];

  it.each(ROWS)('$status $type $headers', async ({ status, type, headers, expected }) => {
    const body = JSON.stringify({ Type: 'User', Message: 'told why' });
    const server = await lambda((seen) => respond(seen, status, body, { 'x-amzn-errortype': type, ...headers }));
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request());
    expect(outcome).toEqual({ ...expected, message: expect.stringContaining(type) });
    expect(server.seen).toHaveLength(1);
  });

  it.each([502, 504])('a %i without a name may come from a proxy that passed the request on', async (status) => {
    const server = await lambda((seen) => respond(seen, status, '<html>', { 'content-type': 'text/html' }));
    expect(await invoker({ endpoint: server.endpoint }).invoke(request())).toMatchObject({ kind: 'connection-lost' });
  });
});

describe('a connection that breaks', () => {
  it('does not run the function twice when it is reset after the request', async () => {
    const server = await lambda(({ socket }) => socket.resetAndDestroy());
    vi.stubEnv('AWS_MAX_ATTEMPTS', '5');
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request());
    expect(outcome).toEqual({ kind: 'connection-lost', message: expect.stringContaining('ECONNRESET') });
    expect(server.seen).toHaveLength(1);
  });

  it('does not run the function twice when it is closed after the request', async () => {
    const server = await lambda(({ socket }) => socket.destroy());
    expect(await invoker({ endpoint: server.endpoint }).invoke(request())).toMatchObject({ kind: 'connection-lost' });
    expect(server.seen).toHaveLength(1);
  });

  it('does not take half a response for a success', async () => {
    const server = await lambda(({ response, socket }) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"batchItemFailures":[]', () => socket.resetAndDestroy());
    });
    expect(await invoker({ endpoint: server.endpoint }).invoke(request())).toMatchObject({ kind: 'connection-lost' });
    expect(server.seen).toHaveLength(1);
  });

  it('knows that the function did not run when the connection is refused', async () => {
    const port = await freePort();
    const outcome = await invoker({ endpoint: `http://127.0.0.1:${port}` }).invoke(request());
    expect(outcome).toEqual({ kind: 'unreached', why: 'no-way', message: expect.stringContaining('ECONNREFUSED') });
  });

  it('knows that the function did not run when the name cannot be found', async () => {
    const outcome = await invoker({ endpoint: 'http://lambda.invalid:1' }).invoke(request());
    expect(outcome).toMatchObject({ kind: 'unreached', why: 'no-way' });
  });

  it('knows that the function did not run when there are no credentials', async () => {
    const server = await lambda((seen) => respond(seen, 200, ''));
    const credentials = () => Promise.reject(new Error('the role cannot be assumed'));
    const outcome = await invoker({ endpoint: server.endpoint, credentials }).invoke(request());
    expect(outcome).toEqual({
      kind: 'unreached',
      why: 'no-way',
      message: expect.stringContaining('the role cannot be assumed'),
    });
    expect(server.seen).toHaveLength(0);
  });

  it('knows that the function did not run when the connection is closed before its encryption is agreed upon', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.destroy()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    opened.push({ [Symbol.asyncDispose]: async () => void server.close() });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no TCP address');
    const outcome = await invoker({ endpoint: `https://127.0.0.1:${address.port}` }).invoke(request());
    expect(outcome).toMatchObject({ kind: 'unreached', why: 'no-way' });
  });

  it('goes on with new connections', async () => {
    const server = await lambda((seen) =>
      server.seen.length === 1 ? seen.socket.resetAndDestroy() : respond(seen, 200, 'null'),
    );
    const one = invoker({ endpoint: server.endpoint });
    expect(await one.invoke(request())).toMatchObject({ kind: 'connection-lost' });
    expect(await one.invoke(request())).toMatchObject({ kind: 'success' });
  });
});

describe('a probe', () => {
  it('is a dry run, which no function sees', async () => {
    const server = await lambda((seen) => respond(seen, 204, ''));
    expect(await invoker({ endpoint: server.endpoint }).probe(FUNCTION_ARN)).toEqual({ kind: 'reached' });
    expect(server.seen[0]?.headers['x-amz-invocation-type']).toBe('DryRun');
    expect(server.seen[0]?.body.byteLength).toBe(0);
  });

  it.each([
    [403, 'UnrecognizedClientException', { kind: 'unreached', why: 'no-way' }],
    [404, 'ResourceNotFoundException', { kind: 'unreached', why: 'not-found' }],
    [429, 'TooManyRequestsException', { kind: 'reached' }],
    [501, 'NotImplemented', { kind: 'reached' }],
  ])('that is answered with %i %s', async (status, type, expected) => {
    const server = await lambda((seen) => respond(seen, status, '{}', { 'x-amzn-errortype': type }));
    expect(await invoker({ endpoint: server.endpoint }).probe(FUNCTION_ARN)).toMatchObject(expected);
  });

  it('whose answer is lost, or does not come, found no way', async () => {
    const time = new ManualTime();
    const server = await lambda(({ socket }) => {
      if (server.seen.length === 1) socket.resetAndDestroy();
      else time.advance(5_000);
    });
    const client = invoker({ endpoint: server.endpoint, time });
    expect(await client.probe(FUNCTION_ARN)).toMatchObject({ kind: 'unreached', why: 'no-way' });
    expect(await client.probe(FUNCTION_ARN)).toMatchObject({
      kind: 'unreached',
      message: 'Lambda did not answer within 5000 ms',
    });
  });
});

describe('a call without an answer', () => {
  it('is given up after the longest time that AWS allows and a margin, and not before', async () => {
    const time = new ManualTime();
    const arrivals = new EventEmitter<{ invoke: [SeenInvoke] }>();
    const arrived = once(arrivals, 'invoke');
    const server = await lambda((seen) => arrivals.emit('invoke', seen));
    let settled = false;
    const call = invoker({ endpoint: server.endpoint, time })
      .invoke(request())
      .finally(() => {
        settled = true;
      });
    const [{ socket }] = await arrived;
    const closed = new Promise((resolve) => socket.once('close', resolve));

    time.advance(900_000 + TIMEOUT_MARGIN_MS - 1);
    await new Promise(setImmediate);
    expect(settled).toBe(false);
    time.advance(1);
    expect(await call).toEqual({ kind: 'connection-lost', message: expect.stringContaining('915000 ms') });
    await closed;
  });

  it('answers a late success within the margin', async () => {
    const time = new ManualTime();
    const server = await lambda((seen) => {
      time.advance(900_000 + TIMEOUT_MARGIN_MS - 1);
      respond(seen, 200, 'null');
    });
    const outcome = await invoker({ endpoint: server.endpoint, time }).invoke(request());
    expect(outcome).toMatchObject({ kind: 'success' });
    expect(time.pending).toBe(0);
  });

  it('is given up when the caller says so', async () => {
    const stop = new AbortController();
    const server = await lambda(() => stop.abort());
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request({ signal: stop.signal }));
    expect(outcome).toEqual({ kind: 'connection-lost', message: 'the call was ended by this server' });
  });

  it('is not begun when the caller has given up already', async () => {
    const server = await lambda((seen) => respond(seen, 200, ''));
    const outcome = await invoker({ endpoint: server.endpoint }).invoke(request({ signal: AbortSignal.abort() }));
    expect(outcome).toMatchObject({ kind: 'unreached' });
    expect(server.seen).toHaveLength(0);
  });

  // The kernel's own word on the socket; other systems have no such file.
  if (process.platform === 'linux') {
    it('is held open by TCP keep-alive probes, long before a gateway drops it after 350 s', async () => {
      const arrivals = new EventEmitter<{ invoke: [SeenInvoke] }>();
      const arrived = once(arrivals, 'invoke');
      const server = await lambda((seen) => arrivals.emit('invoke', seen));
      const call = invoker({ endpoint: server.endpoint }).invoke(request());
      const [seen] = await arrived;
      const { remotePort: clientPort = 0, localPort: serverPort = 0 } = seen.socket;
      const timer = await vi.waitFor(() => {
        const found = timerOfSocket(clientPort, serverPort);
        expect(found?.kind).toBe('02');
        return found;
      }, 30_000);
      expect(timer?.dueInSeconds).toBeLessThan(120);
      respond(seen, 200, '');
      await call;
    });
  }
});

/**
 * The active timer of the TCP socket between these ports (`02`: keep-alive). Both are looked at, because connections to
 * other ports may have the same local one. Source: Linux, Documentation/networking/proc_net_tcp.rst; the time is in
 * hundredths of a second.
 */
function timerOfSocket(
  localPort: number,
  remotePort: number,
): { readonly kind: string; readonly dueInSeconds: number } | undefined {
  const [own, other] = [localPort, remotePort].map((port) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`);
  const rows = readFileSync('/proc/net/tcp', 'utf8').trim().split('\n').slice(1);
  const row = rows
    .map((line) => line.trim().split(/\s+/))
    .find(([, local = '', remote = '']) => local.endsWith(own ?? '') && remote.endsWith(other ?? ''));
  const [kind, due] = row?.[5]?.split(':') ?? [];
  return kind === undefined || due === undefined ? undefined : { kind, dueInSeconds: Number.parseInt(due, 16) / 100 };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}
