import { App, CfnParameter, SecretValue, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, it } from 'vitest';
import {
  KarinAccountAccess,
  type KarinAccountAccessProps,
  KarinDrain,
  KarinQueue,
  KarinRuntimeIdentity,
} from '../../constructs/index.ts';
import { scopeProblems, scopesOf } from '../../runtime/aws/scope.ts';
import { readConfig } from '../../runtime/settings.ts';
import { systemTime } from '../../runtime/time.ts';
import { deployedStatements } from './support/deployed-policies.ts';
import { isAllowed } from './support/policy-evaluator.ts';
import { onlyResource, resources, testFunction, testStack } from './support/stacks.ts';

const ACCOUNT = '111122223333';
const SERVER = 'arn:aws:iam::999999999999:role/karin-server';
const REQUIRED = { serverIdentityArn: SERVER, externalId: 'acme:karin:4711' };

function define(props: Partial<KarinAccountAccessProps> = {}, stack: Stack = testStack()) {
  const access = new KarinAccountAccess(stack, 'Karin', { ...REQUIRED, ...props });
  return { stack, access, template: () => Template.fromStack(stack) };
}

function outputOf(template: Template): unknown {
  const [output] = Object.values(template.findOutputs('*'));
  return output?.['Value'];
}

describe('the role in a member account', () => {
  it('trusts the identity of the server alone, with the external id', () => {
    const role = onlyResource(define().template(), 'AWS::IAM::Role').Properties;
    expect(role['RoleName']).toBe('karin');
    expect(role['AssumeRolePolicyDocument']).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: { AWS: SERVER },
          Action: 'sts:AssumeRole',
          Condition: { StringEquals: { 'sts:ExternalId': 'acme:karin:4711' } },
        },
      ],
    });
  });

  it.each([
    {},
    { regions: ['eu-west-1', 'us-east-1'] },
    { tagged: false, functionUrls: true, snsSubscriptions: true, drain: KarinDrain.BOTH, drainQueueNames: ['app-*'] },
  ])('allows what the identity of a server allows in its own account: %j', (props) => {
    const own = testStack();
    KarinRuntimeIdentity.ecsTask(own, 'Runtime', props);
    const policyOf = (template: Template) =>
      onlyResource(template, 'AWS::IAM::ManagedPolicy').Properties['PolicyDocument'];
    expect(policyOf(define(props).template())).toEqual(policyOf(Template.fromStack(own)));
  });

  it('is attached to its policy', () => {
    const template = define().template();
    const [role] = Object.keys(resources(template, 'AWS::IAM::Role'));
    expect(onlyResource(template, 'AWS::IAM::ManagedPolicy').Properties['Roles']).toEqual([{ Ref: role }]);
  });

  it('may use a queue of its account by the exact ARNs', () => {
    const { stack, access } = define({ tagged: false });
    new KarinQueue(stack, 'Jobs', { queueName: 'jobs', consumer: testFunction(stack), runtime: access });
    const template = Template.fromStack(stack);
    const statements = deployedStatements(template, { account: ACCOUNT, region: 'eu-west-1' });
    const [id = ''] = Object.keys(resources(template, 'AWS::Lambda::Function'));
    const invoke = (name: string) =>
      isAllowed(statements, {
        action: 'lambda:InvokeFunction',
        resource: `arn:aws:lambda:eu-west-1:${ACCOUNT}:function:${name}`,
      });
    expect([invoke(id), invoke('other')]).toEqual([true, false]);
  });

  it.each([
    ['aws-cn', 'cn-north-1'],
    ['aws-us-gov', 'us-gov-west-1'],
  ])('names all ARNs in the partition of its stack: %s', (partition, region) => {
    const stack = new Stack(new App(), 'Stack', { env: { account: ACCOUNT, region } });
    define({ serverIdentityArn: `arn:${partition}:iam::999999999999:role/karin-server` }, stack);
    const text = JSON.stringify(Template.fromStack(stack).toJSON()['Resources']);
    expect(text).toContain('"Ref":"AWS::Partition"');
    expect(text).not.toContain('arn:aws:');
  });
});

describe('the output of the role', () => {
  it('is the entry for KARIN_ROLES, as the server reads it', () => {
    const { template } = define({ regions: ['eu-west-1', 'us-east-1'], roleName: 'karin-member' });
    const [role] = Object.keys(resources(template(), 'AWS::IAM::Role'));
    expect(outputOf(template())).toEqual({
      'Fn::Join': ['', [{ 'Fn::GetAtt': [role, 'Arn'] }, ':eu-west-1+us-east-1:acme:karin:4711']],
    });
    const entry = `arn:aws:iam::${ACCOUNT}:role/karin-member:eu-west-1+us-east-1:acme:karin:4711`;
    const own = { REDIS_URL: 'redis://127.0.0.1:6379', AWS_REGION: 'eu-west-1', KARIN_REGIONS: 'none' };
    const config = readConfig({ ...own, KARIN_ROLES: entry }, 'start', scopeProblems);
    expect(
      scopesOf(config, systemTime).map(({ account, region, role }) => [account, region, role?.externalId]),
    ).toEqual(['eu-west-1', 'us-east-1'].map((region) => [ACCOUNT, region, 'acme:karin:4711']));
  });

  it('has the region of the deployment where the stack knows none', () => {
    const { template } = define({}, new Stack(new App(), 'Anywhere'));
    const [role] = Object.keys(resources(template(), 'AWS::IAM::Role'));
    expect(outputOf(template())).toEqual({
      'Fn::Join': ['', [{ 'Fn::GetAtt': [role, 'Arn'] }, ':', { Ref: 'AWS::Region' }, ':acme:karin:4711']],
    });
  });
});

describe('what the role must be told', () => {
  it('is the external id: a missing one is refused', () => {
    // What a caller in JavaScript or Python can do.
    const without = { serverIdentityArn: SERVER } as KarinAccountAccessProps;
    expect(() => new KarinAccountAccess(testStack(), 'Karin', without)).toThrow('Stack/Karin: externalId is missing');
    expect(() => define({ externalId: '' })).toThrow('Stack/Karin: externalId is missing');
  });

  it.each(['4711', 'seven-7', 'two words', 'a'.repeat(1225)])(
    'is an external id that STS takes and nobody guesses: %j is refused',
    (externalId) => {
      expect(() => define({ externalId })).toThrow('externalId must have 8 to 1224 letters, digits and _+=,.@:/-');
    },
  );

  it('is no secret: a reference to one is refused, in each form', () => {
    const stack = testStack();
    const secret = new secretsmanager.Secret(stack, 'Secret');
    const values = [SecretValue.secretsManager('karin/external-id'), secret.secretValue];
    for (const [index, value] of values.entries()) {
      const use = () =>
        new KarinAccountAccess(stack, `Karin${index}`, { ...REQUIRED, externalId: value.unsafeUnwrap() });
      expect(use).toThrow('externalId must not be a reference to a secret');
    }
  });

  it('may be a parameter of the template', () => {
    const stack = testStack();
    const externalId = new CfnParameter(stack, 'ExternalId').valueAsString;
    const serverIdentityArn = new CfnParameter(stack, 'ServerIdentity').valueAsString;
    const role = onlyResource(define({ externalId, serverIdentityArn }, stack).template(), 'AWS::IAM::Role');
    expect(role.Properties['AssumeRolePolicyDocument']).toMatchObject({
      Statement: [
        {
          Principal: { AWS: { Ref: 'ServerIdentity' } },
          Condition: { StringEquals: { 'sts:ExternalId': { Ref: 'ExternalId' } } },
        },
      ],
    });
  });

  it.each([
    'arn:aws:iam::999999999999:root',
    '999999999999',
    '*',
    'arn:aws:iam::999999999999:role/*',
    'arn:aws:sts::999999999999:assumed-role/karin-server/session',
    'karin-server',
  ])('is one identity: %s is refused', (serverIdentityArn) => {
    expect(() => define({ serverIdentityArn })).toThrow(
      'serverIdentityArn must be the ARN of the role or user that the server runs as',
    );
  });

  it.each(['arn:aws:iam::999999999999:user/karin', 'arn:aws-cn:iam::999999999999:role/service/karin-server'])(
    'may be %s',
    (serverIdentityArn) => {
      expect(() => define({ serverIdentityArn })).not.toThrow();
    },
  );

  it('may be a name for the role, but not any', () => {
    expect(() => define({ roleName: 'my role' })).toThrow('roleName must have 1 to 64 letters');
  });
});
