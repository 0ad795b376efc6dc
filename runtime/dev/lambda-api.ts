/**
 * The part of the Lambda API that the rest of Karin, and handlers that invoke one another, use: list, get, tags,
 * invoke. The ordinary SDK talks to it and cannot tell.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { parseFunctionReference } from '../aws/mapping.ts';
import { formatQueueArn } from '../queue/names.ts';
import { ConcurrencyError } from './function-host.ts';
import { type Invocation, LARGEST_PAYLOAD, type LoggedResult } from './runtime-api.ts';
import type { TemplateFunction, TemplateMapping } from './template/model.ts';

/** What the API shows and does. */
export interface LambdaBackend {
  functions(): readonly TemplateFunction[];
  mappings(): readonly TemplateMapping[];
  functionUrl(name: string): string;
  /** Runs a function that exists. Rejects with `ConcurrencyError`. */
  invoke(name: string, invocation: Invocation): Promise<LoggedResult>;
  uuid(): string;
}

/** An error of the API, in the form of the wire. */
class ApiError extends Error {
  readonly status: ContentfulStatusCode;
  readonly type: string;
  readonly details: object;

  constructor(status: ContentfulStatusCode, type: string, message: string, details: object = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.details = details;
  }
}

const LARGEST_PAGE = 100;
/** Local functions have no history: they are as old as the Unix epoch. */
const NO_DATE = '1970-01-01T00:00:00.000+0000';

export function lambdaApi(backend: LambdaBackend): Hono {
  // The paths of lists end with a slash in the documentation, and without one in the SDK.
  const app = new Hono({ strict: false });
  app.onError((error, c) => {
    const known = error instanceof ApiError ? error : new ApiError(500, 'ServiceException', error.message);
    c.header('x-amzn-ErrorType', known.type);
    return c.json(
      { Type: known.status < 500 ? 'User' : 'Service', Message: known.message, ...known.details },
      known.status,
    );
  });
  app.use(async (c, next) => {
    await next();
    c.header('x-amzn-RequestId', c.res.headers.get('x-amzn-RequestId') ?? backend.uuid());
  });

  app.get('/2015-03-31/event-source-mappings', (c) => {
    const wire = backend.mappings().map(mappingOnWire);
    return c.json(page(c, 'EventSourceMappings', wire));
  });
  app.get('/2015-03-31/event-source-mappings/:uuid', (c) => {
    const found = backend.mappings().find(({ mapping }) => mapping.uuid === c.req.param('uuid'));
    if (found === undefined) throw missing('The resource you requested does not exist.');
    return c.json(mappingOnWire(found));
  });
  app.get('/2017-03-31/tags/:arn', (c) => {
    const arn = c.req.param('arn');
    const mapping = backend.mappings().find((one) => one.mapping.mappingArn === arn);
    const isFunction = backend.functions().some((fn) => fn.arn === arn);
    if (mapping === undefined && !isFunction) throw missing('The resource you requested does not exist.');
    return c.json({ Tags: mapping?.mapping.tags ?? {} });
  });
  app.get('/2015-03-31/functions', (c) => c.json(page(c, 'Functions', backend.functions().map(configuration))));
  app.get('/2015-03-31/functions/:name', (c) => {
    const { fn } = lookUp(backend, c);
    return c.json({ Configuration: configuration(fn), Code: { RepositoryType: 'local' }, Tags: {} });
  });
  app.get('/2015-03-31/functions/:name/configuration', (c) => c.json(configuration(lookUp(backend, c).fn)));
  app.get('/2021-10-31/functions/:name/urls', (c) => {
    const { fn } = lookUp(backend, c);
    return c.json({ FunctionUrlConfigs: fn.url === undefined ? [] : [urlConfig(fn, backend)], NextMarker: null });
  });
  app.get('/2021-10-31/functions/:name/url', (c) => {
    const { fn } = lookUp(backend, c);
    if (fn.url === undefined) throw missing('The resource you requested does not exist.');
    return c.json(urlConfig(fn, backend));
  });

  const limit = bodyLimit({
    maxSize: LARGEST_PAYLOAD,
    onError: () => {
      const rule = `Request must be smaller than ${LARGEST_PAYLOAD} bytes for the InvokeFunction operation`;
      throw new ApiError(413, 'RequestTooLargeException', rule);
    },
  });
  app.post('/2015-03-31/functions/:name/invocations', limit, (c) => invoke(c, backend));
  app.notFound((c) => {
    const text = `${c.req.method} ${c.req.path} is not part of the local Lambda`;
    c.header('x-amzn-ErrorType', 'UnknownOperationException');
    return c.json({ Type: 'User', Message: text }, 404);
  });
  return app;
}

/** The end of a log that Lambda tells, bytes. */
const LONGEST_LOG = 4_096;

async function invoke(c: Context, backend: LambdaBackend): Promise<Response> {
  const { fn, arn } = lookUp(backend, c);
  const body = new Uint8Array(await c.req.arrayBuffer());
  const payload = body.length === 0 ? new TextEncoder().encode('{}') : body;
  try {
    JSON.parse(new TextDecoder().decode(payload));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ApiError(400, 'InvalidRequestContentException', `Could not parse request body into json: ${reason}`);
  }
  const requestId = backend.uuid();
  const tenantId = tenantOf(c, fn);
  const trace = c.req.header('x-amzn-trace-id');
  const clientContext = c.req.header('x-amz-client-context');
  const invocation: Invocation = {
    requestId,
    functionArn: arn,
    payload,
    logTail: c.req.header('x-amz-log-type') === 'Tail',
    ...(trace === undefined ? {} : { traceId: trace }),
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(clientContext === undefined ? {} : { clientContext: Buffer.from(clientContext, 'base64').toString('utf8') }),
  };
  c.header('x-amzn-RequestId', requestId);
  switch (c.req.header('x-amz-invocation-type') ?? 'RequestResponse') {
    case 'DryRun':
      return c.body(null, 204);
    case 'Event':
      // Its failure is printed with the function's output; nobody waits for it.
      backend.invoke(fn.name, invocation).catch(() => undefined);
      return c.body(null, 202);
    default:
      break;
  }
  const result = await backend.invoke(fn.name, invocation).catch((error: unknown) => {
    if (!(error instanceof ConcurrencyError)) throw error;
    throw new ApiError(429, 'TooManyRequestsException', error.message, { Reason: error.reason });
  });
  c.header('X-Amz-Executed-Version', '$LATEST');
  c.header('Content-Type', 'application/json');
  if (result.kind === 'function-error') c.header('X-Amz-Function-Error', 'Unhandled');
  if (result.log !== undefined) {
    c.header('X-Amz-Log-Result', Buffer.from(result.log).subarray(-LONGEST_LOG).toString('base64'));
  }
  return c.body(new Uint8Array(result.payload), 200);
}

/**
 * The tenant of an invocation, which a function that isolates tenants needs, and no other may be given.
 *
 * Source: AWS Lambda developer guide, "Invoking functions with tenant isolation".
 */
function tenantOf(c: Context, fn: TemplateFunction): string | undefined {
  const tenantId = c.req.header('x-amz-tenant-id');
  if ((tenantId !== undefined) === (fn.tenantIsolated === true)) return tenantId;
  const [state, mend] =
    tenantId === undefined
      ? ['enabled', 'Add a valid tenant ID in your request']
      : ['not enabled', 'Remove the tenant ID from your request'];
  const message = `The invoked function is ${state} with tenancy configuration. ${mend} and try again.`;
  throw new ApiError(400, 'InvalidParameterValueException', message);
}

/** The function that the path names, and its ARN with the qualifier. */
function lookUp(backend: LambdaBackend, c: Context): { readonly fn: TemplateFunction; readonly arn: string } {
  const text = c.req.param('name') ?? '';
  const reference = parseFunctionReference(text);
  if (reference === undefined) {
    throw new ApiError(400, 'InvalidParameterValueException', `'${text}' is no name or ARN of a function`);
  }
  const qualifier = c.req.query('Qualifier') ?? reference.qualifier;
  const fn = backend.functions().find(({ name }) => name === reference.name);
  const suffix = qualifier === undefined ? '' : `:${qualifier}`;
  const known = qualifier === undefined || qualifier === '$LATEST' || /^\d+$/.test(qualifier);
  if (fn === undefined || !(known || fn.aliases.includes(qualifier))) {
    throw missing(`Function not found: ${fn?.arn ?? `function:${reference.name}`}${suffix}`);
  }
  return { fn, arn: fn.arn + suffix };
}

function missing(message: string): ApiError {
  return new ApiError(404, 'ResourceNotFoundException', message);
}

/** One page of a list, from `Marker` on. */
function page(c: Context, member: string, all: readonly object[]): object {
  const from = Number(c.req.query('Marker') ?? '0');
  const size = Math.min(Number(c.req.query('MaxItems') ?? LARGEST_PAGE), LARGEST_PAGE);
  const next = from + size < all.length ? String(from + size) : null;
  return { [member]: all.slice(from, from + size), NextMarker: next };
}

function mappingOnWire({ mapping, enabled }: TemplateMapping): object {
  const { filterPatterns, maximumConcurrency, reportBatchItemFailures } = mapping;
  return {
    UUID: mapping.uuid,
    EventSourceMappingArn: mapping.mappingArn,
    EventSourceArn: formatQueueArn(mapping.queueArn),
    FunctionArn: mapping.functionArn,
    State: enabled ? 'Enabled' : 'Disabled',
    StateTransitionReason: 'USER_INITIATED',
    BatchSize: mapping.batchSize,
    MaximumBatchingWindowInSeconds: mapping.batchWindowSeconds,
    FilterCriteria: filterPatterns.length === 0 ? null : { Filters: filterPatterns.map((Pattern) => ({ Pattern })) },
    FunctionResponseTypes: reportBatchItemFailures ? ['ReportBatchItemFailures'] : [],
    ScalingConfig: maximumConcurrency === undefined ? null : { MaximumConcurrency: maximumConcurrency },
    LastModified: mapping.lastModified / 1000,
    LastProcessingResult: null,
  };
}

function configuration(fn: TemplateFunction): object {
  return {
    FunctionName: fn.name,
    FunctionArn: fn.arn,
    Runtime: fn.runtime ?? null,
    Handler: fn.handler,
    Timeout: fn.timeoutSeconds,
    MemorySize: fn.memoryMegabytes,
    Environment: { Variables: fn.environment },
    Version: '$LATEST',
    State: 'Active',
    LastUpdateStatus: 'Successful',
    LastModified: NO_DATE,
    PackageType: fn.runtime === undefined ? 'Image' : 'Zip',
  };
}

function urlConfig(fn: TemplateFunction, backend: LambdaBackend): object {
  return {
    FunctionUrl: backend.functionUrl(fn.name),
    FunctionArn: fn.arn,
    AuthType: 'NONE',
    Cors: fn.url?.cors ?? {},
    InvokeMode: 'BUFFERED',
    CreationTime: NO_DATE,
    LastModifiedTime: NO_DATE,
  };
}
