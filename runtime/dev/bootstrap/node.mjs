/**
 * Runs a Node handler through the Lambda Runtime API, as AWS's own runtime interface client does. Started by the local
 * Lambda in a process of its own; everything it knows stands in the environment.
 *
 * It is plain JavaScript without dependencies, because it shares its process with the user's code.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import Module, { createRequire, register } from 'node:module';
import { basename, delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const runtimeApi = process.env.AWS_LAMBDA_RUNTIME_API;
const handlerName = process.env._HANDLER ?? '';
const handlerFile = process.env.KARIN_HANDLER_FILE ?? '';
delete process.env.KARIN_HANDLER_FILE;
/** Folders of layers; one that comes later is laid over those before. */
const layers = (process.env.KARIN_LAYERS ?? '').split(delimiter).filter(Boolean).reverse();
delete process.env.KARIN_LAYERS;

/** Exit codes of AWS's client for a rejection and an exception that nobody handled. */
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;

/** The invocation under way; a crash is reported as its failure. */
let currentRequestId;
/** The handler is there. */
let started = false;

/** One call to the Runtime API. If it cannot be reached, nobody waits for this process any more. */
function call(method, path, headers = {}, body = '') {
  return new Promise((resolve) => {
    const outgoing = request(
      `http://${runtimeApi}/2018-06-01/runtime/${path}`,
      // Without keep-alive no idle socket is left behind that would keep the event loop from running empty.
      { method, agent: false, headers: { ...headers, 'content-length': Buffer.byteLength(body) } },
      (incoming) => {
        const chunks = [];
        incoming.on('data', (chunk) => chunks.push(chunk));
        incoming.on('end', () => resolve({ headers: incoming.headers, body: Buffer.concat(chunks).toString('utf8') }));
      },
    );
    outgoing.on('error', () => process.exit(1));
    outgoing.end(body);
  });
}

/** An error in the form that Lambda returns. */
function described(error, type) {
  if (error instanceof Error || (typeof error === 'object' && error !== null && 'message' in error)) {
    const trace = typeof error.stack === 'string' ? error.stack.split('\n') : [];
    return { errorType: type ?? error.name ?? 'Error', errorMessage: String(error.message), trace };
  }
  return { errorType: type ?? typeof error, errorMessage: String(error), trace: [] };
}

function post(path, error) {
  const headers = { 'content-type': 'application/json', 'lambda-runtime-function-error-type': error.errorType };
  return call('POST', path, headers, JSON.stringify(error));
}

/** Fails the invocation under way, or the start, and ends the process. */
async function crash(error, exitCode) {
  // Between two invocations nobody waits for an answer that could tell it.
  if (started && currentRequestId === undefined) console.error(error.trace.join('\n') || error.errorMessage);
  await post(currentRequestId === undefined ? 'init/error' : `invocation/${currentRequestId}/error`, error);
  process.exit(exitCode);
}

process.on('uncaughtException', (error) => void crash(described(error), EXIT_UNCAUGHT_EXCEPTION));
process.on('unhandledRejection', (reason) => {
  const error = described(reason, 'Runtime.UnhandledPromiseRejection');
  void crash({ ...error, errorMessage: String(reason) }, EXIT_UNHANDLED_REJECTION);
});

/** Whether a `.js` file is an ES module: the nearest package.json says so. */
function isModule(file) {
  if (file.endsWith('.mjs')) return true;
  if (file.endsWith('.cjs')) return false;
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) return JSON.parse(readFileSync(manifest, 'utf8')).type === 'module';
    if (folder === dirname(folder)) return false;
  }
}

/**
 * Lets CommonJS code ask for files of layers by the path that they have in Lambda. Only the resolver that `require`
 * uses knows what is asked for, and it has no public place for that.
 */
function findBelowOpt() {
  const original = Module._resolveFilename;
  Module._resolveFilename = (request, ...rest) => {
    if (request.startsWith('/opt/') && !existsSync(request)) {
      for (const layer of layers) {
        try {
          return original(join(layer, request.slice('/opt/'.length)), ...rest);
        } catch (error) {
          if (error.code !== 'MODULE_NOT_FOUND') throw error;
        }
      }
    }
    return original(request, ...rest);
  };
}

async function loadHandler() {
  const [, moduleName, path] = /^([^.]*)\.(.+)$/.exec(basename(handlerName)) ?? [];
  if (moduleName === undefined || path === undefined) {
    throw Object.assign(new Error(`Bad handler: '${handlerName}' must be <file>.<export>`), {
      name: 'Runtime.MalformedHandlerName',
    });
  }
  if (handlerFile === '') {
    const wanted = handlerName.slice(0, handlerName.length - path.length - 1);
    const error = new Error(`Error: Cannot find module '${wanted}' in ${process.env.LAMBDA_TASK_ROOT}`);
    throw Object.assign(error, { name: 'Runtime.ImportModuleError' });
  }
  let exported;
  try {
    exported = isModule(handlerFile)
      ? await import(pathToFileURL(handlerFile).href)
      : createRequire(handlerFile)(handlerFile);
  } catch (error) {
    if (error instanceof SyntaxError) throw Object.assign(error, { name: 'Runtime.UserCodeSyntaxError' });
    if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
      throw Object.assign(new Error(`Error: ${error.message}`, { cause: error }), {
        name: 'Runtime.ImportModuleError',
        stack: error.stack,
      });
    }
    throw error;
  }
  const handler = path.split('.').reduce((value, key) => value?.[key], exported);
  if (handler === undefined) {
    throw Object.assign(new Error(`${handlerName} is undefined or not exported`), { name: 'Runtime.HandlerNotFound' });
  }
  if (typeof handler !== 'function') {
    throw Object.assign(new Error(`${handlerName} is not a function`), { name: 'Runtime.HandlerNotFound' });
  }
  return handler;
}

function contextOf(headers, callbacks) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const clientContext = headers['lambda-runtime-client-context'];
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    clientContext: clientContext === undefined ? undefined : JSON.parse(clientContext),
    getRemainingTimeInMillis: () => deadline - Date.now(),
    done: callbacks.done,
    succeed: (value) => callbacks.done(null, value),
    fail: (error) => callbacks.done(error),
  };
}

/** Runs one event; resolves with the value, or rejects with the error, as soon as Lambda would answer. */
function run(handler, event, headers) {
  return new Promise((resolve, reject) => {
    // What an event loop with nothing left to do means; each step of the handler puts another answer here.
    let whenIdle = () => resolve(null);
    const onIdle = () => whenIdle();
    process.once('beforeExit', onIdle);
    const finish = (settle) => {
      process.off('beforeExit', onIdle);
      settle();
    };
    let calledBack = false;
    const done = (error, value) => {
      if (calledBack) return;
      calledBack = true;
      if (error !== undefined && error !== null) finish(() => reject(error));
      else if (context.callbackWaitsForEmptyEventLoop) whenIdle = () => resolve(value);
      else finish(() => resolve(value));
    };
    const context = contextOf(headers, { done });
    const returned = handler(event, context, done);
    if (typeof returned?.then !== 'function') return;
    whenIdle = () => {
      const error = new Error(
        'The handler returned a promise that was never settled, and nothing is left that could settle it.',
      );
      reject(Object.assign(error, { name: 'Runtime.NodeJsExit' }));
    };
    returned.then(
      (value) => finish(() => resolve(value)),
      (error) => finish(() => reject(error)),
    );
  });
}

async function main() {
  if (layers.length > 0) findBelowOpt();
  if (process.env.NODE_PATH || layers.length > 0) {
    const folders = (process.env.NODE_PATH ?? '').split(delimiter).filter(Boolean);
    const parents = folders.map((folder) => pathToFileURL(join(folder, '..', '_')).href);
    const opt = layers.map((layer) => `${pathToFileURL(layer).href}/`);
    register('./resolve-hooks.mjs', import.meta.url, { data: { parents, opt } });
  }
  let handler;
  try {
    handler = await loadHandler();
  } catch (error) {
    await crash(described(error), 1);
    return;
  }
  started = true;
  for (;;) {
    const { headers, body } = await call('GET', 'invocation/next');
    currentRequestId = headers['lambda-runtime-aws-request-id'];
    const traceId = headers['lambda-runtime-trace-id'];
    if (traceId === undefined) delete process.env._X_AMZN_TRACE_ID;
    else process.env._X_AMZN_TRACE_ID = traceId;
    try {
      // The executor runs the handler synchronously: what it throws rejects the promise as well.
      const value = await run(handler, JSON.parse(body), headers);
      await call(
        'POST',
        `invocation/${currentRequestId}/response`,
        {},
        JSON.stringify(value === undefined ? null : value),
      );
    } catch (error) {
      await post(`invocation/${currentRequestId}/error`, described(error));
    }
    currentRequestId = undefined;
  }
}

await main();
