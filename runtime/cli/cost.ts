/**
 * `karin cost`: what idle queues cost with and without Karin, so that nobody installs it for a saving that is not
 * there.
 *
 * @module
 */
import { breakEven, DEFAULT_MACHINE, DEFAULT_PRICE, idleCost, POLLERS } from '../ops/savings.ts';
import { type CliContext, CliError, table } from './context.ts';

/** Prices of 2026 in us-east-1; change them with the options. */
export interface CostOptions {
  /** Idle queues of the payer account, every stage and preview environment counted. */
  readonly queues?: number;
  /**
   * US dollars a month for the machine that runs Karin; default 2.02, the smallest Fly.io machine in its cheapest
   * regions.
   */
  readonly machine?: number;
  /** US dollars per million SQS requests; default 0.40, standard queues. */
  readonly price?: number;
}

const EXAMPLES = [1, 5, 10, 20, 50, 100];

/** Errors: `CliError`. */
export function cost(options: CostOptions, context: CliContext): void {
  const { queues, machine = DEFAULT_MACHINE, price = DEFAULT_PRICE } = options;
  for (const [name, value] of Object.entries({ queues: queues ?? 0, machine, price })) {
    if (!Number.isFinite(value) || value < 0) throw new CliError(`--${name} must be a number, 0 or more`);
  }
  if (price === 0) throw new CliError('--price must be more than 0');
  const counts = queues === undefined ? EXAMPLES : [queues];
  const dollars = (amount: number): string => `$${amount.toFixed(2)}`;
  const rows = counts.map((count) => [
    `${count}`,
    ...POLLERS.map((pollers) => dollars(idleCost(count, pollers, price))),
    dollars(machine),
  ]);
  const [five, two] = POLLERS.map((pollers) => breakEven(pollers, machine, price));
  context.out(
    [
      'US dollars a month for queues in which nothing happens (SQS polling; Lambda itself costs the same either way):',
      '',
      table([['idle queues', 'SQS, 5 pollers', 'SQS, 2 pollers', 'Karin'], ...rows]),
      '',
      `Karin breaks even at ${five} queues with 5 pollers (MaximumConcurrency is set), at ${two} with 2 (it is not).`,
      `On a machine that costs nothing: at ${breakEven(5, 0, price)} and ${breakEven(2, 0, price)}.`,
      'Count every stage and preview environment: the free million requests are shared by the payer account.',
      `Karin stands for the machine (${dollars(machine)}) and a Redis that costs nothing; a paid Redis, a load balancer or an IPv4 address come on top.`,
      queues === undefined ? '' : verdict(queues, machine, price),
      '',
    ].join('\n'),
  );
}

function verdict(queues: number, machine: number, price: number): string {
  const most = idleCost(queues, 5, price);
  const least = idleCost(queues, 2, price);
  if (most <= machine)
    return `For ${queues} idle queues SQS is the cheaper one. Use Karin for other reasons, or not at all.`;
  if (least > machine)
    return `For ${queues} idle queues Karin saves ${(least - machine).toFixed(2)} to ${(most - machine).toFixed(2)} dollars a month.`;
  return `For ${queues} idle queues Karin saves ${(most - machine).toFixed(2)} dollars a month if MaximumConcurrency is set, and nothing if it is not.`;
}
