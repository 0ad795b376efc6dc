/**
 * Queue ARNs and the identity of a queue.
 *
 * @module
 */
import type { QueueKey } from '../store/store.ts';

/** The parts of `arn:<partition>:sqs:<region>:<account>:<name>`. */
export interface QueueArn {
  /** `aws`, `aws-cn`, `aws-us-gov`, ... */
  readonly partition: string;
  readonly region: string;
  /** Twelve digits. */
  readonly account: string;
  /** 1 to 80 characters, `.fifo` at the end for FIFO queues. */
  readonly name: string;
}

const PATTERN = /^arn:(aws[a-z0-9-]*):sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_-]{1,75}\.fifo|[A-Za-z0-9_-]{1,80})$/;

/** Reads a queue ARN; `undefined` for anything that is not one. */
export function parseQueueArn(text: string): QueueArn | undefined {
  const [, partition, region, account, name] = PATTERN.exec(text) ?? [];
  if (partition === undefined || region === undefined || account === undefined || name === undefined) return undefined;
  return { partition, region, account, name };
}

/** Writes a queue ARN. */
export function formatQueueArn(arn: QueueArn): string {
  return `arn:${arn.partition}:sqs:${arn.region}:${arn.account}:${arn.name}`;
}

/** The identity of the queue with this ARN. */
export function queueKey(arn: QueueArn): QueueKey {
  return `${arn.region}:${arn.account}:${arn.name}`;
}

/** What tells one queue from all others: a name alone does not, because every account and region may have it. */
export type QueueRef = Pick<QueueArn, 'region' | 'account' | 'name'>;

/** The queue that an identity names; `undefined` for anything that is none. */
export function parseQueueKey(key: string): QueueArn | undefined {
  const [region = '', account, name] = key.split(':');
  return parseQueueArn(`arn:${partitionOf(region)}:sqs:${region}:${account}:${name}`);
}

/** Whether the name says FIFO; AWS allows the suffix on FIFO queues only. */
export function isFifoName(name: string): boolean {
  return name.endsWith('.fifo');
}

/*
 * What follows from the name of a region. Source: partitions of the AWS SDKs.
 */

/** Of all other regions. */
const COMMERCIAL = { partition: 'aws', urlSuffix: 'amazonaws.com' };
const PARTITIONS: readonly { readonly regions: RegExp; readonly partition: string; readonly urlSuffix: string }[] = [
  { regions: /^cn-/, partition: 'aws-cn', urlSuffix: 'amazonaws.com.cn' },
  { regions: /^us-gov-/, partition: 'aws-us-gov', urlSuffix: 'amazonaws.com' },
  { regions: /^us-iso-/, partition: 'aws-iso', urlSuffix: 'c2s.ic.gov' },
  { regions: /^us-isob-/, partition: 'aws-iso-b', urlSuffix: 'sc2s.sgov.gov' },
  { regions: /^eu-isoe-/, partition: 'aws-iso-e', urlSuffix: 'cloud.adc-e.uk' },
  { regions: /^us-isof-/, partition: 'aws-iso-f', urlSuffix: 'csp.hci.ic.gov' },
  { regions: /^eusc-/, partition: 'aws-eusc', urlSuffix: 'amazonaws.eu' },
];

/** `AWS::Partition` of a region. */
export function partitionOf(region: string): string {
  return (PARTITIONS.find(({ regions }) => regions.test(region)) ?? COMMERCIAL).partition;
}

/** `AWS::URLSuffix` of a region. */
export function urlSuffixOf(region: string): string {
  return (PARTITIONS.find(({ regions }) => regions.test(region)) ?? COMMERCIAL).urlSuffix;
}

/*
 * Patterns of queues, in credentials and settings: `*` stands for any characters, `?` for one. `app-*` is one of
 * names, `111122223333/eu-west-1/app-*` one of account, region and name.
 */

/** Whether a pattern names account and region as well. */
export function isQualified(glob: string): boolean {
  return glob.includes('/');
}

/**
 * Whether the queue fits; a pattern of names looks at nothing else. Both texts of a qualified pattern have two slashes,
 * so a wildcard never reaches over one.
 */
export function matchesQueue(glob: string, { account, region, name }: QueueRef): boolean {
  return isQualified(glob) ? matchesGlob(glob, `${account}/${region}/${name}`) : matchesGlob(glob, name);
}

/** Whether a text is the whole name of the queue, in one of the forms in which people and patterns write it. */
export function isNameOf(text: string, arn: QueueArn): boolean {
  const { account, region, name } = arn;
  return [name, queueKey(arn), formatQueueArn(arn), `${account}/${region}/${name}`].includes(text);
}

/** Whether `name` fits `glob`. Linear in practice: a star only ever retries from its last match. */
export function matchesGlob(glob: string, name: string): boolean {
  let g = 0;
  let n = 0;
  let star = -1;
  let resume = 0;
  while (n < name.length) {
    if (g < glob.length && glob[g] === '*') {
      star = g++;
      resume = n;
    } else if (g < glob.length && (glob[g] === '?' || glob[g] === name[n])) {
      g++;
      n++;
    } else if (star >= 0) {
      g = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (glob[g] === '*') g++;
  return g === glob.length;
}

/** Letters to add, remove or change to make one text of the other (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
