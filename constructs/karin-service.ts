import { Duration, RemovalPolicy, Size, Stack, Token } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { KarinFrontDoor, SERVER_PORT } from './front-door';
import type { KarinServiceProps } from './karin-service-props';
import { KarinRuntimeIdentity } from './runtime-identity';
import { checkSettings, fargateMemory, plainSettings, stopGraceSeconds } from './service-settings';

const CONTAINER = 'karin';

/** User and group of the image: it needs no other, because it has no volume to take over. */
const USER = '10001:10001';

/** For the server to end by itself once the grace of its invokes is over. */
const SECONDS_TO_END = 15;

/** The health check of the image, which ECS does not look at there. */
const IS_ALIVE =
  "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3";

/**
 * A Karin server on Amazon ECS with Fargate.
 *
 * Give queues its endpoint: `new KarinQueue(this, 'Jobs', { endpoint: service.endpoint })`. The server finds them by
 * their tag. Its Redis is yours to choose.
 */
export class KarinService extends Construct implements ec2.IConnectable {
  /**
   * Where callers reach the server: the `endpoint` of queues and of `SyncOnDeploy`.
   */
  public readonly endpoint: string;

  /**
   * What the server may do, for queues that grant it their exact ARNs: their property `runtime`.
   */
  public readonly identity: KarinRuntimeIdentity;

  /**
   * Who may connect to the front door, with its port as the default. Whom the server itself may reach, such as a Redis
   * in the VPC, is told by `fargateService`.
   *
   * For a caller in another stack, begin with the caller: `caller.connections.allowToDefaultPort(service)`. The rule
   * then stands in the stack of the caller, which depends on this one already.
   */
  public readonly connections: ec2.Connections;

  /**
   * The service in ECS, for alarms, scaling and the security group of a Redis.
   */
  public readonly fargateService: ecs.FargateService;

  /**
   * The load balancer, unless the front door is a private name.
   *
   * Its access logs hold the addresses of requests, and with them capabilities: keep them as you keep secrets.
   */
  public readonly loadBalancer?: elbv2.ApplicationLoadBalancer;

  /**
   * The admin password, if none was given: the `credential` of `SyncOnDeploy`, and how people log in.
   */
  public readonly adminPassword?: secretsmanager.ISecret;

  /**
   * Where the server logs.
   */
  public readonly logGroup: logs.ILogGroup;

  constructor(scope: Construct, id: string, props: KarinServiceProps) {
    super(scope, id);
    const graceSeconds = stopGraceSeconds(this, props.stopGrace);
    const memory = fargateMemory(this, props);
    checkSettings(this, props);
    this.identity = props.identity ?? KarinRuntimeIdentity.ecsTask(this, 'Identity');
    const vpc = props.vpc ?? this.defineVpc();
    const vpcSubnets = props.vpcSubnets ?? this.subnetsWithAWayOut(vpc);
    const door = (props.frontDoor ?? KarinFrontDoor.privateName())._define(this, vpc);
    this.endpoint = door.endpoint;
    if (door.loadBalancer !== undefined) this.loadBalancer = door.loadBalancer;
    this.logGroup = new logs.LogGroup(this, 'Logs', {
      retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    });

    const taskDefinition = new ecs.FargateTaskDefinition(this, 'Task', {
      cpu: props.cpu ?? 256,
      memoryLimitMiB: memory,
      runtimePlatform: {
        cpuArchitecture: props.cpuArchitecture ?? ecs.CpuArchitecture.ARM64,
        operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
      },
      taskRole: this.taskRole(),
    });
    let { adminPassword } = props;
    if (adminPassword === undefined) {
      this.adminPassword = this.generateAdminPassword();
      adminPassword = ecs.Secret.fromSecretsManager(this.adminPassword);
    }
    const secrets = { ...props.secrets, REDIS_URL: props.redisUrl, KARIN_ADMIN_PASSWORD: adminPassword };
    const settings = plainSettings(props, {
      region: Stack.of(this).region,
      publicUrl: door.endpoint,
      proxies: door.proxies,
      graceSeconds,
    });
    this.defineContainer(taskDefinition, props.image, settings, secrets, graceSeconds);
    this.fargateService = new ecs.FargateService(this, 'Service', {
      // The casts here and below are for exactOptionalPropertyTypes, for which aws-cdk-lib is not written.
      cluster: new ecs.Cluster(this, 'Cluster', { vpc }) as ecs.ICluster,
      taskDefinition,
      // Left out, a deployment keeps the number that scaling chose.
      ...(props.desiredCount === undefined ? {} : { desiredCount: this.checkedCount(props.desiredCount) }),
      vpcSubnets,
      assignPublicIp: isPublic(vpc, vpcSubnets),
      // A new server runs before an old one stops.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      ...(door.cloudMap === undefined ? {} : { cloudMapOptions: door.cloudMap }),
    });
    this.connections = door.leadTo(this.fargateService, CONTAINER);
  }

  private defineContainer(
    taskDefinition: ecs.FargateTaskDefinition,
    image: ecs.ContainerImage,
    environment: Record<string, string>,
    secrets: Record<string, ecs.Secret>,
    graceSeconds: number,
  ): void {
    const linuxParameters = new ecs.LinuxParameters(this, 'Linux');
    linuxParameters.dropCapabilities(ecs.Capability.ALL);
    taskDefinition.addContainer(CONTAINER, {
      image,
      user: USER,
      readonlyRootFilesystem: true,
      linuxParameters,
      portMappings: [{ containerPort: SERVER_PORT }],
      environment,
      secrets,
      healthCheck: {
        command: ['CMD', 'bash', '-c', IS_ALIVE],
        interval: Duration.seconds(30),
        timeout: Duration.seconds(5),
        startPeriod: Duration.seconds(20),
      },
      stopTimeout: Duration.seconds(graceSeconds + SECONDS_TO_END),
      logging: ecs.LogDrivers.awsLogs({
        streamPrefix: CONTAINER,
        logGroup: this.logGroup,
        // Queues go on while CloudWatch Logs is away: lines beyond the buffer are lost instead.
        mode: ecs.AwsLogDriverMode.NON_BLOCKING,
        maxBufferSize: Size.mebibytes(4),
      }),
    });
  }

  private generateAdminPassword(): secretsmanager.ISecret {
    const secret = new secretsmanager.Secret(this, 'AdminPassword', {
      description: 'KARIN_ADMIN_PASSWORD of the Karin server',
      generateSecretString: { passwordLength: 40, excludePunctuation: true },
    });
    return secret as secretsmanager.ISecret;
  }

  private taskRole(): iam.IRole {
    const { role } = this.identity;
    if (role === undefined) {
      throw new Error(
        `${this.node.path}: identity must have a role that ECS tasks may assume, but '${this.identity.node.path}' is a user; use KarinRuntimeIdentity.ecsTask()`,
      );
    }
    this.node.addValidation({
      validate: () =>
        mayBeForTasks(role)
          ? []
          : [
              `identity must have a role that ECS tasks may assume, but that of '${this.identity.node.path}' trusts others; use KarinRuntimeIdentity.ecsTask()`,
            ],
    });
    return role;
  }

  private checkedCount(count: number): number {
    if (!Token.isUnresolved(count) && (!Number.isInteger(count) || count < 0)) {
      throw new Error(`${this.node.path}: desiredCount must be a whole number from 0 on, but ${count} was provided`);
    }
    return count;
  }

  private defineVpc(): ec2.IVpc {
    return new ec2.Vpc(this, 'Vpc', {
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: 'Public', subnetType: ec2.SubnetType.PUBLIC, mapPublicIpOnLaunch: false }],
      // Nothing is in the default security group, and to empty it takes a function.
      restrictDefaultSecurityGroup: false,
    }) as ec2.IVpc;
  }

  /** The CDK itself would choose isolated subnets before public ones; there a server reaches not even its image. */
  private subnetsWithAWayOut(vpc: ec2.IVpc): ec2.SubnetSelection {
    if (vpc.privateSubnets.length > 0) return { subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS };
    if (vpc.publicSubnets.length > 0) return { subnetType: ec2.SubnetType.PUBLIC };
    throw new Error(
      `${this.node.path}: the server needs a way to AWS, but the subnets of '${vpc.node.path}' are isolated; pass 'vpcSubnets' if VPC endpoints give them one`,
    );
  }
}

/**
 * Whether any of the subnets is public. Subnets that are named by their ids are other objects than those of the VPC, so
 * the CDK takes them for private, and a server there could not fetch its image.
 */
function isPublic(vpc: ec2.IVpc, selection: ec2.SubnetSelection): boolean {
  const { subnetIds, hasPublic } = vpc.selectSubnets(selection);
  const publicIds = new Set(vpc.publicSubnets.map(({ subnetId }) => subnetId));
  return hasPublic || subnetIds.some((id) => publicIds.has(id));
}

/** Whom a role of another app trusts is not known here. */
function mayBeForTasks(role: iam.IRole): boolean {
  if (!(role instanceof iam.Role) || role.assumeRolePolicy === undefined) return true;
  return JSON.stringify(Stack.of(role).resolve(role.assumeRolePolicy)).includes('ecs-tasks.amazonaws.com');
}
