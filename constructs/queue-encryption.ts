import * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { defined } from './defined';
import type { KarinQueueProps } from './karin-queue-props';

/** The encryption of an anchor, as properties of the resource. */
export interface AnchorEncryption {
  readonly type: sqs.QueueEncryption | undefined;
  readonly key: kms.IKey | undefined;
  readonly properties: Pick<
    sqs.CfnQueueProps,
    'kmsMasterKeyId' | 'kmsDataKeyReusePeriodSeconds' | 'sqsManagedSseEnabled'
  >;
}

/**
 * Reads the encryption properties as `sqs.Queue` does, and defines the key under the same id where one is asked for but
 * not given.
 */
export function anchorEncryption(scope: Construct, props: KarinQueueProps): AnchorEncryption {
  const givenKey = props.encryptionMasterKey;
  const type = givenKey === undefined ? props.encryption : sqs.QueueEncryption.KMS;
  if (givenKey !== undefined && props.encryption !== undefined && props.encryption !== sqs.QueueEncryption.KMS) {
    throw new Error(
      `${scope.node.path}: encryptionMasterKey needs the encryption KMS, but '${props.encryption}' was provided; leave one of them out`,
    );
  }
  const reuse = props.dataKeyReuse?.toSeconds();
  switch (type) {
    case undefined:
      return { type, key: undefined, properties: {} };
    case sqs.QueueEncryption.UNENCRYPTED:
      return { type, key: undefined, properties: { sqsManagedSseEnabled: false } };
    case sqs.QueueEncryption.SQS_MANAGED:
      return { type, key: undefined, properties: { sqsManagedSseEnabled: true } };
    case sqs.QueueEncryption.KMS_MANAGED:
      return {
        type,
        key: undefined,
        properties: defined<AnchorEncryption['properties']>({
          kmsMasterKeyId: 'alias/aws/sqs',
          kmsDataKeyReusePeriodSeconds: reuse,
        }),
      };
    case sqs.QueueEncryption.KMS: {
      const key = givenKey ?? new kms.Key(scope, 'Key', { description: `Created by ${scope.node.path}` });
      return {
        type,
        key,
        properties: defined<AnchorEncryption['properties']>({
          kmsMasterKeyId: key.keyArn,
          kmsDataKeyReusePeriodSeconds: reuse,
        }),
      };
    }
    default:
      throw new Error(`${scope.node.path}: encryption '${type}' is not known; use a member of sqs.QueueEncryption`);
  }
}
