/**
 * One execution environment: a process that runs one invocation at a time.
 *
 * States. `starting`: the process has not yet asked for an invocation. `idle`: it waits for one. `busy`: it has one.
 * `ended`: it is gone. An invocation may be given in `starting` (it is delivered when the process is ready) and in
 * `idle`, and also between an answer and the next question. Whatever happens, each invocation is settled exactly once:
 * by an answer, by the timeout, or by the end of the process; one that was never delivered to a process that had
 * started well is handed back, because the function never saw it.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { functionError } from '../aws/invoke-outcome.ts';
import type { Cancel, Time } from '../time.ts';
import { lineSplitter } from './guide.ts';
import { endTree } from './platform.ts';
import {
  exited,
  type Invocation,
  type InvocationResult,
  type LoggedResult,
  type RuntimeApi,
  type RuntimeApiListener,
  sandboxError,
  startRuntimeApi,
  timedOut,
} from './runtime-api.ts';

/** How to start the process of a function. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The whole environment but `AWS_LAMBDA_RUNTIME_API`. */
  readonly environment: Readonly<Record<string, string>>;
  /** `Timeout` of the function, seconds. */
  readonly timeoutSeconds: number;
  /** The files that the code was made of, absolute; absent: it may be any. */
  readonly inputs?: ReadonlySet<string>;
}

export interface WorkerParts {
  readonly time: Time;
  /** A line that the process printed. */
  readonly print: (line: string) => void;
  /** Whether a line is not the function's, and not to be seen; default: none. */
  readonly hides?: (line: string) => boolean;
  /** Somebody looks at the function with a debugger: no timeout ends it meanwhile. Default: nobody. */
  readonly isDebugged?: () => boolean;
  /** The process is about to be ended: nobody new is to be led to it. May be called again. */
  readonly onKill?: () => void;
  /** The process is gone; called once. */
  readonly onEnd: () => void;
}

/** Node says of a folder that is gone that the command is. */
function whyNot(error: Error, { cwd }: Launch): string {
  return existsSync(cwd) ? error.message : `there is no folder ${cwd}`;
}

/** What Lambda grants the start of a function, beside the function's own timeout. */
const INIT_SECONDS = 10;

/** What a function that is debugged is told to have left, milliseconds: longer than anybody looks. */
const DEBUGGING_MS = 24 * 3_600_000;

/** Characters of its output that are kept: as much as Lambda tells of a log. */
const KEPT_LOG = 4_096;

interface Assignment {
  readonly invocation: Invocation;
  delivered: boolean;
  settle(result: InvocationResult | 'never-delivered'): void;
}

export class Worker {
  readonly #launch: Launch;
  readonly #parts: WorkerParts;
  readonly #api: RuntimeApi;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #current: Assignment | undefined;
  #waiting = false;
  #started = false;
  #gone = false;
  #cancelTimeout: Cancel;
  /** The end of what was printed since the last invocation was given. */
  #log = '';

  static async start(launch: Launch, parts: WorkerParts): Promise<Worker> {
    // Nobody knows the address before the process is spawned, and the worker is there by then.
    let listener: RuntimeApiListener | undefined;
    const api = await startRuntimeApi({
      ready: () => listener?.ready(),
      answered: (requestId, result) => listener?.answered(requestId, result),
      initFailed: (result) => listener?.initFailed(result),
    });
    const worker = new Worker(launch, parts, api);
    listener = {
      ready: () => worker.#ready(),
      answered: (requestId, result) => worker.#answered(requestId, result),
      initFailed: (result) => {
        worker.#settle(result);
        worker.#kill();
      },
    };
    return worker;
  }

  private constructor(launch: Launch, parts: WorkerParts, api: RuntimeApi) {
    this.#launch = launch;
    this.#parts = parts;
    this.#api = api;
    this.#child = spawn(launch.command, launch.args, {
      cwd: launch.cwd,
      env: { ...launch.environment, AWS_LAMBDA_RUNTIME_API: api.address },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: a timeout ends what the handler started as well, and Ctrl-C reaches this process
      // only.
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    this.#cancelTimeout = parts.time.after((INIT_SECONDS + launch.timeoutSeconds) * 1000, () => this.#timeout());
    this.#ended = this.#watch();
  }

  /**
   * Gives the process an invocation. `never-delivered`: it ended before it took it, and the function saw nothing of it.
   */
  async run(invocation: Invocation): Promise<LoggedResult | 'never-delivered'> {
    this.#log = '';
    const startedAt = this.#parts.time.monotonic();
    const result = await this.#result(invocation);
    if (invocation.logTail !== true || result === 'never-delivered') return result;
    // The answer comes on one connection and what was printed before it on another: it is there a turn later.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const of = `RequestId: ${invocation.requestId}`;
    const durationMs = (this.#parts.time.monotonic() - startedAt).toFixed(2);
    const failed = result.kind === 'function-error' ? `${failureLog(result.payload)}\n` : '';
    const log = `START ${of} Version: $LATEST\n${this.#log}${failed}END ${of}\nREPORT ${of}\tDuration: ${durationMs} ms\n`;
    return { ...result, log };
  }

  #result(invocation: Invocation): Promise<InvocationResult | 'never-delivered'> {
    if (this.#gone) return Promise.resolve('never-delivered');
    return new Promise((resolve) => {
      this.#current = { invocation, delivered: false, settle: resolve };
      if (this.#waiting) this.#deliver();
      // It answered the last invocation, but has not asked for the next: code that goes on after its answer.
      else if (this.#started) this.#armTimeout();
    });
  }

  /** Ends the process at once; resolves when it is gone. */
  stop(): Promise<void> {
    if (!this.#gone) this.#kill();
    return this.#ended;
  }

  #ready(): void {
    if (!this.#started) this.#cancelTimeout();
    this.#started = true;
    this.#waiting = true;
    if (this.#current !== undefined) this.#deliver();
  }

  #deliver(): void {
    if (this.#current === undefined) return;
    const remaining = this.#isDebugged ? DEBUGGING_MS : this.#launch.timeoutSeconds * 1000;
    const deadline = this.#parts.time.now() + remaining;
    this.#waiting = false;
    this.#armTimeout();
    // A process that is ending has dropped its question already; its end will hand the invocation back.
    this.#current.delivered = this.#api.deliver(this.#current.invocation, deadline);
  }

  #armTimeout(): void {
    this.#cancelTimeout();
    this.#cancelTimeout = this.#parts.time.after(this.#launch.timeoutSeconds * 1000, () => this.#timeout());
  }

  #answered(requestId: string, result: InvocationResult): void {
    if (this.#current?.invocation.requestId !== requestId) return;
    this.#settle(result);
  }

  get #isDebugged(): boolean {
    return this.#parts.isDebugged?.() === true;
  }

  #timeout(): void {
    if (this.#isDebugged) {
      this.#armTimeout();
      return;
    }
    const requestId = this.#current?.invocation.requestId;
    if (requestId !== undefined) this.#settle(timedOut(requestId, this.#launch.timeoutSeconds));
    this.#kill();
  }

  #settle(result: InvocationResult | 'never-delivered'): void {
    const current = this.#current;
    this.#current = undefined;
    this.#cancelTimeout();
    current?.settle(result);
  }

  /** Follows the process to its end; never rejects. */
  #watch(): Promise<void> {
    const child = this.#child;
    const streams = [child.stdout, child.stderr].flatMap((stream) => stream ?? []);
    for (const stream of streams) {
      const lines = lineSplitter((line) => {
        if (this.#parts.hides?.(line) === true) return;
        this.#log = `${this.#log}${line}\n`.slice(-KEPT_LOG);
        this.#parts.print(line);
      });
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => lines.push(text));
      stream.on('end', () => lines.end());
    }
    return new Promise((resolve) => {
      const finish = (result: (requestId: string) => InvocationResult): void => {
        if (this.#gone) return;
        this.#gone = true;
        const current = this.#current;
        if (current !== undefined) {
          const untouched = this.#started && !current.delivered;
          this.#settle(untouched ? 'never-delivered' : result(current.invocation.requestId));
        }
        this.#cancelTimeout();
        this.#parts.onEnd();
        // What the handler left running would go on holding the output open.
        this.#kill();
        void this.#api.close().then(resolve);
      };
      child.once('error', (error) => {
        finish((requestId) =>
          sandboxError(
            'Runtime.InvalidEntrypoint',
            `RequestId: ${requestId} Error: ${this.#launch.command} cannot be started: ${whyNot(error, this.#launch)}`,
          ),
        );
      });
      child.once('exit', (code, signal) => finish((requestId) => exited(requestId, { code, signal })));
    });
  }

  #kill(): void {
    this.#parts.onKill?.();
    endTree(this.#child);
  }
}

/** A failure as a runtime logs it. */
function failureLog(payload: Uint8Array): string {
  const { errorType, message, trace = '' } = functionError(payload);
  const said = `${errorType}: ${message}`;
  return trace.startsWith(said) ? trace : `${said}${trace === '' ? '' : `\n${trace}`}`;
}
