import { type Duration, Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { SERVER_PORT } from './front-door';
import type { KarinServiceProps } from './karin-service-props';

/** Settings that let whoever reads them in. */
const SECRET = new Set([
  'REDIS_URL',
  'KARIN_ADMIN_PASSWORD',
  'KARIN_KEYS',
  'KARIN_OPERATORS',
  'KARIN_TOKENS',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
]);

/** Settings that are not open to choice on ECS, and what is there in their place. */
const SET_BY: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: "the server acts in the role of 'identity'",
  AWS_SECRET_ACCESS_KEY: "the server acts in the role of 'identity'",
  AWS_SESSION_TOKEN: "the server acts in the role of 'identity'",
  AWS_REGION: 'it is the region of the stack; KARIN_REGIONS adds others',
  HOST: 'the front door leads to it',
  PORT: 'the front door leads to it',
  KARIN_DATA_DIR: 'a task keeps no disk',
  KARIN_EMBEDDED_REDIS: "a task keeps no disk, so a Redis inside it would lose every message; pass 'redisUrl'",
  KARIN_PUBLIC_URL: "it is the address of 'frontDoor'",
  KARIN_STOP_GRACE: "pass 'stopGrace', which the time of ECS goes by",
};

/** Properties of their own for two settings. */
const PROPERTIES: Readonly<Record<string, string>> = { REDIS_URL: 'redisUrl', KARIN_ADMIN_PASSWORD: 'adminPassword' };

/** The memory that Fargate offers with each size of processor, in MiB. */
const FARGATE_MEMORY: Readonly<Record<number, readonly number[]>> = {
  256: [512, 1024, 2048],
  512: gibibytes(1, 4),
  1024: gibibytes(2, 8),
  2048: gibibytes(4, 16),
  4096: gibibytes(8, 30),
};

/** A task of Fargate is killed 120 seconds after SIGTERM, of which the server needs 15 for itself. */
const MAX_GRACE_SECONDS = 105;

/**
 * Throws if a setting is secret and would stand in the template, is not open to choice on ECS, or is missing. Callers
 * in JavaScript and Python can leave out what the types demand.
 */
export function checkSettings(scope: IConstruct, props: Partial<KarinServiceProps>): void {
  const { environment = {}, secrets = {} } = props;
  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  if (props.image === undefined)
    throw fail("image is missing; pass for example ecs.ContainerImage.fromAsset('../karin')");
  if (props.redisUrl === undefined) {
    throw fail(
      'redisUrl is missing: a task keeps no disk, so Redis is elsewhere; pass ecs.Secret.fromSecretsManager(...)',
    );
  }
  for (const name of [...Object.keys(environment), ...Object.keys(secrets)]) {
    if (SET_BY[name] !== undefined) throw fail(`${name} cannot be set: ${SET_BY[name]}`);
  }
  for (const [name, value] of Object.entries(environment)) {
    if (secrets[name] !== undefined) throw fail(`${name} stands both in environment and in secrets; leave one out`);
    if (SECRET.has(name) || isWebHook(name, value)) {
      const where = PROPERTIES[name] === undefined ? `as secrets: { ${name}: ... }` : `as '${PROPERTIES[name]}'`;
      throw fail(`${name} is a secret and would stand in the template as plain text; pass it ${where}`);
    }
  }
  for (const [name, property] of Object.entries(PROPERTIES)) {
    if (secrets[name] !== undefined) throw fail(`${name} has a property of its own; pass it as '${property}'`);
  }
}

/** An address of mail or a topic is no secret; the address of a web hook lets whoever has it post there. */
function isWebHook(name: string, value: string): boolean {
  return name === 'KARIN_ALERTS' && value.includes('://');
}

/** The settings in the template. With a proxy before the load balancer `KARIN_TRUSTED_PROXIES` may be more. */
export function plainSettings(
  { environment = {} }: KarinServiceProps,
  place: {
    readonly region: string;
    readonly publicUrl: string;
    readonly proxies: number;
    readonly graceSeconds: number;
  },
): Record<string, string> {
  return {
    KARIN_TRUSTED_PROXIES: String(place.proxies),
    ...environment,
    AWS_REGION: place.region,
    HOST: '0.0.0.0',
    PORT: String(SERVER_PORT),
    KARIN_PUBLIC_URL: place.publicUrl,
    KARIN_STOP_GRACE: String(place.graceSeconds),
  };
}

/** The grace of open invokes in whole seconds. Throws beyond what Fargate allows. */
export function stopGraceSeconds(scope: IConstruct, grace: Duration | undefined): number {
  if (grace === undefined) return 60;
  const seconds = grace.toSeconds({ integral: false });
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_GRACE_SECONDS) return seconds;
  throw new Error(
    `${scope.node.path}: stopGrace must be whole seconds, at most ${MAX_GRACE_SECONDS}, because ECS kills a task of Fargate 120 seconds after it is told to stop, but ${seconds} seconds were provided`,
  );
}

/** The memory of a task in MiB. Throws if Fargate does not offer it with the processor. */
export function fargateMemory(scope: IConstruct, { cpu = 256, memoryLimitMiB }: KarinServiceProps): number {
  if (Token.isUnresolved(cpu) || Token.isUnresolved(memoryLimitMiB)) return memoryLimitMiB ?? 512;
  const offered = FARGATE_MEMORY[cpu];
  if (offered === undefined) {
    throw new Error(
      `${scope.node.path}: cpu must be one of ${Object.keys(FARGATE_MEMORY).join(', ')}, but ${cpu} was provided`,
    );
  }
  const memory = memoryLimitMiB ?? offered[0] ?? 512;
  if (offered.includes(memory)) return memory;
  throw new Error(
    `${scope.node.path}: memoryLimitMiB must be one of ${offered.join(', ')} with a cpu of ${cpu}, but ${memory} was provided`,
  );
}

function gibibytes(least: number, most: number): readonly number[] {
  return Array.from({ length: most - least + 1 }, (_, more) => (least + more) * 1024);
}
