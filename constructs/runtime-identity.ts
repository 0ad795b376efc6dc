import { SecretValue, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct, type IConstruct } from 'constructs';
import { defined } from './defined';
import { oidcPrincipal } from './oidc';
import type {
  FlyMachineIdentityProps,
  KarinExistingRoleIdentityProps,
  KarinOidcIdentityProps,
  KarinRuntimeIdentityProps,
  KarinUserIdentityProps,
} from './runtime-identity-props';
import { accessIn, basePolicyStatements, memberRolePolicies } from './runtime-policy';

/**
 * The AWS identity of a Karin server, as queues and functions see it.
 */
export interface IKarinRuntimeIdentity extends IConstruct, iam.IGrantable {
  /**
   * Let the server invoke a consumer, with the alias or version that it is given with, and read its configuration.
   *
   * A queue that is given the identity does this for each of its consumers.
   *
   * @param consumer the function, alias or version that a mapping names
   */
  grantInvoke(consumer: lambda.IFunction): void;

  /**
   * Let the server invoke a consumer by its ARN.
   *
   * @param scope a construct of the stack that shall hold the permission
   * @param functionArn ARN with the alias or version, as the mapping names it
   */
  grantInvokeArn(scope: IConstruct, functionArn: string): void;

  /**
   * Let the server read the attributes and tags of an anchor.
   *
   * A queue that is given the identity does this itself.
   *
   * @param queue the queue whose anchor is read
   */
  grantQueue(queue: sqs.IQueue): void;
}

/** How the server proves who it is: as a user with a key, or in a role. */
type Credentials =
  | { readonly user: iam.User; readonly accessKey: secretsmanager.ISecret }
  | { readonly role: iam.IRole };

/**
 * The AWS identity of a Karin server, with the permissions it needs and no others.
 *
 * It may list event source mappings, read those of queues, invoke consumers and read the attributes of anchors. It can
 * never change a mapping: whoever steals its key cannot make AWS poll again. Define it once for each server, in a stack
 * of its own that is deployed before the queues. What the server does in other accounts it does in the roles of
 * `KarinAccountAccess`.
 */
export class KarinRuntimeIdentity extends Construct implements IKarinRuntimeIdentity {
  /**
   * An IAM user whose access key is kept in Secrets Manager, for a server anywhere.
   *
   * Prefer an identity without a long-lived key where the host offers one.
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param props what the server may do
   */
  public static user(scope: Construct, id: string, props: KarinUserIdentityProps = {}): KarinRuntimeIdentity {
    return new KarinRuntimeIdentity(scope, id, props, (self) => {
      const user = new iam.User(self, 'User');
      return { user, accessKey: defineAccessKey(self, user, props.keySerial) };
    });
  }

  /**
   * A role for a server that gets tokens from an OpenID Connect issuer, such as its host or a CI system.
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param props the issuer, and whom of it to trust
   */
  public static oidc(scope: Construct, id: string, props: KarinOidcIdentityProps): KarinRuntimeIdentity {
    return new KarinRuntimeIdentity(scope, id, props, (self) => ({
      role: new iam.Role(self, 'Role', { assumedBy: oidcPrincipal(self, props) }),
    }));
  }

  /**
   * A role for a server that runs as a Fly.io machine.
   *
   * Set `AWS_ROLE_ARN` to the ARN of the role on the machine; Fly does the rest.
   *
   * @see https://fly.io/docs/security/openid-connect/
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param props the Fly.io organization and app
   */
  public static flyMachine(scope: Construct, id: string, props: FlyMachineIdentityProps): KarinRuntimeIdentity {
    const { orgSlug, appName, ...others } = props;
    for (const [what, value] of Object.entries({ orgSlug, appName })) {
      if (Token.isUnresolved(value) || /^[\w-]+$/.test(value)) continue;
      throw new Error(
        `${scope.node.path}/${id}: ${what} must be a name as fly shows it, letters, digits and -, but '${value}' was provided`,
      );
    }
    return KarinRuntimeIdentity.oidc(scope, id, {
      ...others,
      issuer: `https://oidc.fly.io/${orgSlug}`,
      subjects: [`${orgSlug}:${appName}:*`],
    });
  }

  /**
   * A task role for a server that runs on Amazon ECS.
   *
   * Pass `identity.role` as the `taskRole` of the task definition.
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param props what the server may do
   */
  public static ecsTask(scope: Construct, id: string, props: KarinRuntimeIdentityProps = {}): KarinRuntimeIdentity {
    return new KarinRuntimeIdentity(scope, id, props, (self) => {
      const { account } = Stack.of(self);
      const assumedBy = new iam.ServicePrincipal('ecs-tasks.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': account } },
      });
      return { role: new iam.Role(self, 'Role', { assumedBy }) };
    });
  }

  /**
   * A role that exists already: the permissions are attached to it as managed policies.
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param props the role
   */
  public static existingRole(
    scope: Construct,
    id: string,
    props: KarinExistingRoleIdentityProps,
  ): KarinRuntimeIdentity {
    return new KarinRuntimeIdentity(scope, id, props, () => ({ role: props.role }));
  }

  public readonly grantPrincipal: iam.IPrincipal;

  /**
   * The ARN of the user or role: what `KarinAccountAccess` in another account takes as `serverIdentityArn`.
   */
  public readonly identityArn: string;

  /**
   * The role, unless the identity is a user.
   */
  public readonly role?: iam.IRole;

  /**
   * The access key, if the identity is a user: a JSON object with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
   */
  public readonly credentials?: secretsmanager.ISecret;

  private readonly keyHolder?: iam.IUser;

  private constructor(
    scope: Construct,
    id: string,
    props: KarinRuntimeIdentityProps,
    define: (self: Construct) => Credentials,
  ) {
    super(scope, id);
    const credentials = define(this);
    if ('user' in credentials) {
      this.keyHolder = credentials.user;
      this.credentials = credentials.accessKey;
      this.identityArn = credentials.user.userArn;
      this.grantPrincipal = credentials.user.grantPrincipal;
    } else {
      this.role = credentials.role;
      this.identityArn = credentials.role.roleArn;
      this.grantPrincipal = credentials.role.grantPrincipal;
    }
    this.attach(
      new iam.ManagedPolicy(this, 'Policy', {
        description: 'What a Karin server may do by itself',
        statements: basePolicyStatements(this, props),
      }),
    );
    for (const policy of memberRolePolicies(this, props.memberRoleArns)) this.attach(policy);
  }

  public grantInvoke(consumer: lambda.IFunction): void {
    this.accessIn(Stack.of(consumer)).addFunction(consumer.functionArn);
  }

  public grantInvokeArn(scope: IConstruct, functionArn: string): void {
    this.accessIn(Stack.of(scope)).addFunction(functionArn);
  }

  public grantQueue(queue: sqs.IQueue): void {
    this.accessIn(Stack.of(queue)).addQueue(queue.queueArn);
  }

  private accessIn(stack: Stack) {
    return accessIn(stack, this, (policy) => this.attach(policy));
  }

  private attach(policy: iam.ManagedPolicy): void {
    if (this.keyHolder !== undefined) policy.attachToUser(this.keyHolder);
    if (this.role !== undefined) policy.attachToRole(this.role);
  }
}

function defineAccessKey(scope: Construct, user: iam.User, serial: number | undefined): secretsmanager.ISecret {
  const key = new iam.AccessKey(scope, 'AccessKey', defined<iam.AccessKeyProps>({ user, serial }));
  const secret = new secretsmanager.Secret(scope, 'Credentials', {
    description: 'Access key of a Karin server',
    secretObjectValue: {
      // An id, not a secret; and both are references in the template, never text.
      AWS_ACCESS_KEY_ID: SecretValue.resourceAttribute(key.accessKeyId),
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
    },
  });
  // Secret declares its secretFullArn as possibly undefined, ISecret as absent: aws-cdk-lib is not written for
  // exactOptionalPropertyTypes.
  return secret as secretsmanager.ISecret;
}
