/**
 * The SQS API: one HTTP request in, one answer out, in the protocol of the request. Everything that is thrown below
 * becomes an answer here and nowhere else.
 *
 * @module
 */
import type { QueueDirectory } from '../queue/directory.ts';
import { type MoveTasks, readTaskHandle } from '../queue/move-task.ts';
import type { QueueArn } from '../queue/names.ts';
import { InFlightLimitError } from '../queue/queue.ts';
import { type Documents, StoreFullError, StoreUnavailableError } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import { RequestCall, type Services } from './actions/action.ts';
import { createPurgeInterval } from './actions/queues.ts';
import { ACTIONS } from './actions/registry.ts';
import { echo, SqsError } from './errors.ts';
import { Form } from './protocol/form.ts';
import { JSON_TYPE, type JsonCodec, jsonCodec, jsonError } from './protocol/json.ts';
import { ACTION_NAMES, type ActionName, type Input, MODEL, type Output } from './protocol/model.ts';
import { createQueryAnswers } from './protocol/query.ts';
import type { DecodedStructure, StructureShape } from './protocol/shape.ts';
import {
  type Caller,
  isForm,
  isJson,
  protocolOf,
  queryFormatOf,
  type SqsRequest,
  type SqsRequestHead,
  type SqsResponse,
} from './request.ts';

export interface SqsApiOptions {
  readonly directory: QueueDirectory;
  readonly moveTasks: MoveTasks;
  /** The store's documents: when each queue was last purged. */
  readonly documents: Documents;
  readonly time: Time;
  readonly randomness: Randomness;
  /** The longest `DelaySeconds` of a message, 900 to 1,209,600 seconds; 900 as SQS. */
  readonly maxDelaySeconds: number;
  /** Queues made by CreateQueue that may exist at one time; default 1,000. */
  readonly maxQueues?: number;
  /** Whether the store has room for so many messages and bytes of a caller who may not manage. Default: it has. */
  readonly hasRoom?: (messages: number, bytes: number) => boolean;
  /**
   * Why queues may exist that the directory does not know yet, a sentence for callers; `undefined`: it knows all.
   * Default: it does. With a place: of this account and region; absent: of any.
   */
  readonly unknownQueues?: (place?: Pick<QueueArn, 'account' | 'region'>) => string | undefined;
  /** Takes what nobody foresaw; the caller is told only that it happened, and the request id. */
  readonly report: (
    error: unknown,
    request: { readonly requestId: string; readonly action: string | undefined },
  ) => void;
  /** Told of each action that changed a queue as a whole, once it succeeded. */
  readonly audited?: (action: AuditedAction) => void;
  /** Told of messages that were stored, and where they came from. */
  readonly sent?: Services['sent'];
}

/** What is done to a queue as a whole, for the audit trail. */
interface AuditedAction {
  readonly action: ActionName;
  readonly caller: Caller;
  /** Name of the queue. */
  readonly queue: string | undefined;
  /** StartMessageMoveTask: the ARN that was given. */
  readonly destination: string | undefined;
}

export interface SqsApi {
  /** Answers a request. Never rejects. */
  handle(request: SqsRequest): Promise<SqsResponse>;
  /**
   * Runs an action whose input did not come in one of the two protocols; the request's method, path, query and body are
   * not looked at.
   * Errors: `SqsError`, also for what the store throws.
   */
  perform<N extends ActionName>(action: N, input: Input<N>, request: SqsRequest): Promise<Output<N>>;
  /** Renders an error that was decided before the API was asked (credentials, size), in the protocol of the request. */
  refuse(request: SqsRequestHead, error: SqsError): Promise<SqsResponse>;
}

/** A definition with all tags and policies has some 30 KB, and each server keeps all in memory. */
const MAX_QUEUES = 1000;

/** Where SQS has these two, only its root answers them. */
const NOT_ON_A_QUEUE: ReadonlySet<string> = new Set(['CreateQueue', 'ListQueues']);
/** What these answer depends on queues beyond the one that the request names, so they wait until all are known. */
const OF_ALL_QUEUES: ReadonlySet<string> = new Set(['CreateQueue', 'ListQueues', 'ListDeadLetterSourceQueues']);
/** "There is no such queue", in the words of different actions. */
const NO_SUCH_QUEUE: ReadonlySet<string> = new Set(['QueueDoesNotExist', 'ResourceNotFoundException']);

type ApiServices = Services & Pick<SqsApiOptions, 'audited'>;

export function createSqsApi(options: SqsApiOptions): SqsApi {
  const { directory, moveTasks, randomness, maxDelaySeconds, report, unknownQueues = () => undefined } = options;
  const services: ApiServices = {
    ...(options.audited === undefined ? {} : { audited: options.audited }),
    directory,
    moveTasks,
    randomness,
    maxDelaySeconds,
    maxQueues: options.maxQueues ?? MAX_QUEUES,
    creations: new Map(),
    named: new Map(),
    hasRoom: options.hasRoom ?? (() => true),
    purges: createPurgeInterval(options.documents, options.time),
    sent: options.sent,
    unknownQueues,
  };
  const query = createQueryAnswers();
  const operations = new Map<string, Operation>();
  for (const name of ACTION_NAMES) {
    const model: Model = MODEL[name];
    operations.set(name, { name, model, json: jsonCodec(model.input, model.output), ofAll: OF_ALL_QUEUES.has(name) });
  }
  const refuse = async (request: SqsRequestHead, error: SqsError): Promise<SqsResponse> =>
    protocolOf(request) === 'json'
      ? jsonError(request.requestId, error)
      : query.error(request.requestId, error, queryFormatOf(request));

  /** What a caller is told of an error. */
  const tell = (error: unknown, requestId: string, action: string | undefined): SqsError => {
    const known = asSqsError(error);
    if (known === undefined) {
      report(error, { requestId, action });
      return new SqsError('InternalFailure');
    }
    // An SDK gives up on a queue that does not exist, and tries again on 503.
    const why = NO_SUCH_QUEUE.has(known.code) ? unknownQueues() : undefined;
    return why === undefined ? known : new SqsError('ServiceUnavailable', why);
  };

  return {
    refuse,
    async perform(action, input, request) {
      try {
        return await ACTIONS[action].run(input, new RequestCall(services, request));
      } catch (error) {
        throw tell(error, request.requestId, action);
      }
    },
    async handle(request) {
      let action: string | undefined;
      try {
        const contentType = request.headers('content-type');
        // The first is how SDKs write it.
        if (request.method === 'POST' && (contentType === JSON_TYPE || isJson(contentType))) {
          // `AmazonSQS.SendMessage` -> `SendMessage`; what is none is shown as it came.
          action = request.headers('x-amz-target') ?? '';
          if (action.startsWith(TARGET)) action = action.slice(TARGET.length);
          const operation = operations.get(action) ?? refuseAction(action);
          const output = await run(operation, operation.json.decode(request.body), request, services);
          return operation.json.answer(request.requestId, output);
        }
        const form = formOf(request);
        action = form?.get('Action');
        if (form === undefined || action === undefined) return query.noAction(request.requestId);
        if (isOnQueue(request) && NOT_ON_A_QUEUE.has(action)) refuseAction(action);
        const operation = operations.get(action) ?? refuseAction(action);
        const { name, model } = operation;
        const output = await run(operation, form.decode<StructureShape>(model.input), request, services);
        const result = model.output === undefined ? undefined : { shape: model.output, value: output };
        return await query.success(request.requestId, name, result, queryFormatOf(request));
      } catch (error) {
        return refuse(request, tell(error, request.requestId, action));
      }
    },
  };
}

/** What an action is given and answers. */
interface Model {
  readonly input: StructureShape;
  readonly output?: StructureShape;
}

interface Operation {
  readonly name: ActionName;
  readonly model: Model;
  readonly json: JsonCodec;
  /** Whether its answer depends on queues beyond the one that the request names. */
  readonly ofAll: boolean;
}

/** Stands before the action in the header of a JSON request. */
const TARGET = 'AmazonSQS.';

/** Runs an action on an input that was decoded by its own shape. */
async function run<N extends ActionName>(
  { name, ofAll }: Pick<Operation, 'ofAll'> & { readonly name: N },
  decoded: object,
  request: SqsRequest,
  services: ApiServices,
): Promise<DecodedStructure> {
  const why = ofAll ? services.unknownQueues(request.caller) : undefined;
  if (why !== undefined) throw new SqsError('ServiceUnavailable', why);
  const onPath = 'QueueUrl' in decoded || !isOnQueue(request) ? undefined : request.path;
  // The decoders walked MODEL[name].input, and the type of an action's input is derived from the same shape; likewise
  // its output.
  const input = (onPath === undefined ? decoded : { ...decoded, QueueUrl: onPath }) as Input<N>;
  const output: Output<N> = await ACTIONS[name].run(input, new RequestCall(services, request));
  if (services.audited !== undefined && AUDITED.has(name)) {
    services.audited({ action: name, caller: request.caller, ...namesIn(input) });
  }
  return (output ?? {}) as DecodedStructure;
}

const AUDITED: ReadonlySet<ActionName> = new Set<ActionName>([
  'CreateQueue',
  'DeleteQueue',
  'PurgeQueue',
  'SetQueueAttributes',
  'AddPermission',
  'RemovePermission',
  'StartMessageMoveTask',
  'CancelMessageMoveTask',
]);

/** The queues that an input names; a task by the queue in its handle. */
function namesIn(input: object): Pick<AuditedAction, 'queue' | 'destination'> {
  const named = new Map(Object.entries(input));
  const text = (member: string): string | undefined => {
    const value: unknown = named.get(member);
    return typeof value === 'string' ? value : undefined;
  };
  const handle = text('TaskHandle');
  const whole = text('QueueUrl') ?? text('QueueName') ?? text('SourceArn') ?? handle;
  const queue = handle === undefined ? whole : readTaskHandle(handle).source;
  return { queue: queue?.split(/[/:]/).at(-1), destination: text('DestinationArn') };
}

function refuseAction(name: string): never {
  throw new SqsError('InvalidAction', `The action ${echo(name)} is not valid for this endpoint.`);
}

/** The parameters of query string and body; `undefined` if the request cannot be one of the Query protocol. */
function formOf(request: SqsRequest): Form | undefined {
  if (request.method !== 'GET' && request.method !== 'POST') return undefined;
  const hasBody = request.method === 'POST' && request.body.byteLength > 0;
  if (hasBody && !isForm(request.headers('content-type'))) return undefined;
  const form = new Form();
  form.add(request.query);
  if (hasBody) form.addBody(request.body);
  return form;
}

function isOnQueue(request: SqsRequestHead): boolean {
  return /[^/]/.test(request.path);
}

/** The answer to an error; `undefined`: nobody foresaw it. */
function asSqsError(error: unknown): SqsError | undefined {
  if (error instanceof SqsError) return error;
  if (error instanceof StoreUnavailableError) return new SqsError('ServiceUnavailable');
  if (error instanceof StoreFullError) {
    return new SqsError(
      'OverLimit',
      'The store of messages is full, so none can be added. Receive and delete messages, or give the store more memory.',
    );
  }
  if (error instanceof InFlightLimitError) return new SqsError('OverLimit', error.message);
  return undefined;
}
