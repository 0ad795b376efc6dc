/** The dashboard and the alert rules of `docs/metrics`, held against the page of a server that delivered something. */
import { readFileSync } from 'node:fs';
import { parser } from '@prometheus-io/lezer-promql';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { discoveryOf, scopedSource } from '../sync/discoveries.ts';

const read = (name: string): string => readFileSync(new URL(`../../docs/metrics/${name}`, import.meta.url), 'utf8');

const Dashboard = z.object({
  panels: z.array(
    z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })) }),
  ),
  templating: z.object({
    list: z.array(z.object({ name: z.string(), query: z.union([z.string(), z.object({ query: z.string() })]) })),
  }),
});
const Rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          labels: z.object({ severity: z.enum(['warning', 'critical']) }),
          annotations: z.object({ summary: z.string(), description: z.optional(z.string()) }),
        }),
      ),
    }),
  ),
});

/** Prometheus adds them to what it reads. */
const OF_THE_SCRAPE = ['job', 'instance'];

interface Query {
  /** Metrics, with the labels by which they are chosen. */
  readonly selected: readonly { readonly metric: string; readonly labels: readonly string[] }[];
  /** Labels that are left after an aggregation. */
  readonly grouped: readonly string[];
  readonly errors: readonly string[];
}

/** What Grafana puts in the place of its variables does not matter here. */
function queryOf(expression: string): Query {
  const text = expression.replaceAll('$__rate_interval', '5m');
  const selected: { metric: string; labels: string[] }[] = [];
  const grouped: string[] = [];
  const errors: string[] = [];
  let grouping = false;
  parser.parse(text).iterate({
    enter: ({ type, from, to }) => {
      const word = text.slice(from, to);
      if (type.isError) errors.push(`${expression} at ${from}`);
      if (type.name === 'GroupingLabels') grouping = true;
      if (type.name === 'VectorSelector') selected.push({ metric: '', labels: [] });
      const last = selected.at(-1);
      if (type.name === 'Identifier' && last !== undefined) last.metric = word;
      if (type.name === 'LabelName') (grouping ? grouped : last?.labels)?.push(word);
    },
    leave: ({ type }) => {
      if (type.name === 'GroupingLabels') grouping = false;
    },
  });
  return { selected, grouped, errors };
}

/** The labels of every metric on a page of Prometheus. */
function metricsOf(page: string): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const line of page.split('\n')) {
    const [, name = '', labels = ''] = /^([a-z_]+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
    const known = found.get(name) ?? new Set<string>();
    found.set(name, known);
    for (const [, label = ''] of labels.matchAll(/([a-z_]+)="(?:[^"\\]|\\.)*"/g)) known.add(label);
  }
  return found;
}

describe('the dashboard and the alert rules', () => {
  const dashboard = Dashboard.parse(JSON.parse(read('grafana-dashboard.json')));
  const rules = Rules.parse(parse(read('alerts.yaml'))).groups.flatMap((group) => group.rules);
  const queries = [
    ...dashboard.panels.flatMap(({ title, targets }) =>
      targets.map(({ expr, legendFormat }) => ({ name: title, expr, texts: legendFormat })),
    ),
    ...rules.map(({ alert, expr, annotations: { summary, description = '' } }) => ({
      name: alert,
      expr,
      texts: `${summary} ${description}`,
    })),
  ];
  let metrics: ReadonlyMap<string, ReadonlySet<string>>;

  beforeAll(async () => {
    const { script, source } = scopedSource({ region: 'eu-west-1' }, 'discovery');
    script.found = discoveryOf(['jobs']);
    const outcome: InvokeOutcome = { kind: 'success', response: new Uint8Array() };
    const karin = await runKarin(
      { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' },
      {
        source,
        invoker: { invoke: async () => outcome, probe: async () => ({ kind: 'reached' }), close: () => {} },
      },
    );
    const deleted = new Promise<void>((resolve) => {
      karin.events.subscribe(({ kind }) => kind === 'deleted' && resolve());
    });
    await sqsCall(karin.url, 'SendMessage', { QueueUrl: '/111122223333/jobs', MessageBody: 'x' });
    await fetch(`${karin.url}/in/111122223333/jobs?delay=901`, { method: 'POST', body: 'refused' });
    await deleted;
    metrics = metricsOf(await (await fetch(`${karin.url}/metrics?depth=1`)).text());
    await karin.stop();
  });

  it.each(queries)('ask in PromQL for metrics and labels that a server has: $name', ({ expr, texts }) => {
    const { selected, grouped, errors } = queryOf(expr);
    expect(errors).toEqual([]);
    expect(selected).not.toEqual([]);
    const known = new Set(OF_THE_SCRAPE);
    for (const { metric, labels } of selected) {
      const its = metrics.get(metric);
      expect(its, `${metric} is on no page of /metrics`).toBeDefined();
      expect(labels.filter((label) => !its?.has(label) && !OF_THE_SCRAPE.includes(label))).toEqual([]);
      for (const label of its ?? []) known.add(label);
    }
    expect(grouped.filter((label) => !known.has(label))).toEqual([]);

    // What texts name is there only if no aggregation dropped it.
    const left = /\b(?:sum|max)\b/.test(expr) ? grouped : [...known];
    const named = [...texts.matchAll(/\{\{\s*(?:\$labels\.)?([a-z]\w*)\s*\}\}/g)].map(([, label = '']) => label);
    expect(named.filter((label) => !left.includes(label))).toEqual([]);
  });

  it('choose by variables that have values', () => {
    for (const { query } of dashboard.templating.list) {
      if (typeof query === 'string') continue;
      const [, metric = '', label = ''] = /^label_values\((\w+), (\w+)\)$/.exec(query.query) ?? [];
      expect([...(metrics.get(metric) ?? [])]).toContain(label);
    }
    const variables = new Set(dashboard.templating.list.map(({ name }) => name));
    const used = queries.flatMap(({ expr }) => [...expr.matchAll(/"\$(\w+)"/g)].map(([, name = '']) => name));
    expect(used.filter((name) => !variables.has(name))).toEqual([]);
  });

  it('are named once each', () => {
    const names = rules.map(({ alert }) => alert);
    expect(new Set(names).size).toBe(names.length);
  });
});
