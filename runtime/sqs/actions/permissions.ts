import { formatQueueArn, type QueueArn } from '../../queue/names.ts';
import { echo, invalidParameter, SqsError } from '../errors.ts';
import { MAX_PERMISSION_ACTIONS, MAX_POLICY_BYTES, MAX_POLICY_STATEMENTS } from '../limits.ts';
import { isActionName } from '../protocol/model.ts';
import { queueAction, requireOwn } from './action.ts';

export const addPermission = queueAction('AddPermission', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'AddPermission');
  const permission = { label: input.Label, actions: input.Actions, accounts: input.AWSAccountIds };
  await call.directory.setAttributes(queue, (attributes) => {
    return { ...attributes, policy: withPermission(attributes.policy, queue.arn, permission) };
  });
  return undefined;
});

export const removePermission = queueAction('RemovePermission', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'RemovePermission');
  await call.directory.setAttributes(queue, ({ policy: present, ...others }) => {
    const policy = withoutPermission(present, input.Label);
    return policy === undefined ? others : { ...others, policy };
  });
  return undefined;
});

/*
 * The `Policy` attribute and the two actions that edit it. Karin stores and returns policies and never evaluates them:
 * who may do what is decided by the credentials of the server.
 *
 * Source: SQS API reference, AddPermission, RemovePermission; document form as recorded from SQS.
 */

interface PolicyDocument {
  readonly [member: string]: unknown;
  readonly Statement: readonly unknown[];
}

/** What AddPermission asks for. */
interface Permission {
  readonly label: string;
  /** Without a prefix, or `*`. */
  readonly actions: readonly string[];
  /** Twelve digits each. */
  readonly accounts: readonly string[];
}

/** What a queue's owner keeps to himself: AddPermission refuses these. */
const OWNER_ONLY: ReadonlySet<string> = new Set([
  'AddPermission',
  'CancelMessageMoveTask',
  'CreateQueue',
  'DeleteQueue',
  'ListMessageMoveTasks',
  'ListQueues',
  'ListQueueTags',
  'RemovePermission',
  'SetQueueAttributes',
  'StartMessageMoveTask',
  'TagQueue',
  'UntagQueue',
]);
const BATCHES: ReadonlySet<string> = new Set([
  'SendMessageBatch',
  'DeleteMessageBatch',
  'ChangeMessageVisibilityBatch',
]);

const MAX_LABEL_LENGTH = 80;

/** Errors: `InvalidAttributeValue` (not a policy, or too long), `OverLimit` (statements). */
export function checkPolicy(text: string): void {
  const document = Buffer.byteLength(text) > MAX_POLICY_BYTES ? undefined : parse(text);
  if (document === undefined) {
    throw new SqsError('InvalidAttributeValue', 'Invalid value for the parameter Policy.');
  }
  const count = document.Statement.length;
  if (count > MAX_POLICY_STATEMENTS) {
    throw new SqsError(
      'OverLimit',
      `${count} statements were found in the submitted policy, max allowed is ${MAX_POLICY_STATEMENTS}`,
    );
  }
}

/** The policy with one statement more. Errors: `InvalidParameterValue`, `OverLimit`. */
function withPermission(policy: string | undefined, queue: QueueArn, permission: Permission): string {
  checkPermission(permission);
  const arn = formatQueueArn(queue);
  const document = (policy === undefined ? undefined : parse(policy)) ?? {
    Version: '2008-10-17',
    Id: `${arn}/SQSDefaultPolicy`,
    Statement: [],
  };
  if (document.Statement.some((statement) => sid(statement) === permission.label)) {
    throw invalidParameter('Label', permission.label, 'Already exists.');
  }
  const statement = {
    Sid: permission.label,
    Effect: 'Allow',
    Principal: { AWS: oneOrMany(permission.accounts.map((account) => `arn:${queue.partition}:iam::${account}:root`)) },
    Action: oneOrMany(permission.actions.map((action) => `SQS:${action}`)),
    Resource: arn,
  };
  const statements = [...document.Statement, statement];
  if (statements.length > MAX_POLICY_STATEMENTS) {
    throw new SqsError(
      'OverLimit',
      `${statements.length} Statements were found, maximum allowed is ${MAX_POLICY_STATEMENTS}.`,
    );
  }
  const extended = JSON.stringify({ ...document, Statement: statements });
  const bytes = Buffer.byteLength(extended);
  if (bytes > MAX_POLICY_BYTES) {
    const text = `The policy would have ${bytes} bytes, maximum allowed is ${MAX_POLICY_BYTES}. Remove a permission first.`;
    throw new SqsError('OverLimit', text);
  }
  return extended;
}

/** The policy without the statement of this label; `undefined` if it was the last. Errors: `InvalidParameterValue`. */
function withoutPermission(policy: string | undefined, label: string): string | undefined {
  const document = policy === undefined ? undefined : parse(policy);
  const kept = document?.Statement.filter((statement) => sid(statement) !== label) ?? [];
  if (document === undefined || kept.length === document.Statement.length) {
    throw invalidParameter('Label', label, "can't find label.");
  }
  return kept.length === 0 ? undefined : JSON.stringify({ ...document, Statement: kept });
}

function checkPermission({ label, actions, accounts }: Permission): void {
  if (label.length > MAX_LABEL_LENGTH || !/^[A-Za-z0-9_-]+$/.test(label)) {
    const reason = `Can only include alphanumeric characters, hyphens, or underscores. 1 to ${MAX_LABEL_LENGTH} in length`;
    throw invalidParameter('Label', label, reason);
  }
  if (actions.length > MAX_PERMISSION_ACTIONS) {
    throw new SqsError(
      'OverLimit',
      `${actions.length} Actions were found, maximum allowed is ${MAX_PERMISSION_ACTIONS}.`,
    );
  }
  for (const action of actions) {
    const value = `SQS:${action}`;
    if (OWNER_ONLY.has(action)) {
      throw invalidParameter('ActionName', value, 'Only the queue owner is allowed to invoke this action.');
    }
    if (action !== '*' && (!isActionName(action) || BATCHES.has(action))) {
      const reason = 'Please refer to the appropriate WSDL for a list of valid actions.';
      throw invalidParameter('ActionName', value, reason);
    }
  }
  for (const account of accounts) {
    if (!/^\d{12}$/.test(account)) {
      throw new SqsError(
        'InvalidParameterValue',
        `Value [${echo(account)}] for parameter PrincipalId is invalid. Reason: Unable to verify.`,
      );
    }
  }
}

/**
 * A policy document whose statements are a list, as they are or as the one object that IAM allows in its place;
 * `undefined`: not a policy.
 */
function parse(text: string): PolicyDocument | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const statement = 'Statement' in value ? value.Statement : [];
    if (typeof statement !== 'object' || statement === null) return undefined;
    return { ...value, Statement: Array.isArray(statement) ? statement : [statement] };
  } catch {
    return undefined;
  }
}

function sid(statement: unknown): unknown {
  return typeof statement === 'object' && statement !== null && 'Sid' in statement ? statement.Sid : undefined;
}

/** IAM writes a list of one as its only item. */
function oneOrMany(values: readonly string[]): string | readonly string[] {
  const [only] = values;
  return values.length === 1 && only !== undefined ? only : values;
}
