/**
 * How what something costs grows with what it is given.
 *
 * Durations are not asserted: they belong to the machine. Their growth belongs to the code: four times the input may
 * take four times as long, and must not take sixteen times as long. What is measured is the time on the processor,
 * which does not pass while another process has it. Each is the shortest of several runs, and as long as the
 * verdict is bad there are more of them.
 *
 * @module
 */
import { expect } from 'vitest';

/** Between the 4 of what is linear and the 16 of what is quadratic. */
const MOST = 9;
const RUNS = 5;
const TRIES = 8;
/** What is over so soon says nothing about growth, ms. */
const TOO_SHORT = 4;

/**
 * Fails unless `run` costs at most in proportion to its input from `size` to four times that. `make`: an input of about
 * so many characters. The inputs are made before, and each is used for several runs.
 */
export function expectLinear<T>(
  what: string,
  size: number,
  make: (size: number) => T,
  run: (input: T) => unknown,
): void {
  const [small, large] = [make(size), make(4 * size)];
  if (shortest(large, run, 1) < TOO_SHORT) return;
  let before = Number.POSITIVE_INFINITY;
  let after = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    before = Math.min(before, shortest(small, run));
    after = Math.min(after, shortest(large, run));
    if (after < TOO_SHORT || after / before < MOST) return;
  }
  expect.fail(`${what}: four times the input took ${Math.round(after / before)} times as long`);
}

function shortest<T>(input: T, run: (input: T) => unknown, runs = RUNS): number {
  let least = Number.POSITIVE_INFINITY;
  for (let n = 0; n < runs; n += 1) {
    const begun = process.cpuUsage();
    run(input);
    const { user, system } = process.cpuUsage(begun);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}
