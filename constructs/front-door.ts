import { Duration, Token } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import type * as ecs from 'aws-cdk-lib/aws-ecs';
import * as elbv2 from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as route53 from 'aws-cdk-lib/aws-route53';
import * as targets from 'aws-cdk-lib/aws-route53-targets';
import * as servicediscovery from 'aws-cdk-lib/aws-servicediscovery';
import type { Construct } from 'constructs';

/** Where the server listens in its container, by its image. */
export const SERVER_PORT = 4000;

/** The domain of a namespace that is defined here: `.internal` is reserved for private networks. */
const PRIVATE_DOMAIN = 'karin.internal';

/** Longer than the longest long poll (20 seconds), so that each is answered before its server is stopped. */
const DEREGISTRATION = Duration.seconds(30);

const HOST_NAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*$/i;

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/**
 * A load balancer in front of a Karin server.
 */
export interface KarinLoadBalancerOptions {
  /**
   * Whether the internet may reach the load balancer. With `false` it stands in the VPC, and nobody reaches it until
   * `service.connections` allows it.
   *
   * @default true
   */
  readonly internetFacing?: boolean;
}

/**
 * A load balancer with TLS in front of a Karin server.
 */
export interface KarinHttpsOptions extends KarinLoadBalancerOptions {
  /**
   * The name that callers use, for example `karin.example.com`. It becomes the endpoint, `https://<domainName>`.
   */
  readonly domainName: string;

  /**
   * The certificate of that name, of the region of the load balancer.
   *
   * @default - one is defined, which `hostedZone` proves to be yours
   */
  readonly certificate?: acm.ICertificate;

  /**
   * The zone of the name in Route 53: the name is made to lead to the load balancer.
   *
   * @default - point the name at `service.loadBalancer` yourself, where your DNS is
   */
  readonly hostedZone?: route53.IHostedZone;
}

/**
 * A name in a private DNS zone for a Karin server.
 */
export interface KarinPrivateNameOptions {
  /**
   * The first part of the name: up to 63 letters, digits and hyphens.
   *
   * @default 'server'
   */
  readonly name?: string;

  /**
   * The namespace of Cloud Map, of the VPC of the server.
   *
   * @default - one is defined, `karin.internal`, which a VPC can hold once
   */
  readonly cloudMapNamespace?: servicediscovery.IPrivateDnsNamespace;
}

/** The parts of a service that a front door stands in front of. */
export interface Door {
  /** Address for callers. */
  readonly endpoint: string;
  /** How many proxies stand before the server. */
  readonly proxies: number;
  readonly cloudMap?: ecs.CloudMapOptions;
  readonly loadBalancer?: elbv2.ApplicationLoadBalancer;
  /** Leads callers to the service; returns what they connect to. */
  readonly leadTo: (service: ecs.FargateService, containerName: string) => ec2.Connections;
}

/**
 * How callers reach a Karin server on Amazon ECS.
 */
export class KarinFrontDoor {
  /**
   * A load balancer that speaks HTTPS. It costs some $24 a month with its two public addresses.
   *
   * Give it a certificate, or the hosted zone of the name, or both.
   *
   * @param options the name, and what proves that it is yours
   */
  public static https(options: KarinHttpsOptions): KarinFrontDoor {
    return new KarinFrontDoor((scope, vpc) => httpsDoor(scope, vpc, options));
  }

  /**
   * A load balancer without TLS: messages and capabilities cross the network in the clear.
   *
   * For a trial, or behind something that brings TLS; then give the queues the address of that as their endpoint.
   *
   * @param options who may reach it
   */
  public static plainHttp(options: KarinLoadBalancerOptions = {}): KarinFrontDoor {
    return new KarinFrontDoor((scope, vpc) => {
      const loadBalancer = defineLoadBalancer(scope, vpc, options);
      return {
        endpoint: `http://${loadBalancer.loadBalancerDnsName}`,
        ...behind(loadBalancer, options, { port: 80, protocol: elbv2.ApplicationProtocol.HTTP }),
      };
    });
  }

  /**
   * No load balancer, but a name in the VPC that Cloud Map keeps: `http://server.karin.internal:4000`. It costs $0.60 a
   * month.
   *
   * Nobody reaches it until `service.connections` allows it. Functions outside of the VPC, and services of AWS that
   * post messages, never do.
   *
   * @param options the name
   */
  public static privateName(options: KarinPrivateNameOptions = {}): KarinFrontDoor {
    return new KarinFrontDoor((scope, vpc) => privateDoor(scope, vpc, options));
  }

  /** @internal */
  public readonly _define: (scope: Construct, vpc: ec2.IVpc) => Door;

  private constructor(define: (scope: Construct, vpc: ec2.IVpc) => Door) {
    this._define = define;
  }
}

function httpsDoor(scope: Construct, vpc: ec2.IVpc, options: KarinHttpsOptions): Door {
  const { domainName, hostedZone: zone } = options;
  if (!Token.isUnresolved(domainName) && !HOST_NAME.test(domainName)) {
    throw new Error(
      `${scope.node.path}: domainName must be the name of a host, for example 'karin.example.com', but '${domainName}' was provided`,
    );
  }
  if (zone !== undefined) checkZone(scope, domainName, zone);
  const certificate = options.certificate ?? defineCertificate(scope, domainName, zone);
  const loadBalancer = defineLoadBalancer(scope, vpc, options);
  if (zone !== undefined) {
    new route53.ARecord(scope, 'Record', {
      zone,
      recordName: `${domainName}.`,
      target: route53.RecordTarget.fromAlias(new targets.LoadBalancerTarget(loadBalancer)),
    });
  }
  return {
    endpoint: `https://${domainName}`,
    ...behind(loadBalancer, options, {
      port: 443,
      protocol: elbv2.ApplicationProtocol.HTTPS,
      certificates: [certificate],
      sslPolicy: elbv2.SslPolicy.RECOMMENDED_TLS,
    }),
  };
}

/** Throws if Route 53 would refuse a name in a zone. */
function checkZone(scope: Construct, domainName: string, zone: route53.IHostedZone): void {
  const zoneName = nameOf(zone);
  if (zoneName === undefined || Token.isUnresolved(zoneName) || Token.isUnresolved(domainName)) return;
  if (`.${domainName}`.toLowerCase().endsWith(`.${zoneName.replace(/\.$/, '')}`.toLowerCase())) return;
  throw new Error(
    `${scope.node.path}: domainName must be in hostedZone, but '${domainName}' is not in '${zoneName}'; pass its own zone, or 'certificate' without 'hostedZone'`,
  );
}

/** A zone that is imported by its id alone has no name, and throws when asked for one. */
function nameOf(zone: route53.IHostedZone): string | undefined {
  try {
    return zone.zoneName;
  } catch {
    return undefined;
  }
}

function defineCertificate(
  scope: Construct,
  domainName: string,
  zone: route53.IHostedZone | undefined,
): acm.ICertificate {
  if (zone === undefined) {
    throw new Error(
      `${scope.node.path}: HTTPS for '${domainName}' needs a certificate; pass 'certificate', or 'hostedZone' to have one made, or ask for KarinFrontDoor.plainHttp() if messages may cross the network in the clear`,
    );
  }
  return new acm.Certificate(scope, 'Certificate', {
    domainName,
    validation: acm.CertificateValidation.fromDns(zone),
  });
}

function privateDoor(scope: Construct, vpc: ec2.IVpc, options: KarinPrivateNameOptions): Door {
  const { name = 'server' } = options;
  if (!Token.isUnresolved(name) && !LABEL.test(name)) {
    throw new Error(
      `${scope.node.path}: name must be one part of a host name, up to 63 letters, digits and hyphens, but '${name}' was provided`,
    );
  }
  const namespace = options.cloudMapNamespace ?? defineNamespace(scope, vpc);
  return {
    endpoint: `http://${name}.${namespace.namespaceName}:${SERVER_PORT}`,
    proxies: 0,
    cloudMap: {
      cloudMapNamespace: namespace,
      name,
      dnsRecordType: servicediscovery.DnsRecordType.A,
      // So long do callers go on to ask a server that is no more.
      dnsTtl: Duration.seconds(10),
    },
    leadTo: ({ connections }) =>
      new ec2.Connections({ securityGroups: connections.securityGroups, defaultPort: ec2.Port.tcp(SERVER_PORT) }),
  };
}

/** Throws if the VPC has the domain already: Route 53 refuses a second zone of one name. */
function defineNamespace(scope: Construct, vpc: ec2.IVpc): servicediscovery.IPrivateDnsNamespace {
  const taken = scope.node.root.node
    .findAll()
    .filter((construct) => servicediscovery.CfnPrivateDnsNamespace.isCfnPrivateDnsNamespace(construct))
    .find((namespace) => namespace.name === PRIVATE_DOMAIN && namespace.vpc === vpc.vpcId);
  if (taken !== undefined) {
    throw new Error(
      `${scope.node.path}: '${PRIVATE_DOMAIN}' exists in '${vpc.node.path}' already, by '${taken.node.path}'; pass KarinFrontDoor.privateName({ cloudMapNamespace }) with a namespace of another domain, for example 'other.internal'`,
    );
  }
  return new servicediscovery.PrivateDnsNamespace(scope, 'Namespace', { name: PRIVATE_DOMAIN, vpc });
}

function defineLoadBalancer(
  scope: Construct,
  vpc: ec2.IVpc,
  { internetFacing = true }: KarinLoadBalancerOptions,
): elbv2.ApplicationLoadBalancer {
  checkZones(scope, vpc, internetFacing);
  return new elbv2.ApplicationLoadBalancer(scope, 'LoadBalancer', {
    vpc,
    internetFacing,
    dropInvalidHeaderFields: true,
  });
}

/** Throws if AWS would refuse the load balancer its subnets. */
function checkZones(scope: Construct, vpc: ec2.IVpc, internetFacing: boolean): void {
  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  if (internetFacing && vpc.publicSubnets.length === 0) {
    throw fail(
      `a load balancer that the internet may reach needs public subnets, but '${vpc.node.path}' has none; pass internetFacing: false to the front door, or a VPC with public subnets`,
    );
  }
  const { subnetIds, availabilityZones } = vpc.selectSubnets(
    internetFacing ? { subnetType: ec2.SubnetType.PUBLIC } : {},
  );
  // A list that only CloudFormation knows has one item here.
  if (Token.isUnresolved(subnetIds) || Token.isUnresolved(availabilityZones)) return;
  if (new Set(availabilityZones).size < 2) {
    throw fail(
      `a load balancer needs subnets in two availability zones, but '${vpc.node.path}' has them in one; give the VPC a second zone, or ask for KarinFrontDoor.privateName()`,
    );
  }
}

function behind(
  loadBalancer: elbv2.ApplicationLoadBalancer,
  { internetFacing = true }: KarinLoadBalancerOptions,
  listener: elbv2.BaseApplicationListenerProps,
): Omit<Door, 'endpoint'> {
  return {
    proxies: 1,
    loadBalancer,
    leadTo: (service, containerName) => {
      const { connections } = loadBalancer.addListener('Listener', { ...listener, open: internetFacing });
      loadBalancer.listeners[0]?.addTargets('Server', {
        port: SERVER_PORT,
        protocol: elbv2.ApplicationProtocol.HTTP,
        targets: [service.loadBalancerTarget({ containerName, containerPort: SERVER_PORT })],
        deregistrationDelay: DEREGISTRATION,
        // ECS replaces a task that its target group calls unhealthy. /readyz would make it kill every server while
        // Redis is away, and the functions that they wait for run a second time.
        healthCheck: { path: '/healthz', interval: Duration.seconds(10), timeout: Duration.seconds(5) },
      });
      return connections;
    },
  };
}
