import type { QueueArn } from '../../queue/arn.ts';
import { urlSuffixOf } from './regions.ts';

/** The URL of the real queue in AWS. Account and name decide; the host is the one SQS documents for the region. */
export function realQueueUrl(arn: QueueArn): string {
  return `https://sqs.${arn.region}.${urlSuffixOf(arn.region)}/${arn.account}/${arn.name}`;
}
