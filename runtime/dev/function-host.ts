/**
 * One function and its execution environments: a free one is used again, another is started when all are busy, and one
 * that nobody needed for some minutes is stopped.
 *
 * Code and configuration are prepared once per version, one preparation after the other: two at once would write to the
 * same places. After `replace` (the template changed) and after a `refresh` that succeeded (the code changed)
 * environments of the old version finish what they have and take nothing new. A refresh that fails changes nothing, so
 * that a file that is saved half written costs no message. What was prepared is discarded when no process runs it any
 * more and none will.
 *
 * @module
 */

import { basename } from 'node:path';
import type { Cancel, Time } from '../time.ts';
import type { Inspector } from './inspector.ts';
import { missingSdk } from './missing-sdk.ts';
import { type Invocation, type InvocationResult, type LoggedResult, sandboxError } from './runtime-api.ts';
import { withMissingLayers } from './template/layers.ts';
import type { TemplateFunction } from './template/model.ts';
import { type Launch, Worker } from './worker.ts';

/** The function, or the machine, runs as many invocations as it may; AWS's 429. */
export class ConcurrencyError extends Error {
  override readonly name = 'ConcurrencyError';
  /** `Reason` of `TooManyRequestsException`. */
  readonly reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' | 'ConcurrentInvocationLimitExceeded';

  constructor(reason: ConcurrencyError['reason']) {
    super('Rate Exceeded.');
    this.reason = reason;
  }
}

/** How many processes all functions together may have. */
export interface WorkerBudget {
  /** Claims room for one more, stopping an idle one of another function if need be; false: there is none. */
  claim(): boolean;
  release(): void;
}

export interface HostParts {
  readonly time: Time;
  readonly budget: WorkerBudget;
  readonly print: (functionName: string, line: string) => void;
  /** `changed`: the code changed since the template was read. */
  readonly prepare: (fn: TemplateFunction, changed: boolean) => Promise<Launch>;
  /** Where debuggers reach the function, which has one process at a time then. Absent: nowhere. */
  readonly inspector?: Promise<Inspector | undefined>;
  /** Nobody needs what was prepared. */
  readonly discard: (launch: Launch) => void;
}

/** What became of a refresh. `unprepared`: nothing was, so the next invocation reads the code as it is then. */
export type Refreshed = 'live' | 'unprepared' | { readonly failure: string };

/** Files that change how others are read. */
const SETTINGS = new Set(['package.json', 'tsconfig.json']);

/** As long as AWS tends to keep one, milliseconds. */
const IDLE_MS = 5 * 60_000;

interface Environment {
  readonly worker: Worker;
  readonly version: number;
  /** The only one whose events it sees; absent: the function does not tell tenants apart. */
  readonly tenantId?: string;
  stopWhenIdle: Cancel;
}

export class FunctionHost {
  readonly #parts: HostParts;
  #fn: TemplateFunction;
  #version = 0;
  #launch: Promise<Launch> | undefined;
  /** Last used last: the others have the chance to be stopped. */
  readonly #idle: Environment[] = [];
  readonly #all = new Set<Worker>();
  /** How many processes run, or are about to run, what was prepared. */
  readonly #users = new Map<Launch, number>();
  /** The last preparation. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Of the current version, as soon as it is there. */
  #prepared: Launch | undefined;
  /** The last refresh failed: what mends it may be any file. */
  #failed = false;
  /** A refresh that waits for its turn: what it reads then is as new as anybody could want it. */
  #waiting: Promise<Refreshed> | undefined;
  /** Invocations under way. */
  #busy = 0;
  #stopped = false;

  constructor(fn: TemplateFunction, parts: HostParts) {
    this.#fn = fn;
    this.#parts = parts;
  }

  get definition(): TemplateFunction {
    return this.#fn;
  }

  /** Runs one event. Rejects with `ConcurrencyError`; every failure of the function is a result. */
  async invoke(invocation: Invocation): Promise<LoggedResult> {
    const most = this.#parts.inspector === undefined ? this.#fn.reservedConcurrency : 1;
    if (most !== undefined && this.#busy >= most) {
      throw new ConcurrencyError('ReservedFunctionConcurrentInvocationLimitExceeded');
    }
    this.#busy += 1;
    try {
      for (;;) {
        const { tenantId } = invocation;
        const environment = this.#takeIdle(tenantId) ?? (await this.#start(tenantId));
        if ('kind' in environment) return this.#advised(environment);
        environment.stopWhenIdle();
        const result = await environment.worker.run(invocation);
        if (result === 'never-delivered') continue;
        this.#rest(environment);
        return this.#advised(result);
      }
    } finally {
      this.#busy -= 1;
    }
  }

  /** Starts an environment if there is none: a debugger wants to attach before the first event. Never rejects. */
  async warm(): Promise<void> {
    if (this.#stopped || this.#busy > 0 || this.#all.size > 0) return;
    this.#busy += 1;
    try {
      const environment = await this.#start(undefined);
      if (!('kind' in environment)) this.#rest(environment);
    } catch {
      // No room for a process: the next event makes some.
    } finally {
      this.#busy -= 1;
    }
  }

  /** Takes a new definition. */
  replace(fn: TemplateFunction): void {
    this.#fn = fn;
    this.#failed = false;
    this.#exchange(undefined);
  }

  /** The files that the current code was made of, absolute; `undefined`: nobody knows. */
  get inputs(): ReadonlySet<string> | undefined {
    return this.#prepared?.inputs;
  }

  /** Whether a change of one of these files, absolute paths, may change what runs. */
  isMadeOf(paths: readonly string[]): boolean {
    const { inputs } = this;
    return (
      this.#failed || inputs === undefined || paths.some((path) => inputs.has(path) || SETTINGS.has(basename(path)))
    );
  }

  /** Takes the code as it is now: environments are exchanged when it is prepared. Never rejects. */
  refresh(): Promise<Refreshed> {
    this.#waiting ??= this.#turn.then(async () => {
      this.#waiting = undefined;
      if (this.#launch === undefined) return 'unprepared';
      const version = this.#version;
      const launching = this.#prepare(true);
      try {
        const launch = await launching;
        // Another definition has come, whose preparation reads the same code.
        if (this.#version !== version || this.#stopped) this.#parts.discard(launch);
        else this.#exchange(launching, launch);
        this.#failed = false;
        return 'live';
      } catch (error) {
        this.#failed = true;
        return { failure: error instanceof Error ? error.message : String(error) };
      }
    });
    return this.#waiting;
  }

  /** Stops an environment that nobody uses; false: there is none. */
  giveUpIdle(): boolean {
    const environment = this.#idle.shift();
    if (environment === undefined) return false;
    this.#retire(environment);
    return true;
  }

  /** Stops every process; invocations under way fail. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const environment of this.#idle.splice(0)) environment.stopWhenIdle();
    await Promise.all([...this.#all].map((worker) => worker.stop()));
    await this.#turn;
  }

  /** The environment that was used last, of those of this tenant. */
  #takeIdle(tenantId: string | undefined): Environment | undefined {
    const index = this.#idle.findLastIndex((environment) => environment.tenantId === tenantId);
    return index < 0 ? undefined : this.#idle.splice(index, 1)[0];
  }

  /** A new environment, or the failure of its making. */
  async #start(tenantId: string | undefined): Promise<Environment | InvocationResult> {
    if (!this.#parts.budget.claim()) throw new ConcurrencyError('ConcurrentInvocationLimitExceeded');
    let launch: Launch | undefined;
    const ended = (): void => {
      this.#parts.budget.release();
      if (launch !== undefined) this.#leave(launch);
    };
    try {
      const { version, ...current } = await this.#current();
      launch = current.launch;
      if (this.#stopped) throw new Error('the local Lambda is stopping');
      const inspector = await this.#parts.inspector;
      const owner = {};
      const worker = await Worker.start(launch, {
        time: this.#parts.time,
        print: (line) => this.#parts.print(this.#fn.name, line),
        ...(inspector === undefined
          ? {}
          : {
              hides: (line) => inspector.takes(line, owner),
              isDebugged: () => inspector.isAttached,
              onKill: () => inspector.forget(owner),
            }),
        onEnd: () => {
          ended();
          this.#forget(worker);
          // Last: it may ask for the next process, for which there is room only now.
          inspector?.forget(owner);
        },
      });
      this.#all.add(worker);
      // It came to be while everything else was stopped.
      if (this.#stopped) await worker.stop();
      return { worker, version, stopWhenIdle: () => {}, ...(tenantId === undefined ? {} : { tenantId }) };
    } catch (error) {
      ended();
      return sandboxError('Runtime.UserCodeSyntaxError', error instanceof Error ? error.message : String(error));
    }
  }

  /** The preparation of the version that is current when it is done; it has one user more. */
  async #current(): Promise<{ readonly launch: Launch; readonly version: number }> {
    for (;;) {
      const version = this.#version;
      this.#launch ??= this.#prepare(false);
      const launching = this.#launch;
      try {
        const launch = await launching;
        if (version !== this.#version) continue;
        this.#prepared = launch;
        this.#users.set(launch, (this.#users.get(launch) ?? 0) + 1);
        return { launch, version };
      } catch (error) {
        if (version !== this.#version) continue;
        // Tried again by the next invocation: its developer is probably mending it.
        this.#launch = undefined;
        throw error;
      }
    }
  }

  /** Prepares the definition as it is when its turn comes. */
  #prepare(changed: boolean): Promise<Launch> {
    const done = this.#turn.then(() => this.#parts.prepare(this.#fn, changed));
    this.#turn = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  /** Begins a new version; without a preparation its first invocation prepares it. */
  #exchange(launching: Promise<Launch> | undefined, launch?: Launch): void {
    const [before, prepared] = [this.#launch, this.#prepared];
    this.#version += 1;
    this.#launch = launching;
    this.#prepared = launch;
    for (const environment of this.#idle.splice(0)) this.#retire(environment);
    if (prepared !== undefined) this.#discardUnused(prepared);
    // Nobody waits for it but those who will see that there is a newer one.
    else
      before?.then(
        (unused) => this.#discardUnused(unused),
        () => {},
      );
  }

  #leave(launch: Launch): void {
    const users = (this.#users.get(launch) ?? 1) - 1;
    if (users > 0) this.#users.set(launch, users);
    else this.#users.delete(launch);
    this.#discardUnused(launch);
  }

  #discardUnused(launch: Launch): void {
    if (launch !== this.#prepared && !this.#users.has(launch)) this.#parts.discard(launch);
  }

  #advised(result: LoggedResult): LoggedResult {
    if (result.kind !== 'function-error') return result;
    const { payload, advice } = withMissingLayers(this.#fn, result.payload);
    return { ...result, payload, advice: [...advice, ...missingSdk(this.#fn, payload)] };
  }

  #forget(worker: Worker): void {
    this.#all.delete(worker);
    const index = this.#idle.findIndex((environment) => environment.worker === worker);
    if (index >= 0) for (const environment of this.#idle.splice(index, 1)) environment.stopWhenIdle();
  }

  #rest(environment: Environment): void {
    if (!this.#all.has(environment.worker)) return;
    if (environment.version !== this.#version) {
      this.#retire(environment);
      return;
    }
    environment.stopWhenIdle = this.#parts.time.after(IDLE_MS, () => {
      const index = this.#idle.indexOf(environment);
      if (index >= 0) this.#idle.splice(index, 1);
      this.#retire(environment);
    });
    this.#idle.push(environment);
  }

  #retire(environment: Environment): void {
    environment.stopWhenIdle();
    void environment.worker.stop();
  }
}
