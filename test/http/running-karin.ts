/**
 * A whole server in the process of the test, on a free port, with its messages in memory.
 *
 * @module
 */
import { afterEach } from 'vitest';
import { createLog } from '../../runtime/log.ts';
import { type Karin, type Overrides, startKarin } from '../../runtime/main.ts';
import { readConfig } from '../../runtime/settings.ts';

export interface RunningKarin extends Karin {
  /** Every line it logged so far. */
  readonly logged: readonly string[];
}

const running: Karin[] = [];

afterEach(async () => {
  for (const karin of running.splice(0).reverse()) await karin.stop();
});

/** Starts a server; it is stopped after the test. */
export async function runKarin(
  env: Readonly<Record<string, string>> = {},
  overrides: Overrides = {},
): Promise<RunningKarin> {
  const logged: string[] = [];
  const log = createLog({ level: env['LOG_LEVEL'] ?? 'debug', write: (line) => logged.push(line) });
  const config = readConfig({ PORT: '0', KARIN_STOP_GRACE: '0', ...env }, 'dev');
  const karin = await startKarin(config, { log, ...overrides });
  running.push(karin);
  return { ...karin, logged };
}

/** A call of the JSON protocol, unsigned. */
export function sqsCall(
  endpoint: string,
  action: string,
  input: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${endpoint}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}`, ...headers },
    body: JSON.stringify(input),
  });
}

/** The members that tests look at in answers of the routes beside the SQS API. */
export interface Answer {
  readonly error?: string;
  readonly id?: string;
  readonly token?: string;
  readonly endpoint?: string;
  readonly tokens?: readonly unknown[];
}

/** The JSON of an answer; what is not as the test expects shows in its assertions. */
export async function jsonOf(response: Response): Promise<Answer> {
  return (await response.json()) as Answer;
}
