import { ArnFormat, type Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct, type IConstruct } from 'constructs';
import { MANAGED_TAG, MANAGED_TAG_VALUE } from './managed-tag';
import type { KarinRuntimeIdentityProps } from './runtime-identity-props';

/** What the server does with a consumer. */
const FUNCTION_ACTIONS = ['lambda:InvokeFunction', 'lambda:GetFunctionConfiguration'];

/** What the server does with an anchor. */
const QUEUE_ACTIONS = ['sqs:GetQueueAttributes', 'sqs:ListQueueTags'];

const TAGGED = { StringEquals: { [`aws:ResourceTag/${MANAGED_TAG}`]: MANAGED_TAG_VALUE } };

/** The permissions of a server that do not depend on a single queue or function. */
export function basePolicyStatements(stack: Stack, props: KarinRuntimeIdentityProps): iam.PolicyStatement[] {
  const mappings = arn(stack, 'lambda', 'event-source-mapping:*');
  const functions = arn(stack, 'lambda', 'function:*');
  const statements = [
    // Listing has no resource to restrict it to.
    allow('ListMappings', ['lambda:ListEventSourceMappings', 'lambda:ListFunctions'], ['*']),
    allow('ReadMappings', ['lambda:GetEventSourceMapping', 'lambda:ListTags'], [mappings]),
  ];
  if (props.tagged ?? true) {
    statements.push(
      allow('UseTaggedFunctions', FUNCTION_ACTIONS, [functions], TAGGED),
      allow('ReadTaggedQueues', QUEUE_ACTIONS, [arn(stack, 'sqs', '*')], TAGGED),
    );
  }
  if (props.functionUrls === true) {
    statements.push(allow('ListFunctionUrls', ['lambda:ListFunctionUrlConfigs'], [functions]));
  }
  if (props.snsSubscriptions === true) {
    statements.push(
      allow('ListSubscriptions', ['sns:ListSubscriptions'], ['*']),
      allow('ReadTopics', ['sns:GetTopicAttributes'], [arn(stack, 'sns', '*')]),
    );
  }
  if (props.drain !== undefined) {
    const names = props.drainQueueNames ?? [];
    if (names.length === 0) {
      throw new Error(
        "drain lets the server move messages of real queues, so drainQueueNames must say of which; for every queue of the account in this region write drainQueueNames: ['*']",
      );
    }
    statements.push(
      allow(
        'MoveMessages',
        props.drain._actions,
        names.map((name) => arn(stack, 'sqs', name)),
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
 * ARNs in one managed policy, of which IAM takes at most 6,144 characters: the ARN of a function with an alias is the
 * longest that is usual, some 140 characters.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
 */
const ARNS_PER_POLICY = 40;

/** The consumers and anchors of one stack that a server may use, by their ARNs. */
export class ConsumerAccess extends Construct {
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

function allow(
  sid: string,
  actions: readonly string[],
  resources: readonly string[],
  conditions?: Record<string, Record<string, string>>,
): iam.PolicyStatement {
  return new iam.PolicyStatement({
    sid,
    actions: [...actions],
    resources: [...resources],
    ...(conditions === undefined ? {} : { conditions }),
  });
}

function arn(stack: Stack, service: string, resource: string): string {
  return stack.formatArn({ service, resource, arnFormat: ArnFormat.NO_RESOURCE_NAME });
}
