/**
 * The few AWS calls that a running Karin makes, answered on loopback: the mapping list, details of functions and queues, and Invoke.
 * It counts every call, so that "no AWS call while idle" is a figure.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AwsEndpoint {
  readonly url: string;
  readonly calls: Map<string, number>;
  /** Called when an Invoke has been read in full. */
  onInvoke: (
    event: { readonly Records: readonly { readonly body: string; readonly messageId: string }[] },
    arrivedAt: number,
  ) => void;
  close(): Promise<void>;
}

export const ACCOUNT = '000000000000';
export const REGION = 'us-east-1';

/** Serves one disabled mapping for each queue name. */
export async function startAwsEndpoint(queues: readonly string[], pageSize = 100): Promise<AwsEndpoint> {
  const mappings = queues.map((name, i) => ({
    UUID: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    EventSourceMappingArn: `arn:aws:lambda:${REGION}:${ACCOUNT}:event-source-mapping:00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    EventSourceArn: `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`,
    FunctionArn: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}`,
    State: 'Disabled',
    BatchSize: 1,
    MaximumBatchingWindowInSeconds: 0,
    LastModified: 1_700_000_000,
  }));
  const calls = new Map<string, number>();
  const endpoint: AwsEndpoint = { url: '', calls, onInvoke: () => undefined, close: async () => undefined };

  const server = createServer((request, response) => {
    void read(request).then((body) => answer(request, response, body, performance.now()));
  });
  const answer = (request: IncomingMessage, response: ServerResponse, body: Buffer, arrivedAt: number): void => {
    const url = new URL(request.url ?? '/', 'http://aws');
    const target = request.headers['x-amz-target'];
    const call =
      target === undefined
        ? `${request.method} ${url.pathname.replace(/functions\/[^/]+/, 'functions/*').replace(/tags\/.*/, 'tags/*')}`
        : String(target);
    calls.set(call, (calls.get(call) ?? 0) + 1);
    const json = (value: unknown): void => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    if (url.pathname.endsWith('/invocations')) {
      endpoint.onInvoke(JSON.parse(body.toString()), arrivedAt);
      response.writeHead(200, { 'content-type': 'application/json', 'x-amz-executed-version': '$LATEST' });
      response.end('null');
    } else if (url.pathname.startsWith('/2015-03-31/event-source-mappings')) {
      const from = Number(url.searchParams.get('Marker') ?? 0);
      const to = from + pageSize;
      json({ EventSourceMappings: mappings.slice(from, to), NextMarker: to < mappings.length ? String(to) : null });
    } else if (url.pathname.endsWith('/configuration')) {
      json({ Timeout: 5, State: 'Active' });
    } else if (url.pathname.includes('/tags/')) {
      json({ Tags: {} });
    } else if (target === 'AmazonSQS.GetQueueAttributes') {
      const name = String(JSON.parse(body.toString()).QueueUrl).split('/').at(-1);
      json({
        Attributes: {
          QueueArn: `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`,
          VisibilityTimeout: '30',
          ApproximateNumberOfMessages: '0',
        },
      });
    } else {
      json({});
    }
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A TCP server's address is an AddressInfo; the wider type is for pipes.
  const { port } = server.address() as AddressInfo;
  return Object.assign(endpoint, {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
