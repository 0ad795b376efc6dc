/**
 * Damaged requests in both protocols: whatever comes, the API answers in order, and what it refuses changes nothing.
 *
 * `KARIN_TEST_SIZE=full` sends 200,000 requests. `KARIN_FUZZ_SEED=n` begins with another seed; a failure names the seed
 * and the request.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { XMLValidator } from 'fast-xml-parser';
import { expect, it } from 'vitest';
import type { SqsResponse } from '../../runtime/sqs/request.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { ManualTime } from '../support/manual-time.ts';
import { Harness, queueArnText } from './support/harness.ts';
import { Choices, type QUEUES, type RawRequest, randomRequest } from './support/mutation.ts';

const REQUESTS = process.env['KARIN_TEST_SIZE'] === 'full' ? 200_000 : 4_000;
const PER_ROUND = 2_000;
const FIRST_SEED = Number(process.env['KARIN_FUZZ_SEED'] ?? 1);
/** What a heap may differ by between two collections, bytes; a leak of one request each would show many times over. */
const HEAP_TOLERANCE = 16 * 1_048_576;

async function openHarness(choices: Choices): Promise<Harness> {
  const time = new ManualTime();
  const api = await Harness.open({ store: new MemoryStore({ time }), time });
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: queueArnText('dead'), maxReceiveCount: 3 });
  const attributes: Record<(typeof QUEUES)[number], Record<string, string>> = {
    dead: {},
    jobs: { RedrivePolicy, VisibilityTimeout: String(choices.below(2)) },
    'jobs.fifo': { FifoQueue: 'true', ContentBasedDeduplication: 'true' },
    slow: { DelaySeconds: '900', MaximumMessageSize: '1024' },
  };
  for (const [QueueName, Attributes] of Object.entries(attributes)) {
    await api.ok('json', 'CreateQueue', { QueueName, Attributes });
  }
  return api;
}

/** All that a refused request must not have changed. */
async function contents(api: Harness): Promise<string> {
  const documents = await api.store.documents.list('');
  const depths = await Promise.all(
    api.directory
      .all()
      .map(async (queue) => [queue.key, await api.store.depth({ key: queue.key, fifo: queue.definition.fifo })]),
  );
  return JSON.stringify([[...documents], depths]);
}

/** Lets everything run that waits for no time to pass: background moves of messages above all. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function send(api: Harness, request: RawRequest): Promise<SqsResponse> {
  const impatient = new AbortController();
  // A long poll would wait for a clock that stands still.
  const timer = setImmediate(() => impatient.abort());
  try {
    return await api.send({ ...request, signal: impatient.signal });
  } finally {
    clearImmediate(timer);
  }
}

function checkForm({ status, headers, body }: SqsResponse): void {
  expect(status, body).toBeGreaterThanOrEqual(200);
  expect(status, body).toBeLessThan(500);
  expect(headers['x-amzn-RequestId']).toMatch(/^[0-9a-f-]{36}$/);
  if (headers['content-type'] === 'text/xml') expect(XMLValidator.validate(body), body).toBe(true);
  else if (body !== '') JSON.parse(body);
}

function handlesIn(body: string): readonly string[] {
  return [...body.matchAll(/"ReceiptHandle":"([^"]+)"|<ReceiptHandle>([^<]+)</g)].map(
    (match) => match[1] ?? match[2] ?? '',
  );
}

/** One fresh server and `PER_ROUND` requests. */
async function round(seed: number): Promise<Map<number, number>> {
  const choices = new Choices(seed);
  const api = await openHarness(choices);
  const statuses = new Map<number, number>();
  const handles: string[] = [];
  let before = await contents(api);
  for (let index = 0; index < PER_ROUND; index += 1) {
    const request = randomRequest(choices, handles.slice(-50));
    try {
      const response = await send(api, request);
      checkForm(response);
      expect(api.reported).toEqual([]);
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (response.status === 200) {
        handles.push(...handlesIn(response.body));
        await settle();
        before = await contents(api);
      } else {
        expect(await contents(api)).toBe(before);
      }
    } catch (cause) {
      const shown = { ...request, body: Buffer.from(request.body).toString('latin1') };
      throw new Error(`seed ${seed}, request ${index}: ${JSON.stringify(shown)}`, { cause });
    }
    if (choices.chance(0.02)) {
      await api.pass(choices.below(120_000));
      await settle();
      before = await contents(api);
    }
  }
  await api.close();
  return statuses;
}

function collectedHeap(): number {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
  return process.memoryUsage().heapUsed;
}

it(`answers ${REQUESTS} damaged requests, and grows by none of them`, async () => {
  const rounds = REQUESTS / PER_ROUND;
  const totals = new Map<number, number>();
  let heapAtFirst = 0;
  for (let number = 0; number < rounds; number += 1) {
    const statuses = await round(FIRST_SEED + number);
    for (const [status, count] of statuses) totals.set(status, (totals.get(status) ?? 0) + count);
    // The first round loads and compiles; from then on nothing should remain of a round.
    if (number === 0) heapAtFirst = collectedHeap();
  }
  expect([...totals.values()].reduce((sum, count) => sum + count, 0)).toBe(REQUESTS);
  // Both kinds must be met, or the mutations test nothing.
  expect(totals.get(200) ?? 0).toBeGreaterThan(REQUESTS / 20);
  expect(totals.get(400) ?? 0).toBeGreaterThan(REQUESTS / 20);
  expect(collectedHeap() - heapAtFirst).toBeLessThan(HEAP_TOLERANCE);
}, 1_800_000);
