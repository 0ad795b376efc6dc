import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';

/** Resident memory of an idle server with 1,000 queues, and how fast it starts from the stored discovery while AWS is silent. */
export async function memory(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const names = Array.from({ length: 1000 }, (_, i) => `queue-${i}`);
  const aws = await bench.keep(startAwsEndpoint(names));
  const first = await bench.server({ REDIS_URL: redis.url, ...aws.environment });
  await bench.until(async () => (await bench.metric(first, 'karin_queues')) === names.length);
  await bench.pause(bench.size(15_000, 5_000));
  const idle = first.residentMb();
  await first.stop();

  const starts: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    const again = await bench.server({ REDIS_URL: redis.url, ...aws.environment });
    starts.push(again.startedInMs);
    await again.stop();
  }
  return [
    { name: 'resident memory, idle, 1,000 queues', value: idle, unit: 'MB', bound: { kind: 'at-most', value: 90 } },
    {
      name: 'start to ready, 1,000 mappings cached, best of 3',
      value: Math.min(...starts),
      unit: 'ms',
      bound: { kind: 'at-most', value: 800 },
    },
  ];
}
