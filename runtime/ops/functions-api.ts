/**
 * `/api/v1/functions`: the functions of the queues that a credential reaches, for programs and commands.
 *
 * @module
 */
import { type Context, Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Audit } from '../http/audit.ts';
import type { Edge } from '../http/edge.ts';
import { type AppEnv, reachOf } from '../http/management.ts';
import type { FunctionActions } from './function-actions.ts';
import type { FunctionRow } from './functions.ts';

export interface FunctionsApiParts {
  readonly functions: FunctionActions;
  readonly edge: Edge;
  readonly audit: Audit;
}

/** Characters of a name that are repeated. */
const LONGEST_NAME = 300;

/** To be mounted behind what proves the credential. */
export function functionsRoutes({ functions, edge, audit }: FunctionsApiParts): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  const reached = (c: Context<AppEnv>): readonly FunctionRow[] => functions.list(reachOf(c.get('credential')));
  const record = (c: Context<AppEnv>, what: string, to = {}): void =>
    audit({ what, who: c.get('credential').senderId, from: edge.clientAddress(c.env.incoming), to });
  const shown = ({ name, arn, queues }: FunctionRow): Readonly<Record<string, unknown>> => {
    const check = functions.checkOf(arn);
    const until = functions.logsUntil(arn);
    return {
      name,
      arn,
      queues: queues.map((queue) => queue.name),
      ...(check === undefined ? {} : { check: { ...check, at: new Date(check.at).toISOString() } }),
      ...(until === undefined ? {} : { logsUntil: new Date(until).toISOString() }),
    };
  };

  app.get('/api/v1/functions', (c) => c.json({ functions: reached(c).map(shown) }));
  app.post('/api/v1/functions/check', async (c) => {
    record(c, 'functions-check');
    const rows = reached(c);
    await functions.check(rows.map(({ arn }) => arn));
    return c.json({ functions: rows.map(shown) });
  });
  app.post('/api/v1/functions/:function/log-tails', async (c) => {
    const wanted = c.req.param('function');
    const found = reached(c).find(({ name, arn }) => name === wanted || arn === wanted);
    if (found === undefined) {
      throw new HTTPException(404, { message: `no queue invokes a function ${wanted.slice(0, LONGEST_NAME)}` });
    }
    record(c, 'log-tails', { function: found.name });
    await functions.keepLogs(found.arn);
    return c.json(shown(found));
  });
  return app;
}
