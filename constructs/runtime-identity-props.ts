import type * as iam from 'aws-cdk-lib/aws-iam';
import type { KarinDrain } from './drain';

/**
 * What a Karin server may do in an account.
 */
export interface KarinPermissionProps {
  /**
   * Regions whose mappings, functions and queues the server may use, for example `eu-west-1`: those that it serves.
   *
   * With several, each statement has the condition `aws:RequestedRegion`.
   *
   * @default - the region of the stack
   */
  readonly regions?: string[];

  /**
   * Whether the server may invoke every function, and read every anchor, that carries the tag `karin:managed=true`.
   *
   * The constructs put the tag on consumers and anchors, so that the stack of the identity need not know the stacks of
   * the queues. With `false` it may only use what it was granted by ARN: pass the identity as `runtime` to each queue.
   * IAM knows the tags of queues in all commercial regions but Hyderabad, Melbourne, Spain and Zurich; pass `runtime`
   * there as well.
   *
   * @default true
   */
  readonly tagged?: boolean;

  /**
   * Whether the server may list functions and their URLs, for its directory of function URLs.
   *
   * @default false
   */
  readonly functionUrls?: boolean;

  /**
   * Whether the server may list the account's subscriptions to SNS topics and read the topics.
   *
   * Only `karin doctor` does so: it names the subscriptions that still deliver to a queue in Amazon SQS that nobody
   * reads.
   *
   * @default false
   */
  readonly snsSubscriptions?: boolean;

  /**
   * Whether the server may move messages between Karin and Amazon SQS, for `karin drain` and `karin pull`.
   * `drainQueueNames` says of which queues.
   *
   * @default - it may not touch a message in Amazon SQS
   */
  readonly drain?: KarinDrain;

  /**
   * Names of the queues that messages may be moved to and from; `*` and `?` are wildcards.
   *
   * By name and not by tag, because a queue that has become an `sqs.Queue` again no longer carries the tag, and that is
   * when it is drained.
   *
   * Required with `drain`; `['*']` stands for all queues of the account in these regions.
   *
   * @default - none
   */
  readonly drainQueueNames?: string[];
}

/**
 * What a Karin server may do.
 */
export interface KarinRuntimeIdentityProps extends KarinPermissionProps {
  /**
   * ARNs of the roles in other accounts that the server may assume: those of its setting `KARIN_ROLES`.
   *
   * `KarinAccountAccess` makes such a role. Exactly these are allowed, so none has a wildcard. The roles need not exist
   * yet; theirs is the other half of the permission, and this identity must exist before they can name it.
   *
   * @default - none
   */
  readonly memberRoleArns?: string[];
}

/**
 * An IAM user as the identity of a Karin server.
 */
export interface KarinUserIdentityProps extends KarinRuntimeIdentityProps {
  /**
   * Raise it to replace the access key by a new one.
   *
   * A whole number, which may only grow. The old key is deleted once the new one is stored: restart the server with the
   * new key then.
   *
   * @default 0
   */
  readonly keySerial?: number;
}

/**
 * A role that is assumed with tokens of an OpenID Connect issuer.
 */
export interface KarinOidcIdentityProps extends KarinRuntimeIdentityProps {
  /**
   * URL of the issuer, beginning with `https://`, as it stands in the claim `iss` of its tokens.
   */
  readonly issuer: string;

  /**
   * Whom to trust: values of the claim `sub`; `*` and `?` are wildcards.
   *
   * At least one, and none that everyone with an account at the issuer would match.
   */
  readonly subjects: string[];

  /**
   * The audience of the tokens: the claim `aud`.
   *
   * @default 'sts.amazonaws.com'
   */
  readonly audience?: string;

  /**
   * The provider in IAM, if the account has one for this issuer already; an account can hold only one.
   *
   * @default - one is defined
   */
  readonly provider?: iam.IOIDCProviderRef;
}

/**
 * A Fly.io machine as the identity of a Karin server.
 */
export interface FlyMachineIdentityProps extends KarinRuntimeIdentityProps {
  /**
   * The slug of the organization, as `fly orgs list` shows it; for a personal organization its real slug and not
   * `personal`.
   */
  readonly orgSlug: string;

  /**
   * The name of the app whose machines may act as the server.
   */
  readonly appName: string;

  /**
   * The provider in IAM, if the account has one for this organization already; an account can hold only one.
   *
   * @default - one is defined
   */
  readonly provider?: iam.IOIDCProviderRef;
}

/**
 * A role that exists already as the identity of a Karin server.
 */
export interface KarinExistingRoleIdentityProps extends KarinRuntimeIdentityProps {
  /**
   * The role, of the same account.
   */
  readonly role: iam.IRole;
}
