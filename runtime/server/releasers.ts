/**
 * A stack of things to take down again, last built first.
 *
 * @module
 */

export interface Releasers {
  /** Remembers how to take down what was just built. `name` stands in the error if it fails. */
  add(name: string, release: () => void | Promise<void>): void;
  /**
   * Takes everything down, last built first; a step that fails does not keep the others from running. A second call
   * waits for the first.
   * Errors: `AggregateError` with each failed step, after all have run.
   */
  release(): Promise<void>;
}

export function createReleasers(): Releasers {
  const steps: { readonly name: string; readonly release: () => void | Promise<void> }[] = [];
  let releasing: Promise<void> | undefined;

  const releaseAll = async (): Promise<void> => {
    const failures: Error[] = [];
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      try {
        await step.release();
      } catch (error) {
        failures.push(new Error(`stopping ${step.name} failed`, { cause: error }));
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join('; '));
  };

  return {
    add: (name, release) => {
      steps.push({ name, release });
    },
    release: () => {
      releasing ??= releaseAll();
      return releasing;
    },
  };
}

/**
 * The result of `work`, unless `signal` comes first: then its reason is thrown, and what `work` still brings is undone.
 */
export function unlessGivenUp<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  undo: (late: T) => void | Promise<void> = () => {},
): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      reject(signal.reason);
      // Nobody waits for it any more, so a failure of it has nowhere to go.
      work.then(undo).catch(() => {});
    };
    if (signal.aborted) return giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}
