import { readFileSync } from 'node:fs';
import { App, Duration, Fn, SecretValue, Stack, Validations } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as servicediscovery from 'aws-cdk-lib/aws-servicediscovery';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  KarinDrain,
  KarinFrontDoor,
  KarinQueue,
  KarinRuntimeIdentity,
  KarinService,
  type KarinServiceProps,
  SyncOnDeploy,
} from '../../constructs/index.ts';
import { readConfig } from '../../runtime/settings.ts';
import { deployedStatements } from './support/deployed-policies.ts';
import { testApp, testFunction, testStack } from './support/stacks.ts';

const ACCOUNT = '111122223333';
const REGION = 'eu-west-1';
const CERTIFICATE = `arn:aws:acm:${REGION}:${ACCOUNT}:certificate/0f1e2d3c`;

const read = (name: string): string => readFileSync(new URL(`../../runtime/${name}`, import.meta.url), 'utf8');

const Container = z.object({
  Name: z.string(),
  Image: z.string(),
  User: z.string(),
  ReadonlyRootFilesystem: z.boolean(),
  StopTimeout: z.number(),
  Environment: z.array(z.object({ Name: z.string(), Value: z.unknown() })),
  Secrets: z.array(z.object({ Name: z.string(), ValueFrom: z.unknown() })),
  HealthCheck: z.object({ Command: z.array(z.string()) }),
  LogConfiguration: z.object({ LogDriver: z.literal('awslogs'), Options: z.record(z.string(), z.unknown()) }),
});
const Task = z.object({ Properties: z.object({ ContainerDefinitions: z.tuple([Container]) }) });

function redisUrl(stack: Stack): ecs.Secret {
  return ecs.Secret.fromSecretsManager(secretsmanager.Secret.fromSecretNameV2(stack, 'RedisUrl', 'karin/redis'));
}

function serviceIn(stack: Stack, props: Partial<KarinServiceProps> = {}): KarinService {
  return new KarinService(stack, 'Karin', {
    image: ecs.ContainerImage.fromRegistry('karin'),
    redisUrl: redisUrl(stack),
    ...props,
  });
}

function templateOf(props: Partial<KarinServiceProps> = {}): Template {
  const stack = testStack();
  serviceIn(stack, props);
  return Template.fromStack(stack);
}

function containerIn(template: Template): z.infer<typeof Container> {
  const [task] = Object.values(template.findResources('AWS::ECS::TaskDefinition'));
  return Task.parse(task).Properties.ContainerDefinitions[0];
}

/** The cast is for exactOptionalPropertyTypes, for which aws-cdk-lib is not written. */
function vpcIn(stack: Stack, props: ec2.VpcProps = {}): ec2.IVpc {
  return new ec2.Vpc(stack, 'Vpc', props) as ec2.IVpc;
}

/** Settings that stand in the template. Those that only CloudFormation knows are as it would find them. */
function settingsIn(template: Template): Record<string, string> {
  return Object.fromEntries(
    containerIn(template).Environment.map(({ Name, Value }) => [Name, typeof Value === 'string' ? Value : 'http://lb']),
  );
}

const https = (stack: Stack) =>
  KarinFrontDoor.https({
    domainName: 'karin.example.com',
    certificate: acm.Certificate.fromCertificateArn(stack, 'Certificate', CERTIFICATE),
  });

describe('a server on Fargate with nothing said but its image and its Redis', () => {
  const template = templateOf();
  const container = containerIn(template);

  it('has the template that is committed', async () => {
    await expect(`${JSON.stringify(template.toJSON(), undefined, 2)}\n`).toMatchFileSnapshot(
      'karin-service/template.snapshot.json',
    );
  });

  it('is one task of 0.25 vCPU and 512 MB for ARM', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      Cpu: '256',
      Memory: '512',
      RequiresCompatibilities: ['FARGATE'],
      RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
    });
    template.resourceCountIs('AWS::ECS::Service', 1);
  });

  it('has a public address in a VPC without a NAT gateway, and lets nobody in', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'ENABLED' } },
    });
    template.resourceCountIs('AWS::EC2::NatGateway', 0);
    template.resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 0);
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
    template.hasResourceProperties('AWS::EC2::SecurityGroup', { SecurityGroupIngress: Match.absent() });
  });

  it('starts a new server before it stops an old one, and goes back if the new one does not start', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      DeploymentConfiguration: {
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      },
    });
  });

  it('gives the server what the server understands, without a warning', () => {
    const settings = settingsIn(template);
    const config = readConfig(
      { ...settings, REDIS_URL: 'redis://127.0.0.1', KARIN_ADMIN_PASSWORD: 'correct horse battery' },
      'start',
    );
    expect(config.warnings).toEqual([]);
    expect(config).toMatchObject({ host: '0.0.0.0', port: 4000, region: REGION, trustedProxies: 0 });
    expect(config.publicUrl).toBe('http://server.karin.internal:4000');
    expect(container.StopTimeout).toBeGreaterThan(config.stopGraceSeconds);
  });

  it('keeps what lets people in out of the template', () => {
    expect(container.Secrets.map(({ Name }) => Name).sort()).toEqual(['KARIN_ADMIN_PASSWORD', 'REDIS_URL']);
    template.hasResourceProperties('AWS::SecretsManager::Secret', {
      GenerateSecretString: { PasswordLength: 40, ExcludePunctuation: true },
    });
  });

  it('asks for life as the image does, as the user of the image, and writes nowhere', () => {
    const inImage = /CMD (\["bash".*\])/.exec(read('Dockerfile'))?.[1] ?? '';
    expect(container.HealthCheck.Command).toEqual(['CMD', ...z.array(z.string()).parse(JSON.parse(inImage))]);
    const user = /--uid (\d+)/.exec(read('Dockerfile'))?.[1];
    expect(container.User).toBe(`${user}:${user}`);
    expect(container.ReadonlyRootFilesystem).toBe(true);
  });

  it('logs for a month, and goes on without CloudWatch', () => {
    template.hasResource('AWS::Logs::LogGroup', { Properties: { RetentionInDays: 30 }, DeletionPolicy: 'Delete' });
    expect(container.LogConfiguration.Options).toMatchObject({ mode: 'non-blocking' });
  });

  it('may do what KarinRuntimeIdentity allows an ECS task, and nothing else', () => {
    const alone = testStack();
    KarinRuntimeIdentity.ecsTask(alone, 'Identity');
    const place = { account: ACCOUNT, region: REGION };
    expect(deployedStatements(template, place)).toEqual(deployedStatements(Template.fromStack(alone), place));
    // The one other role reads the secrets, fetches the image and writes the log.
    template.resourceCountIs('AWS::IAM::Role', 2);
    template.resourceCountIs('AWS::IAM::Policy', 1);
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.not(Match.arrayWith([Match.objectLike({ Action: Match.arrayWith(['lambda:*']) })])),
      },
    });
  });
});

describe('the front door', () => {
  it('with TLS is a load balancer that asks for life, not readiness: ECS would kill every server while Redis is away', () => {
    const stack = testStack();
    const service = serviceIn(stack, { frontDoor: https(stack) });
    const template = Template.fromStack(stack);
    expect(service.endpoint).toBe('https://karin.example.com');
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', { Scheme: 'internet-facing' });
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', {
      Port: 443,
      Protocol: 'HTTPS',
      Certificates: [{ CertificateArn: CERTIFICATE }],
      SslPolicy: Match.stringLikeRegexp('TLS13-1-2'),
    });
    template.resourceCountIs('AWS::ElasticLoadBalancingV2::Listener', 1);
    template.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      Port: 4000,
      Protocol: 'HTTP',
      TargetType: 'ip',
      HealthCheckPath: '/healthz',
      TargetGroupAttributes: Match.arrayWith([{ Key: 'deregistration_delay.timeout_seconds', Value: '30' }]),
    });
    expect(settingsIn(template)).toMatchObject({
      KARIN_PUBLIC_URL: 'https://karin.example.com',
      KARIN_TRUSTED_PROXIES: '1',
    });
  });

  it('makes the certificate and the name where the hosted zone is given', () => {
    const stack = testStack();
    const hostedZone = route53.HostedZone.fromHostedZoneAttributes(stack, 'Zone', {
      hostedZoneId: 'Z1',
      zoneName: 'example.com',
    });
    serviceIn(stack, { frontDoor: KarinFrontDoor.https({ domainName: 'karin.example.com', hostedZone }) });
    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::CertificateManager::Certificate', { DomainName: 'karin.example.com' });
    template.hasResourceProperties('AWS::Route53::RecordSet', { Name: 'karin.example.com.', Type: 'A' });
  });

  it('refuses HTTPS without a certificate, and names the ways out', () => {
    const frontDoor = KarinFrontDoor.https({ domainName: 'karin.example.com' });
    expect(() => serviceIn(testStack(), { frontDoor })).toThrow(
      "Stack/Karin: HTTPS for 'karin.example.com' needs a certificate; pass 'certificate', or 'hostedZone' to have one made, or ask for KarinFrontDoor.plainHttp() if messages may cross the network in the clear",
    );
  });

  it('is plain HTTP only where that is asked for, and open to the internet unless it is to stay inside', () => {
    const open = templateOf({ frontDoor: KarinFrontDoor.plainHttp() });
    open.hasResourceProperties('AWS::ElasticLoadBalancingV2::Listener', { Port: 80, Protocol: 'HTTP' });
    open.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: [Match.objectLike({ CidrIp: '0.0.0.0/0', FromPort: 80 })],
    });
    const inside = templateOf({ frontDoor: KarinFrontDoor.plainHttp({ internetFacing: false }) });
    inside.hasResourceProperties('AWS::ElasticLoadBalancingV2::LoadBalancer', { Scheme: 'internal' });
    expect(JSON.stringify(inside.findResources('AWS::EC2::SecurityGroup'))).not.toContain('SecurityGroupIngress');
    // The load balancer may reach the server.
    expect(Object.keys(inside.findResources('AWS::EC2::SecurityGroupIngress'))).toHaveLength(1);
  });

  it('is a name in the VPC that only those reach who are allowed to', () => {
    const stack = testStack();
    const vpc = vpcIn(stack, { natGateways: 0 });
    const namespace = new servicediscovery.PrivateDnsNamespace(stack, 'Names', { name: 'shop.internal', vpc });
    const service = serviceIn(stack, {
      vpc,
      frontDoor: KarinFrontDoor.privateName({ name: 'queues', cloudMapNamespace: namespace }),
    });
    const caller = new ec2.SecurityGroup(stack, 'Caller', { vpc });
    service.connections.allowDefaultPortFrom(caller);
    const template = Template.fromStack(stack);
    expect(service.endpoint).toBe('http://queues.shop.internal:4000');
    template.hasResourceProperties('AWS::ServiceDiscovery::Service', {
      Name: 'queues',
      DnsConfig: { DnsRecords: [{ TTL: 10, Type: 'A' }] },
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 4000, ToPort: 4000 });
  });

  it.each([
    [() => KarinFrontDoor.https({ domainName: 'https://karin.example.com' }), 'domainName must be the name of a host'],
    [() => KarinFrontDoor.https({ domainName: '10.0.0.1' }), "but '10.0.0.1' was provided"],
    [() => KarinFrontDoor.privateName({ name: 'a.b' }), 'name must be one part of a host name'],
  ])('refuses a name that is none (%#)', (door, message) => {
    expect(() => serviceIn(testStack(), { frontDoor: door() })).toThrow(message);
  });
});

describe('the network of a server', () => {
  const subnet = (name: string, subnetType: ec2.SubnetType) => ({ name, subnetType });

  it('is the private subnets of a VPC that have a way out, without a public address', () => {
    const stack = testStack();
    serviceIn(stack, { vpc: vpcIn(stack) });
    Template.fromStack(stack).hasResourceProperties('AWS::ECS::Service', {
      NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'DISABLED' } },
    });
  });

  it('is the public subnets rather than isolated ones, from which nothing reaches AWS', () => {
    const stack = testStack();
    const { PUBLIC, PRIVATE_ISOLATED } = ec2.SubnetType;
    const subnetConfiguration = [subnet('Public', PUBLIC), subnet('Isolated', PRIVATE_ISOLATED)];
    const vpc = vpcIn(stack, { natGateways: 0, subnetConfiguration });
    serviceIn(stack, { vpc });
    Template.fromStack(stack).hasResourceProperties('AWS::ECS::Service', {
      NetworkConfiguration: {
        AwsvpcConfiguration: {
          AssignPublicIp: 'ENABLED',
          Subnets: stack.resolve(vpc.selectSubnets({ subnetType: PUBLIC }).subnetIds),
        },
      },
    });
  });

  it('has a public address in public subnets that are named by their ids', () => {
    const stack = testStack();
    const vpc = ec2.Vpc.fromVpcAttributes(stack, 'Given', {
      vpcId: 'vpc-0f1e2d3c4b5a69788',
      availabilityZones: ['eu-west-1a', 'eu-west-1b'],
      publicSubnetIds: ['subnet-0f1e2d3c4b5a69781', 'subnet-0f1e2d3c4b5a69782'],
      privateSubnetIds: ['subnet-0f1e2d3c4b5a69783', 'subnet-0f1e2d3c4b5a69784'],
    });
    const serveIn = (id: string, subnetId: string) =>
      new KarinService(stack, id, {
        image: ecs.ContainerImage.fromRegistry('karin'),
        redisUrl: redisUrl(testStack()),
        frontDoor: https(testStack()),
        vpc,
        vpcSubnets: { subnets: [ec2.Subnet.fromSubnetId(stack, `${id}Subnet`, subnetId)] },
      });
    serveIn('Public', 'subnet-0f1e2d3c4b5a69782');
    serveIn('Private', 'subnet-0f1e2d3c4b5a69783');
    const services = Object.values(Template.fromStack(stack).findResources('AWS::ECS::Service'));
    const shown = services.map(({ Properties }) => Properties.NetworkConfiguration.AwsvpcConfiguration);
    expect(shown).toEqual([
      expect.objectContaining({ AssignPublicIp: 'ENABLED', Subnets: ['subnet-0f1e2d3c4b5a69782'] }),
      expect.objectContaining({ AssignPublicIp: 'DISABLED', Subnets: ['subnet-0f1e2d3c4b5a69783'] }),
    ]);
  });

  it('needs public subnets for a load balancer that the internet may reach', () => {
    const stack = testStack();
    const vpc = ec2.Vpc.fromVpcAttributes(stack, 'Given', {
      vpcId: 'vpc-0f1e2d3c4b5a69788',
      availabilityZones: ['eu-west-1a', 'eu-west-1b'],
      privateSubnetIds: ['subnet-0f1e2d3c4b5a69783', 'subnet-0f1e2d3c4b5a69784'],
    });
    expect(() => serviceIn(stack, { vpc, frontDoor: KarinFrontDoor.plainHttp() })).toThrow(
      "Stack/Karin: a load balancer that the internet may reach needs public subnets, but 'Stack/Given' has none; pass internetFacing: false to the front door, or a VPC with public subnets",
    );
  });

  it('needs two zones for a load balancer, as far as they are known', () => {
    const stack = testStack();
    const vpc = vpcIn(stack, { maxAzs: 1 });
    expect(() => serviceIn(stack, { vpc, frontDoor: KarinFrontDoor.plainHttp() })).toThrow(
      "Stack/Karin: a load balancer needs subnets in two availability zones, but 'Stack/Vpc' has them in one; give the VPC a second zone, or ask for KarinFrontDoor.privateName()",
    );
    const late = testStack('Late');
    const known = ec2.Vpc.fromVpcAttributes(late, 'Given', {
      vpcId: Fn.importValue('vpc'),
      availabilityZones: Fn.split(',', Fn.importValue('zones')),
      publicSubnetIds: Fn.split(',', Fn.importValue('public')),
    });
    serviceIn(late, { vpc: known, frontDoor: KarinFrontDoor.plainHttp() });
    Template.fromStack(late).resourceCountIs('AWS::ElasticLoadBalancingV2::LoadBalancer', 1);
  });

  it('holds the default domain of private names once, and a second server needs another', () => {
    const stack = testStack();
    const vpc = vpcIn(stack);
    serviceIn(stack, { vpc });
    const props = { image: ecs.ContainerImage.fromRegistry('karin'), redisUrl: redisUrl(testStack()), vpc };
    expect(() => new KarinService(stack, 'Second', props)).toThrow(
      "Stack/Second: 'karin.internal' exists in 'Stack/Vpc' already, by 'Stack/Karin/Namespace/Resource'; pass KarinFrontDoor.privateName({ cloudMapNamespace }) with a namespace of another domain, for example 'other.internal'",
    );
    const cloudMapNamespace = new servicediscovery.PrivateDnsNamespace(stack, 'Names', { name: 'test.internal', vpc });
    const frontDoor = KarinFrontDoor.privateName({ cloudMapNamespace });
    expect(new KarinService(stack, 'Third', { ...props, frontDoor }).endpoint).toBe('http://server.test.internal:4000');
    expect(new KarinService(testStack('Elsewhere'), 'Fourth', { ...props, vpc: vpcIn(testStack()) }).endpoint).toBe(
      'http://server.karin.internal:4000',
    );
  });

  it('lets a caller of another stack in by a rule in the stack of the caller', () => {
    const app = testApp();
    const server = testStack('Server', app);
    const vpc = vpcIn(server);
    const service = serviceIn(server, { vpc });
    const shop = testStack('Shop', app);
    const group = new ec2.SecurityGroup(shop, 'Caller', { vpc });
    new KarinQueue(shop, 'Jobs', { endpoint: service.endpoint, runtime: service.identity });
    group.connections.allowToDefaultPort(service);
    Template.fromStack(shop).hasResourceProperties('AWS::EC2::SecurityGroupIngress', { FromPort: 4000, ToPort: 4000 });
    expect(server.dependencies).toEqual([]);
  });

  it('is refused where all subnets are isolated, unless they are asked for', () => {
    const stack = testStack();
    const { PRIVATE_ISOLATED } = ec2.SubnetType;
    const subnetConfiguration = [subnet('Isolated', PRIVATE_ISOLATED)];
    const vpc = vpcIn(stack, { natGateways: 0, subnetConfiguration });
    expect(() => serviceIn(stack, { vpc })).toThrow(
      "Stack/Karin: the server needs a way to AWS, but the subnets of 'Stack/Vpc' are isolated; pass 'vpcSubnets' if VPC endpoints give them one",
    );
    const asked = testStack('Asked');
    serviceIn(asked, {
      vpc: vpcIn(asked, { natGateways: 0, subnetConfiguration }),
      vpcSubnets: { subnetType: PRIVATE_ISOLATED },
    });
    Template.fromStack(asked).hasResourceProperties('AWS::ECS::Service', {
      NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'DISABLED' } },
    });
  });
});

describe('what a server is told', () => {
  it('comes from Secrets Manager and from parameters of SSM', () => {
    const stack = testStack();
    const parameter = ssm.StringParameter.fromSecureStringParameterAttributes(stack, 'Tokens', {
      parameterName: '/karin/tokens',
    });
    serviceIn(stack, {
      secrets: { KARIN_TOKENS: ecs.Secret.fromSsmParameter(parameter) },
      environment: { LOG_LEVEL: 'debug', KARIN_TRUSTED_PROXIES: '2' },
      adminPassword: ecs.Secret.fromSecretsManager(
        secretsmanager.Secret.fromSecretNameV2(stack, 'Admin', 'karin/admin'),
        'password',
      ),
    });
    const template = Template.fromStack(stack);
    expect(
      containerIn(template)
        .Secrets.map(({ Name }) => Name)
        .sort(),
    ).toEqual(['KARIN_ADMIN_PASSWORD', 'KARIN_TOKENS', 'REDIS_URL']);
    expect(settingsIn(template)).toMatchObject({ LOG_LEVEL: 'debug', KARIN_TRUSTED_PROXIES: '2' });
    template.resourceCountIs('AWS::SecretsManager::Secret', 0);
  });

  const secret = () => redisUrl(testStack());
  // A caller in JavaScript may leave out what the types demand.
  type Given = { [name in keyof KarinServiceProps]?: KarinServiceProps[name] | undefined };
  const refused: ReadonlyArray<[props: Given, message: string]> = [
    [
      { environment: { KARIN_TOKENS: 'abc' } },
      'Stack/Karin: KARIN_TOKENS is a secret and would stand in the template as plain text; pass it as secrets: { KARIN_TOKENS: ... }',
    ],
    [
      { environment: { REDIS_URL: 'redis://h' } },
      "REDIS_URL is a secret and would stand in the template as plain text; pass it as 'redisUrl'",
    ],
    [{ environment: { KARIN_ALERTS: 'https://hooks.example.com/T1' } }, 'KARIN_ALERTS is a secret'],
    [{ environment: { KARIN_EMBEDDED_REDIS: '1' } }, 'KARIN_EMBEDDED_REDIS cannot be set: a task keeps no disk'],
    [{ environment: { KARIN_STOP_GRACE: '30' } }, "KARIN_STOP_GRACE cannot be set: pass 'stopGrace'"],
    [
      { secrets: { AWS_SECRET_ACCESS_KEY: secret() } },
      'AWS_SECRET_ACCESS_KEY cannot be set: the server acts in the role',
    ],
    [{ secrets: { REDIS_URL: secret() } }, "REDIS_URL has a property of its own; pass it as 'redisUrl'"],
    [
      { secrets: { KARIN_ROLES: secret() }, environment: { KARIN_ROLES: 'arn' } },
      'KARIN_ROLES stands both in environment and in secrets; leave one out',
    ],
    [{ stopGrace: Duration.seconds(106) }, 'stopGrace must be whole seconds, at most 105'],
    [{ cpu: 300 }, 'cpu must be one of 256, 512, 1024, 2048, 4096, but 300 was provided'],
    [
      { memoryLimitMiB: 1536 },
      'memoryLimitMiB must be one of 512, 1024, 2048 with a cpu of 256, but 1536 was provided',
    ],
    [{ image: undefined }, "Stack/Karin: image is missing; pass for example ecs.ContainerImage.fromAsset('../karin')"],
    [{ redisUrl: undefined }, 'Stack/Karin: redisUrl is missing: a task keeps no disk, so Redis is elsewhere'],
    [{ desiredCount: 1.5 }, 'desiredCount must be a whole number from 0 on, but 1.5 was provided'],
  ];

  it.each(refused)('is refused where it cannot work or would be read by all (%#)', (props, message) => {
    expect(() => serviceIn(testStack(), props as Partial<KarinServiceProps>)).toThrow(message);
  });

  it('lets a mail address and a topic stand in the template, which are no secrets', () => {
    const environment = { KARIN_ALERTS: 'mailto:ops@example.com' };
    expect(settingsIn(templateOf({ environment }))).toMatchObject(environment);
  });

  it('leaves invokes the time that is asked for, and itself enough to end after it', () => {
    const template = templateOf({ stopGrace: Duration.seconds(105) });
    expect(settingsIn(template)).toMatchObject({ KARIN_STOP_GRACE: '105' });
    expect(containerIn(template).StopTimeout).toBe(120);
  });

  it('takes size, number, processors and time of logs', () => {
    const template = templateOf({
      cpu: 512,
      desiredCount: 3,
      cpuArchitecture: ecs.CpuArchitecture.X86_64,
      logRetention: logs.RetentionDays.ONE_WEEK,
    });
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      Cpu: '512',
      Memory: '1024',
      RuntimePlatform: { CpuArchitecture: 'X86_64' },
    });
    template.hasResourceProperties('AWS::ECS::Service', { DesiredCount: 3 });
    template.hasResourceProperties('AWS::Logs::LogGroup', { RetentionInDays: 7 });
  });
});

describe('the identity of a server', () => {
  it('may be one that is allowed more, and of another stack', () => {
    const app = new App();
    const env = { account: ACCOUNT, region: REGION };
    const identity = KarinRuntimeIdentity.ecsTask(new Stack(app, 'Identity', { env }), 'Identity', {
      drain: KarinDrain.OUT,
      drainQueueNames: ['jobs'],
    });
    const stack = new Stack(app, 'Server', { env });
    const service = serviceIn(stack, { identity });
    expect(service.identity).toBe(identity);
    Template.fromStack(stack).resourceCountIs('AWS::IAM::ManagedPolicy', 0);
  });

  it('must be a role', () => {
    const stack = testStack();
    const identity = KarinRuntimeIdentity.user(stack, 'User');
    expect(() => serviceIn(stack, { identity })).toThrow(
      "Stack/Karin: identity must have a role that ECS tasks may assume, but 'Stack/User' is a user; use KarinRuntimeIdentity.ecsTask()",
    );
  });
});

describe('what only shows at deployment', () => {
  it('is found before: a role that ECS may not assume', () => {
    const stack = testStack();
    const identity = KarinRuntimeIdentity.flyMachine(stack, 'Fly', { orgSlug: 'acme', appName: 'karin' });
    serviceIn(stack, { identity });
    expect(() => Template.fromStack(stack)).toThrow(
      "identity must have a role that ECS tasks may assume, but that of 'Stack/Fly' trusts others; use KarinRuntimeIdentity.ecsTask()",
    );
  });

  it('is found before: a name that is not in its zone', () => {
    const door = (zone: (stack: Stack) => route53.IHostedZone, domainName = 'karin.example.com') => {
      const stack = testStack();
      const certificate = acm.Certificate.fromCertificateArn(stack, 'Certificate', CERTIFICATE);
      serviceIn(stack, { frontDoor: KarinFrontDoor.https({ domainName, certificate, hostedZone: zone(stack) }) });
      Template.fromStack(stack).hasResourceProperties('AWS::Route53::RecordSet', { Name: `${domainName}.` });
    };
    const named = (zoneName: string) => (stack: Stack) =>
      route53.HostedZone.fromHostedZoneAttributes(stack, 'Zone', { hostedZoneId: 'Z0123', zoneName });
    const stranger = () => door(named('ample.com'));
    expect(stranger).toThrow(
      "domainName must be in hostedZone, but 'karin.example.com' is not in 'ample.com'; pass its own zone, or 'certificate' without 'hostedZone'",
    );
    door(named('Example.com.'));
    door(named('karin.example.com'));
    door((stack) => route53.HostedZone.fromHostedZoneId(stack, 'Zone', 'Z0123'));
  });

  it('is prevented: a deployment leaves the number of servers to scaling, unless a number is given', () => {
    templateOf().hasResourceProperties('AWS::ECS::Service', { DesiredCount: Match.absent() });
    templateOf({ desiredCount: 0 }).hasResourceProperties('AWS::ECS::Service', { DesiredCount: 0 });
  });

  it('is prevented: the role that starts tasks may be let decrypt secrets under a key of its own', () => {
    const stack = testStack();
    const key = kms.Key.fromKeyArn(stack, 'Key', `arn:aws:kms:${REGION}:${ACCOUNT}:key/0f1e2d3c`);
    const { fargateService } = serviceIn(stack);
    key.grantDecrypt(fargateService.taskDefinition.obtainExecutionRole());
    Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          { Effect: 'Allow', Action: 'kms:Decrypt', Resource: `arn:aws:kms:${REGION}:${ACCOUNT}:key/0f1e2d3c` },
        ]),
      },
      Roles: [{ Ref: Match.stringLikeRegexp('ExecutionRole') }],
    });
  });
});

describe('queues of a server', () => {
  const env = { account: ACCOUNT, region: REGION };

  it('of another app stack take its endpoint without tying the stacks together, if its name is known', () => {
    const app = new App();
    const server = new Stack(app, 'Server', { env });
    const service = serviceIn(server, { frontDoor: https(server) });
    const shop = new Stack(app, 'Shop', { env });
    const queue = new KarinQueue(shop, 'Jobs', { endpoint: service.endpoint, consumer: testFunction(shop) });
    queue.bindEnvironment(testFunction(shop, 'Producer'));
    const template = JSON.stringify(Template.fromStack(shop).toJSON());
    expect(template).toContain('"AWS_ENDPOINT_URL_SQS":"https://karin.example.com"');
    expect(template).not.toContain('Fn::ImportValue');
    expect(JSON.stringify(Template.fromStack(server).toJSON())).not.toContain('Export');
    Annotations.fromStack(shop).hasNoWarning('*', Match.stringLikeRegexp('plain http'));
  });

  it('are warned of plain HTTP in no private network', () => {
    const stack = testStack();
    const service = serviceIn(stack);
    new KarinQueue(stack, 'Jobs', { endpoint: service.endpoint, consumer: testFunction(stack) });
    Annotations.fromStack(stack).hasNoWarning('*', Match.anyValue());
  });

  it('import the name of a load balancer that only AWS knows, and depend on the stack of the server', () => {
    const app = new App();
    const server = new Stack(app, 'Server', { env });
    const service = serviceIn(server, { frontDoor: KarinFrontDoor.plainHttp() });
    const shop = new Stack(app, 'Shop', { env });
    const queue = new KarinQueue(shop, 'Jobs', {
      endpoint: service.endpoint,
      consumer: testFunction(shop),
      capability: SecretValue.secretsManager('karin/producers'),
    });
    queue.bindEnvironment(testFunction(shop, 'Producer'));
    expect(JSON.stringify(Template.fromStack(shop).toJSON())).toContain('Fn::ImportValue');
    expect(shop.dependencies).toContain(server);
  });

  it('grant the server their exact ARNs from their own stack', () => {
    const app = new App();
    const server = new Stack(app, 'Server', { env });
    const identity = KarinRuntimeIdentity.ecsTask(server, 'Exact', { tagged: false });
    const service = serviceIn(server, { frontDoor: https(server), identity });
    const shop = new Stack(app, 'Shop', { env });
    const { endpoint } = service;
    new KarinQueue(shop, 'Jobs', { endpoint, runtime: service.identity, consumer: testFunction(shop) });
    Template.fromStack(shop).resourceCountIs('AWS::IAM::ManagedPolicy', 1);
    expect(shop.dependencies).toContain(server);
    expect(server.dependencies).toEqual([]);
  });

  it('tell the server of a deployment with the password that was generated', () => {
    const stack = testStack();
    const service = serviceIn(stack, { frontDoor: https(stack) });
    if (service.adminPassword === undefined) throw new Error('a password is generated where none is given');
    new SyncOnDeploy(stack, 'Sync', { endpoint: service.endpoint, credential: service.adminPassword });
    Template.fromStack(stack).resourceCountIs('AWS::SecretsManager::Secret', 1);
  });
});

describe('cdk-nag', () => {
  const env = { account: ACCOUNT, region: REGION };
  /** What AwsSolutions says against the service with a load balancer, and why it stays so. */
  const REASONS = {
    'AwsSolutions-EC23': 'Callers come from everywhere; each needs a credential.',
    'AwsSolutions-ECS2': 'What stands in the environment is no secret; those are secrets of the task.',
    'AwsSolutions-ECS4': 'Container Insights costs more than the server; alerts and /metrics tell of it.',
    'AwsSolutions-ELB2': 'Access logs would hold capabilities.',
    'AwsSolutions-IAM5[Resource::*]': 'Listing mappings, and the log-in to ECR, know no resource.',
    'AwsSolutions-SMG4': 'The password is configuration of the server.',
    'AwsSolutions-VPC7': 'Flow logs are the choice of the account.',
  };

  it('says nothing against it but what has a reason', () => {
    const app = new App();
    const stack = new Stack(app, 'Stack', { env });
    const service = serviceIn(stack, { frontDoor: https(stack) });
    for (const [id, reason] of Object.entries(REASONS)) Validations.of(service).acknowledge({ id, reason });
    for (const resource of [
      'lambda:${R}:${A}:event-source-mapping:*',
      'lambda:${R}:${A}:function:*',
      'sqs:${R}:${A}:*',
    ]) {
      const arn = `arn:<AWS::Partition>:${resource.replace('${R}', REGION).replace('${A}', ACCOUNT)}`;
      Validations.of(service).acknowledge({ id: `AwsSolutions-IAM5[Resource::${arn}]`, reason: 'as in the identity' });
    }
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    expect(() => app.synth()).not.toThrow();
  });
});
