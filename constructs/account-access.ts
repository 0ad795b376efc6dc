import { CfnOutput, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct, type IConstruct } from 'constructs';
import type { IKarinRuntimeIdentity } from './runtime-identity';
import type { KarinPermissionProps } from './runtime-identity-props';
import { accessIn, basePolicyStatements, regionsOf } from './runtime-policy';

/**
 * Whom the role in a member account trusts, and what it allows.
 */
export interface KarinAccountAccessProps extends KarinPermissionProps {
  /**
   * ARN of the role or user that the Karin server runs as, in its own account.
   *
   * IAM refuses to trust an identity that does not exist: deploy the server's first. If that is ever deleted and made
   * anew, deploy this one again, because IAM trusts the identity and not its name.
   */
  readonly serverIdentityArn: string;

  /**
   * A text that the server must show when it assumes the role, so that nobody else's server can be made to use it.
   *
   * 8 to 1,224 letters, digits and `_+=,.@:/-`. Choose one that is yours alone; it is no secret, and stands in the
   * template. May be a token, for example a parameter, but not a reference to a secret.
   */
  readonly externalId: string;

  /**
   * Name of the role. It is known before the role is made, so that the server's identity can name it
   * (`memberRoleArns`).
   *
   * 1 to 64 letters, digits and `_+=,.@-`.
   *
   * @default 'karin'
   */
  readonly roleName?: string;
}

/**
 * The role in a member account that a Karin server of another account assumes.
 *
 * Define it once for each account that has queues, in one region: IAM knows no regions. It trusts the identity of the
 * server alone, if it shows the external id, and allows what `KarinRuntimeIdentity` allows in the server's own account.
 * The output `KarinRoles` is the value for the server's setting `KARIN_ROLES`.
 */
export class KarinAccountAccess extends Construct implements IKarinRuntimeIdentity {
  public readonly grantPrincipal: iam.IPrincipal;

  /**
   * The role that the server assumes.
   */
  public readonly role: iam.IRole;

  /**
   * The entry for this account in the server's setting `KARIN_ROLES`: `<role ARN>:<regions joined by +>:<external id>`.
   */
  public readonly karinRoles: string;

  constructor(scope: Construct, id: string, props: KarinAccountAccessProps) {
    super(scope, id);
    checkTrust(this, props);
    const regions = regionsOf(this, props);
    this.role = new iam.Role(this, 'Role', {
      roleName: props.roleName ?? 'karin',
      description: 'A Karin server of another account invokes functions and reads queues here',
      assumedBy: new iam.ArnPrincipal(props.serverIdentityArn),
      externalIds: [props.externalId],
    });
    this.grantPrincipal = this.role.grantPrincipal;
    new iam.ManagedPolicy(this, 'Policy', {
      description: 'What a Karin server may do in this account',
      statements: basePolicyStatements(this, props),
      roles: [this.role],
    });
    this.karinRoles = `${this.role.roleArn}:${regions.join('+')}:${props.externalId}`;
    new CfnOutput(this, 'KarinRoles', {
      value: this.karinRoles,
      description: 'Entry for this account in KARIN_ROLES of the Karin server',
    });
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
    return accessIn(stack, this, (policy) => policy.attachToRole(this.role));
  }
}

/** Whom a trust policy can name exactly: a role or a user. */
const IDENTITY = /^arn:aws[a-z0-9-]*:iam::\d{12}:(?:role|user)\/[\x21-\x29\x2b-\x3e\x40-\x7e]+$/;
/** Source of all but the least length: AWS STS API, `AssumeRole`, `ExternalId`. */
const EXTERNAL_ID = /^[A-Za-z0-9_+=,.@:/-]{8,1224}$/;
const ROLE_NAME = /^[A-Za-z0-9_+=,.@-]{1,64}$/;

function checkTrust(scope: Construct, props: KarinAccountAccessProps): void {
  // Callers in JavaScript and Python can leave out what the types demand.
  const { serverIdentityArn, externalId, roleName }: Partial<KarinAccountAccessProps> = props;
  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  if (
    serverIdentityArn === undefined ||
    (!Token.isUnresolved(serverIdentityArn) && !IDENTITY.test(serverIdentityArn))
  ) {
    throw fail(
      `serverIdentityArn must be the ARN of the role or user that the server runs as, such as arn:aws:iam::999999999999:role/karin-server, and of nobody else, but '${serverIdentityArn}' was provided`,
    );
  }
  if (externalId === undefined || externalId === '') {
    throw fail(
      'externalId is missing: without it anyone who may use the server could point it at this account; choose a text of 8 or more characters that is yours alone',
    );
  }
  const resolved: unknown = Stack.of(scope).resolve(externalId);
  if (JSON.stringify(resolved).includes('{{resolve:')) {
    throw fail(
      'externalId must not be a reference to a secret: it is no secret, and the output for KARIN_ROLES would have the reference and not the value; write it out, or use a parameter',
    );
  }
  if (typeof resolved === 'string' && !EXTERNAL_ID.test(resolved)) {
    throw fail(
      `externalId must have 8 to 1224 letters, digits and _+=,.@:/-, but '${resolved}' was provided; a shorter one is guessed too easily`,
    );
  }
  if (roleName !== undefined && !Token.isUnresolved(roleName) && !ROLE_NAME.test(roleName)) {
    throw fail(`roleName must have 1 to 64 letters, digits and _+=,.@-, but '${roleName}' was provided`);
  }
}
