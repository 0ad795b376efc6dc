import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { DENIED, FUNCTION, QUEUE, type Refusal, ScriptedAws, wireMapping } from '../lambda/discovery/scripted-aws.ts';
import { RedisServer } from '../support/redis-server.ts';
import { runCli } from './run-cli.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(async () => {
  await redis.stop();
});

const env = (change: Readonly<Record<string, string>> = {}) => ({
  REDIS_URL: `redis://127.0.0.1:${redis.port}`,
  AWS_REGION: 'eu-west-1',
  KARIN_DISCOVERY: 'none',
  ...change,
});

describe('karin doctor', () => {
  it('finds nothing wrong with a good set-up, and says what it saw', async () => {
    const { out, status } = await runCli(
      ['doctor'],
      env({ KARIN_ADMIN_PASSWORD: 'correct horse battery', KARIN_KEYZ: 'x' }),
    );
    expect(out).toContain('ok     the configuration can be read');
    expect(out).toContain('note   KARIN_KEYZ is not a setting of Karin; is it misspelt?');
    expect(out).toContain('ok     0 access keys, 0 tokens of the environment, an admin password');
    expect(out).toMatch(/ok {5}the store answers: redis \d/);
    expect(out).not.toContain('WRONG');
    expect(status).toBe(0);
  });

  it('lists all problems of the configuration', async () => {
    const { out, status } = await runCli(['doctor'], { PORT: 'x', KARIN_KEYS: 'x', KARIN_KEYZ: 'x' });
    expect(status).toBe(1);
    expect(out.match(/^WRONG {2}/gm)).toHaveLength(5);
    expect(out).toContain('note   KARIN_KEYZ is not a setting of Karin; is it misspelt?');
  });

  it('finds a server that would be open, and a Redis that does not answer', async () => {
    const { out, status } = await runCli(['doctor'], env({ HOST: '0.0.0.0', REDIS_URL: 'redis://127.0.0.1:1' }));
    expect(status).toBe(1);
    expect(out).toContain('WRONG  HOST=0.0.0.0 can be reached from other machines, and no credential is configured');
    expect(out).toContain('WRONG  REDIS_URL: ');
  });

  it.each([
    [undefined, 'note   KARIN_PUBLIC_URL is not set'],
    ['https://127.0.0.1:4000', 'is not reachable from outside'],
    ['https://[::1]', 'is not reachable from outside'],
    ['https://172.20.0.3', 'is not reachable from outside'],
    ['https://karin', 'is not reachable from outside'],
    ['https://karin.internal', 'is not reachable from outside'],
    ['http://karin.example.com', 'is not https'],
    ['https://172.32.0.3', 'ok     SNS and EventBridge may deliver to https://172.32.0.3/in/'],
    ['https://karin.example.com', 'ok     SNS and EventBridge may deliver to https://karin.example.com/in/'],
  ])('says whether AWS can deliver to %s', async (address, text) => {
    const { out, status } = await runCli(['doctor'], env(address === undefined ? {} : { KARIN_PUBLIC_URL: address }));
    expect(out).toContain(text);
    expect(status).toBe(0);
  });

  describe('asks AWS', () => {
    const aws = new ScriptedAws();
    const ROLE = 'arn:aws:iam::123456789012:role/karin';
    beforeAll(() => aws.start());
    afterAll(() => aws.stop());
    beforeEach(() => {
      aws.script.pages = [[wireMapping('one')]];
      aws.script.functions = { [FUNCTION]: { Timeout: 30, State: 'Active' } };
      aws.script.queues = { '123456789012/jobs': { tags: { 'karin:managed': 'true' } } };
      aws.script.iam = simulation(() => true);
      aws.script.sns = subscriptions([[]], {});
      vi.stubEnv('AWS_ENDPOINT_URL', aws.url);
      vi.stubEnv('AWS_ACCESS_KEY_ID', 'x');
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
      vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
    });
    afterEach(() => {
      vi.unstubAllEnvs();
    });
    const ask = () => runCli(['doctor', '--principal', ROLE], env({ AWS_REGION: 'us-east-1', KARIN_DISCOVERY: 'aws' }));

    it('and finds everything in order', async () => {
      const { out, status } = await ask();
      expect(out).toContain('ok     AWS (us-east-1): 1 disabled SQS mappings can be served');
      expect(out).toContain('ok     1 functions may be invoked\n');
      expect(out).toContain(`ok     ${ROLE} has every permission that the server needs\n`);
      expect(status).toBe(0);
    });

    it('as a policy that asks for the tag would be judged for resources that have it, and for those that do not', async () => {
      aws.script.pages = [[wireMapping('one'), wireMapping('two', { EventSourceArn: `${QUEUE}-2`, LastModified: 1 })]];
      aws.script.queues = { ...aws.script.queues, '123456789012/jobs-2': {} };
      // As the policy that `karin iam` prints.
      aws.script.iam = simulation((action, tagged) => !/Queue|Invoke|FunctionConfiguration/.test(action) || tagged);
      const { out, status } = await ask();
      expect(out.match(/lacks .*/g)).toEqual([
        `lacks sqs:GetQueueAttributes on ${QUEUE}-2; karin iam prints a policy`,
        `lacks sqs:ListQueueTags on ${QUEUE}-2; karin iam prints a policy`,
      ]);
      expect(status).toBe(1);
    });

    it('and says what was not tried of very many', async () => {
      const arns = Array.from({ length: 27 }, (_, index) => `${FUNCTION}-${index}`);
      aws.script.pages = [arns.map((FunctionArn, index) => wireMapping(`mapping-${index}`, { FunctionArn }))];
      aws.script.functions = Object.fromEntries(arns.map((arn) => [arn, { Timeout: 3, State: 'Active' }]));
      const { out, status } = await ask();
      expect(out).toContain('ok     25 functions may be invoked; the other 2 were not tried\n');
      expect(out).toContain('every permission that the server needs, on the first 25 resources of each kind\n');
      expect(status).toBe(0);
    });

    describe('for subscriptions to SNS topics', () => {
      const topic = (name: string) => `arn:aws:sns:us-east-1:123456789012:${name}`;
      const sqs = (Endpoint: string, name: string) => ({ Protocol: 'sqs', Endpoint, TopicArn: topic(name) });
      const https = (Endpoint: string, name: string) => ({ Protocol: 'https', Endpoint, TopicArn: topic(name) });

      it('and names those that still deliver to a queue that nobody reads, on every page', async () => {
        aws.script.pages = [
          [wireMapping('one'), wireMapping('two', { EventSourceArn: `${QUEUE}-2`, State: 'Enabled' })],
        ];
        aws.script.sns = subscriptions(
          [
            [sqs(`${QUEUE}-other`, 'a'), sqs(`${QUEUE}-2`, 'b')],
            [sqs(QUEUE, 'orders'), { ...sqs(QUEUE, 'c'), Protocol: 'email' }],
          ],
          {},
        );
        const { out, status } = await ask();
        expect(out.match(/^note .*\/in\/.*/gm)).toEqual([
          `note   ${topic('orders')} delivers to ${QUEUE} in SQS, where nobody takes the messages; subscribe /in/123456789012/jobs of this server instead (KarinSubscription in the CDK), then karin pull brings here what waits`,
        ]);
        expect(status).toBe(0);
      });

      it('and names topics that feed a queue here and sign with SHA-1, without the capability in their endpoint', async () => {
        aws.script.sns = subscriptions(
          [
            [
              https('https://karin.example.com/k/secret/in/123456789012/jobs?raw=true', 'unset'),
              https('https://karin.example.com/base/in/123456789012/jobs/', 'one'),
              https('https://user:****@karin.example.com/in/123456789012/jobs', 'two'),
              https('https://karin.example.com/in/123456789012/jobs-of-others', 'foreign'),
              https('not an address', 'broken'),
            ],
          ],
          { [topic('one')]: '1', [topic('two')]: '2', [topic('unset')]: undefined },
        );
        const { out, status } = await ask();
        expect(out.match(/\S+ signs what it delivers here with SHA-1/g)).toEqual(
          ['unset', 'one'].map((name) => `${topic(name)} signs what it delivers here with SHA-1`),
        );
        expect(out).not.toContain('secret');
        expect(status).toBe(0);
      });

      it('and goes on in one quiet line where it may not list them', async () => {
        aws.script.sns = () => ({ ...DENIED, code: 'AuthorizationError' });
        const { out, status } = await ask();
        expect(out.match(/^.*SNS topics.*$/gm)).toEqual([
          'note   subscriptions to SNS topics were not looked at: not authorized to perform this',
        ]);
        expect(out).toContain('every permission that the server needs');
        expect(status).toBe(0);
      });

      it('and keeps what it found where it may not read a topic', async () => {
        const listed = subscriptions(
          [[sqs(QUEUE, 'orders'), https('https://x.example.com/in/123456789012/jobs', 'one')]],
          {},
        );
        aws.script.sns = (parameters) =>
          parameters.get('Action') === 'ListSubscriptions'
            ? listed(parameters)
            : { ...DENIED, code: 'AuthorizationError' };
        const { out, status } = await ask();
        expect(out).toContain(`note   ${topic('orders')} delivers to ${QUEUE} in SQS`);
        expect(out).toContain('note   subscriptions to SNS topics were not looked at: not authorized');
        expect(status).toBe(0);
      });

      it('and says when there are too many to look at', async () => {
        aws.script.sns = subscriptions(
          Array.from({ length: 51 }, (_, page) => (page === 50 ? [sqs(QUEUE, 'late')] : [])),
          {},
        );
        const { out } = await ask();
        expect(out).toContain('note   of the subscriptions to SNS topics the first 5000 were looked at');
        expect(out).not.toContain('late');
      });
    });

    it('and names the function that may not be invoked, and the mapping whose function is gone', async () => {
      aws.script.pages = [[wireMapping('one'), wireMapping('two', { FunctionArn: `${FUNCTION}-gone` })]];
      const { out, status } = await ask();
      expect(out).toMatch(/^WRONG {2}jobs -> .*worker-gone: the function .* does not exist/m);
      expect(status).toBe(1);
      aws.script.functions = { [FUNCTION]: DENIED };
      const denied = await ask();
      expect(denied.out).toMatch(/^note {3}the timeout of .* allow lambda:GetFunctionConfiguration on it/m);
      expect(denied.out).toContain(`WRONG  ${FUNCTION} cannot be invoked: not authorized to perform this`);
      expect(denied.status).toBe(1);
    });
  });

  it('says what AWS refused', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL', 'http://127.0.0.1:1');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'x');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
    vi.stubEnv('AWS_MAX_ATTEMPTS', '1');
    try {
      const { out, status } = await runCli(
        ['doctor', '--principal', 'arn:aws:iam::111122223333:role/karin'],
        env({ KARIN_DISCOVERY: 'aws' }),
      );
      expect(status).toBe(1);
      expect(out).toMatch(/^WRONG {2}.*eu-west-1/m);
      expect(out).toContain('note   permissions were not simulated: ');
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

/**
 * SimulatePrincipalPolicy for a principal who may do what `allows`, of resources in whose context the tag of Karin
 * stands or not.
 */
function simulation(allows: (action: string, tagged: boolean) => boolean): (parameters: URLSearchParams) => string {
  return (parameters) => {
    const all = (prefix: string): readonly string[] =>
      [...parameters].flatMap(([name, value]) => (name.startsWith(`${prefix}.member.`) ? [value] : []));
    const tagged = parameters.get('ContextEntries.member.1.ContextKeyName') === 'aws:ResourceTag/karin:managed';
    const results = all('ActionNames').flatMap((action) =>
      all('ResourceArns').map((arn) => {
        const decision = allows(action, tagged) ? 'allowed' : 'implicitDeny';
        return `<member><EvalActionName>${action}</EvalActionName><EvalResourceName>${arn}</EvalResourceName><EvalDecision>${decision}</EvalDecision></member>`;
      }),
    );
    return `<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulatePrincipalPolicyResult><EvaluationResults>${results.join('')}</EvaluationResults><IsTruncated>false</IsTruncated></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>`;
  };
}

/** SNS with these pages of subscriptions, and topics with these signature versions; it knows no other topic. */
function subscriptions(
  pages: readonly (readonly Readonly<Record<string, string>>[])[],
  topics: Readonly<Record<string, string | undefined>>,
): (parameters: URLSearchParams) => string | Refusal {
  const answer = (action: string, result: string): string =>
    `<${action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><${action}Result>${result}</${action}Result></${action}Response>`;
  return (parameters) => {
    const topic = parameters.get('TopicArn');
    if (topic !== null) {
      if (!(topic in topics)) return { status: 404, code: 'NotFound', message: 'Topic does not exist' };
      const version = topics[topic];
      const entry = version === undefined ? '' : `<entry><key>SignatureVersion</key><value>${version}</value></entry>`;
      return answer('GetTopicAttributes', `<Attributes>${entry}</Attributes>`);
    }
    const number = Number(parameters.get('NextToken') ?? '0');
    const members = (pages[number] ?? []).map((subscription) => {
      const parts = Object.entries(subscription).map(([name, value]) => `<${name}>${value}</${name}>`);
      return `<member>${parts.join('')}</member>`;
    });
    const next = number + 1 < pages.length ? `<NextToken>${number + 1}</NextToken>` : '';
    return answer('ListSubscriptions', `<Subscriptions>${members.join('')}</Subscriptions>${next}`);
  };
}
