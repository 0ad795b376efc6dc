/**
 * `npm run bench`: prints each figure beside its budget.
 *
 *   npm run bench -- --check            exit status 1 if a figure breaks its budget
 *   npm run bench -- --only latency     one group of figures
 *   npm run bench -- --quick            small sizes, to see that it works
 *   npm run bench -- --json             the figures as JSON on stdout
 *   npm run bench -- --chart <path>     draws the comparison with other servers (group rivals) as an SVG
 *   npm run bench -- --only path --list    names the files and functions that run
 *   npm run bench -- --command <path>   another build of the command, to compare two
 *   npm run bench -- --node <path>      another Node for the servers; the image has 24, the packages run on 20.19 and
 *                                       later
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Bench, withBench } from './bench.ts';
import { chart } from './chart.ts';
import { type Figure, holds, table } from './figure.ts';
import { backlog } from './figures/backlog.ts';
import { commands } from './figures/commands.ts';
import { durability } from './figures/durability.ts';
import { edit } from './figures/edit.ts';
import { idle } from './figures/idle.ts';
import { ingest } from './figures/ingest.ts';
import { latency } from './figures/latency.ts';
import { manyQueues } from './figures/many-queues.ts';
import { memory } from './figures/memory.ts';
import { messageBytes } from './figures/message-bytes.ts';
import { openInvokes } from './figures/open-invokes.ts';
import { page } from './figures/page.ts';
import { path } from './figures/path.ts';
import { rivals } from './figures/rivals.ts';
import { servers } from './figures/servers.ts';
import { throughput } from './figures/throughput.ts';
import { wakes } from './figures/wakes.ts';

const GROUPS: Readonly<Record<string, (bench: Bench) => Promise<readonly Figure[]>>> = {
  throughput,
  servers,
  wakes,
  durability,
  ingest,
  rivals,
  path,
  latency,
  commands,
  edit,
  idle,
  page,
  memory,
  'many-queues': manyQueues,
  'open-invokes': openInvokes,
  backlog,
  'message-bytes': messageBytes,
};

const { values: options } = parseArgs({
  options: {
    check: { type: 'boolean' },
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    command: { type: 'string', default: 'runtime/dist/cli.js' },
    node: { type: 'string', default: process.execPath },
    chart: { type: 'string' },
    list: { type: 'boolean' },
    only: { type: 'string', multiple: true },
    help: { type: 'boolean', short: 'h' },
  },
});
const names = options.only ?? Object.keys(GROUPS);
const unknown = names.filter((name) => GROUPS[name] === undefined);
if (options.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`unknown group ${unknown.join(', ')}`);
  console.log(
    `npm run bench -- [--check] [--quick] [--json] [--list] [--chart <path>] [--command <path>] [--node <path>] [--only <group>]...\ngroups: ${Object.keys(GROUPS).join(', ')}`,
  );
  process.exit(unknown.length > 0 ? 2 : 0);
}

const figures: Figure[] = [];
for (const name of names) {
  console.error(`measuring ${name} ...`);
  const measure = GROUPS[name];
  if (measure !== undefined)
    figures.push(
      ...(await withBench(
        { quick: options.quick ?? false, list: options.list ?? false, command: options.command, node: options.node },
        measure,
      )),
    );
}
console.log(options.json ? JSON.stringify(figures, undefined, 2) : table(figures));

if (options.chart !== undefined) writeFileSync(options.chart, chart(figures, new Date().toISOString().slice(0, 10)));

const breaches = figures.filter((figure) => !holds(figure));
if (options.check && breaches.length > 0) {
  console.error(
    `${breaches.length} of ${figures.length} figures break their budget: ${breaches.map((figure) => figure.name).join('; ')}`,
  );
  process.exit(1);
}
