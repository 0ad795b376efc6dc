/**
 * `karin iam`: the least that the server needs from AWS.
 *
 * @module
 */
import { systemTime } from '../time.ts';
import { type CliContext, CliError } from './context.ts';

export interface IamOptions {
  /** `*`: whichever region. */
  readonly region?: string;
  /** Twelve digits; `*`: whichever account the policy is attached in. */
  readonly account?: string;
  /** Names of the functions to be invoked; none: those with the tag `karin:managed`. */
  readonly function: readonly string[];
  /** Names of the queues of their mappings; none: those with the tag. */
  readonly queue: readonly string[];
  /**
   * Instead of the tag: the functions and queues of the disabled mappings that AWS has now, asked with the credentials
   * of the caller.
   */
  readonly deployed?: boolean;
  /** Instead of the tag: every function and queue of the account. */
  readonly all?: boolean;
  /** May also move messages out to SQS (`karin drain`) and in from it (`karin pull`). */
  readonly drain?: boolean;
  readonly pull?: boolean;
  /** May also list the function URLs of the account, for the page of functions. */
  readonly functionUrls?: boolean;
  /** May also list the subscriptions of the account to SNS topics and read the topics, for `karin doctor`. */
  readonly snsSubscriptions?: boolean;
}

interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface PolicyDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly PolicyStatement[];
}

const TAGGED = { StringEquals: { 'aws:ResourceTag/karin:managed': 'true' } };

/** Never `lambda:UpdateEventSourceMapping`: a stolen key must not be able to switch polling on again. */
export function policy(options: IamOptions): PolicyDocument {
  const { region = '*', account = '*' } = options;
  const arn = (service: string, resource: string): string => `arn:aws:${service}:${region}:${account}:${resource}`;
  // Invoking an alias or a version needs the ARN with a qualifier as well.
  const functions = options.function.flatMap((name) => [
    arn('lambda', `function:${name}`),
    arn('lambda', `function:${name}:*`),
  ]);
  const queues = options.queue.map((name) => arn('sqs', name));
  const functionScope = scope(functions, arn('lambda', 'function:*'), options.all === true);
  const queueScope = scope(queues, arn('sqs', '*'), options.all === true);
  const moving = [
    ...(options.drain === true ? ['sqs:SendMessage'] : []),
    ...(options.pull === true ? ['sqs:ReceiveMessage', 'sqs:DeleteMessage'] : []),
  ];
  return {
    Version: '2012-10-17',
    Statement: [
      // Listing has no resource to restrict it to.
      {
        Sid: 'ListMappings',
        Effect: 'Allow',
        Action: ['lambda:ListEventSourceMappings', 'lambda:ListFunctions'],
        Resource: ['*'],
      },
      {
        Sid: 'ReadMappings',
        Effect: 'Allow',
        Action: ['lambda:GetEventSourceMapping', 'lambda:ListTags'],
        Resource: [arn('lambda', 'event-source-mapping:*')],
      },
      {
        Sid: 'UseFunctions',
        Effect: 'Allow',
        Action: ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'],
        ...functionScope,
      },
      { Sid: 'ReadQueues', Effect: 'Allow', Action: ['sqs:GetQueueAttributes', 'sqs:ListQueueTags'], ...queueScope },
      ...(moving.length === 0
        ? []
        : [{ Sid: 'MoveMessages', Effect: 'Allow' as const, Action: moving, ...queueScope }]),
      ...(options.functionUrls === true
        ? [
            {
              Sid: 'ListFunctionUrls',
              Effect: 'Allow' as const,
              Action: ['lambda:ListFunctionUrlConfigs'],
              Resource: ['*'],
            },
          ]
        : []),
      ...(options.snsSubscriptions === true
        ? [
            {
              Sid: 'ListSubscriptions',
              Effect: 'Allow' as const,
              Action: ['sns:ListSubscriptions'],
              Resource: ['*'],
            },
            {
              Sid: 'ReadTopics',
              Effect: 'Allow' as const,
              Action: ['sns:GetTopicAttributes'],
              Resource: [arn('sns', '*')],
            },
          ]
        : []),
    ],
  };
}

function scope(named: readonly string[], every: string, all: boolean): Pick<PolicyStatement, 'Resource' | 'Condition'> {
  if (named.length > 0) return { Resource: named };
  return all ? { Resource: [every] } : { Resource: [every], Condition: TAGGED };
}

/** Prints the policy. Errors: `CliError`, `DiscoveryError`. */
export async function iam(options: IamOptions, context: CliContext): Promise<void> {
  if (options.account !== undefined && !/^(\d{12}|\*)$/.test(options.account)) {
    throw new CliError(`--account ${options.account}: must be the twelve digits of an AWS account`);
  }
  const named = options.deployed === true ? await withDeployed(options, context) : options;
  context.out(`${JSON.stringify(policy(named), undefined, 2)}\n`);
  if (named.snsSubscriptions === true) {
    context.err(
      'Only karin doctor asks SNS: which subscriptions still deliver to a queue that nobody reads, and how topics sign.\n',
    );
  }
  const byTag = named.all !== true && (named.function.length === 0 || named.queue.length === 0);
  if (byTag) {
    context.err(
      'Functions and queues need the tag karin:managed=true (the constructs set it). Without tags: use --deployed, name them with --function and --queue, or use --all.\n',
    );
  }
}

async function withDeployed(options: IamOptions, { env }: CliContext): Promise<IamOptions> {
  const region = options.region ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'];
  if (region === undefined) throw new CliError('say in which region to look, with --region or AWS_REGION');
  const { createAwsDiscovery } = await import('../aws/discovery/aws.ts');
  const { ownScope } = await import('../aws/scope.ts');
  const found = await createAwsDiscovery({ scope: ownScope(region), time: systemTime }).discover(undefined, true);
  const mappings = [...found.mappings, ...found.broken];
  const [first] = mappings;
  if (first === undefined) throw new CliError(`there is no disabled SQS mapping in ${region}`);
  const functions = mappings.map(({ functionArn }) => functionArn.split(':')[6] ?? '*');
  const queues = [...mappings.map(({ queueArn }) => queueArn), ...found.queues.map(({ arn }) => arn)].map(
    ({ name }) => name,
  );
  return {
    ...options,
    region,
    account: options.account ?? first.queueArn.account,
    function: [...new Set([...options.function, ...functions])].sort(),
    queue: [...new Set([...options.queue, ...queues])].sort(),
  };
}
