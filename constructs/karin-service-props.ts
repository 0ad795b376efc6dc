import type { Duration } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as ecs from 'aws-cdk-lib/aws-ecs';
import type * as logs from 'aws-cdk-lib/aws-logs';
import type { KarinFrontDoor } from './front-door';
import type { KarinRuntimeIdentity } from './runtime-identity';

/**
 * Properties of a Karin server on Amazon ECS.
 */
export interface KarinServiceProps {
  /**
   * The image of the server, built for `cpuArchitecture`.
   *
   * From a clone of the repository: `ecs.ContainerImage.fromAsset('../karin', { file: 'runtime/Dockerfile', platform:
   * Platform.LINUX_ARM64 })`.
   */
  readonly image: ecs.ContainerImage;

  /**
   * The secret that holds `REDIS_URL`: a Redis or Valkey 7.0 or later, that the subnets of the server reach.
   *
   * From Secrets Manager or a SecureString parameter of SSM. A task keeps no disk, so the Redis inside the image is no
   * choice here.
   */
  readonly redisUrl: ecs.Secret;

  /**
   * The secret that holds `KARIN_ADMIN_PASSWORD`, at least 12 characters.
   *
   * @default - one is generated in Secrets Manager: `service.adminPassword`
   */
  readonly adminPassword?: ecs.Secret;

  /**
   * Further settings of the server that are secret, by their names: `KARIN_TOKENS`, `KARIN_KEYS`, `KARIN_OPERATORS`,
   * `KARIN_ALERTS`.
   *
   * A task reads them when it starts: after a change of a secret start new ones with `aws ecs update-service
   * --force-new-deployment`.
   *
   * @default - none
   */
  readonly secrets?: { [name: string]: ecs.Secret };

  /**
   * Further settings of the server that everybody may read, by their names, for example `KARIN_ROLES` or `LOG_LEVEL`.
   *
   * Names of secrets are refused here, and so is what other properties set.
   *
   * @default - none
   */
  readonly environment?: { [name: string]: string };

  /**
   * How callers reach the server.
   *
   * @default KarinFrontDoor.privateName()
   */
  readonly frontDoor?: KarinFrontDoor;

  /**
   * The identity of the server, with a role that ECS tasks may assume: its role becomes the task role.
   *
   * Give one to let the server drain queues or list function URLs, or to define it in a stack of its own.
   *
   * @default - KarinRuntimeIdentity.ecsTask() without further permissions
   */
  readonly identity?: KarinRuntimeIdentity;

  /**
   * The VPC of the server.
   *
   * @default - one is defined, with public subnets in two zones and without a NAT gateway: it costs nothing
   */
  readonly vpc?: ec2.IVpc;

  /**
   * The subnets of the server. In public ones it gets a public address, by which it reaches AWS; nobody reaches it
   * there but by the front door.
   *
   * @default - the private subnets of the VPC that have a way out, else its public ones
   */
  readonly vpcSubnets?: ec2.SubnetSelection;

  /**
   * How many servers run. They share the queues, and one is enough for most.
   *
   * Each deployment that changes the service sets this number again, whatever scaling made of it.
   *
   * @default - 1 at first; later deployments leave as many as run
   */
  readonly desiredCount?: number;

  /**
   * The processors that the image is built for.
   *
   * @default ecs.CpuArchitecture.ARM64
   */
  readonly cpuArchitecture?: ecs.CpuArchitecture;

  /**
   * Processor of each server, in 1/1,024 vCPU: 256, 512, 1024, 2048 or 4096. A server uses little more than one vCPU.
   *
   * @default 256
   */
  readonly cpu?: number;

  /**
   * Memory of each server, as much as Fargate offers with `cpu`. The image lets the server have 128 MiB of JavaScript
   * objects; the setting `NODE_OPTIONS` changes that.
   *
   * @default - the least that Fargate offers with `cpu`: 512 with 256
   */
  readonly memoryLimitMiB?: number;

  /**
   * How long open invokes may go on when a server is stopped: `KARIN_STOP_GRACE`.
   *
   * Whole seconds, at most 105, because ECS kills a task of Fargate after two minutes. What is not finished then comes
   * again when its visibility timeout is over.
   *
   * @default Duration.seconds(60)
   */
  readonly stopGrace?: Duration;

  /**
   * How long the logs of the server are kept.
   *
   * @default RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;
}
