import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { httpRequest, Line, load } from '../load.ts';
import { RIVAL_NAMES, startRival } from '../rivals.ts';

const CONNECTIONS = 64;
/** Odd, so that the median is one of them. */
const ROUNDS = 5;
/** Rounds before them, for compilers that wait until code is hot: fewer show how a server starts. */
const WARM_UPS = 3;
const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const BODY = 'x'.repeat(300);
/**
 * The one rival that Karin is bound to beat: the same language and the same library of HTTP, but no store outside its
 * process.
 */
const YARDSTICK = 'fauxqs';
const FACTOR = 1.2;

/** A server that takes part, and what it reached. */
interface Contestant {
  readonly name: string;
  readonly what: string;
  readonly port: number;
  readonly path: string;
  /** How many queues it was asked for. */
  queues: number;
  /** Messages of one measurement; fewer for a server that would take minutes. */
  messages: number;
  readonly sends: number[];
  readonly batchSends: number[];
  readonly cycles: number[];
  readonly latencies: number[];
}

/**
 * Karin beside other servers of the SQS API in one run, all in the JSON protocol: sends, sends in batches of ten, and
 * the cycle of send, receive and delete.
 *
 * Short rounds of each in turn, and the medians of their rates, so that all find the machine in the same state. Karin
 * keeps its messages in Redis and asks for a capability; the others keep theirs in memory and let anybody in.
 */
export async function rivals(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const karin = await bench.server({
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
  });
  const contestants = [contestant('Karin', 'Redis, capability', karin.port, `/k/${TOKEN}/`)];
  const figures: Figure[] = [];
  for (const name of RIVAL_NAMES) {
    const rival = await startRival(name);
    if ('skipped' in rival) {
      figures.push({ name: `${name}: skipped`, value: 0, unit: '', note: rival.skipped });
      continue;
    }
    await bench.keep(Promise.resolve(rival));
    contestants.push(contestant(rival.name, rival.what, rival.port, '/'));
  }
  const most = bench.size(4_000, 400);
  for (const one of contestants) one.messages = await messagesFor(one, most);
  for (let n = 1 - WARM_UPS; n <= ROUNDS; n += 1)
    for (const one of contestants) {
      await round(one, one.messages, n > 0).catch((error: unknown) => {
        throw new Error(`${one.name} failed in round ${n}`, { cause: error });
      });
    }

  const yardstick = contestants.find((one) => one.name === YARDSTICK);
  for (const one of contestants) {
    const note = `${one.what}; p50 ${percentile(one.latencies, 0.5).toFixed(1)} ms, p99 ${percentile(one.latencies, 0.99).toFixed(1)} ms`;
    figures.push({ name: `${one.name}: sends`, value: percentile(one.sends, 0.5), unit: 'msg/s', note });
    figures.push({
      name: `${one.name}: sends in batches of ten`,
      value: percentile(one.batchSends, 0.5),
      unit: 'msg/s',
    });
    figures.push({ name: `${one.name}: cycles`, value: percentile(one.cycles, 0.5), unit: 'cycles/s' });
  }
  const [own] = contestants;
  if (yardstick !== undefined && own !== undefined)
    for (const [what, kind] of [
      ['sends', 'sends'],
      ['cycles of send, receive and delete', 'cycles'],
    ] as const)
      figures.push({
        name: `${what}, times ${YARDSTICK}`,
        value: percentile(
          own[kind].map((rate, n) => rate / (yardstick[kind][n] ?? Number.NaN)),
          0.5,
        ),
        unit: '',
        bound: { kind: 'at-least', value: FACTOR },
      });
  return figures;
}

/** As many as it takes in a second by a first trial, in whole shares of the connections. */
async function messagesFor(one: Contestant, most: number): Promise<number> {
  const trial = CONNECTIONS * 2;
  const cycles = await withQueue(one, (queueUrl) => cycle(one, queueUrl, trial / 2));
  const perSecond = Math.ceil((cycles * 4) / CONNECTIONS) * CONNECTIONS;
  return Math.max(trial, Math.min(most, perSecond));
}

/**
 * One round of one server, on queues of its own: what earlier rounds left would slow those down whose queues are lists.
 * A rival that fails in the middle ends the run by the error of its request: half a comparison is none.
 */
async function round(one: Contestant, total: number, counts: boolean): Promise<void> {
  const sends = await withQueue(one, (queueUrl) => {
    const send = call(one, 'SendMessage', { QueueUrl: queueUrl, MessageBody: BODY });
    return load(one.port, () => send, total, CONNECTIONS);
  });
  const batchSends = await withQueue(one, (queueUrl) => {
    const Entries = Array.from({ length: 10 }, (_, n) => ({ Id: String(n), MessageBody: BODY }));
    const batch = call(one, 'SendMessageBatch', { QueueUrl: queueUrl, Entries });
    return load(one.port, () => batch, total / 10, CONNECTIONS);
  });
  const cycles = await withQueue(one, (queueUrl) => cycle(one, queueUrl, total / 4));
  if (!counts) return;
  one.sends.push(sends.perSecond);
  one.latencies.push(...sends.latencies);
  one.batchSends.push(batchSends.perSecond * 10);
  one.cycles.push(cycles);
}

/** Send, receive one, delete it, over and over on every connection. The rate of whole cycles. */
async function cycle(one: Contestant, queueUrl: string, total: number): Promise<number> {
  const send = call(one, 'SendMessage', { QueueUrl: queueUrl, MessageBody: BODY });
  const receive = call(one, 'ReceiveMessage', { QueueUrl: queueUrl, MaxNumberOfMessages: 1 });
  let left = total;
  const work = async (): Promise<void> => {
    const line = new Line(one.port);
    try {
      while (left-- > 0) {
        await answered(line, send);
        // What this connection sent another one may have received; that one's own message is then for us.
        let handle: string | undefined;
        for (let tries = 0; handle === undefined && tries < 100; tries += 1)
          handle = /"ReceiptHandle": ?"([^"]+)"/.exec(await answered(line, receive))?.[1];
        if (handle === undefined) throw new Error(`${one.name} gave no message in 100 receives`);
        await answered(line, call(one, 'DeleteMessage', { QueueUrl: queueUrl, ReceiptHandle: handle }));
      }
    } finally {
      line.close();
    }
  };
  const before = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  return (total / (performance.now() - before)) * 1000;
}

async function answered(line: Line, request: Buffer): Promise<string> {
  const answer = (await line.ask(request)).toString();
  if (!answer.startsWith('HTTP/1.1 200')) throw new Error(answer.slice(0, 400));
  return answer;
}

function contestant(name: string, what: string, port: number, path: string): Contestant {
  return { name, what, port, path, queues: 0, messages: 0, sends: [], batchSends: [], cycles: [], latencies: [] };
}

/** Makes a queue, uses it and deletes it. */
async function withQueue<T>(one: Contestant, use: (queueUrl: string) => Promise<T>): Promise<T> {
  one.queues += 1;
  const answer = await once(one, 'CreateQueue', { QueueName: `rivals-${one.queues}` });
  const queueUrl = /"QueueUrl": ?"([^"]+)"/.exec(answer)?.[1];
  if (queueUrl === undefined) throw new Error(`${one.name} made no queue: ${answer.slice(0, 400)}`);
  const result = await use(queueUrl);
  await once(one, 'DeleteQueue', { QueueUrl: queueUrl });
  return result;
}

function call(
  one: Pick<Contestant, 'port' | 'path'>,
  action: string,
  input: Readonly<Record<string, unknown>>,
): Buffer {
  return httpRequest(
    'POST',
    one.path,
    {
      host: `localhost:${one.port}`,
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
      authorization:
        'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0',
    },
    JSON.stringify(input),
  );
}

async function once(
  one: Pick<Contestant, 'port' | 'path'>,
  action: string,
  input: Readonly<Record<string, unknown>>,
): Promise<string> {
  const line = new Line(one.port);
  try {
    return await answered(line, call(one, action, input));
  } finally {
    line.close();
  }
}
