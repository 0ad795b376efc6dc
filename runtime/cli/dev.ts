/**
 * `karin dev`: the whole of Karin on one machine, for a project as it lies in its folder.
 *
 * The runtime is the ordinary one. Its mappings come from the project's template, and its invoker, the ordinary one,
 * talks to the local Lambda.
 *
 * A change of a file goes two ways, and neither waits for the other. Functions that are made of the file get their code
 * at once. If the file may change the template, the project is read again meanwhile, one reading at a time; functions
 * go on as they are until it is done. A change that comes during a reading is followed by another: the last reading
 * begins after the last change.
 *
 * @module
 */

import { existsSync, realpathSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { type Discovery, DiscoveryError, type DiscoverySource } from '../aws/discovery/discovery.ts';
import { createInvoker, type Invoker } from '../aws/invoke.ts';
import { parseFunctionReference } from '../aws/mapping.ts';
import { unusable } from '../dev/bundle.ts';
import { EnvFileError, readEnvFiles } from '../dev/function-environment.ts';
import {
  callable,
  changes,
  createOutput,
  nextSteps,
  type Output,
  type Places,
  requests,
  summary,
} from '../dev/guide.ts';
import { holdingMessages } from '../dev/held-messages.ts';
import { LocalGateway } from '../dev/http/gateway.ts';
import { LocalLambda, ownNodeModules } from '../dev/local-lambda.ts';
import { isBelow } from '../dev/platform.ts';
import { availablePort, createCommandRunner } from '../dev/processes.ts';
import { findProject, templateProject } from '../dev/project/find-project.ts';
import { type Project, ProjectError } from '../dev/project/project.ts';
import { saidOtherwise } from '../dev/report.ts';
import { ownRunFolder, runName } from '../dev/run-folder.ts';
import { readApplication } from '../dev/template/application.ts';
import { discoveryOf, type ServingOptions } from '../dev/template/discovery.ts';
import type { TemplateApplication, TemplateRoute, TemplateSettings } from '../dev/template/model.ts';
import { TemplateSyntaxError } from '../dev/template/parse.ts';
import { ProjectWatcher } from '../dev/watch.ts';
import { createLog, readable } from '../log.ts';
import { type Karin, startKarin } from '../main.ts';
import { configProblems } from '../server/parts.ts';
import { createReleasers, type Releasers } from '../server/releasers.ts';
import { type Config, type Environment, readConfig } from '../settings.ts';
import { systemRandomness, systemTime, type Time } from '../time.ts';
import { endOnSignals, onStopSignals } from './context.ts';

export interface DevOptions {
  /** Folder of the app; default: the working folder. */
  readonly project?: string;
  /** 0 to 65,535; default `PORT`, else 4000; 0: any free port. */
  readonly port?: number;
  /** Default `HOST`, else 127.0.0.1. */
  readonly host?: string;
  /** Consumes mappings that are enabled, too; default: only those that are disabled, as in AWS. */
  readonly all?: boolean;
  /** A template to use instead of what is found in the project. */
  readonly template?: string;
  /**
   * Origin of another local Lambda that runs the functions instead of this one: serverless-offline,
   * `sam local start-lambda`. It is asked for functions by their plain names, because such tools know no ARNs.
   */
  readonly lambdaEndpoint?: string;
  /** Reads the project again when its files change; default true. */
  readonly watch?: boolean;
  /** The first port for debuggers; `true`: 9229. Default: none. */
  readonly inspect?: number | true;
  /** Globs of files that count as changed, relative to the project; default: all. */
  readonly watchOnly?: readonly string[];
  /** Files of variables for functions and for commands of the project; of two that set the same the later wins. */
  readonly envFile?: readonly string[];
  /** Default: that of the process. */
  readonly environment?: Environment;
  /** Default: standard output. */
  readonly write?: (text: string) => void;
  readonly time?: Time;
}

/** `karin dev` under way. */
export interface Dev {
  readonly url: string;
  /** Origin of the local Lambda. */
  readonly lambdaUrl: string;
  readonly karin: Karin;
  /** Stops everything. A second call waits for the first. */
  stop(): Promise<void>;
}

/** The development server cannot start; the message says why and what mends it. */
class DevError extends Error {
  override readonly name = 'DevError';
}

const NAMES_SHOWN = 6;

/** As Node has it. */
const INSPECTOR_PORT = 9_229;

/** The account of everything in development, as emulators of AWS have it. */
const ACCOUNT = '000000000000';

/**
 * Starts `karin dev`. Errors: `DevError`, and those of `readConfig` and `startKarin`; what was built by then is taken
 * down again.
 */
export async function startDev(options: DevOptions): Promise<Dev> {
  const releasers = createReleasers();
  try {
    return await new Development(options, releasers).start();
  } catch (error) {
    await releasers.release();
    throw isAboutProject(error) ? new DevError(error.message, { cause: error }) : error;
  }
}

/** Reads the project; `how` is said of the command that it takes. */
type Read = (how?: string) => Promise<void>;

class Development {
  readonly #options: DevOptions;
  readonly #releasers: Releasers;
  readonly #time: Time;
  readonly #environment: Environment;
  readonly #folder: string;
  readonly #write: (text: string) => void;
  readonly #output: Output;
  #settings: TemplateSettings = { account: ACCOUNT, region: '', sqsOrigin: '', functionUrl: () => '' };
  #application: TemplateApplication = {
    functions: [],
    mappings: [],
    broken: [],
    queues: [],
    fed: { feeds: [], unknown: [] },
    web: { apis: [], notes: [] },
    problems: [],
  };
  /** Of `--env-file`. */
  #given: Readonly<Record<string, string>> = {};
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #stopped = false;
  /** Functions whose code could not be prepared, and why. */
  readonly #failures = new Map<string, string>();
  /** What was said of the APIs of the last reading; `undefined`: there was none, and the start says it all. */
  #web: ReadonlySet<string> | undefined;
  /** Those of the last reading, as they were said. */
  #problems: ReadonlySet<string> = new Set();

  constructor(options: DevOptions, releasers: Releasers) {
    this.#options = options;
    this.#releasers = releasers;
    this.#time = options.time ?? systemTime;
    this.#environment = options.environment ?? process.env;
    const folder = resolve(options.project ?? '.');
    // As esbuild names files: without links.
    this.#folder = existsSync(folder) ? realpathSync(folder) : folder;
    this.#write = options.write ?? ((text) => void process.stdout.write(text));
    this.#output = createOutput(this.#write, this.#hasColour);
  }

  async start(): Promise<Dev> {
    const config = await this.#config();
    this.#readEnvFiles();
    const serverOrigin = `http://${reachableHost(config.host)}:${config.port}`;
    const sqsOrigin = serverOrigin + capabilityPath(config);
    const home = join(this.#folder, '.karin');
    const workFolder = join(home, runName());
    const abort = new AbortController();
    const project = this.#findProject(config, sqsOrigin, workFolder, abort.signal);
    await mkdir(home, { recursive: true });
    // What is made here belongs to this machine only.
    await writeFile(join(home, '.gitignore'), '*\n');
    const run = await ownRunFolder(workFolder, this.#time);
    this.#releasers.add('the folder of this run', async () => {
      await this.#reading;
      await run.release();
    });
    this.#releasers.add('commands of the project', () => abort.abort());

    const lambda = await this.#startLambda(config, sqsOrigin, home, workFolder);
    const gateway = this.#gateway(config, lambda);
    const functionUrl = (name: string): string => lambda.functionUrl(name);
    const withLocalApis = (text: string): string => gateway.withLocalApis(text);
    const layersFolder = join(home, 'layers');
    this.#settings = { account: ACCOUNT, region: config.region, sqsOrigin, functionUrl, layersFolder, withLocalApis };
    this.#say(`karin dev: ${project.description}`);
    const read = (how?: string): Promise<void> => this.#load(project, lambda, gateway, how);
    await read();

    const serving: ServingOptions = {
      consumeEnabled: this.#options.all ?? false,
      everyQueue: true,
      // What another Lambda can run is not for this one to judge.
      ...(this.#options.lambdaEndpoint === undefined && { unusable }),
    };
    const karin = await this.#startServer(config, lambda, serving, project);
    const watcher = this.#options.watch === false ? undefined : this.#watch(project, lambda, karin, read);
    if (watcher !== undefined) {
      this.#follow(lambda, watcher);
      this.#releasers.add('watching the project', () => watcher.close());
    }

    const discovery = discoveryOf(this.#application, undefined, this.#time.now(), serving);
    const apiOrigin = (id: string): string | undefined => gateway.origin(id);
    const places: Places = { sqsOrigin, serverOrigin, account: ACCOUNT, region: config.region, functionUrl, apiOrigin };
    const occasion = { now: this.#time.now(), uuid: () => systemRandomness.uuid() };
    const steps = nextSteps(this.#application, discovery, places, occasion);
    this.#sayNews(['', ...summary(this.#application, discovery), '', ...steps, '']);
    this.#say(`karin ready ${karin.url}`);
    return { url: karin.url, lambdaUrl: lambda.origin, karin, stop: () => this.#stop() };
  }

  #stop(): Promise<void> {
    this.#stopped = true;
    return this.#releasers.release();
  }

  #readEnvFiles(): void {
    const files = (this.#options.envFile ?? []).map((file) => resolve(file));
    const missing = files.find((file) => !existsSync(file));
    if (missing !== undefined) throw new DevError(`there is no file ${missing}, which --env-file names`);
    const { variables, reserved } = readEnvFiles(files);
    this.#given = variables;
    if (reserved.length > 0) {
      const names = `${reserved.join(', ')} of ${files.join(', ')}`;
      this.#say(`! ${names}: left out; karin dev sets ${reserved.length === 1 ? 'it' : 'them'} itself, as Lambda does`);
    }
  }

  /** Settings from the environment, and those of the command line instead; the port is one that can be had. */
  async #config(): Promise<Config> {
    const { port, host } = this.#options;
    const given = {
      // What a person at a terminal wants to know is said by this command itself.
      LOG_LEVEL: 'warn',
      // Whoever presses Ctrl-C does not want to wait for a handler.
      KARIN_STOP_GRACE: '2',
      ...this.#environment,
      ...(port === undefined ? {} : { PORT: String(port) }),
      ...(host === undefined ? {} : { HOST: host }),
    };
    const config = readConfig(given, 'dev', configProblems);
    try {
      const port = await availablePort(config.host, config.port);
      return { ...config, accountId: ACCOUNT, staysOpen: true, port };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const why = code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be listened on (${String(error)})`;
      const mend = `stop what uses it, or choose another: karin dev --port ${config.port + 1}, or PORT=${config.port + 1}`;
      throw new DevError(`port ${config.port} of ${config.host} ${why}; ${mend}`, { cause: error });
    }
  }

  #findProject(config: Config, sqsOrigin: string, workFolder: string, signal: AbortSignal): Project {
    const { template } = this.#options;
    if (template !== undefined) return templateProject(resolve(template), this.#folder);
    const { project, others } = findProject({
      folder: this.#folder,
      workFolder,
      account: ACCOUNT,
      region: config.region,
      sqsOrigin,
      // As Node and others have it: what this process was started with wins over a file.
      environment: { ...this.#given, ...this.#environment },
      run: createCommandRunner(signal),
    });
    if (others.length > 0) this.#say(`not used: ${others.join(', ')} (choose with --template)`);
    return project;
  }

  async #startLambda(config: Config, sqsOrigin: string, home: string, workFolder: string): Promise<LocalLambda> {
    const own = ownNodeModules();
    const lambda = await LocalLambda.start({
      region: config.region,
      folder: this.#folder,
      sqsOrigin,
      workFolder: join(workFolder, 'functions'),
      cacheFolder: join(home, 'cache'),
      nodeModules: [join(this.#folder, 'node_modules'), ...(own === undefined ? [] : [own])],
      environment: this.#environment,
      given: this.#given,
      ...(this.#options.inspect === undefined
        ? {}
        : { inspect: this.#options.inspect === true ? INSPECTOR_PORT : this.#options.inspect }),
      // The next port, so that function URLs stay the same from one start to the next.
      ...(this.#options.port === 0 || this.#environment['PORT'] === '0' ? {} : { port: config.port + 1 }),
      output: this.#output,
      time: this.#time,
      randomness: systemRandomness,
    });
    this.#releasers.add('the local Lambda', () => lambda.close());
    return lambda;
  }

  /** The APIs of the project have the ports behind that of the local Lambda. */
  #gateway(config: Config, lambda: LocalLambda): LocalGateway {
    const anyPort = this.#options.port === 0 || this.#environment['PORT'] === '0';
    const gateway = new LocalGateway({
      account: ACCOUNT,
      region: config.region,
      firstPort: anyPort ? 0 : config.port + 2,
      invoke: (name, invocation) => lambda.invoke(name, invocation),
      output: this.#output,
      time: this.#time,
      randomness: systemRandomness,
    });
    this.#releasers.add('the HTTP APIs', () => gateway.close());
    return gateway;
  }

  /** Reads the project and hands its functions to the local Lambda, and its APIs to the gateway. */
  async #load(project: Project, lambda: LocalLambda, gateway: LocalGateway, how = ''): Promise<void> {
    const startedAt = this.#time.monotonic();
    if (project.command !== undefined) this.#say(`running ${project.command}${how} ...`);
    const { stacks, notes } = await project.load();
    let application = readApplication(stacks, this.#settings);
    // Another local Lambda has its own way to them.
    const apis = this.#options.lambdaEndpoint === undefined ? application.web.apis : [];
    // Functions are told the addresses of APIs in their environment, which are not known before.
    if (await gateway.apply(apis)) application = readApplication(stacks, this.#settings);
    // What another Lambda can run is not for this one to judge.
    if (this.#options.lambdaEndpoint === undefined) application = withUnusable(application);
    this.#application = application;
    lambda.apply(application);
    const web = [
      ...requests(application, (id) => gateway.origin(id)),
      ...application.web.notes.map((note) => `! ${note}`),
    ];
    const news = this.#web === undefined ? [] : web.filter((line) => !this.#web?.has(line));
    this.#web = new Set(web);
    const seconds = ((this.#time.monotonic() - startedAt) / 1000).toFixed(1);
    const { functions, queues } = this.#application;
    this.#say(`read in ${seconds} s: ${counted(functions.length, 'function')}, ${counted(queues.length, 'queue')}`);
    for (const note of notes) this.#say(`! ${note}`);
    for (const line of news) this.#say(line);
  }

  async #startServer(config: Config, lambda: LocalLambda, serving: ServingOptions, project: Project): Promise<Karin> {
    const { lambdaEndpoint } = this.#options;
    const ordinary = createInvoker({
      region: config.region,
      endpoint: lambdaEndpoint ?? lambda.origin,
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      time: this.#time,
    });
    const patient =
      this.#options.inspect === undefined
        ? ordinary
        : holdingMessages(ordinary, {
            sqsOrigin: this.#settings.sqsOrigin,
            time: this.#time,
            isDebugged: (functionArn) => lambda.isDebugged(parseFunctionReference(functionArn)?.name ?? ''),
          });
    const invoker = lambdaEndpoint === undefined ? patient : byPlainName(ordinary);
    this.#releasers.add('the invoker', () => invoker.close());
    const source: DiscoverySource = {
      description: project.description,
      discover: async (previous: Discovery | undefined) =>
        discoveryOf(this.#application, previous, this.#time.now(), serving),
    };
    const functionUrls = {
      list: async () => ({
        urls: callable(this.#application).map((fn) => ({ functionArn: fn.arn, url: lambda.functionUrl(fn.name) })),
      }),
    };
    const readably = readable(this.#write);
    const write = (line: string): void => {
      const told = lambdaEndpoint === undefined ? saidOtherwise(line) : undefined;
      if (told === undefined) readably(line);
      else if (told !== '') this.#say(told);
    };
    const log = createLog({ level: config.logLevel, write });
    // What a sync finds is said by this command itself, and only as far as it is new.
    const syncLog = createLog({ level: 'error', write });
    const karin = await startKarin(config, { log, syncLog, time: this.#time, source, invoker, functionUrls });
    this.#releasers.add('the server', () => karin.stop());
    return karin;
  }

  #watch(project: Project, lambda: LocalLambda, karin: Karin, read: Read): ProjectWatcher {
    const watcher = new ProjectWatcher({
      folder: this.#folder,
      time: this.#time,
      ...(this.#options.watchOnly === undefined ? {} : { only: this.#options.watchOnly }),
      onChange: (paths) => {
        const concerned = paths.some((path) => project.concerns(path, lambda.isInput(path)));
        this.#say(`changed: ${paths.map((path) => relative(this.#folder, path)).join(', ')}`);
        void this.#renew(paths, lambda, watcher);
        if (concerned) this.#readLater(read, lambda, karin, watcher);
        // A handler that was missing may be there now.
        else if (this.#reading === undefined) void this.#sync(karin);
      },
    });
    return watcher;
  }

  /** Gives the functions that are made of these files their code anew. */
  async #renew(paths: readonly string[], lambda: LocalLambda, watcher: ProjectWatcher): Promise<void> {
    const startedAt = this.#time.monotonic();
    const changes = await lambda.changed(paths);
    const live: string[] = [];
    for (const { name, became } of changes) {
      if (typeof became === 'object') {
        this.#failures.set(name, became.failure);
        this.#say(`! ${name}: ${became.failure}\n! what ran before goes on running`);
      } else if (became === 'live' || this.#failures.has(name)) {
        live.push(name);
        this.#failures.delete(name);
      }
    }
    const ms = Math.round(this.#time.monotonic() - startedAt);
    if (live.length > 0) this.#say(`live after ${ms} ms: ${listed(live)}`);
    this.#follow(lambda, watcher);
  }

  /** Reads the project in the background; a reading that is under way is followed by another. */
  #readLater(read: Read, lambda: LocalLambda, karin: Karin, watcher: ProjectWatcher): void {
    this.#readAgain = true;
    this.#reading ??= (async () => {
      while (this.#readAgain && !this.#stopped) {
        this.#readAgain = false;
        try {
          await read(' in the background; functions go on as they are');
          this.#follow(lambda, watcher);
        } catch (error) {
          if (this.#stopped) break;
          // Whatever it is, its developer is at work on it, and the next change tries again.
          const text = isAboutProject(error) ? error.message : error instanceof Error ? error.stack : error;
          this.#say(`! ${text}\n! what was read before goes on running`);
        }
        await this.#sync(karin);
      }
      this.#reading = undefined;
    })();
  }

  /** Lets the consumer take over what was read. */
  async #sync(karin: Karin): Promise<void> {
    try {
      this.#sayNews(changes(await karin.sync({ full: true })));
    } catch (error) {
      this.#say(`! ${error instanceof Error ? error.message : error}`);
    }
  }

  #follow(lambda: LocalLambda, watcher: ProjectWatcher): void {
    watcher.follow(this.#codeElsewhere());
    watcher.followFiles(lambda.inputFolders().filter((path) => path !== this.#folder && !isBelow(this.#folder, path)));
  }

  /** Folders with code of functions and layers that lie outside the project, as in a repository of several packages. */
  #codeElsewhere(): readonly string[] {
    return this.#application.functions
      .flatMap(({ code, layers }) => [code, ...layers])
      .flatMap((code) => (code.kind === 'folder' && !isBelow(this.#folder, code.path) ? [code.path] : []))
      .filter((path) => path !== this.#folder && !path.includes(`${sep}node_modules${sep}`));
  }

  /** Says everything but the problems that were there the last time, too. */
  #sayNews(lines: readonly string[]): void {
    for (const line of lines) if (!this.#problems.has(line)) this.#say(line);
    this.#problems = new Set(lines.filter((line) => line.startsWith('! ')));
  }

  /** Only a terminal has it, and only if nobody asked for none (https://no-color.org). */
  get #hasColour(): boolean {
    const isTerminal = this.#options.write === undefined && process.stdout.isTTY === true;
    return isTerminal && (this.#environment['NO_COLOR'] ?? '') === '';
  }

  #say(line: string): void {
    this.#write(`${line}\n`);
  }
}

function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

/** Names that would fill a screen are counted instead. */
function listed(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return more > 1 ? `${names.slice(0, NAMES_SHOWN).join(', ')} and ${more} more` : names.join(', ');
}

/** With a note for each function behind a route that this machine cannot run; queues have their own word for it. */
function withUnusable(application: TemplateApplication): TemplateApplication {
  const { functions, web } = application;
  const routed = new Set(web.apis.flatMap(({ routes }) => routes.flatMap(({ target }) => nameOf(target))));
  const reasons = functions.filter(({ name }) => routed.has(name)).flatMap((fn) => unusable(fn) ?? []);
  return { ...application, web: { ...web, notes: [...web.notes, ...reasons] } };
}

function nameOf(target: TemplateRoute['target']): readonly string[] {
  return target.kind === 'function' ? [target.name] : [];
}

/** Asks for each function by its name alone. */
function byPlainName(invoker: Invoker): Invoker {
  const plain = (functionArn: string): string => parseFunctionReference(functionArn)?.name ?? functionArn;
  return {
    invoke: (request) => invoker.invoke({ ...request, functionArn: plain(request.functionArn) }),
    probe: (functionArn) => invoker.probe(plain(functionArn)),
    close: () => invoker.close(),
  };
}

/** Whether the message says it all. */
function isAboutProject(error: unknown): error is Error {
  return [ProjectError, DiscoveryError, TemplateSyntaxError, EnvFileError].some((kind) => error instanceof kind);
}

/** Functions run on this machine: a server on all addresses is reached on the loopback one. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

/** Where the server asks for credentials, functions get the first token that it knows. */
function capabilityPath({ tokensText }: Config): string {
  const token = tokensText.split(/[\s,]+/)[0]?.split(':')[0] ?? '';
  return token === '' ? '' : `/k/${token}`;
}

/** The last: its terminal was closed. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Starts it. The process lives on as long as it does. Errors: those of `startDev`. */
export async function dev(options: DevOptions): Promise<void> {
  // The SDK warns of Node versions that its later releases will not support; the one that is used here supports this
  // one.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  // Before it is ready there is nothing to finish; but commands of the project end with this process only if it exits.
  endOnSignals(STOP_SIGNALS);
  const running = await startDev(options);
  onStopSignals({ stop: () => running.stop(), log: running.karin.log }, STOP_SIGNALS);
}
