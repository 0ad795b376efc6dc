/**
 * An HTTP endpoint that answers the Lambda and SQS calls of a discovery from plain data, in the wire form that AWS uses
 * (explicit nulls included), and remembers what it was asked. The real SDK clients talk to it.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAwsDiscovery } from '../../../runtime/aws/discovery/aws.ts';
import type { DiscoverySource } from '../../../runtime/aws/discovery/discovery.ts';
import { ownScope } from '../../../runtime/aws/scope.ts';
import { systemTime, type Time } from '../../../runtime/time.ts';

/** An answer that is not a success. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

interface ScriptedQueue {
  readonly attributes?: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly refusal?: Refusal;
}

export interface Script {
  /** One entry per page. */
  pages: readonly (readonly Readonly<Record<string, unknown>>[])[];
  /** `NextMarker` of each page, where it is not simply the number of the next. */
  markers: readonly string[];
  /** ListFunctions, beside those of `functions` that are neither refused nor qualified. */
  listFunctions: Refusal | undefined;
  /** By ARN as in the mapping. */
  functions: Record<string, Readonly<Record<string, unknown>> | Refusal>;
  /** GetEventSourceMapping, by UUID. */
  whole: Record<string, Readonly<Record<string, unknown>> | Refusal>;
  /** ListTags, by mapping ARN. */
  tags: Record<string, Readonly<Record<string, string>> | Refusal>;
  /** By `account/name`. */
  queues: Record<string, ScriptedQueue>;
  /** IAM: the answer, XML, to the parameters of a call. */
  iam: (parameters: URLSearchParams) => string;
  /** The same of SNS, which may refuse. */
  sns: (parameters: URLSearchParams) => string | Refusal;
  /** Answers the next calls, whatever they are, before anything else does. */
  refuseFirst: Refusal[];
  /**
   * Lambda's control-plane calls that are granted a second, by the clock of the source; more are throttled. Absent: any
   * number.
   */
  lambdaPerSecond: number | undefined;
}

export const FUNCTION = 'arn:aws:lambda:us-east-1:123456789012:function:worker';
export const QUEUE = 'arn:aws:sqs:us-east-1:123456789012:jobs';
export const DENIED: Refusal = {
  status: 403,
  code: 'AccessDeniedException',
  message: 'not authorized to perform this',
};
const NOT_FOUND: Refusal = { status: 404, code: 'ResourceNotFoundException', message: 'Function not found' };
export const THROTTLED: Refusal = { status: 429, code: 'TooManyRequestsException', message: 'Rate exceeded' };

/** A mapping in the form of the wire: members that say nothing are null. */
export function wireMapping(uuid: string, changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    UUID: uuid,
    EventSourceMappingArn: `arn:aws:lambda:us-east-1:123456789012:event-source-mapping:${uuid}`,
    EventSourceArn: QUEUE,
    FunctionArn: FUNCTION,
    State: 'Disabled',
    StateTransitionReason: 'USER_INITIATED',
    BatchSize: 10,
    MaximumBatchingWindowInSeconds: 0,
    FilterCriteria: null,
    FilterCriteriaError: null,
    KMSKeyArn: null,
    FunctionResponseTypes: [],
    ScalingConfig: null,
    ProvisionedPollerConfig: null,
    LastModified: 1_789_481_238.763,
    LastProcessingResult: null,
    ...changes,
  };
}

/** A clock whose timers fire at once: what would be waited for is skipped, the order stays. */
function hurriedTime(): Time {
  let skipped = 0;
  return {
    now: () => systemTime.now(),
    monotonic: () => skipped,
    after: (delayMs, run) => {
      const immediate = setImmediate(() => {
        skipped += delayMs;
        run();
      });
      return () => clearImmediate(immediate);
    },
  };
}

export class ScriptedAws {
  readonly script: Script = {
    pages: [],
    markers: [],
    listFunctions: undefined,
    functions: { [FUNCTION]: { Timeout: 30, State: 'Active' } },
    whole: {},
    tags: {},
    queues: { '123456789012/jobs': {} },
    iam: () => '',
    sns: () => DENIED,
    refuseFirst: [],
    lambdaPerSecond: undefined,
  };
  /** Every call since the start or the last `take`, as `Action subject`. */
  #calls: string[] = [];
  readonly #server: Server;
  #port = 0;
  readonly time = hurriedTime();
  #granted: number[] = [];

  constructor() {
    this.#server = createServer((request, response) => {
      void readBody(request).then((body) => {
        if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded')) {
          this.#answerForm(response, new URLSearchParams(body));
          return;
        }
        const answer = this.#answer(request, body);
        const refused = isRefusal(answer);
        response.writeHead(refused ? answer.status : 200, {
          'content-type': 'application/x-amz-json-1.0',
          ...(refused ? { 'x-amzn-errortype': answer.code } : {}),
        });
        response.end(JSON.stringify(refused ? { __type: answer.code, Message: answer.message } : answer));
      });
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    // Listening on a TCP port: the address is never a pipe's name.
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** A source that asks this endpoint; `attempts` is the SDK's own number of tries. */
  source(attempts = 1): DiscoverySource {
    const client = {
      endpoint: this.url,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxAttempts: attempts,
    };
    return createAwsDiscovery({ scope: ownScope('us-east-1'), time: this.time, lambda: client, sqs: client });
  }

  /** The calls so far, sorted; forgets them. */
  take(): string[] {
    const calls = this.#calls.sort();
    this.#calls = [];
    return calls;
  }

  /** IAM and SNS speak the Query protocol, whose calls are forms. */
  #answerForm(response: ServerResponse, parameters: URLSearchParams): void {
    const action = parameters.get('Action') ?? '';
    const isIam = ['GetUser', 'SimulatePrincipalPolicy'].includes(action);
    const answer = isIam ? this.script.iam(parameters) : this.script.sns(parameters);
    const refused = typeof answer !== 'string';
    response.writeHead(refused ? answer.status : 200, { 'content-type': 'text/xml' });
    response.end(
      refused
        ? `<ErrorResponse><Error><Type>Sender</Type><Code>${answer.code}</Code><Message>${answer.message}</Message></Error></ErrorResponse>`
        : answer,
    );
  }

  #answer(request: IncomingMessage, body: string): object {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = decodeURIComponent(url.pathname);
    const target = request.headers['x-amz-target'];
    const first = this.script.refuseFirst.shift();
    if (first !== undefined) {
      this.#calls.push(`refused ${first.code}`);
      return first;
    }
    if (typeof target === 'string') return this.#sqs(target, body);
    if (!this.#grants()) {
      this.#calls.push('refused for its rate');
      return THROTTLED;
    }
    const after = (prefix: string): string | undefined =>
      path.startsWith(prefix) && path.length > prefix.length ? path.slice(prefix.length) : undefined;
    const uuid = after('/2015-03-31/event-source-mappings/');
    if (uuid !== undefined) return this.#lookUp('GetEventSourceMapping', uuid, this.script.whole);
    if (path.startsWith('/2015-03-31/event-source-mappings')) return this.#page(url.searchParams);
    if (/^\/2015-03-31\/functions\/?$/.test(path)) return this.#functions();
    const tagged = after('/2017-03-31/tags/');
    if (tagged !== undefined) {
      this.#calls.push(`ListTags ${tagged}`);
      const tags = this.script.tags[tagged] ?? {};
      return isRefusal(tags) ? tags : { Tags: tags };
    }
    const [, name, what] = /^\/2015-03-31\/functions\/(.+)\/(configuration|invocations)$/.exec(path) ?? [];
    const action = what === 'invocations' ? 'Invoke' : 'GetFunctionConfiguration';
    if (name !== undefined) return this.#lookUp(action, name, this.script.functions);
    return { status: 500, code: 'UnknownPath', message: path };
  }

  #page(query: URLSearchParams): object {
    const number = Number(query.get('Marker') ?? '0');
    this.#calls.push(`ListEventSourceMappings ${number} ${[...query.keys()].filter((key) => key !== 'Marker').join()}`);
    const next = number + 1 < this.script.pages.length ? String(number + 1) : null;
    return { EventSourceMappings: this.script.pages[number] ?? [], NextMarker: this.script.markers[number] ?? next };
  }

  #grants(): boolean {
    const { lambdaPerSecond = Infinity } = this.script;
    const now = this.time.monotonic();
    this.#granted = this.#granted.filter((at) => at > now - 1000);
    if (this.#granted.length >= lambdaPerSecond) return false;
    this.#granted.push(now);
    return true;
  }

  #functions(): object {
    this.#calls.push('ListFunctions');
    if (this.script.listFunctions !== undefined) return this.script.listFunctions;
    const Functions = Object.entries(this.script.functions)
      .filter(([arn, answer]) => !isRefusal(answer) && arn.split(':').length === 7)
      // As in AWS, the list does not tell the state.
      .map(([arn, answer]) => ({ FunctionArn: arn, ...answer, State: undefined }));
    return { Functions, NextMarker: null };
  }

  #lookUp(action: string, key: string, table: Readonly<Record<string, object>>): object {
    this.#calls.push(`${action} ${key}`);
    return table[key] ?? NOT_FOUND;
  }

  #sqs(target: string, body: string): object {
    const action = target.replace('AmazonSQS.', '');
    // Every SQS call of a discovery names its queue.
    const { QueueUrl } = JSON.parse(body) as { QueueUrl: string };
    const key = new URL(QueueUrl).pathname.slice(1);
    this.#calls.push(`${action} ${key}`);
    const queue = this.script.queues[key];
    if (queue === undefined) {
      return {
        status: 400,
        code: 'com.amazonaws.sqs#QueueDoesNotExist',
        message: 'The specified queue does not exist.',
      };
    }
    if (queue.refusal !== undefined) return queue.refusal;
    return action === 'ListQueueTags' ? { Tags: queue.tags ?? {} } : { Attributes: queue.attributes ?? {} };
  }
}

function isRefusal(answer: object): answer is Refusal {
  return 'status' in answer && 'code' in answer;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
