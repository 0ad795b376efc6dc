/**
 * A proxy in front of the AWS emulator that remembers which AWS calls were made, in the words of IAM: action and
 * resource.
 *
 * @module
 */
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Call } from '../../constructs/support/policy-evaluator.ts';

export interface RecordingProxy {
  readonly url: string;
  /** Each different call once, in the order of first use. */
  readonly calls: readonly Call[];
  close(): Promise<void>;
}

/** Where the emulator is, and which account and region its resources are of. */
export interface ProxyTarget {
  readonly port: number;
  readonly account: string;
  readonly region: string;
}

export async function startRecordingProxy(target: ProxyTarget): Promise<RecordingProxy> {
  const calls = new Map<string, Call>();
  const server = createServer(async (request, response) => {
    const body = await readAll(request);
    const call = callOf(request, body, target);
    calls.set(`${call.action} ${call.resource}`, call);
    const { method, url: path, headers } = request;
    const onward = httpRequest({ host: '127.0.0.1', port: target.port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    onward.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Listening on a TCP port: the address is never the name of a pipe.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    get calls() {
      return [...calls.values()];
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * IAM has no actions of their own for the batch calls of SQS:
 * https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html
 */
const BATCH_CALLS: Readonly<Record<string, string>> = {
  SendMessageBatch: 'SendMessage',
  DeleteMessageBatch: 'DeleteMessage',
};

/** Paths of the Lambda API: method, pattern, action, and the kind of resource that the first group names. */
const LAMBDA_CALLS: readonly (readonly [
  method: string,
  path: RegExp,
  action: string,
  kind?: 'function' | 'mapping',
])[] = [
  ['GET', /^\/2015-03-31\/event-source-mappings\/?$/, 'ListEventSourceMappings'],
  ['GET', /^\/2015-03-31\/event-source-mappings\/([^/]+)$/, 'GetEventSourceMapping', 'mapping'],
  ['GET', /^\/2017-03-31\/tags\/(.+)$/, 'ListTags'],
  ['GET', /^\/2015-03-31\/functions\/?$/, 'ListFunctions'],
  ['GET', /^\/2015-03-31\/functions\/([^/]+)\/configuration$/, 'GetFunctionConfiguration', 'function'],
  ['POST', /^\/2015-03-31\/functions\/([^/]+)\/invocations$/, 'InvokeFunction', 'function'],
  ['GET', /^\/2021-10-31\/functions\/([^/]+)\/urls$/, 'ListFunctionUrlConfigs', 'function'],
];

/** The call of AWS that a request makes, on a resource of this account and region. */
export function callOf(
  request: IncomingMessage,
  body: Buffer,
  { account, region }: Pick<ProxyTarget, 'account' | 'region'>,
): Call {
  const [service, target] = String(request.headers['x-amz-target'] ?? '').split('.');
  if (service === 'AmazonSQS' && target !== undefined) {
    const { QueueUrl = '' }: { QueueUrl?: string } = JSON.parse(body.toString());
    const resource = `arn:aws:sqs:${region}:${account}:${QueueUrl.split('/').at(-1)}`;
    return { action: `sqs:${BATCH_CALLS[target] ?? target}`, resource };
  }
  const path = decodeURIComponent(new URL(request.url ?? '/', 'http://aws').pathname);
  for (const [method, pattern, action, kind] of LAMBDA_CALLS) {
    const found = method === request.method ? pattern.exec(path) : null;
    if (found === null) continue;
    const name = found[1] ?? '*';
    const arn = kind === undefined || name.startsWith('arn:') ? name : arnOf(kind, name, account, region);
    return { action: `lambda:${action}`, resource: arn };
  }
  // Whatever else is asked is no action that anyone granted.
  return { action: `unknown:${request.method} ${path}`, resource: '*' };
}

function arnOf(kind: 'function' | 'mapping', name: string, account: string, region: string): string {
  const type = kind === 'mapping' ? 'event-source-mapping' : 'function';
  return `arn:aws:lambda:${region}:${account}:${type}:${name}`;
}
