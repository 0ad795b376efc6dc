/**
 * The few AWS calls that a running Karin makes, answered on loopback: the mapping list, details of functions and
 * queues, and Invoke. It counts every call, so that "no AWS call while idle" is a figure.
 *
 * @module
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The event of an Invoke, as far as its watchers look. */
export interface InvokeEvent {
  readonly Records: readonly {
    readonly body: string;
    readonly messageId: string;
    readonly attributes: Readonly<Record<string, string>>;
  }[];
}

export interface AwsEndpoint {
  readonly url: string;
  /** What points the AWS SDK of a server at this endpoint. */
  readonly environment: Readonly<Record<string, string>>;
  readonly calls: Map<string, number>;
  /** Functions that were deleted, by name: Lambda knows nothing of them, their mappings are still there. */
  readonly gone: Set<string>;
  /** While true, Lambda cannot list mappings. */
  listsFail: boolean;
  /** While true, every call is throttled. */
  throttles: boolean;
  /** Nobody listens at its address any more, and connections that are open break, until `revive`. */
  die(): Promise<void>;
  revive(): Promise<void>;
  /**
   * Called when an Invoke has been read in full; the function succeeds at once, or when what is returned resolves, and
   * fails when it rejects.
   */
  onInvoke: (event: InvokeEvent, arrivedAt: number) => void | Promise<void>;
  close(): Promise<void>;
}

export interface AwsEndpointOptions {
  /** Mappings on one page of the list; default 100. */
  readonly pageSize?: number;
  /** Members of every mapping in the place of the usual ones. */
  readonly mapping?: Readonly<Record<string, unknown>>;
  /** `Timeout` of every function; default 5. */
  readonly functionTimeoutSeconds?: number;
  /** `VisibilityTimeout` of every queue; default 30. */
  readonly visibilityTimeoutSeconds?: number;
}

export const ACCOUNT = '000000000000';
export const REGION = 'us-east-1';

const LIST = '/2015-03-31/event-source-mappings';
/** As AWS grants at most. */
const FUNCTIONS_PER_PAGE = 50;
const NOT_FOUND = { status: 404, type: 'ResourceNotFoundException', message: 'Function not found' };
const THROTTLED = { status: 429, type: 'TooManyRequestsException', message: 'Rate Exceeded.' };
const UNAVAILABLE = { status: 500, type: 'ServiceException', message: 'Lambda is not there' };

/** Serves one disabled mapping for each queue name, to a function of the same name. */
export async function startAwsEndpoint(
  queues: readonly string[],
  options: AwsEndpointOptions = {},
): Promise<AwsEndpoint> {
  const { pageSize = 100, mapping = {}, functionTimeoutSeconds = 5, visibilityTimeoutSeconds = 30 } = options;
  const mappings = queues.map((name, i) => ({
    UUID: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    EventSourceMappingArn: `arn:aws:lambda:${REGION}:${ACCOUNT}:event-source-mapping:00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    EventSourceArn: `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`,
    FunctionArn: `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}`,
    State: 'Disabled',
    BatchSize: 1,
    MaximumBatchingWindowInSeconds: 0,
    LastModified: 1_700_000_000,
    ...mapping,
  }));
  const calls = new Map<string, number>();

  const server = createServer((request, response) => {
    read(request).then(
      (body) => answer(request, response, body, performance.now()),
      // The caller is gone before it had said everything.
      () => undefined,
    );
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
    const refuse = ({ status, type, message }: typeof NOT_FOUND): void => {
      response.writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': type });
      response.end(JSON.stringify({ Message: message }));
    };
    const functionName = decodeURIComponent(/\/functions\/([^/]+)\//.exec(url.pathname)?.[1] ?? '')
      .split(':')
      .at(-1);
    if (endpoint.throttles) {
      refuse(THROTTLED);
    } else if (endpoint.gone.has(functionName ?? '')) {
      refuse(NOT_FOUND);
    } else if (request.headers['x-amz-invocation-type'] === 'DryRun') {
      response.writeHead(204);
      response.end();
    } else if (url.pathname.endsWith('/invocations')) {
      const succeed = (): void => {
        response.writeHead(200, { 'content-type': 'application/json', 'x-amz-executed-version': '$LATEST' });
        response.end('null');
      };
      const fail = (error: unknown): void => {
        response.writeHead(200, { 'content-type': 'application/json', 'x-amz-function-error': 'Unhandled' });
        response.end(JSON.stringify({ errorType: 'Error', errorMessage: String(error) }));
      };
      // Only a function that takes its time is awaited, so that measured ones answer in the same turn.
      const working = endpoint.onInvoke(JSON.parse(body.toString()), arrivedAt);
      if (working === undefined) succeed();
      else working.then(succeed, fail);
    } else if (url.pathname.startsWith(LIST) && endpoint.listsFail) {
      refuse(UNAVAILABLE);
    } else if (url.pathname.startsWith(LIST)) {
      const from = Number(url.searchParams.get('Marker') ?? 0);
      const to = from + pageSize;
      json({ EventSourceMappings: mappings.slice(from, to), NextMarker: to < mappings.length ? String(to) : null });
    } else if (/\/functions\/?$/.test(url.pathname)) {
      const from = Number(url.searchParams.get('Marker') ?? 0);
      const to = from + FUNCTIONS_PER_PAGE;
      const there = mappings.filter(({ FunctionArn }) => !endpoint.gone.has(FunctionArn.split(':').at(-1) ?? ''));
      json({
        Functions: there.slice(from, to).map(({ FunctionArn }) => ({ FunctionArn, Timeout: functionTimeoutSeconds })),
        NextMarker: to < there.length ? String(to) : null,
      });
    } else if (url.pathname.endsWith('/configuration')) {
      json({ Timeout: functionTimeoutSeconds, State: 'Active' });
    } else if (url.pathname.includes('/tags/')) {
      json({ Tags: {} });
    } else if (target === 'AmazonSQS.GetQueueAttributes') {
      const name = String(JSON.parse(body.toString()).QueueUrl).split('/').at(-1);
      json({
        Attributes: {
          QueueArn: `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`,
          VisibilityTimeout: String(visibilityTimeoutSeconds),
          ApproximateNumberOfMessages: '0',
          ...(name?.endsWith('.fifo') ? { FifoQueue: 'true', ContentBasedDeduplication: 'true' } : {}),
        },
      });
    } else {
      json({});
    }
  };
  const listen = (at: number): Promise<void> => new Promise((resolve) => server.listen(at, '127.0.0.1', resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await listen(0);
  // A TCP server's address is an AddressInfo; the wider type is for pipes.
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const endpoint: AwsEndpoint = {
    url,
    environment: {
      AWS_ENDPOINT_URL_LAMBDA: url,
      AWS_ENDPOINT_URL_SQS: url,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_REGION: REGION,
    },
    calls,
    gone: new Set(),
    listsFail: false,
    throttles: false,
    die: close,
    revive: () => listen(port),
    onInvoke: () => undefined,
    close,
  };
  return endpoint;
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}
