import { App, CfnParameter, Fn, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { describe, expect, it } from 'vitest';
import {
  KarinDrain,
  KarinEventSource,
  KarinQueue,
  KarinRuntimeIdentity,
  type KarinRuntimeIdentityProps,
} from '../../constructs/index.ts';
import { deployedStatements } from './support/deployed-policies.ts';
import { type Call, isAllowed } from './support/policy-evaluator.ts';
import { asDeclared, onlyResource, resources, testApp, testFunction, testStack } from './support/stacks.ts';

const ACCOUNT = '111122223333';
const REGION = 'eu-west-1';
const TAGGED = { 'aws:ResourceTag/karin:managed': 'true' };

const fn = (name: string, account = ACCOUNT, region = REGION) => `arn:aws:lambda:${region}:${account}:function:${name}`;
const mapping = `arn:aws:lambda:${REGION}:${ACCOUNT}:event-source-mapping:0f1e2d3c`;
const topic = (name: string) => `arn:aws:sns:${REGION}:${ACCOUNT}:${name}`;
const queue = (name: string) => `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`;

/** Judges calls by what an identity with these properties may do. */
function judge(props: KarinRuntimeIdentityProps = {}): (call: Call) => boolean {
  const stack = testStack();
  KarinRuntimeIdentity.ecsTask(stack, 'Runtime', props);
  const statements = deployedStatements(Template.fromStack(stack), { account: ACCOUNT, region: REGION });
  return (call) => isAllowed(statements, call);
}

const name = ({ action, resource, context }: Call) =>
  `${action} on ${resource}${context === undefined ? '' : ', tagged'}`;

describe('what the server calls by itself', () => {
  const calls: Call[] = [
    { action: 'lambda:ListEventSourceMappings', resource: '*' },
    { action: 'lambda:ListFunctions', resource: '*' },
    { action: 'lambda:GetEventSourceMapping', resource: mapping },
    { action: 'lambda:ListTags', resource: mapping },
    { action: 'lambda:GetFunctionConfiguration', resource: fn('jobs'), context: TAGGED },
    { action: 'lambda:InvokeFunction', resource: fn('jobs'), context: TAGGED },
    { action: 'lambda:InvokeFunction', resource: fn('jobs:live'), context: TAGGED },
    { action: 'sqs:GetQueueAttributes', resource: queue('jobs'), context: TAGGED },
    { action: 'sqs:ListQueueTags', resource: queue('jobs.fifo'), context: TAGGED },
  ];

  it.each(calls.map((call) => [name(call), call] as const))('is allowed: %s', (_, call) => {
    expect(judge()(call)).toBe(true);
  });
});

describe('what the server calls where the user wants it', () => {
  const wanted: Array<[props: KarinRuntimeIdentityProps, call: Call]> = [
    [{ functionUrls: true }, { action: 'lambda:ListFunctionUrlConfigs', resource: fn('page') }],
    [{ snsSubscriptions: true }, { action: 'sns:ListSubscriptions', resource: '*' }],
    [{ snsSubscriptions: true }, { action: 'sns:GetTopicAttributes', resource: topic('orders') }],
    [
      { drain: KarinDrain.OUT, drainQueueNames: ['jobs'] },
      { action: 'sqs:SendMessage', resource: queue('jobs') },
    ],
    [
      { drain: KarinDrain.BOTH, drainQueueNames: ['jobs'] },
      { action: 'sqs:SendMessage', resource: queue('jobs') },
    ],
    [
      { drain: KarinDrain.IN, drainQueueNames: ['jobs'] },
      { action: 'sqs:ReceiveMessage', resource: queue('jobs') },
    ],
    [
      { drain: KarinDrain.IN, drainQueueNames: ['jobs'] },
      { action: 'sqs:DeleteMessage', resource: queue('jobs') },
    ],
    [
      { drain: KarinDrain.BOTH, drainQueueNames: ['jobs'] },
      { action: 'sqs:DeleteMessage', resource: queue('jobs') },
    ],
    [
      { drain: KarinDrain.OUT, drainQueueNames: ['app-*'] },
      { action: 'sqs:SendMessage', resource: queue('app-jobs') },
    ],
  ];

  it.each(wanted.map(([props, call]) => [name(call), props, call] as const))(
    'is allowed then, and only then: %s',
    (_, props, call) => {
      expect(judge(props)(call)).toBe(true);
      expect(judge()(call)).toBe(false);
    },
  );
});

describe('what nobody may do with a stolen key', () => {
  const everything: KarinRuntimeIdentityProps = {
    functionUrls: true,
    snsSubscriptions: true,
    drain: KarinDrain.BOTH,
    drainQueueNames: ['app-*'],
  };
  const calls: Call[] = [
    ...['Update', 'Create', 'Delete'].map((verb) => ({
      action: `lambda:${verb}EventSourceMapping`,
      resource: mapping,
      context: TAGGED,
    })),
    ...[
      'lambda:UpdateFunctionCode',
      'lambda:UpdateFunctionConfiguration',
      'lambda:DeleteFunction',
      'lambda:GetFunction',
      'lambda:AddPermission',
      'lambda:CreateFunctionUrlConfig',
      'lambda:InvokeFunctionUrl',
      'lambda:TagResource',
      'lambda:UntagResource',
      'lambda:PutFunctionConcurrency',
    ].map((action) => ({ action, resource: fn('jobs'), context: TAGGED })),
    { action: 'lambda:TagResource', resource: mapping, context: TAGGED },
    { action: 'lambda:CreateFunction', resource: fn('new') },
    { action: 'lambda:InvokeFunction', resource: fn('jobs') },
    { action: 'lambda:InvokeFunction', resource: fn('jobs'), context: { 'aws:ResourceTag/karin:managed': 'false' } },
    { action: 'lambda:InvokeFunction', resource: fn('jobs', '444455556666'), context: TAGGED },
    { action: 'lambda:InvokeFunction', resource: fn('jobs', ACCOUNT, 'us-east-1'), context: TAGGED },
    ...[
      'sqs:DeleteQueue',
      'sqs:PurgeQueue',
      'sqs:SetQueueAttributes',
      'sqs:AddPermission',
      'sqs:TagQueue',
      'sqs:UntagQueue',
      'sqs:CreateQueue',
    ].map((action) => ({ action, resource: queue('app-jobs'), context: TAGGED })),
    { action: 'sqs:GetQueueAttributes', resource: queue('app-jobs') },
    ...['sns:Subscribe', 'sns:Publish', 'sns:SetTopicAttributes'].map((action) => ({
      action,
      resource: topic('orders'),
    })),
    { action: 'sqs:SendMessage', resource: queue('billing'), context: TAGGED },
    { action: 'sqs:ReceiveMessage', resource: queue('billing'), context: TAGGED },
    { action: 'iam:PassRole', resource: `arn:aws:iam::${ACCOUNT}:role/admin` },
    { action: 'iam:CreateAccessKey', resource: `arn:aws:iam::${ACCOUNT}:user/karin` },
    { action: 'sts:AssumeRole', resource: `arn:aws:iam::${ACCOUNT}:role/admin` },
    { action: 'secretsmanager:GetSecretValue', resource: `arn:aws:secretsmanager:${REGION}:${ACCOUNT}:secret:x` },
    { action: 'kms:Decrypt', resource: `arn:aws:kms:${REGION}:${ACCOUNT}:key/x` },
    { action: 's3:GetObject', resource: 'arn:aws:s3:::bucket/key' },
  ];

  it.each(calls.map((call) => [name(call), call] as const))('is denied: %s', (_, call) => {
    expect(judge(everything)(call)).toBe(false);
  });

  it('names every action, without wildcards', () => {
    const stack = testStack();
    KarinRuntimeIdentity.ecsTask(stack, 'Runtime', everything);
    const statements = deployedStatements(Template.fromStack(stack), { account: ACCOUNT, region: REGION });
    expect(statements.flatMap(({ Action }) => Action).filter((action) => action.includes('*'))).toEqual([]);
  });

  it('fails for a drain that does not say of which queues', () => {
    for (const drainQueueNames of [undefined, []]) {
      const names = drainQueueNames === undefined ? {} : { drainQueueNames };
      expect(() => judge({ drain: KarinDrain.OUT, ...names })).toThrow('drainQueueNames must say of which');
    }
    expect(judge({ drain: KarinDrain.OUT, drainQueueNames: ['*'] })).toBeTypeOf('function');
  });

  it('fails for queue names without a drain', () => {
    expect(() => judge({ drainQueueNames: ['a'] })).toThrow("'drain' is not set");
  });
});

describe('the regions of a server', () => {
  const inRegion = (region: string, call: Partial<Call> = {}): Call => ({
    action: 'lambda:InvokeFunction',
    resource: fn('jobs', ACCOUNT, region),
    ...call,
    context: { ...TAGGED, 'aws:RequestedRegion': region },
  });

  it('are those that it is given, for all that it may do', () => {
    const may = judge({ regions: ['eu-west-1', 'us-east-1'], drain: KarinDrain.BOTH, drainQueueNames: ['jobs'] });
    for (const region of ['eu-west-1', 'us-east-1', 'ap-south-1']) {
      const arn = `arn:aws:sqs:${region}:${ACCOUNT}:jobs`;
      const answers = [
        may(inRegion(region)),
        may(inRegion(region, { action: 'lambda:ListEventSourceMappings', resource: '*' })),
        may(inRegion(region, { action: 'sqs:GetQueueAttributes', resource: arn })),
        may(inRegion(region, { action: 'sqs:SendMessage', resource: arn })),
      ];
      expect(answers).toEqual(answers.map(() => region !== 'ap-south-1'));
    }
  });

  it('leave the policy of an identity of one region as it is', () => {
    const statementsOf = (props: KarinRuntimeIdentityProps) => {
      const stack = testStack();
      KarinRuntimeIdentity.ecsTask(stack, 'Runtime', props);
      return onlyResource(Template.fromStack(stack), 'AWS::IAM::ManagedPolicy').Properties['PolicyDocument'];
    };
    expect(statementsOf({ regions: [REGION, REGION] })).toEqual(statementsOf({}));
    expect(JSON.stringify(statementsOf({}))).not.toContain('RequestedRegion');
  });

  it.each([
    [[], 'at least one region'],
    [['Ireland'], "names such as 'eu-west-1', but 'Ireland' was provided"],
    [Fn.split(',', Fn.ref('Regions')), 'must be written out as a list'],
  ])('fail for %j', (regions, rule) => {
    expect(() => judge({ regions })).toThrow(`Stack/Runtime: regions`);
    expect(() => judge({ regions })).toThrow(rule);
  });
});

describe('the roles that a server may assume', () => {
  const role = (number: number, name = 'karin') => `arn:aws:iam::${111_111_111_111 + number}:role/${name}`;

  it('are exactly those that it is given', () => {
    const may = judge({ memberRoleArns: [role(1), role(2)] });
    const assume = (resource: string) => may({ action: 'sts:AssumeRole', resource });
    expect([role(1), role(2), role(3), role(1, 'administrator')].map(assume)).toEqual([true, true, false, false]);
    expect(judge()({ action: 'sts:AssumeRole', resource: role(1) })).toBe(false);
  });

  it('may be hundreds, in policies that IAM takes', () => {
    const stack = testStack();
    const memberRoleArns = Array.from({ length: 100 }, (_, number) => role(number, `karin-${'r'.repeat(50)}`));
    KarinRuntimeIdentity.ecsTask(stack, 'Runtime', { memberRoleArns });
    const template = Template.fromStack(stack);
    const policies = Object.values(resources(template, 'AWS::IAM::ManagedPolicy'));
    expect(policies).toHaveLength(4);
    for (const { Properties } of policies) {
      expect(JSON.stringify(Properties['PolicyDocument']).length).toBeLessThan(6_144);
      expect(Properties['Roles']).toHaveLength(1);
    }
    const statements = deployedStatements(template, { account: ACCOUNT, region: REGION });
    for (const resource of memberRoleArns)
      expect(isAllowed(statements, { action: 'sts:AssumeRole', resource })).toBe(true);
  });

  it('may be references', () => {
    const stack = testStack();
    const arn = new CfnParameter(stack, 'MemberRole').valueAsString;
    KarinRuntimeIdentity.ecsTask(stack, 'Runtime', { memberRoleArns: [arn] });
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::ManagedPolicy', {
      PolicyDocument: { Statement: [{ Action: 'sts:AssumeRole', Resource: { Ref: 'MemberRole' } }] },
    });
  });

  it.each([
    '*',
    'arn:aws:iam::*:role/karin',
    'arn:aws:iam::111122223333:role/*',
    'arn:aws:iam::111122223333:role/kar?n',
    'arn:aws:iam::111122223333:role/*/karin',
    'arn:aws:iam::111122223333:role/team-?/karin',
    'arn:aws:iam::111122223333:user/karin',
    'karin',
  ])('have no wildcard and are roles: %s is refused', (arn) => {
    expect(() => judge({ memberRoleArns: [arn] })).toThrow(`must be the exact ARNs of roles`);
  });
});

describe('a queue that is given the identity', () => {
  const define = (use: (stack: Stack, runtime: KarinRuntimeIdentity) => void) => {
    const stack = testStack();
    use(stack, KarinRuntimeIdentity.ecsTask(stack, 'Runtime', { tagged: false }));
    const statements = deployedStatements(Template.fromStack(stack), { account: ACCOUNT, region: REGION });
    return {
      may: (call: Call) => isAllowed(statements, call),
      ids: Object.keys(Template.fromStack(stack).toJSON().Resources),
    };
  };

  it('lets the server invoke its consumer by its exact ARN, and read its anchors', () => {
    const { may, ids } = define((stack, runtime) => {
      const dead = new KarinQueue(stack, 'Dead');
      new KarinQueue(stack, 'Jobs', {
        consumer: testFunction(stack),
        deadLetterQueue: { queue: dead, maxReceiveCount: 3 },
        runtime,
      });
    });
    const id = (prefix: string) => ids.find((candidate) => new RegExp(`^${prefix}[0-9A-F]{8}$`).test(candidate)) ?? '';
    expect(may({ action: 'lambda:InvokeFunction', resource: fn(id('Fn')) })).toBe(true);
    expect(may({ action: 'lambda:GetFunctionConfiguration', resource: fn(id('Fn')) })).toBe(true);
    expect(may({ action: 'sqs:GetQueueAttributes', resource: queue(id('Jobs')) })).toBe(true);
    expect(may({ action: 'sqs:GetQueueAttributes', resource: queue(id('Dead')) })).toBe(true);
    expect(may({ action: 'lambda:InvokeFunction', resource: `${fn(id('Fn'))}:live` })).toBe(false);
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('other'), context: TAGGED })).toBe(false);
    expect(may({ action: 'sqs:GetQueueAttributes', resource: queue('other'), context: TAGGED })).toBe(false);
  });

  it('keeps the alias or the version that the mapping names', () => {
    const { may } = define((stack, runtime) => {
      const jobs = new KarinQueue(stack, 'Jobs', { runtime });
      const consumer = testFunction(stack);
      const alias = new lambda.Alias(stack, 'Live', {
        aliasName: 'live',
        version: asDeclared(consumer.currentVersion),
      });
      alias.addEventSource(new KarinEventSource(jobs));
      new lambda.CfnEventSourceMapping(stack, 'ByArn', {
        functionName: 'arn:aws:lambda:eu-west-1:111122223333:function:imported:3',
        eventSourceArn: jobs.queueArn,
      });
      new lambda.CfnEventSourceMapping(stack, 'ByName', { functionName: 'named:blue', eventSourceArn: jobs.queueArn });
    });
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('Fn:live') })).toBe(true);
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('Fn') })).toBe(false);
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('imported:3') })).toBe(true);
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('imported') })).toBe(false);
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('named:blue') })).toBe(true);
  });

  it('makes its own stack depend on the identity, and not the other way round', () => {
    const app = testApp();
    const server = testStack('Server', app);
    const runtime = KarinRuntimeIdentity.user(server, 'Runtime');
    const service = testStack('Service', app);
    new KarinQueue(service, 'Jobs', { consumer: testFunction(service), runtime });
    app.synth();
    expect(service.dependencies).toEqual([server]);
    expect(server.dependencies).toEqual([]);
    expect(Object.keys(resources(Template.fromStack(service), 'AWS::IAM::ManagedPolicy'))).toHaveLength(1);
  });

  it('spreads the ARNs of a large stack over policies, of which IAM takes 6,144 characters each', () => {
    const stack = testStack();
    const runtime = KarinRuntimeIdentity.ecsTask(stack, 'Runtime', { tagged: false });
    const arns = Array.from({ length: 100 }, (_, number) => fn(`${'f'.repeat(60)}${1_000 + number}:${'a'.repeat(20)}`));
    for (const arn of arns) runtime.grantInvokeArn(stack, arn);
    const template = Template.fromStack(stack);
    const policies = Object.values(resources(template, 'AWS::IAM::ManagedPolicy'));
    expect(policies).toHaveLength(4);
    for (const { Properties } of policies) {
      expect(JSON.stringify(Properties['PolicyDocument']).length).toBeLessThan(6_144);
      expect(Properties['Roles']).toHaveLength(1);
    }
    const statements = deployedStatements(template, { account: ACCOUNT, region: REGION });
    for (const resource of arns)
      expect(isAllowed(statements, { action: 'lambda:InvokeFunction', resource })).toBe(true);
  });

  it('can be granted by hand', () => {
    const { may } = define((stack, runtime) => {
      runtime.grantInvoke(lambda.Function.fromFunctionArn(stack, 'Imported', fn('imported')));
      runtime.grantQueue(KarinQueue.fromQueueArn(stack, 'Queue', queue('imported')));
    });
    expect(may({ action: 'lambda:InvokeFunction', resource: fn('imported') })).toBe(true);
    expect(may({ action: 'sqs:GetQueueAttributes', resource: queue('imported') })).toBe(true);
  });
});

describe('an identity', () => {
  it('of a user keeps its key in Secrets Manager, and out of template and outputs', () => {
    const stack = testStack();
    const runtime = KarinRuntimeIdentity.user(stack, 'Runtime', { keySerial: 2 });
    expect(runtime.credentials).toBeDefined();
    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::IAM::AccessKey', { Serial: 2 });
    const [user] = Object.keys(resources(template, 'AWS::IAM::User'));
    const [key] = Object.keys(resources(template, 'AWS::IAM::AccessKey'));
    expect(onlyResource(template, 'AWS::IAM::ManagedPolicy').Properties['Users']).toEqual([{ Ref: user }]);
    expect(onlyResource(template, 'AWS::SecretsManager::Secret').Properties['SecretString']).toEqual({
      'Fn::Join': [
        '',
        [
          '{"AWS_ACCESS_KEY_ID":"',
          { Ref: key },
          '","AWS_SECRET_ACCESS_KEY":"',
          { 'Fn::GetAtt': [key, 'SecretAccessKey'] },
          '"}',
        ],
      ],
    });
    expect(template.toJSON()).not.toHaveProperty('Outputs');
  });

  it('of a Fly machine trusts its app alone, by the issuer of its organization', () => {
    const stack = testStack();
    KarinRuntimeIdentity.flyMachine(stack, 'Runtime', { orgSlug: 'acme', appName: 'karin' });
    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::IAM::OIDCProvider', {
      Url: 'https://oidc.fly.io/acme',
      ClientIdList: ['sts.amazonaws.com'],
    });
    template.hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: [
          {
            Action: 'sts:AssumeRoleWithWebIdentity',
            Condition: {
              StringEquals: { 'oidc.fly.io/acme:aud': 'sts.amazonaws.com' },
              StringLike: { 'oidc.fly.io/acme:sub': ['acme:karin:*'] },
            },
          },
        ],
      },
    });
  });

  it('uses the provider that the account has already', () => {
    const stack = testStack();
    const provider = iam.OidcProviderNative.fromOidcProviderArn(
      stack,
      'Provider',
      'arn:aws:iam::111122223333:oidc-provider/token.example.com',
    );
    KarinRuntimeIdentity.oidc(stack, 'Runtime', {
      issuer: 'https://token.example.com',
      subjects: ['server'],
      audience: 'karin',
      provider,
    });
    const template = Template.fromStack(stack);
    template.resourceCountIs('AWS::IAM::OIDCProvider', 0);
    template.hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: [
          {
            Principal: { Federated: 'arn:aws:iam::111122223333:oidc-provider/token.example.com' },
            Condition: { StringEquals: { 'token.example.com:aud': 'karin' } },
          },
        ],
      },
    });
  });

  it.each([
    ['http://token.example.com', ['server'], 'begins with https://'],
    ['https://token.example.com/', ['server'], 'does not end with a slash'],
    ['https://token.example.com', [], 'at least one subject'],
    ['https://token.example.com', ['*'], 'trusts everyone with an account at https://token.example.com'],
  ])('fails for the issuer %s and the subjects %j', (issuer, subjects, rule) => {
    expect(() => KarinRuntimeIdentity.oidc(testStack(), 'Runtime', { issuer, subjects })).toThrow(rule);
  });

  it('of an ECS task is assumed by tasks of this account alone', () => {
    const stack = testStack();
    const { role } = KarinRuntimeIdentity.ecsTask(stack, 'Runtime');
    expect(role).toBeDefined();
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: [
          {
            Principal: { Service: 'ecs-tasks.amazonaws.com' },
            Condition: { StringEquals: { 'aws:SourceAccount': ACCOUNT } },
          },
        ],
      },
    });
  });

  it('of an existing role attaches to it', () => {
    const stack = new Stack(new App(), 'Stack');
    const role = iam.Role.fromRoleName(stack, 'Role', 'server');
    KarinRuntimeIdentity.existingRole(stack, 'Runtime', { role });
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::ManagedPolicy', {
      Roles: ['server'],
      PolicyDocument: Match.anyValue(),
    });
  });
});

it('tells the ARN that other accounts trust, of a user and of a role', () => {
  const stack = testStack();
  const arnOf = ({ identityArn }: KarinRuntimeIdentity) => stack.resolve(identityArn);
  const logicalIdOf = (type: string) => Object.keys(resources(Template.fromStack(stack), type))[0];
  const user = KarinRuntimeIdentity.user(stack, 'User');
  const task = KarinRuntimeIdentity.ecsTask(stack, 'Task');
  expect(arnOf(user)).toEqual({ 'Fn::GetAtt': [logicalIdOf('AWS::IAM::User'), 'Arn'] });
  expect(arnOf(task)).toEqual({ 'Fn::GetAtt': [logicalIdOf('AWS::IAM::Role'), 'Arn'] });
  const existing = iam.Role.fromRoleArn(stack, 'Existing', 'arn:aws:iam::111122223333:role/karin-server');
  expect(arnOf(KarinRuntimeIdentity.existingRole(stack, 'Own', { role: existing }))).toBe(
    'arn:aws:iam::111122223333:role/karin-server',
  );
});

describe('whom a role trusts', () => {
  const trust = (subject: string) =>
    KarinRuntimeIdentity.oidc(testStack(), 'Runtime', { issuer: 'https://issuer.example', subjects: [subject] });

  it.each(['*', '*:*', '?*', 'repo:*', 'repo:?*', 'repo:m*', 'my-org*', '', 'project_path:*', 'REPO:*/app:*'])(
    'is somebody, and not everybody with an account: %j is refused',
    (subject) => {
      expect(() => trust(subject)).toThrow('trusts everyone');
    },
  );

  it.each(['repo:my-org/*', 'repo:my-org/app:ref:refs/heads/main', 'my-org:app:*', 'org/0a1b/project/*'])(
    'may be all of one organization: %s',
    (subject) => {
      expect(() => trust(subject)).not.toThrow();
    },
  );

  it.each([
    ['', 'org'],
    ['*', 'org'],
    ['app:x', 'org'],
    ['app', ''],
    ['app', '*'],
  ])('is one app on Fly: app %j of %j is refused', (appName, orgSlug) => {
    expect(() => KarinRuntimeIdentity.flyMachine(testStack(), 'Runtime', { appName, orgSlug })).toThrow(
      'must be a name',
    );
  });
});
