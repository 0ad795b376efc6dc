/**
 * RedrivePolicy and RedriveAllowPolicy: their JSON texts, and which queue may be whose dead-letter queue.
 *
 * Source: SQS API reference, SetQueueAttributes; error texts as recorded from SQS.
 *
 * @module
 */

import type { QueueAttributes, RedriveAllowPolicy, RedrivePolicy } from '../queue/definition.ts';
import { formatQueueArn, isFifoName, parseQueueArn, type QueueArn, type QueueRef, queueKey } from '../queue/names.ts';
import { authorize, type Call, mayRead } from './actions/action.ts';
import { echo, invalidParameter, SqsError } from './errors.ts';
import { MAX_ALLOWED_SOURCES, MAX_RECEIVE_COUNT } from './limits.ts';
import type { ActionName } from './protocol/model.ts';
import { EVERY_QUEUE } from './request.ts';

/** Errors: `InvalidAttributeValue`, `InvalidParameterValue`. */
export function readRedrivePolicy(text: string): RedrivePolicy {
  const policy = jsonObject(text);
  if (policy === undefined) {
    throw invalidValue('RedrivePolicy', 'Redrive policy is not a valid JSON map.');
  }
  const { maxReceiveCount, deadLetterTargetArn, ...others } = policy;
  const refuse = (reason: string): SqsError => invalidParameter('RedrivePolicy', text, reason);
  if (maxReceiveCount === undefined) {
    throw refuse('Redrive policy does not contain mandatory attribute: maxReceiveCount.');
  }
  if (deadLetterTargetArn === undefined) {
    throw refuse('Redrive policy does not contain mandatory attribute: deadLetterTargetArn.');
  }
  if (Object.keys(others).length > 0) {
    throw refuse('Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].');
  }
  const count = integerOf(maxReceiveCount);
  if (count === undefined || count < 1 || count > MAX_RECEIVE_COUNT) {
    const range = `valid values are from 1 to ${MAX_RECEIVE_COUNT} both inclusive.`;
    throw refuse(`Invalid value for maxReceiveCount: ${shown(maxReceiveCount)}, ${range}`);
  }
  if (typeof deadLetterTargetArn !== 'string' || !deadLetterTargetArn.startsWith('arn:')) {
    throw refuse('Invalid value for deadLetterTargetArn.');
  }
  if (deadLetterTargetArn.split(':')[2] !== 'sqs') {
    throw refuse('Only SQS queues are valid resources for deadLetterTargetArn.');
  }
  if (parseQueueArn(deadLetterTargetArn) === undefined) throw refuse('Invalid value for deadLetterTargetArn.');
  return { deadLetterTargetArn, maxReceiveCount: count };
}

export function writeRedrivePolicy(policy: RedrivePolicy): string {
  const { deadLetterTargetArn, maxReceiveCount } = policy;
  return JSON.stringify({ deadLetterTargetArn, maxReceiveCount });
}

/** Errors: `InvalidAttributeValue`, `InvalidParameterValue`. */
export function readRedriveAllowPolicy(text: string): RedriveAllowPolicy {
  const malformed = (): SqsError =>
    invalidValue(
      'RedriveAllowPolicy',
      "Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.",
    );
  const { redrivePermission, sourceQueueArns: given, ...others } = jsonObject(text) ?? {};
  if (Object.keys(others).length > 0) throw malformed();
  // Serializers write an absent list as null; SQS takes it, and returns the policy without it.
  const sourceQueueArns = given ?? undefined;
  const arns = sourceQueueArns === undefined ? [] : strings(sourceQueueArns);
  if (arns === undefined) throw malformed();
  const refuse = (reason: string): SqsError =>
    invalidParameter('RedriveAllowPolicy', text, `Amazon SQS can't create the redrive allow policy. ${reason}`);
  if (redrivePermission === 'allowAll' || redrivePermission === 'denyAll') {
    if (sourceQueueArns === undefined) return { redrivePermission };
    throw refuse('To specify one or more source queue ARNs, you must set redrivePermission to byQueue.');
  }
  if (redrivePermission !== 'byQueue') throw malformed();
  if (arns.length === 0) {
    throw refuse(
      'When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.',
    );
  }
  if (arns.length > MAX_ALLOWED_SOURCES) {
    throw refuse(`The maximum number of source queue ARNs you can specify is ${MAX_ALLOWED_SOURCES}.`);
  }
  return { redrivePermission, sourceQueueArns: arns };
}

export function writeRedriveAllowPolicy(policy: RedriveAllowPolicy): string {
  const { redrivePermission } = policy;
  if (redrivePermission !== 'byQueue') return JSON.stringify({ redrivePermission });
  return JSON.stringify({ redrivePermission, sourceQueueArns: policy.sourceQueueArns });
}

/**
 * Checks a RedrivePolicy against the queue it names: it must exist, be of the same type, and allow this source. A queue
 * may be its own dead-letter queue. A target that the caller may not manage is one that does not exist: otherwise he
 * could write into any queue, and find out which there are.
 * Errors: `InvalidParameterValue`.
 */
export async function checkRedriveTarget(
  { directory, caller }: Pick<Call, 'directory' | 'caller'>,
  source: QueueArn,
  attributes: QueueAttributes,
): Promise<void> {
  const policy = attributes.redrivePolicy;
  if (policy === undefined) return;
  const refuse = (reason: string): SqsError => invalidParameter('RedrivePolicy', writeRedrivePolicy(policy), reason);
  const target = parseQueueArn(policy.deadLetterTargetArn);
  if (target === undefined) throw refuse('Invalid value for deadLetterTargetArn.');
  if (isFifoName(target.name) !== isFifoName(source.name)) {
    throw refuse('Dead-letter queue must be same type of queue as the source.');
  }
  const isItself = queueKey(target) === queueKey(source);
  const reaches = isItself || caller.allows('manage', target);
  const queue = isItself || !reaches ? undefined : await directory.find(queueKey(target));
  if (queue === undefined && !isItself) throw refuse('Dead letter target does not exist.');
  const allowed = isItself ? attributes.redriveAllowPolicy : queue?.definition.attributes.redriveAllowPolicy;
  if (!allows(allowed, source)) {
    throw refuse('The RedriveAllowPolicy of the dead-letter queue does not permit this source queue.');
  }
}

/**
 * Refuses a RedriveAllowPolicy with sources that the caller may not manage. Errors: `AccessDenied`, whether they exist
 * or not.
 */
export function authorizeSources(
  action: ActionName,
  call: Pick<Call, 'caller'>,
  { redriveAllowPolicy }: Pick<QueueAttributes, 'redriveAllowPolicy'>,
): void {
  if (redriveAllowPolicy?.redrivePermission !== 'byQueue') return;
  for (const source of redriveAllowPolicy.sourceQueueArns) authorize(action, 'manage', call, queueIn(source));
}

/**
 * The attributes of a queue as a caller sees them: without the names of allowed sources that his credential does not
 * reach.
 */
export function attributesFor(call: Pick<Call, 'caller'>, attributes: QueueAttributes): QueueAttributes {
  const policy = attributes.redriveAllowPolicy;
  if (policy?.redrivePermission !== 'byQueue') return attributes;
  const sourceQueueArns = policy.sourceQueueArns.filter((source) => mayRead(call, queueIn(source)));
  return { ...attributes, redriveAllowPolicy: { ...policy, sourceQueueArns } };
}

/** The queue that an ARN names; a text that is none is reached only by who reaches every queue. */
function queueIn(arn: string): QueueRef {
  return parseQueueArn(arn) ?? EVERY_QUEUE;
}

function allows(policy: RedriveAllowPolicy | undefined, source: QueueArn): boolean {
  if (policy === undefined || policy.redrivePermission === 'allowAll') return true;
  return policy.redrivePermission === 'byQueue' && policy.sourceQueueArns.includes(formatQueueArn(source));
}

function invalidValue(parameter: string, reason: string): SqsError {
  return new SqsError('InvalidAttributeValue', `Invalid value for the parameter ${parameter}. Reason: ${reason}`);
}

/**
 * What JSON gave, for an error text. A list or map is only named: its text could be endless, or a map could say that it
 * has none.
 */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'a map' : echo(String(value));
}

/** Several times the longest policy that makes sense: ten ARNs of source queues. */
const LONGEST_POLICY = 8_192;

function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text.length > LONGEST_POLICY) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return { ...value };
  } catch {
    return undefined;
  }
}

/** CloudFormation and Terraform write the count as a number or as its text. */
function integerOf(value: unknown): number | undefined {
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
  return typeof value === 'number' && Number.isInteger(value) ? value : undefined;
}

function strings(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const texts = value.filter((item) => typeof item === 'string');
  return texts.length === value.length ? texts : undefined;
}
