/**
 * `karin cost`: what idle queues cost with and without Karin, so that nobody installs it for a saving that is not
 * there; of numbers that are given, or of the queues of a running server.
 *
 * @module
 */
import * as z from 'zod/mini';
import {
  breakEven,
  DEFAULT_MACHINE,
  DEFAULT_PRICE,
  type IdleGroup,
  idleCost,
  idleLines,
  POLLERS,
  scopesIn,
} from '../ops/savings.ts';
import { EnvironmentReader } from '../settings.ts';
import { type CliContext, CliError, table } from './context.ts';
import { callServer, type ServerOptions, serverUrl } from './server-client.ts';

/** Prices of 2026 in us-east-1; change them with the options. */
export interface CostOptions extends ServerOptions {
  /** Idle queues of the payer account, every stage and preview environment counted. */
  readonly queues?: number;
  /** Accounts and regions that the queues are in, 1 or more; default 1. */
  readonly scopes?: number;
  /**
   * US dollars a month for the machine that runs Karin; default 2.02, the smallest Fly.io machine in its cheapest
   * regions.
   */
  readonly machine?: number;
  /** US dollars per million SQS requests; default 0.40, standard queues. */
  readonly price?: number;
  /** Prints the answer of the server. */
  readonly json?: boolean;
}

const EXAMPLES = [1, 5, 10, 20, 50, 100];
const HEADINGS = POLLERS.map((pollers) => `SQS, ${pollers} pollers`);

/** What is assumed of prices, in US dollars. */
interface Prices {
  readonly machine: number;
  readonly price: number;
}

/** Errors: `CliError`. */
export async function cost(options: CostOptions, context: CliContext): Promise<void> {
  const { queues, scopes, machine = DEFAULT_MACHINE, price = DEFAULT_PRICE } = options;
  for (const [name, value] of Object.entries({ queues: queues ?? 0, machine, price })) {
    if (!Number.isFinite(value) || value < 0) throw new CliError(`--${name} must be a number, 0 or more`);
  }
  if (price === 0) throw new CliError('--price must be more than 0');
  if (scopes !== undefined && (!Number.isInteger(scopes) || scopes < 1)) {
    throw new CliError('--scopes must be a whole number of accounts and regions, 1 or more');
  }
  const isGiven = queues !== undefined || scopes !== undefined;
  if (isGiven && options.url !== undefined) {
    throw new CliError(
      '--queues and --scopes are numbers to compute with, --url is a server whose queues count: give one',
    );
  }
  const isAsked = (options.url ?? new EnvironmentReader(context.env).text('KARIN_URL')) !== undefined;
  if (isAsked && !isGiven) return await costOfServer(options, { machine, price }, context);
  if (options.json === true) throw new CliError('--json prints what a server answers: name it with --url or KARIN_URL');
  context.out(`${costOf(queues === undefined ? EXAMPLES : [queues], scopes ?? 1, { machine, price }).join('\n')}\n`);
}

function costOf(counts: readonly number[], scopes: number, prices: Prices): readonly string[] {
  const rows = counts.map((count) => [
    `${count}`,
    ...POLLERS.map((pollers) => dollars(idleCost(count, pollers, prices.price))),
    dollars(prices.machine),
  ]);
  const [only, ...others] = counts;
  return [
    'US dollars a month for queues in which nothing happens (SQS polling; Lambda itself costs the same either way):',
    '',
    table([['idle queues', ...HEADINGS, 'Karin'], ...rows]),
    '',
    ...assumptions(scopes, prices),
    ...(only === undefined || others.length > 0 ? [] : [verdict(only, prices)]),
  ];
}

/** Of a server of this version. */
const answer = z.object({
  lines: z.array(
    z.object({ account: z.string(), region: z.string(), stage: z.string(), queues: z.number(), isSum: z.boolean() }),
  ),
});

async function costOfServer(options: CostOptions, prices: Prices, context: CliContext): Promise<void> {
  const said = await callServer(context, options, { method: 'GET', path: '/api/v1/cost' });
  if (options.json === true) {
    context.out(`${JSON.stringify(said)}\n`);
    return;
  }
  const parsed = answer.safeParse(said);
  if (!parsed.success) throw new CliError('the server answered what this version of karin does not know');
  // Its sums and costs are at the usual prices; here they are those of the options.
  const groups: readonly IdleGroup[] = parsed.data.lines.filter(({ isSum }) => !isSum);
  if (groups.length === 0) {
    context.out(`${serverUrl(options, context)} serves no mapping: there is nothing that AWS would poll.\n`);
    return;
  }
  const rows = idleLines(groups, prices.price).map(({ account, region, stage, queues, costs }) => [
    ...[account, region, stage, `${queues}`],
    ...costs.map(dollars),
  ]);
  const total = groups.reduce((sum, { queues }) => sum + queues, 0);
  context.out(
    `${[
      `US dollars a month if AWS polled the queues of ${serverUrl(options, context)}, all of them idle (Lambda itself costs the same either way):`,
      '',
      table([['account', 'region', 'stage', 'queues', ...HEADINGS], ...rows]),
      '',
      ...assumptions(scopesIn(groups), prices),
      verdict(total, prices),
    ].join('\n')}\n`,
  );
}

function assumptions(scopes: number, { machine, price }: Prices): readonly string[] {
  const [five, two] = POLLERS.map((pollers) => breakEven(pollers, machine, price, scopes));
  const [fiveEach, twoEach] = POLLERS.map((pollers) => breakEven(pollers, machine * scopes, price, scopes));
  return [
    ...(scopes === 1
      ? [
          `Karin breaks even at ${five} queues with 5 pollers (MaximumConcurrency is set), at ${two} with 2 (it is not).`,
          `On a machine that costs nothing: at ${breakEven(5, 0, price)} and ${breakEven(2, 0, price)}.`,
        ]
      : [
          `One server for ${scopes} accounts and regions breaks even at ${five} queues in each with 5 pollers (MaximumConcurrency is set), at ${two} with 2 (it is not).`,
          `A server in each would at ${fiveEach} and ${twoEach}.`,
        ]),
    'Count every stage and preview environment: the free million requests are shared by the payer account.',
    `Karin stands for the machine (${dollars(machine)}) and a Redis that costs nothing; a paid Redis, a load balancer or an IPv4 address come on top.`,
  ];
}

function dollars(amount: number): string {
  return `$${amount.toFixed(2)}`;
}

function verdict(queues: number, { machine, price }: Prices): string {
  const most = idleCost(queues, 5, price);
  const least = idleCost(queues, 2, price);
  if (most <= machine)
    return `For ${queues} idle ${queues === 1 ? 'queue' : 'queues'} SQS is the cheaper one. Use Karin for other reasons, or not at all.`;
  if (least > machine)
    return `For ${queues} idle queues Karin saves ${(least - machine).toFixed(2)} to ${(most - machine).toFixed(2)} dollars a month.`;
  return `For ${queues} idle queues Karin saves ${(most - machine).toFixed(2)} dollars a month if MaximumConcurrency is set, and nothing if it is not.`;
}
