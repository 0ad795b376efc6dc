import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import type { SQSEvent } from 'aws-lambda';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { handler } from '../../examples/webhooks/consumer.ts';

const SECRETS = { GITHUB_SECRET: 'g', STRIPE_SECRET: 's', SLACK_SECRET: 'l' };
const BODY = '{"text":"grüße"}';
const sign = (secret: string, text: string) => createHmac('sha256', secret).update(text).digest('hex');

const SIGNED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  github: { 'X-Hub-Signature-256': `sha256=${sign('g', BODY)}` },
  stripe: { 'Stripe-Signature': `t=12,v1=${sign('old', `12.${BODY}`)},v1=${sign('s', `12.${BODY}`)}` },
  slack: { 'X-Slack-Signature': `v0=${sign('l', `v0:12:${BODY}`)}`, 'X-Slack-Request-Timestamp': '12' },
};

/** The event of one message; only what the handlers read. */
function eventOf(body: string, headers: Readonly<Record<string, string>>): SQSEvent {
  const attributes = Object.entries(headers).map(([name, stringValue]) => [name, { stringValue, dataType: 'String' }]);
  const record = { messageId: 'm', body, messageAttributes: Object.fromEntries(attributes) };
  // A whole record has a dozen members more, which no handler of a web hook reads.
  return { Records: [record] } as unknown as SQSEvent;
}

function inPython(event: SQSEvent): unknown {
  const program =
    'import json,sys; from consumer import handler; r=handler(json.load(sys.stdin),None); print(json.dumps(r))';
  const { PATH = '', HOME = '' } = process.env;
  const printed = execFileSync('python3', ['-B', '-c', program], {
    cwd: 'examples/webhooks',
    input: JSON.stringify(event),
    env: { PATH, HOME, ...SECRETS, PYTHONIOENCODING: 'utf8' },
  });
  return JSON.parse(printed.toString().trimEnd().split('\n').at(-1) ?? '');
}

describe('the handler of web hooks', () => {
  const printed: string[] = [];
  beforeEach(() => {
    printed.length = 0;
    for (const [name, value] of Object.entries(SECRETS)) vi.stubEnv(name, value);
    vi.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it.each(Object.entries(SIGNED))('takes what %s signed, in Node and in Python', async (sender, headers) => {
    const event = eventOf(BODY, headers);
    expect(await handler(event)).toEqual({ batchItemFailures: [] });
    expect(printed).toEqual([`${sender}: ${BODY}`]);
    expect(inPython(event)).toEqual({ batchItemFailures: [] });
  });

  it.each([...Object.values(SIGNED), {}])('refuses another body, and one without a signature: %j', async (headers) => {
    const event = eventOf(`${BODY} `, headers);
    const refused = { batchItemFailures: [{ itemIdentifier: 'm' }] };
    expect(await handler(event)).toEqual(refused);
    expect(inPython(event)).toEqual(refused);
  });
});
