/** What `karin iam` prints: the policy of a server, the role in another account, and the template of that role. */
import { readFileSync } from 'node:fs';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { KarinDrain, KarinRuntimeIdentity, type KarinRuntimeIdentityProps } from '../../constructs/index.ts';
import { scopeProblems, scopesOf } from '../../runtime/aws/scope.ts';
import type { PolicyDocument } from '../../runtime/cli/iam.ts';
import { readConfig } from '../../runtime/settings.ts';
import { deployedStatements } from '../constructs/support/deployed-policies.ts';
import { testStack } from '../constructs/support/stacks.ts';
import { ManualTime } from '../support/manual-time.ts';
import { runCli } from './run-cli.ts';

describe('karin iam', () => {
  const policy = async (...args: string[]): Promise<PolicyDocument> => JSON.parse((await runCli(['iam', ...args])).out);
  const statement = (document: PolicyDocument, sid: string) => document.Statement.find(({ Sid }) => Sid === sid);

  it('grants what is tagged, and never what could switch polling on', async () => {
    const document = await policy();
    expect(statement(document, 'UseTaggedFunctions')).toEqual({
      Sid: 'UseTaggedFunctions',
      Effect: 'Allow',
      Action: ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'],
      Resource: ['arn:aws:lambda:*:*:function:*'],
      Condition: { StringEquals: { 'aws:ResourceTag/karin:managed': 'true' } },
    });
    expect(JSON.stringify(document)).not.toMatch(/Update|Create|Delete|Put|iam:|SendMessage|"Action":\["\*"/);
  });

  it('names functions and queues if it is told them, with their aliases', async () => {
    const args = [
      '--region',
      'eu-west-1',
      '--account',
      '111122223333',
      '--function',
      'f',
      '--queue',
      'q',
      '--drain',
      '--pull',
    ];
    const document = await policy(...args);
    expect(statement(document, 'UseFunctions')).toMatchObject({
      Resource: [
        'arn:aws:lambda:eu-west-1:111122223333:function:f',
        'arn:aws:lambda:eu-west-1:111122223333:function:f:*',
      ],
    });
    expect(statement(document, 'MoveMessages')).toMatchObject({
      Action: ['sqs:SendMessage', 'sqs:ReceiveMessage', 'sqs:DeleteMessage'],
      Resource: ['arn:aws:sqs:eu-west-1:111122223333:q'],
    });
    expect(JSON.stringify(document)).not.toContain('Condition');
  });

  it('grants all only when asked for all', async () => {
    const document = await policy('--all', '--function-urls');
    expect(statement(document, 'ReadQueues')).not.toHaveProperty('Condition');
    expect(statement(document, 'ListFunctionUrls')).toBeDefined();
  });

  it('lets karin doctor look at subscriptions only when asked, and says why', async () => {
    const { out, err } = await runCli(['iam', '--region', 'eu-west-1', '--sns-subscriptions']);
    const document = JSON.parse(out);
    expect(statement(document, 'ListSubscriptions')).toMatchObject({
      Action: ['sns:ListSubscriptions'],
      Resource: ['*'],
    });
    expect(statement(document, 'ReadTopics')).toMatchObject({
      Action: ['sns:GetTopicAttributes'],
      Resource: ['arn:aws:sns:eu-west-1:*:*'],
    });
    expect(err).toContain('Only karin doctor asks SNS');
    expect(JSON.stringify(await policy())).not.toContain('sns:');
  });

  it('refuses what is no name of a function or a queue, which would allow nothing', async () => {
    for (const [option, wrong] of [
      ['--function', 'arn:aws:lambda:eu-west-1:111122223333:function:f'],
      ['--function', ''],
      ['--function', 'a b'],
      ['--queue', 'arn:aws:sqs:eu-west-1:111122223333:q'],
      ['--queue', ''],
      ['--queue', 'https://sqs.eu-west-1.amazonaws.com/111122223333/q'],
    ] as const) {
      await expect(runCli(['iam', option, wrong])).rejects.toThrow(`${option} ${wrong}: must be a name, not an ARN`);
    }
    const taken = await policy('--function', 'app-*', '--function', 'f:$LATEST', '--queue', 'q?_1.fifo');
    expect(JSON.stringify(taken)).toContain('arn:aws:lambda:*:*:function:f:$LATEST');
  });

  it('refuses what is no account', async () => {
    await expect(runCli(['iam', '--account', '12'])).rejects.toThrow('--account 12: must be the twelve digits');
  });

  it('names every ARN in the partition of its regions', async () => {
    const partitions = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
      const { out } = await runCli(['iam', '--sns-subscriptions', '--drain', ...args], env);
      return [...new Set(out.match(/arn:aws[\w-]*(?=:)/g))];
    };
    expect(await partitions([])).toEqual(['arn:aws']);
    expect(await partitions(['--region', 'cn-northwest-1'])).toEqual(['arn:aws-cn']);
    expect(await partitions(['--region', 'us-gov-west-1+us-gov-east-1'])).toEqual(['arn:aws-us-gov']);
    expect(await partitions([], { AWS_REGION: 'us-gov-east-1' })).toEqual(['arn:aws-us-gov']);
    expect(await partitions(['--region', 'eu-west-1'], { AWS_REGION: 'cn-north-1' })).toEqual(['arn:aws']);
  });

  it('binds several regions by a condition, and not by an ARN for each', async () => {
    const { Statement: statements } = await policy('--region', 'eu-west-1+us-east-1');
    for (const { Resource, Condition } of statements) {
      expect(Condition?.StringEquals['aws:RequestedRegion']).toEqual(['eu-west-1', 'us-east-1']);
      expect(Resource.join()).not.toMatch(/eu-west-1|us-east-1/);
    }
  });

  it.each([
    [['--region', 'Ireland'], '--region Ireland: must be names of regions'],
    [['--region', 'eu-west-1+'], '--region : must be names of regions'],
    [['--region', 'eu-west-1+cn-north-1'], '--region cn-north-1: is not in the partition aws;'],
    [['--region', 'eu-west-1+us-east-1', '--deployed'], '--deployed looks in one region'],
  ])('refuses %j', async (args, problem) => {
    await expect(runCli(['iam', ...args])).rejects.toThrow(problem);
  });
});

describe('what karin iam and the constructs both print', () => {
  /** Statements as IAM compares them: a list of one is its item. */
  const normal = (statements: readonly object[]) =>
    statements.map((statement) =>
      Object.fromEntries(
        Object.entries(statement).map(([name, value]: [string, unknown]) => [
          name,
          Array.isArray(value) && value.length === 1 ? value[0] : value,
        ]),
      ),
    );

  it.each<readonly [string, readonly string[], KarinRuntimeIdentityProps]>([
    ['what is tagged', [], {}],
    ['several regions', ['--region', 'eu-west-1+us-east-1'], { regions: ['eu-west-1', 'us-east-1'] }],
    ['function URLs', ['--function-urls'], { functionUrls: true }],
    ['subscriptions', ['--sns-subscriptions'], { snsSubscriptions: true }],
    ['drains', ['--drain', '--queue', 'a', '--queue', 'b'], { drain: KarinDrain.OUT, drainQueueNames: ['a', 'b'] }],
    ['pulls', ['--pull', '--queue', 'a'], { drain: KarinDrain.IN, drainQueueNames: ['a'] }],
    [
      'everything at once',
      ['--drain', '--pull', '--queue', 'a', '--function-urls', '--sns-subscriptions'],
      { drain: KarinDrain.BOTH, drainQueueNames: ['a'], functionUrls: true, snsSubscriptions: true },
    ],
  ])('is one document: %s', async (_, args, props) => {
    const [account, region] = ['111122223333', 'eu-west-1'];
    const stack = testStack();
    KarinRuntimeIdentity.ecsTask(stack, 'Runtime', props);
    const ofConstruct = normal(deployedStatements(Template.fromStack(stack), { account, region }));
    const { out } = await runCli([
      'iam',
      '--account',
      account,
      ...(args.includes('--region') ? [] : ['--region', region]),
      ...args,
    ]);
    const ofCommand = normal(JSON.parse(out).Statement);
    // `--queue` names the queues to be read as well; the constructs read what is tagged.
    const isShared = ({ Sid }: Record<string, unknown>) =>
      !(args.includes('--queue') && /^Read(?:Tagged)?Queues$/.test(String(Sid)));
    expect(ofCommand.filter(isShared)).toEqual(ofConstruct.filter(isShared));
  });
});

const TRUST = 'arn:aws:iam::999999999999:role/karin-server';
const ROLE = ['--trust', TRUST, '--external-id', 'acme:karin:4711'];

describe('the role that karin iam prints', () => {
  it('trusts one identity with the external id, and may do what the policy says', async () => {
    const where = ['--account', '111122223333', '--region', 'eu-west-1+us-east-1'];
    const role = JSON.parse((await runCli(['iam', ...where, ...ROLE])).out);
    expect(role).toEqual({
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { AWS: TRUST },
            Action: 'sts:AssumeRole',
            Condition: { StringEquals: { 'sts:ExternalId': 'acme:karin:4711' } },
          },
        ],
      },
      Policies: [{ PolicyName: 'karin', PolicyDocument: JSON.parse((await runCli(['iam', ...where])).out) }],
    });
  });

  it('comes with its entry in KARIN_ROLES, which the server takes', async () => {
    for (const region of ['cn-north-1', 'cn-north-1+cn-northwest-1', undefined]) {
      const trust = ['--trust', 'arn:aws-cn:iam::999999999999:user/karin', '--external-id', 'acme:karin:4711'];
      const where = region === undefined ? [] : ['--region', region];
      const { err } = await runCli(['iam', '--account', '111122223333', ...where, ...trust]);
      const [entry = ''] = /^ {2}arn:.*$/m.exec(err) ?? [];
      expect(entry.trim()).toBe(`arn:aws-cn:iam::111122223333:role/karin:${region ?? ''}:acme:karin:4711`);
      const env = { REDIS_URL: 'redis://127.0.0.1:6379', AWS_REGION: 'cn-north-1', KARIN_ROLES: entry };
      expect(scopesOf(readConfig(env, 'start', scopeProblems), new ManualTime()).at(-1)?.role).toEqual({
        arn: 'arn:aws-cn:iam::111122223333:role/karin',
        account: '111122223333',
        externalId: 'acme:karin:4711',
      });
    }
  });

  it.each([
    [['--trust', TRUST], '--trust and --external-id belong together'],
    [['--external-id', 'acme:karin:4711'], '--trust and --external-id belong together'],
    [['--trust', TRUST, '--external-id', '4711'], '--external-id 4711: must have 8 to 1224 letters'],
    [['--trust', TRUST, '--external-id', 'two words'], '--external-id two words: must have 8 to 1224 letters'],
    [['--trust', 'arn:aws:iam::999999999999:root', '--external-id', 'acme:karin:4711'], '--trust arn:aws:iam::'],
    [['--trust', 'arn:aws:iam::999999999999:role/*', '--external-id', 'acme:karin:4711'], '--trust arn:aws:iam::'],
    [[...ROLE, '--region', 'cn-north-1'], '--region cn-north-1: is not in the partition aws;'],
    [[...ROLE, '--template'], 'leave --trust, --external-id and --account out'],
  ])('is not made of %j', async (args, problem) => {
    await expect(runCli(['iam', '--account', '111122223333', ...args])).rejects.toThrow(problem);
  });
});

describe('the template of the role', () => {
  const RECIPE = 'docs/guides/recipes/karin-role.yaml';

  it('stands in the documents as karin iam prints it', async () => {
    const { out } = await runCli(['iam', '--template']);
    // npm run --silent karin -- iam --template > docs/guides/recipes/karin-role.yaml
    expect(readFileSync(RECIPE, 'utf8')).toBe(out);
  });

  it('has the statements of the policy, for the account and the partition of its stack', async () => {
    const template = JSON.stringify(parse((await runCli(['iam', '--template', '--drain', '--all'])).out));
    const [, document = ''] = /"PolicyDocument":(.*?)\}\]\}\}\}/.exec(template) ?? [];
    const deployed = document
      .replaceAll(/\{"Fn::Sub":("[^"]*")\}/g, '$1')
      .replaceAll('${AWS::Partition}', 'aws-cn')
      .replaceAll('${AWS::AccountId}', '111122223333');
    const { out } = await runCli(['iam', '--account', '111122223333', '--drain', '--all'], {
      AWS_REGION: 'cn-north-1',
    });
    expect(JSON.parse(deployed)).toEqual(JSON.parse(out));
  });
});
