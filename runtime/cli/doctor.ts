/**
 * `karin doctor`: looks at a set-up from the place where the server will run, and says what is wrong with it and what
 * mends it.
 *
 * @module
 */

import { createAwsDiscovery } from '../aws/discovery/aws.ts';
import { type Discovery, DiscoveryError } from '../aws/discovery/discovery.ts';
import { type AwsScope, scopesOf } from '../aws/scope.ts';
import { isEmpty, isLoopback, openServerProblem, readCredentialBook } from '../http/auth/credentials.ts';
import { readAlertTargets } from '../ops/alert-targets.ts';
import { formatQueueArn, type QueueArn } from '../queue/names.ts';
import { configProblems, NO_ACCOUNT } from '../server/parts.ts';
import { type Config, ConfigError, readConfig } from '../settings.ts';
import { openStore } from '../store/open-store.ts';
import { systemRandomness, systemTime } from '../time.ts';
import type { CliContext } from './context.ts';
import { policy } from './iam.ts';

export interface DoctorOptions {
  /** ARN of the role or user that the server runs as; default `AWS_ROLE_ARN`, else the IAM user of the credentials. */
  readonly principal?: string;
}

type Verdict = 'ok' | 'warn' | 'bad';
type Finding = readonly [verdict: Verdict, text: string];

const MARKS: Readonly<Record<Verdict, string>> = { ok: 'ok   ', warn: 'note ', bad: 'WRONG' };
/** Functions whose permission is tried, one call each, and resources of one kind about which IAM is asked. */
const MOST_TRIED = 25;
/** Pages of a hundred subscriptions. */
const MOST_PAGES = 50;
/** Addresses of private networks (RFC 1918, 3927, 6598 and 4193), and names that only a local resolver knows. */
const PRIVATE_HOST =
  /^(?:10|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\.[\d.]+$|^\[f[cd]|^\[fe80:|^[^.[]+$|\.(?:internal|local|localhost|lan)$/i;
const TAG = 'karin:managed';
const TAG_KEY = `aws:ResourceTag/${TAG}`;

/** Prints findings as they come. Answers whether nothing is wrong. */
export async function doctor(options: DoctorOptions, context: CliContext): Promise<boolean> {
  let healthy = true;
  const say = ([verdict, text]: Finding): void => {
    if (verdict === 'bad') healthy = false;
    context.out(`${MARKS[verdict]}  ${text}\n`);
  };
  const config = checkConfig(context, say);
  if (config === undefined) return false;
  say(checkCredentials(config));
  for (const finding of checkAddress(config)) say(finding);
  for (const finding of await checkStore(config)) say(finding);
  if (config.discovery.kind !== 'aws') return healthy;
  for (const scope of scopesOf(config, systemTime)) {
    const discovery = await checkDiscovery(scope, say);
    if (discovery !== undefined) {
      for (const finding of await checkInvokes(scope, discovery)) say(finding);
      for (const finding of await checkSubscriptions(scope, discovery)) say(finding);
    }
    // A role that cannot be assumed was told already, and asks nothing of IAM.
    if (scope.role !== undefined && discovery === undefined) continue;
    for (const finding of await checkPermissions(options, context, scope, config.accountId, discovery)) say(finding);
  }
  return healthy;
}

function checkConfig({ env }: CliContext, say: (finding: Finding) => void): Config | undefined {
  try {
    const config = readConfig(env, 'start', configProblems);
    say(['ok', 'the configuration can be read']);
    for (const warning of config.warnings) say(['warn', warning]);
    say(checkAlerts(config));
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) say(['bad', problem]);
    for (const hint of error.hints) say(['warn', hint]);
    return undefined;
  }
}

function checkAlerts({ alertTargets }: Config): Finding {
  const { targets, problems } = readAlertTargets(alertTargets, systemTime);
  const [problem] = problems;
  if (problem !== undefined) return ['bad', problem];
  if (targets.length === 0) return ['warn', 'KARIN_ALERTS is not set: nobody is told when a queue needs somebody'];
  return ['ok', `alerts go to ${targets.map(({ name }) => name).join(', ')}; karin alert test sends one`];
}

function checkCredentials(config: Config): Finding {
  const book = readCredentialBook(config);
  if (!isEmpty(book)) {
    const admin = book.adminPassword === undefined ? 'no admin password' : 'an admin password';
    return ['ok', `${book.keys.size} access keys, ${book.tokens.size} tokens of the environment, ${admin}`];
  }
  return isLoopback(config.host)
    ? ['warn', `HOST=${config.host}: without credentials every program of this machine is let in`]
    : ['bad', `${openServerProblem(config.host)}\n       (a token made with karin token create also counts)`];
}

/** Whether services of AWS can deliver to this server; one that only programs near it use needs no address outside. */
function checkAddress({ publicUrl }: Config): readonly Finding[] {
  if (publicUrl === undefined) {
    return [['warn', 'KARIN_PUBLIC_URL is not set: SNS and EventBridge deliver only to a public https address']];
  }
  const { hostname, protocol } = new URL(publicUrl);
  if (isLoopback(hostname.replace(/^\[(.*)\]$/, '$1')) || PRIVATE_HOST.test(hostname)) {
    return [
      ['warn', `KARIN_PUBLIC_URL=${publicUrl} is not reachable from outside: SNS and EventBridge cannot deliver`],
    ];
  }
  if (protocol !== 'https:') {
    return [
      ['warn', `KARIN_PUBLIC_URL=${publicUrl} is not https: EventBridge does not deliver, and others see tokens`],
    ];
  }
  return [['ok', `SNS and EventBridge may deliver to ${publicUrl}/in/<account>/<queue>`]];
}

async function checkStore(config: Config): Promise<readonly Finding[]> {
  if (config.redis === 'embedded') return [['ok', `messages are kept by a private Redis in ${config.dataDirectory}`]];
  try {
    const store = await openStore({
      urls: config.redis,
      instanceId: systemRandomness.uuid(),
      time: systemTime,
      randomness: systemRandomness,
      ...(config.durability === undefined ? {} : { durability: config.durability }),
    });
    try {
      const health = await store.health();
      return [
        ['ok', `the store answers: ${health.description}`],
        ...health.warnings.map((warning): Finding => ['warn', warning]),
      ];
    } finally {
      await store.close();
    }
  } catch (error) {
    return [['bad', `REDIS_URL: ${error instanceof Error ? error.message : error}`]];
  }
}

async function checkDiscovery(scope: AwsScope, say: (finding: Finding) => void): Promise<Discovery | undefined> {
  const source = createAwsDiscovery({ scope, time: systemTime });
  try {
    // Ten calls a second are the most that one may make, and each mapping takes some.
    say(['ok', `reading ${source.description}; a hundred mappings take half a minute`]);
    const found = await source.discover(undefined, true);
    say(['ok', `${source.description}: ${found.mappings.length} disabled SQS mappings can be served`]);
    for (const { functionArn, queueArn, reason } of found.broken) {
      say(['bad', `${queueArn.name} -> ${functionArn}: ${reason}`]);
    }
    for (const problem of found.problems ?? []) say(['warn', problem.text]);
    for (const [arn, count] of Object.entries(found.waitingInSqs)) {
      if (count > 0)
        say(['warn', `${count} messages wait in ${arn}, where nobody takes them; karin pull brings them here`]);
    }
    return found;
  } catch (error) {
    if (!(error instanceof DiscoveryError)) throw error;
    say(['bad', error.message]);
    return undefined;
  }
}

/** Settings of a client of the SDK for this scope. */
function clientOf({ region, credentials }: AwsScope) {
  return { region, ...(credentials === undefined ? {} : { credentials }) };
}

/** A dry run checks the permission to invoke without running anything. */
async function checkInvokes(scope: AwsScope, discovery: Discovery): Promise<readonly Finding[]> {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda');
  const lambda = new LambdaClient(clientOf(scope));
  const every = [...new Set(discovery.mappings.map((mapping) => mapping.functionArn))];
  const arns = every.slice(0, MOST_TRIED);
  const findings: Finding[] = [];
  for (const arn of arns) {
    try {
      await lambda.send(new InvokeCommand({ FunctionName: arn, InvocationType: 'DryRun' }));
    } catch (error) {
      findings.push(['bad', `${arn} cannot be invoked: ${firstLine(error)}`]);
    }
  }
  lambda.destroy();
  if (arns.length === 0 || findings.length > 0) return findings;
  const others = every.length - arns.length;
  return [
    ['ok', `${arns.length} functions may be invoked${others === 0 ? '' : `; the other ${others} were not tried`}`],
  ];
}

/**
 * Subscriptions to the SNS topics of this region, as far as the caller may list them: those that deliver to a queue in
 * SQS that nobody reads, and topics that feed Karin and sign with SHA-1.
 *
 * An endpoint is never printed: the capability of a sender stands in it.
 */
async function checkSubscriptions(scope: AwsScope, discovery: Discovery): Promise<readonly Finding[]> {
  const { GetTopicAttributesCommand, paginateListSubscriptions, SNSClient } = await import('@aws-sdk/client-sns');
  const sns = new SNSClient(clientOf(scope));
  const anchors = anchorsOf(discovery);
  const served = new Set(discovery.queues.map(({ arn }) => pathOf(arn)));
  const findings: Finding[] = [];
  const feeding = new Set<string>();
  let pages = 0;
  try {
    for await (const page of paginateListSubscriptions({ client: sns }, {})) {
      for (const { Protocol, Endpoint = '', TopicArn = '' } of page.Subscriptions ?? []) {
        const anchor = Protocol === 'sqs' ? anchors.get(Endpoint) : undefined;
        if (anchor !== undefined) {
          findings.push([
            'warn',
            `${TopicArn} delivers to ${Endpoint} in SQS, where nobody takes the messages; subscribe ${pathOf(anchor)} of this server instead (KarinSubscription in the CDK), then karin pull brings here what waits`,
          ]);
        }
        if (Protocol?.startsWith('http') === true && served.has(ingestPath(Endpoint) ?? '')) feeding.add(TopicArn);
      }
      pages += 1;
      if (pages === MOST_PAGES && page.NextToken !== undefined) {
        findings.push(['warn', `of the subscriptions to SNS topics the first ${MOST_PAGES * 100} were looked at`]);
        break;
      }
    }
    for (const topic of [...feeding].slice(0, MOST_TRIED)) {
      const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn: topic }));
      // SNS leaves out what was never set, and signs with version 1 then.
      if ((Attributes?.['SignatureVersion'] ?? '1') === '1') {
        findings.push([
          'warn',
          `${topic} signs what it delivers here with SHA-1; set its attribute SignatureVersion to 2 for SHA-256`,
        ]);
      }
    }
  } catch (error) {
    // The server itself does without the permission.
    findings.push(['warn', `subscriptions to SNS topics were not looked at: ${firstLine(error)}`]);
  } finally {
    sns.destroy();
  }
  return findings;
}

/** Queues of which Karin alone takes messages, by their ARNs. */
function anchorsOf({ mappings, broken, foreign }: Discovery): ReadonlyMap<string, QueueArn> {
  const anchors = new Map([...mappings, ...broken].map(({ queueArn }) => [formatQueueArn(queueArn), queueArn]));
  for (const { queueArn } of foreign) anchors.delete(formatQueueArn(queueArn));
  return anchors;
}

/** Where deliveries to a queue go, below the address of a server. */
function pathOf({ account, name }: QueueArn): string {
  return `/in/${account}/${name}`;
}

/** The same of an endpoint, whatever stands before it: a proxy's own path, or a capability. */
function ingestPath(endpoint: string): string | undefined {
  return URL.canParse(endpoint) ? /(\/in\/\d{12}\/[^/]+)\/?$/.exec(new URL(endpoint).pathname)?.[1] : undefined;
}

/** Asks IAM about every action of the policy that `karin iam` prints. */
async function checkPermissions(
  options: DoctorOptions,
  context: CliContext,
  scope: AwsScope,
  accountId: string | undefined,
  discovery: Discovery | undefined,
): Promise<readonly Finding[]> {
  const { GetUserCommand, IAMClient, SimulatePrincipalPolicyCommand } = await import('@aws-sdk/client-iam');
  const iam = new IAMClient(clientOf(scope));
  try {
    const principal =
      scope.role?.arn ??
      options.principal ??
      context.env['AWS_ROLE_ARN'] ??
      (await iam.send(new GetUserCommand({}))).User?.Arn;
    if (principal === undefined) return [['warn', 'permissions were not simulated: name the role with --principal']];
    const calls = simulatedCalls(scope, accountId, discovery);
    const simulations = calls.map(async ({ actions, resources, tagged }) => {
      const answer = await iam.send(
        new SimulatePrincipalPolicyCommand({
          PolicySourceArn: principal,
          ActionNames: actions,
          ResourceArns: resources,
          // IAM does not look at the tags of resources here; without them every policy that asks for the tag would seem
          // to deny.
          ...(tagged && {
            ContextEntries: [{ ContextKeyName: TAG_KEY, ContextKeyType: 'string', ContextKeyValues: ['true'] }],
          }),
        }),
      );
      return (answer.EvaluationResults ?? []).filter((result) => result.EvalDecision !== 'allowed');
    });
    const denied = (await Promise.all(simulations)).flat();
    if (denied.length > 0) {
      return denied.map(
        (result): Finding => [
          'bad',
          `${principal} lacks ${result.EvalActionName} on ${result.EvalResourceName}; karin iam prints a policy`,
        ],
      );
    }
    const extent = calls.some(({ partial }) => partial) ? `, on the first ${MOST_TRIED} resources of each kind` : '';
    return [['ok', `${principal} has every permission that the server needs${extent}`]];
  } catch (error) {
    // Simulating needs permissions that the server itself does without.
    return [['warn', `permissions were not simulated: ${firstLine(error)}`]];
  } finally {
    iam.destroy();
  }
}

interface SimulatedCall {
  readonly actions: string[];
  readonly resources: string[];
  /** The resources carry the tag that the policy of `karin iam` may ask for. */
  readonly tagged: boolean;
  /** There are more resources than are tried. */
  readonly partial: boolean;
}

/** The calls of the policy, on the resources that were found. */
function simulatedCalls(
  { account: ofRole, region }: AwsScope,
  accountId: string | undefined,
  discovery: Discovery | undefined,
): readonly SimulatedCall[] {
  const found = discovery?.mappings[0]?.functionArn.split(':')[4];
  const account = ofRole ?? accountId ?? found ?? NO_ACCOUNT;
  const mappings = discovery?.mappings ?? [];
  const isTagged = ({ tags }: { readonly tags: Readonly<Record<string, string>> }): boolean => tags[TAG] === 'true';
  const arnsOf = (queues: Discovery['queues']): readonly string[] => queues.map(({ arn }) => formatQueueArn(arn));
  const [tagged, untagged] = [true, false].map((wanted) =>
    arnsOf((discovery?.queues ?? []).filter((queue) => isTagged(queue) === wanted)),
  );
  const resourcesOf: Readonly<
    Record<string, readonly { readonly arns: readonly string[]; readonly tagged: boolean }[]>
  > = {
    ListMappings: [{ arns: ['*'], tagged: false }],
    ReadMappings: [{ arns: mappings.map(({ mappingArn }) => mappingArn), tagged: false }],
    // The tags of functions are not read. Whether they are in order is what the dry runs show.
    UseTaggedFunctions: [{ arns: [...new Set(mappings.map(({ functionArn }) => functionArn))], tagged: true }],
    ReadTaggedQueues: [
      { arns: tagged ?? [], tagged: true },
      { arns: untagged ?? [], tagged: false },
    ],
  };
  return policy({ region, account, function: [], queue: [] }).Statement.flatMap(({ Sid, Action }) =>
    (resourcesOf[Sid] ?? [])
      .filter(({ arns }) => arns.length > 0)
      .map((group) => ({
        actions: [...Action],
        resources: group.arns.slice(0, MOST_TRIED),
        tagged: group.tagged,
        partial: group.arns.length > MOST_TRIED,
      })),
  );
}

/** What went wrong, in one line: some errors of the SDK go on with advice to its programmers. */
function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
