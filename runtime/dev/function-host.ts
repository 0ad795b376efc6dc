/**
 * One function and its execution environments: a free one is used again, another is started when all are busy, and one
 * that nobody needed for some minutes is stopped.
 *
 * Code and configuration are prepared once per version. After `replace` (the template or the code changed) environments
 * of the old version finish what they have and take nothing new.
 *
 * @module
 */

import type { Cancel, Time } from '../time.ts';
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
  readonly prepare: (fn: TemplateFunction) => Promise<Launch>;
}

/** As long as AWS tends to keep one, milliseconds. */
const IDLE_MS = 5 * 60_000;

interface Environment {
  readonly worker: Worker;
  readonly version: number;
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
    const { reservedConcurrency } = this.#fn;
    if (reservedConcurrency !== undefined && this.#busy >= reservedConcurrency) {
      throw new ConcurrencyError('ReservedFunctionConcurrentInvocationLimitExceeded');
    }
    this.#busy += 1;
    try {
      for (;;) {
        const environment = this.#idle.pop() ?? (await this.#start());
        if ('kind' in environment) return this.#noticed(environment);
        environment.stopWhenIdle();
        const result = await environment.worker.run(invocation);
        if (result === 'never-delivered') continue;
        this.#rest(environment);
        return this.#noticed(result);
      }
    } finally {
      this.#busy -= 1;
    }
  }

  /** Takes a new definition, or the same one with new code. */
  replace(fn: TemplateFunction): void {
    this.#fn = fn;
    this.#version += 1;
    this.#launch = undefined;
    for (const environment of this.#idle.splice(0)) this.#retire(environment);
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
  }

  /** A new environment, or the failure of its making. */
  async #start(): Promise<Environment | InvocationResult> {
    if (!this.#parts.budget.claim()) throw new ConcurrencyError('ConcurrentInvocationLimitExceeded');
    const version = this.#version;
    this.#launch ??= this.#parts.prepare(this.#fn);
    const launching = this.#launch;
    try {
      const launch = await launching;
      if (this.#stopped) throw new Error('the local Lambda is stopping');
      const worker = await Worker.start(launch, {
        time: this.#parts.time,
        print: (line) => this.#parts.print(this.#fn.name, line),
        onEnd: () => this.#forget(worker),
      });
      this.#all.add(worker);
      // It came to be while everything else was stopped.
      if (this.#stopped) await worker.stop();
      return { worker, version, stopWhenIdle: () => {} };
    } catch (error) {
      this.#parts.budget.release();
      // Tried again by the next invocation: its developer is probably mending it.
      if (this.#launch === launching) this.#launch = undefined;
      return sandboxError('Runtime.UserCodeSyntaxError', error instanceof Error ? error.message : String(error));
    }
  }

  #noticed(result: LoggedResult): LoggedResult {
    if (result.kind !== 'function-error') return result;
    const { payload, advice } = withMissingLayers(this.#fn, result.payload);
    for (const line of [...(result.notice?.split('\n') ?? []), ...advice]) this.#parts.print(this.#fn.name, line);
    return { ...result, payload };
  }

  #forget(worker: Worker): void {
    this.#parts.budget.release();
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
