import { ArnFormat, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct, type IConstruct } from 'constructs';
import { MANAGED_TAG, MANAGED_TAG_VALUE } from './managed-tag';
import type { KarinPermissionProps } from './runtime-identity-props';

/** What the server does with a consumer. */
const FUNCTION_ACTIONS = ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'];

/** What the server does with an anchor. */
const QUEUE_ACTIONS = ['sqs:GetQueueAttributes', 'sqs:ListQueueTags'];

const TAGGED = { [`aws:ResourceTag/${MANAGED_TAG}`]: MANAGED_TAG_VALUE };

/** The regions in which a server may act. Throws if there is none, or one is no region. */
export function regionsOf(scope: Construct, props: KarinPermissionProps): readonly string[] {
  const { regions = [Stack.of(scope).region] } = props;
  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  // How many there are decides the shape of the policy, so they cannot be a list that only CloudFormation knows.
  if (Token.isUnresolved(regions))
    throw fail('regions must be written out as a list, of which each item may be a token');
  if (regions.length === 0) throw fail('regions must name at least one region, but the list is empty');
  const wrong = regions.find((region) => !Token.isUnresolved(region) && !REGION.test(region));
  if (wrong !== undefined) throw fail(`regions must be names such as 'eu-west-1', but '${wrong}' was provided`);
  return [...new Set(regions)];
}

const REGION = /^[a-z]{2,}(?:-[a-z]+)+-\d+$/;

/**
 * The permissions of a server that do not depend on a single queue or function, in the account of `scope`. `karin iam`
 * prints the same statements.
 */
export function basePolicyStatements(scope: Construct, props: KarinPermissionProps): iam.PolicyStatement[] {
  const stack = Stack.of(scope);
  const regions = regionsOf(scope, props);
  const [only] = regions;
  const region = regions.length === 1 && only !== undefined ? only : '*';
  // ARNs in each region would soon be more than IAM takes in one policy; the condition binds the listing as well.
  const requested: Readonly<Record<string, string[]>> = region === '*' ? { 'aws:RequestedRegion': [...regions] } : {};
  const arn = (service: string, resource: string) =>
    stack.formatArn({ service, region, resource, arnFormat: ArnFormat.NO_RESOURCE_NAME });
  const allowThere = (
    sid: string,
    actions: readonly string[],
    resources: readonly string[],
    tagged: Readonly<Record<string, string>> = {},
  ) => allow(sid, actions, resources, { ...tagged, ...requested });

  const mappings = arn('lambda', 'event-source-mapping:*');
  const functions = arn('lambda', 'function:*');
  const statements = [
    // Listing has no resource to restrict it to.
    allowThere('ListMappings', ['lambda:ListEventSourceMappings', 'lambda:ListFunctions'], ['*']),
    allowThere('ReadMappings', ['lambda:GetEventSourceMapping', 'lambda:ListTags'], [mappings]),
  ];
  if (props.tagged ?? true) {
    statements.push(
      allowThere('UseTaggedFunctions', FUNCTION_ACTIONS, [functions], TAGGED),
      allowThere('ReadTaggedQueues', QUEUE_ACTIONS, [arn('sqs', '*')], TAGGED),
    );
  }
  if (props.functionUrls === true) {
    statements.push(allowThere('ListFunctionUrls', ['lambda:ListFunctionUrlConfigs'], [functions]));
  }
  if (props.snsSubscriptions === true) {
    statements.push(
      allowThere('ListSubscriptions', ['sns:ListSubscriptions'], ['*']),
      allowThere('ReadTopics', ['sns:GetTopicAttributes'], [arn('sns', '*')]),
    );
  }
  if (props.drain !== undefined) {
    const names = props.drainQueueNames ?? [];
    if (names.length === 0) {
      throw new Error(
        "drain lets the server move messages of real queues, so drainQueueNames must say of which; for every queue of the account in these regions write drainQueueNames: ['*']",
      );
    }
    statements.push(
      allowThere(
        'MoveMessages',
        props.drain._actions,
        names.map((name) => arn('sqs', name)),
      ),
    );
  } else if (props.drainQueueNames !== undefined) {
    throw new Error(
      "drainQueueNames says which queues may be drained, but 'drain' is not set; add it or leave both out",
    );
  }
  return statements;
}

/**
 * `arn:aws:iam::111122223333:role/path/name`. Without `*` and `?`, which a path may hold but a policy takes for
 * wildcards.
 * Source: IAM, "IAM and AWS STS quotas", name requirements.
 */
const ROLE = /^arn:aws[a-z0-9-]*:iam::\d{12}:role\/(?:[\x21-\x29\x2b-\x3e\x40-\x7e]+\/)?[A-Za-z0-9_+=,.@-]{1,64}$/;

/**
 * Policies that let a server assume exactly these roles; none for none. Throws if one is no ARN of a role: a wildcard
 * would let it assume what somebody else makes later.
 */
export function memberRolePolicies(scope: Construct, roleArns: readonly string[] = []): iam.ManagedPolicy[] {
  if (Token.isUnresolved(roleArns)) {
    throw new Error(
      `${scope.node.path}: memberRoleArns must be written out as a list, of which each item may be a token`,
    );
  }
  const wrong = roleArns.find((arn) => !Token.isUnresolved(arn) && !ROLE.test(arn));
  if (wrong !== undefined) {
    throw new Error(
      `${scope.node.path}: memberRoleArns must be the exact ARNs of roles, such as arn:aws:iam::111122223333:role/karin, but '${wrong}' was provided`,
    );
  }
  const arns = [...new Set(roleArns)];
  return Array.from({ length: Math.ceil(arns.length / ARNS_PER_POLICY) }, (_, index) => {
    const some = arns.slice(index * ARNS_PER_POLICY, (index + 1) * ARNS_PER_POLICY);
    return new iam.ManagedPolicy(scope, index === 0 ? 'MemberRoles' : `MemberRoles${index + 1}`, {
      description: 'Roles in other accounts that a Karin server may assume',
      statements: [allow('AssumeMemberRoles', ['sts:AssumeRole'], some)],
    });
  });
}

/**
 * ARNs in one managed policy, of which IAM takes at most 6,144 characters: the ARN of a function with an alias is the
 * longest that is usual, some 140 characters.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 */
const ARNS_PER_POLICY = 40;

/** The consumers and anchors of one stack that a server may use, by their ARNs. */
class ConsumerAccess extends Construct {
  readonly #attach: (policy: iam.ManagedPolicy) => void;
  readonly #arns = new Set<string>();
  #current: { readonly policy: iam.ManagedPolicy; readonly statements: Map<string, iam.PolicyStatement> } | undefined;

  /** `attach` gives a policy to the server; it is called for each that is defined. */
  constructor(scope: Construct, id: string, attach: (policy: iam.ManagedPolicy) => void) {
    super(scope, id);
    this.#attach = attach;
  }

  addFunction(functionArn: string): void {
    this.#add('UseFunctions', FUNCTION_ACTIONS, functionArn);
  }

  addQueue(queueArn: string): void {
    this.#add('ReadQueues', QUEUE_ACTIONS, queueArn);
  }

  /** A statement joins the policy with its first ARN: IAM refuses one without resources. */
  #add(sid: string, actions: readonly string[], resource: string): void {
    if (this.#arns.has(resource)) return;
    if (this.#arns.size % ARNS_PER_POLICY === 0) this.#current = { policy: this.#nextPolicy(), statements: new Map() };
    this.#arns.add(resource);
    const statement = this.#current?.statements.get(sid);
    if (statement !== undefined) {
      statement.addResources(resource);
      return;
    }
    const first = allow(sid, actions, [resource]);
    this.#current?.statements.set(sid, first);
    this.#current?.policy.addStatements(first);
  }

  #nextPolicy(): iam.ManagedPolicy {
    const number = this.#arns.size / ARNS_PER_POLICY;
    const policy = new iam.ManagedPolicy(this, number === 0 ? 'Policy' : `Policy${number + 1}`, {
      description: 'Consumers and queues a Karin server may use',
    });
    this.#attach(policy);
    return policy;
  }
}

/** Whether a construct is the permissions of a server on one stack. */
export function isConsumerAccess(construct: IConstruct): construct is ConsumerAccess {
  return construct instanceof ConsumerAccess;
}

/**
 * The policies with the exact ARNs of one stack, for `identity`. They live in that stack and not beside the identity,
 * so that apps depend on the identity and never the other way round; otherwise no queue could leave an app without a
 * change to the identity's stack first.
 */
export function accessIn(
  stack: Stack,
  identity: IConstruct,
  attach: (policy: iam.ManagedPolicy) => void,
): ConsumerAccess {
  const id = `KarinRuntimeAccess${identity.node.addr.slice(-8)}`;
  const existing = stack.node.tryFindChild(id);
  return existing !== undefined && isConsumerAccess(existing) ? existing : new ConsumerAccess(stack, id, attach);
}

/** `equals`: condition keys that must have a value, or one of several. */
function allow(
  sid: string,
  actions: readonly string[],
  resources: readonly string[],
  equals: Readonly<Record<string, string | string[]>> = {},
): iam.PolicyStatement {
  return new iam.PolicyStatement({
    sid,
    actions: [...actions],
    resources: [...resources],
    ...(Object.keys(equals).length === 0 ? {} : { conditions: { StringEquals: equals } }),
  });
}
