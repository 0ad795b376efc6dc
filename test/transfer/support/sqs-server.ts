/**
 * SQS as a transfer meets it: Karin's own SQS API behind a real HTTP server, with a store and queues of its own.
 *
 * @module
 */
import { createServer } from 'node:http';
import { createMoveTasks } from '../../../runtime/queue/stored-move-tasks.ts';
import { createSqsApi } from '../../../runtime/sqs/api.ts';
import { MemoryStore } from '../../../runtime/store/memory/memory-store.ts';
import { systemRandomness, systemTime } from '../../../runtime/time.ts';
import { openSide, type Side } from './side.ts';

export interface SqsServer extends Side {
  readonly endpoint: string;
  close(): Promise<void>;
}

/** Starts it on a free port, with one queue. */
export async function startSqsServer(name: string): Promise<SqsServer> {
  const store = new MemoryStore({ time: systemTime });
  const common = { store, time: systemTime, randomness: systemRandomness };
  const side = await openSide({ store, time: systemTime, name });
  const moveTasks = await createMoveTasks({ ...common, directory: side.directory, notify: () => {} });
  const faults: unknown[] = [];
  const api = createSqsApi({
    ...common,
    directory: side.directory,
    moveTasks,
    documents: store.documents,
    maxDelaySeconds: 900,
    report: (error) => faults.push(error),
  });
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const answer = await api.handle({
      method: request.method ?? 'POST',
      path: request.url ?? '/',
      query: '',
      headers: (header) => request.headers[header.toLowerCase()]?.toString(),
      requestId: systemRandomness.uuid(),
      body: Buffer.concat(chunks),
      endpoint: 'http://sqs.example',
      caller: {
        senderId: 'AROASERVER',
        account: side.queue.arn.account,
        region: side.queue.arn.region,
        allows: () => true,
      },
      signal: gone.signal,
    });
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no TCP address');
  return {
    ...side,
    endpoint: `http://127.0.0.1:${address.port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await moveTasks.close();
      side.directory.close();
      await store.close();
      if (faults.length > 0) throw new AggregateError(faults, 'the SQS API met what it did not foresee');
    },
  };
}
