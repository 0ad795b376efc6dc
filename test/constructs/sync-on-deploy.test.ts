import { Duration, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, it } from 'vitest';
import {
  KarinQueue,
  type KarinQueueProps,
  KarinRuntimeIdentity,
  SyncFailure,
  SyncOnDeploy,
  type SyncOnDeployProps,
} from '../../constructs/index.ts';
import { asDeclared, ENDPOINT, onlyResource, resources, testApp, testFunction, testStack } from './support/stacks.ts';

const SYNC = 'Custom::KarinSync';

function secretIn(stack: Stack): secretsmanager.ISecret {
  return secretsmanager.Secret.fromSecretNameV2(stack, 'Credential', 'karin/admin');
}

interface Variation {
  readonly queue?: KarinQueueProps;
  readonly sync?: Partial<SyncOnDeployProps>;
  readonly functionTimeout?: number;
}

/** A stack with a consumed queue and a sync. */
function stackWith({ queue, sync, functionTimeout }: Variation = {}): Stack {
  const stack = testStack();
  new SyncOnDeploy(stack, 'Sync', { credential: secretIn(stack), ...sync });
  new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack, 'Consumer', functionTimeout), ...queue });
  return stack;
}

const fingerprint = (variation: Variation): unknown =>
  onlyResource(Template.fromStack(stackWith(variation)), SYNC).Properties['Mappings'];

describe('the custom resource', () => {
  it('comes after the mappings and the permissions of the server, even if it was defined before them', () => {
    const stack = testStack();
    new SyncOnDeploy(stack, 'Sync', { credential: secretIn(stack) });
    const runtime = KarinRuntimeIdentity.ecsTask(stack, 'Runtime');
    new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack), runtime });
    const template = Template.fromStack(stack);
    const earlier = ['AWS::Lambda::EventSourceMapping', 'AWS::IAM::ManagedPolicy'].flatMap((type) =>
      Object.keys(resources(template, type)),
    );
    expect(earlier).toHaveLength(3);
    expect(onlyResource(template, SYNC).DependsOn).toEqual(expect.arrayContaining(earlier));
  });

  it('is told where the server is, and where its credential', () => {
    expect(onlyResource(Template.fromStack(stackWith()), SYNC).Properties).toMatchObject({
      Endpoint: ENDPOINT,
      OnFailure: 'warn',
      TimeoutSeconds: '60',
      SecretId: expect.anything(),
    });
    const sync = { onFailure: SyncFailure.FAIL, timeout: Duration.seconds(20), credentialField: 'password' };
    expect(onlyResource(Template.fromStack(stackWith({ sync })), SYNC).Properties).toMatchObject({
      OnFailure: 'fail',
      TimeoutSeconds: '20',
      SecretField: 'password',
    });
  });

  it('is told the address of the server itself where the endpoint carries a capability', () => {
    const sync = { endpoint: 'https://example.com/karin/k/some-capability' };
    expect(onlyResource(Template.fromStack(stackWith({ sync })), SYNC).Properties).toMatchObject({
      Endpoint: 'https://example.com/karin',
    });
  });

  it('may read the credential and nothing else', () => {
    const stack = testStack();
    new SyncOnDeploy(stack, 'Sync', { credential: asDeclared(new secretsmanager.Secret(stack, 'Admin')) });
    const { Properties } = onlyResource(Template.fromStack(stack), 'AWS::IAM::Policy');
    expect(Properties['PolicyDocument']).toMatchObject({
      Statement: [
        {
          Action: ['secretsmanager:GetSecretValue', 'secretsmanager:DescribeSecret'],
          Resource: { Ref: expect.stringMatching(/^Admin/) },
        },
      ],
    });
  });

  it('shows what the server found in the outputs of the deployment', () => {
    const [output] = Object.values(Template.fromStack(stackWith()).findOutputs('*'));
    expect(output?.['Value']).toEqual({ 'Fn::GetAtt': [expect.stringMatching(/^Sync/), 'Summary'] });
  });

  it.each([4, 301])('fails for a timeout of %i s', (seconds) => {
    expect(() => stackWith({ sync: { timeout: Duration.seconds(seconds) } })).toThrow('between 5 and 300 seconds');
  });

  it('fits into the code of an inline function', () => {
    const functions = Object.values(resources(Template.fromStack(stackWith()), 'AWS::Lambda::Function'));
    const code = functions.flatMap(({ Properties }) => Object.values(Properties['Code'] ?? {})).map(String);
    expect(Math.max(...code.map((text) => Buffer.byteLength(text)))).toBeLessThanOrEqual(4_096);
  });
});

describe('the fingerprint, whose change makes CloudFormation sync again', () => {
  it('is the same for the same mappings', () => {
    expect(fingerprint({})).toBe(fingerprint({}));
  });

  it.each<[string, Variation]>([
    ['a mapping changed', { queue: { consumerOptions: { batchSize: 5 } } }],
    ['an attribute of the queue changed', { queue: { retentionPeriod: Duration.hours(1) } }],
    ['the timeout of the consumer changed', { functionTimeout: 4 }],
  ])('differs when %s', (_, variation) => {
    expect(fingerprint(variation)).not.toBe(fingerprint({}));
  });

  it('differs when a mapping came or went', () => {
    const stack = stackWith();
    new KarinQueue(stack, 'More', { consumer: testFunction(stack, 'Other') });
    expect(onlyResource(Template.fromStack(stack), SYNC).Properties['Mappings']).not.toBe(fingerprint({}));
  });

  it('looks at the queues it was given alone, or else at those of its stack', () => {
    const app = testApp();
    const elsewhere = testStack('Elsewhere', app);
    const other = new KarinQueue(elsewhere, 'Jobs', { consumer: testFunction(elsewhere) });
    const define = (id: string, queues?: KarinQueue[]) => {
      const stack = testStack(id, app);
      new SyncOnDeploy(stack, 'Sync', { credential: secretIn(stack), ...(queues === undefined ? {} : { queues }) });
      return () => onlyResource(Template.fromStack(stack), SYNC).Properties['Mappings'];
    };
    const [none, alsoNone, given] = [define('None'), define('AlsoNone'), define('Given', [other])];
    expect(none()).toBe(alsoNone());
    expect(given()).not.toBe(none());
  });
});
