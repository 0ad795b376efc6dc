import { ArnFormat, Stack, Token } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { type Access, type KarinAccessProps, resolveAccess } from './endpoint';
import { KarinQueueBase } from './karin-queue-base';

/**
 * What is known of a Karin queue that is defined elsewhere.
 */
export interface KarinQueueAttributes extends KarinAccessProps {
  /**
   * The ARN of the anchor.
   */
  readonly queueArn: string;

  /**
   * Whether the queue is a FIFO queue; needed only where the ARN is a token.
   *
   * @default - whether the name in the ARN ends in `.fifo`
   */
  readonly fifo?: boolean;
}

/** A Karin queue by its attributes. Mappings on it are disabled like those of a queue defined here. */
export class ImportedKarinQueue extends KarinQueueBase {
  public readonly queueArn: string;
  public readonly queueName: string;
  public readonly queueUrl: string;
  public readonly endpoint: string;
  public readonly fifo: boolean;
  public readonly encryptionMasterKey?: kms.IKey;
  public readonly encryptionType?: sqs.QueueEncryption;
  /** @internal */
  public readonly _anchor?: sqs.CfnQueue;
  /** @internal */
  public readonly _literalName?: string;
  /** @internal */
  public readonly _access: Access;

  constructor(scope: Construct, id: string, attrs: KarinQueueAttributes) {
    super(scope, id, { environmentFromArn: attrs.queueArn });
    const arn = Stack.of(this).splitArn(attrs.queueArn, ArnFormat.NO_RESOURCE_NAME);
    this.queueArn = attrs.queueArn;
    this.queueName = arn.resource;
    if (!Token.isUnresolved(arn.resource)) this._literalName = arn.resource;
    this.fifo = determineFifo(this, attrs, arn.resource);
    this._access = resolveAccess(this, attrs, arn.region ?? this.env.region);
    this.endpoint = this._access.endpoint;
    this.queueUrl = `${this.endpoint}${this._access.regionPath}/${arn.account}/${arn.resource}`;
  }
}

function determineFifo(scope: Construct, attrs: KarinQueueAttributes, name: string): boolean {
  if (Token.isUnresolved(name)) return attrs.fifo ?? false;
  const fifo = name.endsWith('.fifo');
  if (attrs.fifo !== undefined && attrs.fifo !== fifo) {
    throw new Error(
      `${scope.node.path}: fifo is ${attrs.fifo}, but the queue '${name}' is ${fifo ? '' : 'not '}a FIFO queue by its name; leave 'fifo' out`,
    );
  }
  return fifo;
}
