/**
 * The scene of the debugging drill: a function fails on 3 of 1,000 messages, and somebody is told.
 *
 * @module
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import * as z from 'zod/mini';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import type { InvokeRequest, Invoker } from '../../runtime/aws/invoke.ts';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import type { RunningKarin } from '../http/running-karin.ts';
import { keyOf, mappingOf, queueOf } from '../sync/discoveries.ts';

const MESSAGES = 1_000;
/** Places of the messages on which the function fails. */
const FAILING = [17, 500, 983];

const event = z.object({ Records: z.array(z.object({ body: z.string() })) });
const order = z.object({ order: z.number(), address: z.optional(z.object({ street: z.string() })) });
const alert = z.object({
  began: z.array(z.object({ kind: z.string(), text: z.string(), link: z.optional(z.string()) })),
});

/** Fails on orders without an address, until it is mended: then it sends those to the shop. */
export class ShippingFunction implements Invoker {
  readonly shipped: string[] = [];
  isMended = false;

  async invoke({ payload }: InvokeRequest): Promise<InvokeOutcome> {
    const [record] = event.parse(JSON.parse(Buffer.from(payload).toString('utf8'))).Records;
    const { order: number, address } = order.parse(JSON.parse(record?.body ?? ''));
    if (address === undefined && !this.isMended) {
      const message = `order ${number}: Cannot read properties of undefined (reading 'street')`;
      return { kind: 'function-error', errorType: 'TypeError', message, trace: 'at ship (/var/task/ship.js:12:31)' };
    }
    this.shipped.push(`${number} to ${address?.street ?? 'the shop'}`);
    return { kind: 'success', response: new Uint8Array() };
  }

  async probe() {
    return { kind: 'reached' } as const;
  }

  close(): void {}
}

/** Hears alerts: its address, and the first one that is about dead letters. */
async function listen(server: Server) {
  const heard = new Promise<{ readonly text: string; readonly link: string }>((resolve) => {
    server.on('request', async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part);
      response.end();
      const { began } = alert.parse(JSON.parse(Buffer.concat(parts).toString('utf8')));
      for (const { kind, text, link } of began) {
        if (kind === 'dead-letters' && link !== undefined) resolve({ text, link });
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // It listens on a port.
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, heard };
}

export interface Drill {
  readonly karin: RunningKarin;
  readonly lambda: ShippingFunction;
  /** The alert of the dead letters; its link leads to this server. */
  readonly told: { readonly text: string; readonly link: string };
}

interface DrillParts {
  serve(found: Partial<Discovery>, lambda: Invoker, env: Readonly<Record<string, string>>): Promise<RunningKarin>;
  /** Waits, while time passes quickly. */
  seen<T>(what: Promise<T>): Promise<T>;
}

/** A server that has handled all messages but three, which are dead letters, and has told of them. */
export async function openDrill({ serve, seen }: DrillParts): Promise<Drill> {
  const server = createServer();
  const hook = await listen(server);
  const lambda = new ShippingFunction();
  const found = {
    mappings: [mappingOf('orders', { batchSize: 1, functionTimeoutSeconds: 1 })],
    queues: [withoutSecondChance('orders'), queueOf('dead')],
    ...{ broken: [], waitingInSqs: {} },
  };
  const env = { KARIN_ALERTS: hook.url, KARIN_PUBLIC_URL: 'http://karin.example.com' };
  const karin = await serve(found, lambda, env);
  const dead = new Promise<void>((resolve) => {
    let count = 0;
    karin.events.subscribe((happened) => {
      if (happened.kind !== 'dead-lettered') return;
      count += happened.messageIds.length;
      if (count === FAILING.length) resolve();
    });
  });
  const messages = Array.from({ length: MESSAGES }, (_, at) => ({
    ...{ id: crypto.randomUUID(), attributes: {}, senderId: 'shop' },
    body: JSON.stringify({ order: at, ...(FAILING.includes(at) ? {} : { address: { street: 'Main Street' } }) }),
  }));
  await karin.directory.byKey(keyOf('orders'))?.send(messages);
  await expect.poll(() => lambda.shipped.length, { timeout: 30_000 }).toBe(MESSAGES - FAILING.length);
  await seen(dead);
  const { text, link } = await seen(hook.heard);
  server.close();
  return { karin, lambda, told: { text, link: link.replace('http://karin.example.com', karin.url) } };
}

/** Whose messages go to the dead-letter queue after one failure, as soon as their lease is over. */
function withoutSecondChance(name: string) {
  const queue = queueOf(name, 'dead');
  const redrivePolicy = { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:111122223333:dead', maxReceiveCount: 1 };
  return { ...queue, attributes: { ...queue.attributes, redrivePolicy, visibilityTimeoutSeconds: 1 } };
}

/** All orders were shipped once, the one that was mended to its new address. */
export async function expectShipped(karin: RunningKarin, lambda: ShippingFunction): Promise<void> {
  await expect.poll(() => lambda.shipped.length, { timeout: 30_000 }).toBe(MESSAGES);
  expect(lambda.shipped.slice(MESSAGES - FAILING.length).sort()).toEqual([
    '17 to Elm Street',
    '500 to the shop',
    '983 to the shop',
  ]);
  expect(await karin.directory.byKey(keyOf('dead'))?.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
}
