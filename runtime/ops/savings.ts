/**
 * What idle queues cost with and without Karin, for `karin cost` and the page, so that nobody keeps it for a saving
 * that is not there.
 *
 * @module
 */

/** US dollars a month for the smallest Fly.io machine in its cheapest regions. */
export const DEFAULT_MACHINE = 2.02;
/** US dollars per million SQS requests, standard queues, us-east-1, 2026. */
export const DEFAULT_PRICE = 0.4;
/** SQS: "the first 1 million monthly requests are free", per payer account. */
const FREE_REQUESTS = 1_000_000;
/** Each poller long-polls for 20 seconds, all month. */
const POLLS_PER_POLLER = (30 * 86_400) / 20;
/**
 * Pollers of an idle event source mapping, which are never zero. AWS: five, "optimised" down to two while there is
 * little traffic, but not if MaximumConcurrency is set.
 */
export const POLLERS = [5, 2] as const;

/** US dollars a month that AWS charges for polling `queues` idle queues. */
export function idleCost(queues: number, pollers: number, price = DEFAULT_PRICE): number {
  return (Math.max(0, queues * pollers * POLLS_PER_POLLER - FREE_REQUESTS) / 1_000_000) * price;
}

/** The part of `queues` in what polling `all` idle queues costs, US dollars a month. */
export function idleShare(queues: number, all: number, pollers: number, price = DEFAULT_PRICE): number {
  return all === 0 ? 0 : (idleCost(all, pollers, price) * queues) / all;
}

/** The smallest number of idle queues for which polling costs more than the machine. */
export function breakEven(pollers: number, machine = DEFAULT_MACHINE, price = DEFAULT_PRICE): number {
  return Math.ceil(((machine / price) * 1_000_000 + FREE_REQUESTS) / (pollers * POLLS_PER_POLLER) + 1e-9);
}
