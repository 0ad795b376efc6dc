/**
 * A drain or a pull as a process of its own, to be killed. Its order is one JSON text in the first argument; it prints
 * a line for each event and ends with status 0 when it is done.
 *
 * @module
 */

import { createAwsRealQueues } from '../../../runtime/aws/real-queues.ts';
import { queueKey } from '../../../runtime/queue/names.ts';
import { createDirectory } from '../../../runtime/queue/stored-directory.ts';
import { RedisStore } from '../../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../../runtime/time.ts';
import { runDrain } from '../../../runtime/transfer/drain.ts';
import { runPull } from '../../../runtime/transfer/pull.ts';
import type { TransferOrder } from './killed-transfer.ts';

// Written by `killed-transfer.ts` and nobody else.
const order: TransferOrder = JSON.parse(process.argv[2] ?? '');
const common = { time: systemTime, randomness: systemRandomness };
const store = await RedisStore.open({ ...common, urls: [order.redisUrl], instanceId: crypto.randomUUID() });
const directory = await createDirectory({ ...common, store, notify: () => {} });
const queue = directory.byKey(queueKey(order.arn));
if (queue === undefined) throw new Error('there is no such queue in the store');
const realQueues = createAwsRealQueues({
  region: order.arn.region,
  endpoint: order.endpoint,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const onEvent = (event: object): void => say(JSON.stringify(event));
say('begins');
if (order.direction === 'drain') {
  await runDrain({ ...common, queue, directory, realQueues, onEvent, leaseMs: order.hiddenSeconds * 1000 });
} else {
  const visibilityTimeoutSeconds = order.hiddenSeconds;
  await runPull({ ...common, queue, directory, realQueues, onEvent, waitSeconds: 1, visibilityTimeoutSeconds });
}
realQueues.close();
directory.close();
await store.close();
