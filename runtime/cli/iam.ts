/**
 * `karin iam`: the least that the server needs from AWS, and the role that gives it in another account.
 *
 * The constructs write the same statements, because users install them without the server; a test holds both together.
 *
 * @module
 */
import { stringify } from 'yaml';
import { EXTERNAL_ID } from '../aws/scope.ts';
import { partitionOf } from '../queue/names.ts';
import { REGION } from '../settings.ts';
import { systemTime } from '../time.ts';
import { type CliContext, CliError } from './context.ts';

export interface IamOptions {
  /** Names of regions joined by `+`; default: whichever. */
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
  /** ARN of the role or user that the server runs as: prints the role that it assumes, with its trust. */
  readonly trust?: string;
  /** What the server must show to assume the role. */
  readonly externalId?: string;
  /** Prints a template of CloudFormation that makes the role, with trust and external id as its parameters. */
  readonly template?: boolean;
}

interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: { readonly StringEquals: Equals };
}

/** Condition keys, and the value that each must have, or one of several. */
type Equals = Readonly<Record<string, string | readonly string[]>>;

export interface PolicyDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly PolicyStatement[];
}

/** `partition`: of its ARNs; default: that of the region. */
type PolicyOptions = IamOptions & { readonly partition?: string };

const TAGGED = { 'aws:ResourceTag/karin:managed': 'true' };
const ROLE_NAME = 'karin';

/** Never `lambda:UpdateEventSourceMapping`: a stolen key must not be able to switch polling on again. */
export function policy(options: PolicyOptions): PolicyDocument {
  const { account = '*' } = options;
  const regions = regionsOf(options);
  const [only = '*', ...others] = regions;
  const region = others.length === 0 ? only : '*';
  const { partition = partitionOf(only) } = options;
  // ARNs in each region would soon be more than IAM takes in one policy; the condition binds the listing as well.
  const requested: Equals = others.length === 0 ? {} : { 'aws:RequestedRegion': regions };
  const arn = (service: string, resource: string) => `arn:${partition}:${service}:${region}:${account}:${resource}`;
  const allow = (sid: string, actions: readonly string[], resources: readonly string[], equals: Equals = {}) =>
    statement(sid, actions, resources, { ...equals, ...requested });

  const functions = arn('lambda', 'function:*');
  // Invoking an alias or a version needs the ARN with a qualifier as well.
  const namedFunctions = options.function.flatMap((name) => [
    arn('lambda', `function:${name}`),
    arn('lambda', `function:${name}:*`),
  ]);
  const namedQueues = options.queue.map((name) => arn('sqs', name));
  const tag = options.all === true ? {} : TAGGED;
  /** A statement on what is named, else on what is tagged. */
  const allowOn = (
    [sid, taggedSid]: readonly [string, string],
    actions: readonly string[],
    named: readonly string[],
    every: string,
  ) => {
    if (named.length > 0) return allow(sid, actions, named);
    return allow(tag === TAGGED ? taggedSid : sid, actions, [every], tag);
  };
  const moving = [
    ...(options.drain === true ? ['sqs:SendMessage'] : []),
    ...(options.pull === true ? ['sqs:ReceiveMessage', 'sqs:DeleteMessage'] : []),
  ];
  const statements: PolicyStatement[] = [
    // Listing has no resource to restrict it to.
    allow('ListMappings', ['lambda:ListEventSourceMappings', 'lambda:ListFunctions'], ['*']),
    allow(
      'ReadMappings',
      ['lambda:GetEventSourceMapping', 'lambda:ListTags'],
      [arn('lambda', 'event-source-mapping:*')],
    ),
    allowOn(
      ['UseFunctions', 'UseTaggedFunctions'],
      ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'],
      namedFunctions,
      functions,
    ),
    allowOn(
      ['ReadQueues', 'ReadTaggedQueues'],
      ['sqs:GetQueueAttributes', 'sqs:ListQueueTags'],
      namedQueues,
      arn('sqs', '*'),
    ),
  ];
  if (options.functionUrls === true) {
    statements.push(allow('ListFunctionUrls', ['lambda:ListFunctionUrlConfigs'], [functions]));
  }
  if (options.snsSubscriptions === true) {
    statements.push(
      allow('ListSubscriptions', ['sns:ListSubscriptions'], ['*']),
      allow('ReadTopics', ['sns:GetTopicAttributes'], [arn('sns', '*')]),
    );
  }
  if (moving.length > 0) {
    statements.push(allowOn(['MoveMessages', 'MoveMessages'], moving, namedQueues, arn('sqs', '*')));
  }
  return { Version: '2012-10-17', Statement: statements };
}

function statement(
  sid: string,
  actions: readonly string[],
  resources: readonly string[],
  equals: Equals,
): PolicyStatement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions,
    Resource: resources,
    ...(Object.keys(equals).length === 0 ? {} : { Condition: { StringEquals: equals } }),
  };
}

/** Empty: every region. */
function regionsOf({ region }: Pick<IamOptions, 'region'>): readonly string[] {
  return region === undefined || region === '*' ? [] : [...new Set(region.split('+'))];
}

/** Who may assume a role: one identity, which shows the external id. */
function trustDocument(identity: unknown, externalId: unknown): object {
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: identity },
        Action: 'sts:AssumeRole',
        Condition: { StringEquals: { 'sts:ExternalId': externalId } },
      },
    ],
  };
}

/** Prints the policy, the role or the template. Errors: `CliError`, `DiscoveryError`. */
export async function iam(given: IamOptions, context: CliContext): Promise<void> {
  const options = { ...given, partition: partitionFor(given, context) };
  checkOptions(options);
  const named = options.deployed === true ? await withDeployed(options, context) : options;
  if (named.template === true) {
    context.out(roleTemplate(named));
  } else if (named.trust === undefined) {
    print(policy(named), context);
  } else {
    const { trust, externalId } = named;
    const Policies = [{ PolicyName: ROLE_NAME, PolicyDocument: policy(named) }];
    print({ AssumeRolePolicyDocument: trustDocument(trust, externalId), Policies }, context);
    context.err(adviceOnRole(named));
  }
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

function print(document: object, context: CliContext): void {
  context.out(`${JSON.stringify(document, undefined, 2)}\n`);
}

/** That of the identity that is trusted, of the region, or of the region that the server would be started with. */
function partitionFor(options: IamOptions, { env }: CliContext): string {
  const [first] = regionsOf(options);
  const ofTrust = options.trust?.split(':')[1];
  return ofTrust ?? partitionOf(first ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? '');
}

/** A name, which may have the wildcards of policies; of a function with a version or an alias behind it. */
const FUNCTION_NAME = /^[\w*?-]{1,64}(?::[\w$*?-]{1,128})?$/;
const QUEUE_NAME = /^[\w*?-]{1,80}(?:\.fifo)?$/;

/** An ARN or an empty name would stand in the policy, and allow nothing. */
function checkNames({ function: functions, queue: queues }: IamOptions): void {
  for (const [option, names, rule] of [
    ['--function', functions, FUNCTION_NAME],
    ['--queue', queues, QUEUE_NAME],
  ] as const) {
    const wrong = names.find((name) => !rule.test(name));
    if (wrong !== undefined) {
      throw new CliError(`${option} ${wrong}: must be a name, not an ARN; --region and --account say where it is`);
    }
  }
}

function checkOptions(options: IamOptions & { readonly partition: string }): void {
  checkNames(options);
  const { account, trust, externalId, partition, template } = options;
  if (account !== undefined && !/^(\d{12}|\*)$/.test(account)) {
    throw new CliError(`--account ${account}: must be the twelve digits of an AWS account`);
  }
  const regions = regionsOf(options);
  const wrong = regions.find((region) => !REGION.test(region));
  if (wrong !== undefined)
    throw new CliError(`--region ${wrong}: must be names of regions such as eu-west-1, joined by +`);
  if (template === true) {
    if (trust !== undefined || externalId !== undefined || account !== undefined) {
      throw new CliError(
        '--template: the identity and the external id are parameters of the template, and its account is that of its stack; leave --trust, --external-id and --account out',
      );
    }
    return;
  }
  if (trust !== undefined && !TRUSTED.test(trust)) {
    throw new CliError(
      `--trust ${trust}: must be the ARN of the role or user that the server runs as, such as arn:aws:iam::999999999999:role/karin-server`,
    );
  }
  const foreign = regions.find((region) => partitionOf(region) !== partition);
  if (foreign !== undefined) {
    throw new CliError(
      `--region ${foreign}: is not in the partition ${partition}; a server there serves the accounts there`,
    );
  }
  if ((trust === undefined) !== (externalId === undefined)) {
    throw new CliError('--trust and --external-id belong together: who may assume the role, and what it must show');
  }
  if (externalId !== undefined && (!EXTERNAL_ID.test(externalId) || externalId.length < SHORTEST_EXTERNAL_ID)) {
    throw new CliError(
      `--external-id ${externalId}: must have ${SHORTEST_EXTERNAL_ID} to 1224 letters, digits and _+=,.@:/-`,
    );
  }
}

/** Whom a trust policy can name exactly: a role or a user, without a wildcard. */
const TRUSTED = /^arn:aws[a-z0-9-]*:iam::\d{12}:(?:role|user)\/[\x21-\x29\x2b-\x3e\x40-\x7e]+$/;
/** AWS takes two characters, which are guessed too easily. */
const SHORTEST_EXTERNAL_ID = 8;

/** How the role is made, and what the server is told of it. */
function adviceOnRole(options: IamOptions & { readonly partition: string }): string {
  const { account = '<account>', externalId, partition } = options;
  const regions = regionsOf(options).join('+');
  return `Save the output as role.json. With credentials of the account:
  aws iam create-role --role-name ${ROLE_NAME} --assume-role-policy-document "$(jq .AssumeRolePolicyDocument role.json)"
  aws iam put-role-policy --role-name ${ROLE_NAME} --policy-name ${ROLE_NAME} --policy-document "$(jq '.Policies[0].PolicyDocument' role.json)"
The server's entry in KARIN_ROLES${regions === '' ? ', in the region of its AWS_REGION' : ''}:
  arn:${partition}:iam::${account}:role/${ROLE_NAME}:${regions}:${externalId}
`;
}

/** The role for every account, as a stack or a StackSet makes it. */
function roleTemplate(options: IamOptions): string {
  const document = policy({ ...options, partition: '${AWS::Partition}', account: '${AWS::AccountId}' });
  const Statement = document.Statement.map((one) => ({
    ...one,
    Resource: one.Resource.map((resource) => (resource === '*' ? resource : { 'Fn::Sub': resource })),
  }));
  const role = 'Role';
  return stringify(
    {
      AWSTemplateFormatVersion: '2010-09-09',
      Description: 'The role that a Karin server of another account assumes. Printed by karin iam --template.',
      Parameters: {
        ServerIdentity: {
          Type: 'String',
          Description: 'ARN of the role or user that the server runs as; it must exist',
          AllowedPattern: TRUSTED.source,
        },
        ExternalId: {
          Type: 'String',
          Description: 'What the server shows when it assumes the role; yours alone, and no secret',
          MinLength: SHORTEST_EXTERNAL_ID,
          MaxLength: 1224,
          AllowedPattern: EXTERNAL_ID.source,
        },
        RoleName: { Type: 'String', Default: ROLE_NAME },
        Regions: {
          Type: 'String',
          Description: 'For the output: regions that the server serves here, joined by +; none: that of its AWS_REGION',
          Default: regionsOf(options).join('+'),
        },
      },
      Resources: {
        [role]: {
          Type: 'AWS::IAM::Role',
          Properties: {
            RoleName: { Ref: 'RoleName' },
            Description: 'A Karin server of another account invokes functions and reads queues here',
            AssumeRolePolicyDocument: trustDocument({ Ref: 'ServerIdentity' }, { Ref: 'ExternalId' }),
            Policies: [{ PolicyName: ROLE_NAME, PolicyDocument: { ...document, Statement } }],
          },
        },
      },
      Outputs: {
        KarinRoles: {
          Description: 'Entry for this account in KARIN_ROLES of the server',
          Value: { 'Fn::Sub': `\${${role}.Arn}:\${Regions}:\${ExternalId}` },
        },
      },
    },
    // Version 1.1 is what CloudFormation reads: it would take a bare 2012-10-17 for a date. It reads no aliases.
    { version: '1.1', aliasDuplicateObjects: false, lineWidth: 0 },
  );
}

async function withDeployed<O extends IamOptions>(options: O, { env }: CliContext): Promise<O> {
  const region = options.region ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'];
  if (region === undefined) throw new CliError('say in which region to look, with --region or AWS_REGION');
  if (region.includes('+')) throw new CliError('--deployed looks in one region: call it once for each');
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
