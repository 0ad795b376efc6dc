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

/** The part of `queues` in what polling `all` idle queues costs, US dollars a month: the free requests are shared. */
function idleShare(queues: number, all: number, pollers: number, price: number): number {
  return all === 0 ? 0 : (idleCost(all, pollers, price) * queues) / all;
}

/**
 * The smallest number of idle queues in each of `scopes` accounts and regions for which polling costs more than the
 * machine that serves all of them.
 */
export function breakEven(pollers: number, machine = DEFAULT_MACHINE, price = DEFAULT_PRICE, scopes = 1): number {
  const queues = ((machine / price) * 1_000_000 + FREE_REQUESTS) / (pollers * POLLS_PER_POLLER);
  return Math.ceil(queues / scopes + 1e-9);
}

/** Idle queues of one stage in one account and region. */
export interface IdleGroup {
  readonly account: string;
  readonly region: string;
  /** Of the tag `stage`, or the CloudFormation stack; absent: the queues name none. */
  readonly stage?: string;
  readonly queues: number;
}

/** A line of a table for people: a group, or the sum of several. */
export interface IdleLine {
  readonly account: string;
  readonly region: string;
  /** `-`: the queues name none. */
  readonly stage: string;
  readonly queues: number;
  /** US dollars a month for polling them, for each of `POLLERS`. */
  readonly costs: readonly number[];
  /** A sum has `all` in the place of what it is over. */
  readonly isSum: boolean;
}

/**
 * The groups by account, region and stage, with a sum after each account and region of several stages, after each
 * account of several regions, and after all.
 */
export function idleLines(groups: readonly IdleGroup[], price = DEFAULT_PRICE): readonly IdleLine[] {
  const all = sum(groups);
  const line = (queues: number, account: string, region: string, stage: string, isSum: boolean): IdleLine => ({
    ...{ account, region, stage, queues, isSum },
    costs: POLLERS.map((pollers) => idleShare(queues, all, pollers, price)),
  });
  const lines = [...groupBy(groups, 'account')].flatMap(([account, ofAccount]) => {
    const regions = [...groupBy(ofAccount, 'region')];
    const ofRegions = regions.flatMap(([region, stages]) => [
      ...stages.map(({ stage = '-', queues }) => line(queues, account, region, stage, false)),
      ...(stages.length > 1 ? [line(sum(stages), account, region, 'all', true)] : []),
    ]);
    return regions.length > 1 ? [...ofRegions, line(sum(ofAccount), account, 'all', 'all', true)] : ofRegions;
  });
  return groups.length > 1 ? [...lines, line(all, 'all', 'all', 'all', true)] : lines;
}

/** How many accounts and regions the groups are in. */
export function scopesIn(groups: readonly IdleGroup[]): number {
  return new Set(groups.map(({ account, region }) => `${account}/${region}`)).size;
}

function sum(groups: readonly IdleGroup[]): number {
  return groups.reduce((queues, group) => queues + group.queues, 0);
}

function groupBy(groups: readonly IdleGroup[], name: 'account' | 'region'): ReadonlyMap<string, readonly IdleGroup[]> {
  const found = new Map<string, IdleGroup[]>();
  for (const group of groups) {
    const others = found.get(group[name]);
    if (others === undefined) found.set(group[name], [group]);
    else others.push(group);
  }
  return found;
}
