/**
 * The local Lambda: functions of a template, run in processes of this machine, behind the Lambda API and behind their
 * URLs, on one loopback port.
 *
 * @module
 */
import { realpathSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createRequire } from 'node:module';
import { basename, dirname, join, sep } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { cors } from 'hono/cors';
import { comesFromForeignPage, isLink, isOwnHost } from '../http/browser-guard.ts';
import type { Randomness, Time } from '../time.ts';
import { prepareLaunch } from './bundle.ts';
import { Bundler } from './bundler.ts';
import { isCdkBundle } from './cdk-bundle.ts';
import { ConcurrencyError, FunctionHost, type Refreshed, type WorkerBudget } from './function-host.ts';
import { badGateway, urlEvent, urlResponse } from './function-url.ts';
import type { Output } from './guide.ts';
import { Inspector } from './inspector.ts';
import { lambdaApi } from './lambda-api.ts';
import { report } from './report.ts';
import { isMadeByRun } from './run-folder.ts';
import { type Invocation, type LoggedResult, listen } from './runtime-api.ts';
import type { JsonObject, TemplateApplication, TemplateFunction } from './template/model.ts';
import type { Launch } from './worker.ts';

export interface LocalLambdaOptions {
  readonly region: string;
  /** Of the project: sources are named by paths relative to it. */
  readonly folder: string;
  /** Origin of the SQS API that functions send to. */
  readonly sqsOrigin: string;
  /**
   * A folder of its own, for unpacked code and bundles. Below the project, so that code in it finds the project's
   * packages.
   */
  readonly workFolder: string;
  /** For what compilers keep from one run to the next; shared by all runs. */
  readonly cacheFolder: string;
  /** `node_modules` folders to look in for what AWS's Node runtimes provide. */
  readonly nodeModules: readonly string[];
  /** Variables that win over those of the template; default: none. */
  readonly given?: Readonly<Record<string, string>>;
  /** The environment of this process; only a few variables of it are handed on. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** 0 to 65,535; default 0, any free port. One that is taken is replaced by a free one. */
  readonly port?: number;
  /**
   * The first of the ports at which debuggers reach the functions in Node, one for each; 0: any. Default: no debugger
   * does.
   */
  readonly inspect?: number;
  /** Processes of all functions together; default 32. */
  readonly maxWorkers?: number;
  readonly output: Output;
  readonly time: Time;
  readonly randomness: Randomness;
}

const DEFAULT_MAX_WORKERS = 32;

/** A function, and what became of its code when files changed. */
export interface CodeChange {
  readonly name: string;
  readonly became: Refreshed;
}

/** A function with what it needs beside its processes. */
interface Hosted {
  readonly host: FunctionHost;
  readonly inspector?: Promise<Inspector | undefined>;
  /** The files that its code is known to be made of, absolute. */
  inputs(): ReadonlySet<string>;
  /** Stops every process and gives up what was prepared. */
  stop(): Promise<void>;
}

export class LocalLambda {
  readonly #options: LocalLambdaOptions;
  readonly #server: Server;
  readonly #hosts = new Map<string, Hosted>();
  readonly #budget: WorkerBudget;
  /** Functions that were removed and have processes yet. */
  readonly #leaving = new Set<Promise<void>>();
  #stacks: Pick<TemplateApplication, 'mappings' | 'queues'> = { mappings: [], queues: [] };
  #workers = 0;
  /** Functions with a port for debuggers so far. */
  #inspected = 0;
  /** Functions so far. */
  #made = 0;
  #port = 0;

  /** Starts to listen; it knows no functions before `apply`. */
  static async start(options: LocalLambdaOptions): Promise<LocalLambda> {
    const lambda = new LocalLambda(options);
    await lambda.#listen();
    return lambda;
  }

  private constructor(options: LocalLambdaOptions) {
    this.#options = options;
    const max = options.maxWorkers ?? DEFAULT_MAX_WORKERS;
    this.#budget = {
      claim: () => {
        const room = this.#workers < max || [...this.#hosts.values()].some(({ host }) => host.giveUpIdle());
        if (room) this.#workers += 1;
        return room;
      },
      release: () => {
        this.#workers -= 1;
      },
    };
    const app = this.#app();
    const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
    this.#server = createServer((request, response) => {
      const refusal = this.#refusal(request);
      if (refusal === undefined) void listener(request, response);
      else response.writeHead(403, { 'content-type': 'text/plain' }).end(refusal);
    });
    // A function may take fifteen minutes.
    this.#server.requestTimeout = 0;
  }

  /** `http://127.0.0.1:<port>`: the endpoint of the Lambda API. */
  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  functionUrl(name: string): string {
    return `${this.origin}/functions/${name}/`;
  }

  /** Takes over what a template says now. Functions that did not change keep their processes. */
  apply(application: TemplateApplication): void {
    this.#stacks = application;
    const wanted = new Map(application.functions.map((fn) => [fn.name, fn]));
    for (const [name, hosted] of this.#hosts) {
      const fn = wanted.get(name);
      if (fn === undefined) {
        this.#hosts.delete(name);
        const left = hosted.stop().finally(() => this.#leaving.delete(left));
        this.#leaving.add(left);
      } else if (JSON.stringify(fn) !== JSON.stringify(hosted.host.definition)) {
        hosted.host.replace(fn);
      }
    }
    for (const [name, fn] of wanted) {
      if (!this.#hosts.has(name)) this.#hosts.set(name, this.#host(fn));
    }
  }

  /**
   * Files changed, absolute paths: the functions that they concern get their code anew, as soon as it is prepared. One
   * that cannot be prepared goes on as it is. Never rejects.
   */
  async changed(paths: readonly string[]): Promise<readonly CodeChange[]> {
    const real = paths.flatMap((path) => [path, realPath(path)]);
    await Promise.all(paths.filter((path) => path.endsWith('.py')).map(forgetBytecode));
    const concerned = [...this.#hosts].filter(([, { host }]) => host.isMadeOf(real) && !isFinished(host));
    return Promise.all(concerned.map(async ([name, { host }]) => ({ name, became: await host.refresh() })));
  }

  /** Whether a file is known to be a part of a function's bundle. */
  isInput(path: string): boolean {
    const real = realPath(path);
    return [...this.#hosts.values()].some((hosted) => {
      const inputs = hosted.inputs();
      return inputs.has(path) || inputs.has(real);
    });
  }

  /** The folders of the files that bundles are made of, packages aside. */
  inputFolders(): readonly string[] {
    const inputs = [...this.#hosts.values()].flatMap((hosted) => [...hosted.inputs()]);
    return [
      ...new Set(inputs.filter((path) => !path.includes(`${sep}node_modules${sep}`)).map((path) => dirname(path))),
    ];
  }

  /** Runs a function. Rejects with `ConcurrencyError`, and if a change took the function away just now. */
  async invoke(name: string, invocation: Invocation): Promise<LoggedResult> {
    const host = this.#hosts.get(name)?.host;
    if (host === undefined) throw new Error(`the function ${name} was removed`);
    return this.#run(host, invocation);
  }

  /** Stops every process and closes the port. */
  async close(): Promise<void> {
    await Promise.all([...this.#leaving, ...[...this.#hosts.values()].map((hosted) => hosted.stop())]);
    this.#hosts.clear();
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  async #listen(): Promise<void> {
    const { port = 0 } = this.#options;
    try {
      this.#port = await listen(this.#server, port);
    } catch (error) {
      if (port === 0) throw error;
      this.#port = await listen(this.#server);
    }
  }

  #host(fn: TemplateFunction): Hosted {
    const { time, output, region, sqsOrigin, nodeModules, environment, workFolder, cacheFolder } = this.#options;
    const { given = {} } = this.#options;
    const lambdaOrigin = this.origin;
    const shared = { region, sqsOrigin, nodeModules, inherited: environment, given, lambdaOrigin, cacheFolder };
    // No folder is used twice: what a removed function of the same name left is still being removed.
    this.#made += 1;
    const home = join(workFolder, `${fn.name}-${this.#made}`);
    const bundler = new Bundler(home);
    const folders = new WeakMap<Launch, string>();
    let versions = 0;
    const say = (line: string): void => output.line(fn.name, line);
    const inspector = this.#inspector(fn, () => void host.warm());
    const host: FunctionHost = new FunctionHost(fn, {
      ...(inspector === undefined ? {} : { inspector }),
      time,
      budget: this.#budget,
      print: (name, line) => output.line(name, line),
      prepare: async (definition, changed) => {
        versions += 1;
        const folder = join(home, String(versions));
        try {
          const prepared = await prepareLaunch(definition, { shared, folder, bundler, changed, say });
          const launch = inspector === undefined ? prepared : withInspector(prepared);
          folders.set(launch, folder);
          return launch;
        } catch (error) {
          await removeFolder(folder);
          throw error;
        }
      },
      discard: (launch) => {
        const folder = folders.get(launch);
        if (folder !== undefined) void removeFolder(folder);
      },
    });
    const stop = async (): Promise<void> => {
      await host.stop();
      await bundler.close();
      (await inspector)?.close();
      await removeFolder(home);
    };
    const inputs = (): ReadonlySet<string> => host.inputs ?? bundler.synthesizedInputs(host.definition.code);
    return { host, inputs, stop, ...(inspector === undefined ? {} : { inspector }) };
  }

  /** Where debuggers reach the function; `undefined`: nowhere. */
  #inspector({ name, runtime, code }: TemplateFunction, wake: () => void): Promise<Inspector | undefined> | undefined {
    const { inspect, output } = this.#options;
    if (inspect === undefined || runtime?.startsWith('nodejs') !== true || code.kind === 'image') return undefined;
    const port = inspect === 0 ? 0 : inspect + this.#inspected;
    this.#inspected += 1;
    return Inspector.listen(port, wake).then(
      (inspector) => {
        output.line(name, `debugger: 127.0.0.1:${inspector.port}`, 'more');
        return inspector;
      },
      (error: unknown) => {
        // The function runs all the same.
        output.line(name, `no port for a debugger: ${error}`, 'bad');
        return undefined;
      },
    );
  }

  /** Whether a debugger is attached to the function. */
  async isDebugged(name: string): Promise<boolean> {
    return (await this.#hosts.get(name)?.inspector)?.isAttached === true;
  }

  /**
   * Why a request must not be served: nobody is asked for a credential here, so pages of other sites must stay out.
   * Function URLs are made for browsers: there the `Cors` of the URL decides. AWS runs the function all the same and
   * only leaves out the headers without which the page cannot read the answer; here the function is not run, because a
   * URL on this machine was never meant to be public.
   */
  #refusal(request: IncomingMessage): string | undefined {
    const { headers, url = '/' } = request;
    if (!isOwnHost(headers.host)) return 'only localhost and loopback addresses are answered';
    if (!comesFromForeignPage(headers)) return undefined;
    // As the router reads it: without dot segments.
    const path = URL.canParse(url, this.origin) ? new URL(url, this.origin).pathname : '';
    const [, name] = /^\/functions\/([^/]+)\//.exec(path) ?? [];
    if (name === undefined) return 'requests of web sites are refused';
    const cors = this.#hosts.get(name)?.host.definition.url?.cors;
    if (isLink(request) || (cors !== undefined && allowsOrigin(cors, headers.origin))) return undefined;
    return `the Cors of the function URL of ${name} does not let this web site in (AllowOrigins)`;
  }

  #app(): Hono {
    const { randomness } = this.#options;
    const app = lambdaApi({
      functions: () => [...this.#hosts.values()].map(({ host }) => host.definition),
      mappings: () => this.#stacks.mappings,
      functionUrl: (name) => this.functionUrl(name),
      invoke: (name, invocation) => this.invoke(name, invocation),
      uuid: () => randomness.uuid(),
    });
    app.use('/functions/:name/*', async (c, next) => {
      const settings = this.#hosts.get(c.req.param('name'))?.host.definition.url?.cors;
      return settings === undefined || Object.keys(settings).length === 0
        ? next()
        : cors(corsOptions(settings))(c, next);
    });
    app.all('/functions/:name/*', async (c) => {
      const name = c.req.param('name');
      const host = this.#hosts.get(name)?.host;
      if (host?.definition.url === undefined) {
        return c.json({ Message: `there is no function ${name} with a function URL` }, 404);
      }
      const requestId = randomness.uuid();
      const body = new Uint8Array(await c.req.arrayBuffer());
      const path = new URL(c.req.url).pathname.slice(`/functions/${name}`.length);
      const now = this.#options.time.now();
      const event = urlEvent({ request: c.req.raw, path, body, requestId, now, sourceIp: '127.0.0.1' });
      const payload = new TextEncoder().encode(JSON.stringify(event));
      try {
        const result = await this.#run(host, { requestId, functionArn: host.definition.arn, payload });
        return result.kind === 'response' ? urlResponse(result.payload) : badGateway();
      } catch (error) {
        if (error instanceof ConcurrencyError) return c.json({ Message: error.message }, 429);
        throw error;
      }
    });
    return app;
  }

  /** Runs an event and says what came of it. Rejects with `ConcurrencyError`. */
  async #run(host: FunctionHost, invocation: Invocation): Promise<LoggedResult> {
    const { time, output, folder } = this.#options;
    const startedAt = time.monotonic();
    const result = await host.invoke(invocation);
    const run = { invocation, result, durationMs: time.monotonic() - startedAt };
    const say = (): void => {
      const { name } = host.definition;
      for (const { text, tone } of report(run, this.#stacks, folder)) output.line(name, text, tone);
    };
    // The answer comes on one connection and what was printed before it on another: it is there a turn later.
    setImmediate(() => setImmediate(say));
    return result;
  }
}

/**
 * Whether the `Cors` of a function URL lets in pages of this origin; without one only those that let in everybody do.
 */
function allowsOrigin(settings: JsonObject, origin: string | undefined): boolean {
  const origins = [settings['AllowOrigins'] ?? []].flat().map(String);
  return origins.includes('*') || (origin !== undefined && origins.includes(origin));
}

/** `Cors` of a function URL, in the terms of the middleware. */
function corsOptions(settings: JsonObject): Parameters<typeof cors>[0] {
  const list = (key: string): string[] => [settings[key] ?? []].flat().map(String);
  const methods = list('AllowMethods');
  const maxAge = Number(settings['MaxAge']);
  return {
    origin: list('AllowOrigins').includes('*') ? '*' : list('AllowOrigins'),
    allowMethods: methods.includes('*') ? ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] : methods,
    allowHeaders: list('AllowHeaders').includes('*') ? [] : list('AllowHeaders'),
    exposeHeaders: list('ExposeHeaders'),
    credentials: settings['AllowCredentials'] === true,
    ...(Number.isFinite(maxAge) ? { maxAge } : {}),
  };
}

/** Without links, as esbuild names files; a file that is gone, by its folder. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    try {
      return join(realpathSync(dirname(path)), basename(path));
    } catch {
      return path;
    }
  }
}

/** Whether the code was made by a synthesis, out of sources that nobody knows: only another one changes it. */
function isFinished({ definition: { code }, inputs }: FunctionHost): boolean {
  return code.kind === 'folder' && inputs === undefined && isMadeByRun(code.path) && !isCdkBundle(code.path);
}

/** The inspector of each process has a port of its own, to which that of the function leads. */
function withInspector(launch: Launch): Launch {
  return launch.command === process.execPath ? { ...launch, args: ['--inspect=127.0.0.1:0', ...launch.args] } : launch;
}

/**
 * Python takes compiled code for that of a source with the same size, written in the same second: an edit that follows
 * another at once would never run.
 */
async function forgetBytecode(source: string): Promise<void> {
  const folder = join(dirname(source), '__pycache__');
  const compiled = `${basename(source, '.py')}.`;
  const names = await readdir(folder).catch(() => []);
  await Promise.all(names.filter((name) => name.startsWith(compiled)).map((name) => removeFolder(join(folder, name))));
}

/** What cannot be removed now goes with the folder of this run: no function fails because of it. */
function removeFolder(folder: string): Promise<void> {
  return rm(folder, { recursive: true, force: true }).catch(() => {});
}

/** The folder in which this package's own dependencies lie; `undefined`: they are bundled into it. */
export function ownNodeModules(): string | undefined {
  try {
    const [folder] = createRequire(import.meta.url)
      .resolve('@aws-sdk/client-sqs')
      .split('@aws-sdk');
    return folder;
  } catch {
    return undefined;
  }
}
