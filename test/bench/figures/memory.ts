import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';

/**
 * Resident memory of a server with many queues, through its first discovery and idle a minute later, and how fast it
 * starts from the stored one. The first discovery is the dearest way to get there: Lambda is asked twice for each
 * mapping, at ten requests a second.
 */
export async function memory(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const names = Array.from({ length: bench.size(1000, 50) }, (_, i) => `queue-${i}`);
  const aws = await bench.keep(startAwsEndpoint(names));
  const first = await bench.server({ REDIS_URL: redis.url, ...aws.environment });
  await bench.until(async () => (await bench.metric(first, 'karin_queues')) === names.length);
  // A first discovery of many mappings goes on by looks of its own after the server is ready: until AWS is asked
  // nothing more, it is not idle.
  const asked = (): number => [...aws.calls.values()].reduce((sum, calls) => sum + calls, 0);
  for (let before = -1; before !== asked(); ) {
    before = asked();
    await bench.pause(bench.size(20_000, 2_000));
  }
  await bench.pause(bench.size(60_000, 5_000));
  const idle = first.residentMb();
  const highest = first.highestResidentMb();
  await first.stop();

  const starts: number[] = [];
  for (let n = 0; n < 5; n += 1) {
    const again = await bench.server({ REDIS_URL: redis.url, ...aws.environment });
    starts.push(again.startedInMs);
    await again.stop();
  }
  const queues = `${names.length.toLocaleString('en')} queues`;
  return [
    {
      name: `resident memory, idle for a minute, ${queues}`,
      value: idle,
      unit: 'MB',
      bound: { kind: 'at-most', value: 90 },
    },
    {
      name: `resident memory, highest during the first discovery, ${queues}`,
      value: highest,
      unit: 'MB',
      bound: { kind: 'at-most', value: 150 },
    },
    {
      name: `start to ready, ${names.length.toLocaleString('en')} mappings cached, median of ${starts.length}`,
      value: percentile(starts, 0.5),
      unit: 'ms',
      bound: { kind: 'at-most', value: 800 },
    },
  ];
}
