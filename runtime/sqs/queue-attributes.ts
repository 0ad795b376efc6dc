/**
 * The queue attributes that a caller may set: names, texts and rules, and what they mean.
 *
 * Source: SQS API reference, CreateQueue and SetQueueAttributes; error texts as recorded from SQS.
 *
 * @module
 */
import type { QueueAttributes } from '../queue/definition.ts';
import { checkPolicy } from './actions/permissions.ts';
import { echo, SqsError } from './errors.ts';
import {
  KMS_REUSE_SECONDS,
  MAX_DELAY_SECONDS,
  MAX_KMS_KEY_LENGTH,
  MAX_MESSAGE_BYTES,
  MAX_VISIBILITY_TIMEOUT_SECONDS,
  MAX_WAIT_SECONDS,
  MIN_MAXIMUM_MESSAGE_SIZE,
  RETENTION_SECONDS,
} from './limits.ts';
import { readRedriveAllowPolicy, readRedrivePolicy, writeRedriveAllowPolicy, writeRedrivePolicy } from './redrive.ts';

/** What a caller may take away again: by an empty text, or by choosing the other kind of encryption. */
type Unsettable = 'policy' | 'redrivePolicy' | 'redriveAllowPolicy' | 'kmsMasterKeyId' | 'kmsDataKeyReusePeriodSeconds';
/** What one attribute text changes; `undefined`: taken away. */
type Change = Partial<Omit<QueueAttributes, Unsettable>> & {
  readonly [K in Unsettable]?: QueueAttributes[K] | undefined;
};

/** How one settable attribute is read and written back. */
interface Settable {
  readonly fifoOnly?: true;
  read(text: string): Change;
  /** `undefined`: not set, so not returned. */
  write(attributes: QueueAttributes): string | undefined;
}

function integerAttribute(
  name: string,
  least: number,
  most: number,
  change: (value: number) => Change,
  get: (attributes: QueueAttributes) => number | undefined,
): Settable {
  return {
    read(text) {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
      if (!(value >= least && value <= most)) throw invalidValue(name);
      return change(value);
    },
    write: (attributes) => get(attributes)?.toString(),
  };
}

function booleanOf(name: string, text: string): boolean {
  const value = readBoolean(text);
  if (value === undefined) throw invalidValue(name);
  return value;
}

/**
 * SQS reads the words of a truth in any case (`True`, as Python writes it) and returns them in lower case; `undefined`:
 * neither.
 */
export function readBoolean(text: string | undefined): boolean | undefined {
  const word = text?.toLowerCase();
  return word === 'true' || word === 'false' ? word === 'true' : undefined;
}

/**
 * Every attribute that a caller may set, in the order in which SQS lists them. `FifoQueue` is not among them: the name
 * decides.
 */
export const SETTABLE: Readonly<Record<string, Settable>> = {
  VisibilityTimeout: integerAttribute(
    'VisibilityTimeout',
    0,
    MAX_VISIBILITY_TIMEOUT_SECONDS,
    (value) => ({ visibilityTimeoutSeconds: value }),
    (attributes) => attributes.visibilityTimeoutSeconds,
  ),
  MaximumMessageSize: integerAttribute(
    'MaximumMessageSize',
    MIN_MAXIMUM_MESSAGE_SIZE,
    MAX_MESSAGE_BYTES,
    (value) => ({ maximumMessageSizeBytes: value }),
    (attributes) => attributes.maximumMessageSizeBytes,
  ),
  MessageRetentionPeriod: integerAttribute(
    'MessageRetentionPeriod',
    RETENTION_SECONDS.least,
    RETENTION_SECONDS.most,
    (value) => ({ messageRetentionPeriodSeconds: value }),
    (attributes) => attributes.messageRetentionPeriodSeconds,
  ),
  DelaySeconds: integerAttribute(
    'DelaySeconds',
    0,
    MAX_DELAY_SECONDS,
    (value) => ({ delaySeconds: value }),
    (attributes) => attributes.delaySeconds,
  ),
  ReceiveMessageWaitTimeSeconds: integerAttribute(
    'ReceiveMessageWaitTimeSeconds',
    0,
    MAX_WAIT_SECONDS,
    (value) => ({ receiveMessageWaitTimeSeconds: value }),
    (attributes) => attributes.receiveMessageWaitTimeSeconds,
  ),
  Policy: {
    read(text) {
      if (text !== '') checkPolicy(text);
      return { policy: text === '' ? undefined : text };
    },
    write: ({ policy }) => policy,
  },
  RedrivePolicy: {
    read: (text) => ({ redrivePolicy: text === '' ? undefined : readRedrivePolicy(text) }),
    write: ({ redrivePolicy }) => redrivePolicy && writeRedrivePolicy(redrivePolicy),
  },
  RedriveAllowPolicy: {
    read: (text) => ({ redriveAllowPolicy: text === '' ? undefined : readRedriveAllowPolicy(text) }),
    write: ({ redriveAllowPolicy }) => redriveAllowPolicy && writeRedriveAllowPolicy(redriveAllowPolicy),
  },
  KmsMasterKeyId: {
    read(text) {
      if (text.length > MAX_KMS_KEY_LENGTH) throw invalidValue('KmsMasterKeyId');
      return { kmsMasterKeyId: text === '' ? undefined : text };
    },
    write: ({ kmsMasterKeyId }) => kmsMasterKeyId,
  },
  KmsDataKeyReusePeriodSeconds: integerAttribute(
    'KmsDataKeyReusePeriodSeconds',
    KMS_REUSE_SECONDS.least,
    KMS_REUSE_SECONDS.most,
    (value) => ({ kmsDataKeyReusePeriodSeconds: value }),
    (attributes) => attributes.kmsDataKeyReusePeriodSeconds,
  ),
  SqsManagedSseEnabled: {
    read: (text) => ({ sqsManagedSseEnabled: booleanOf('SqsManagedSseEnabled', text) }),
    write: ({ sqsManagedSseEnabled }) => String(sqsManagedSseEnabled),
  },
  ContentBasedDeduplication: {
    fifoOnly: true,
    read: (text) => ({ contentBasedDeduplication: booleanOf('ContentBasedDeduplication', text) }),
    write: ({ contentBasedDeduplication }) => String(contentBasedDeduplication),
  },
  DeduplicationScope: {
    fifoOnly: true,
    read(text) {
      if (text !== 'queue' && text !== 'messageGroup') throw invalidValue('DeduplicationScope');
      return { deduplicationScope: text };
    },
    write: ({ deduplicationScope }) => deduplicationScope,
  },
  FifoThroughputLimit: {
    fifoOnly: true,
    read(text) {
      if (text !== 'perQueue' && text !== 'perMessageGroupId') throw invalidValue('FifoThroughputLimit');
      return { fifoThroughputLimit: text };
    },
    write: ({ fifoThroughputLimit }) => fifoThroughputLimit,
  },
};

/** The settable attribute of this name; `undefined`: there is none. */
function settable(name: string): Settable | undefined {
  return Object.hasOwn(SETTABLE, name) ? SETTABLE[name] : undefined;
}

/**
 * Applies given attributes to `base`, with the rules of one attribute and those between attributes; the rule that needs
 * another queue is `checkRedriveTarget`'s.
 * Errors: `InvalidAttributeName`, `InvalidAttributeValue`, `InvalidParameterValue`, `OverLimit`.
 */
export function applyAttributes(
  base: QueueAttributes,
  given: ReadonlyMap<string, string>,
  fifo: boolean,
): QueueAttributes {
  let change: Change = {};
  for (const [name, text] of given) {
    if (name === 'FifoQueue') {
      checkFifoQueue(text, fifo);
      continue;
    }
    const attribute = settable(name);
    if (attribute === undefined) throw unknownAttribute(name);
    if (attribute.fifoOnly && !fifo) throw notOnStandard(name);
    change = { ...change, ...attribute.read(text) };
  }
  const changed = withoutUnset({ ...base, ...change, ...encryptionChange(given) });
  if (changed.fifoThroughputLimit === 'perMessageGroupId' && changed.deduplicationScope === 'queue') {
    throw new SqsError(
      'InvalidAttributeValue',
      'The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup',
    );
  }
  return changed;
}

/** The first given attribute whose value differs between two sets; `undefined`: none does. */
export function firstDifference(
  given: ReadonlyMap<string, string>,
  existing: QueueAttributes,
  wanted: QueueAttributes,
): string | undefined {
  return [...given.keys()].find((name) => {
    const attribute = settable(name);
    return attribute !== undefined && attribute.write(existing) !== attribute.write(wanted);
  });
}

function withoutUnset(attributes: Change & Omit<QueueAttributes, Unsettable>): QueueAttributes {
  const { policy, redrivePolicy, redriveAllowPolicy, kmsMasterKeyId, kmsDataKeyReusePeriodSeconds, ...always } =
    attributes;
  return {
    ...always,
    ...(policy === undefined ? {} : { policy }),
    ...(redrivePolicy === undefined ? {} : { redrivePolicy }),
    ...(redriveAllowPolicy === undefined ? {} : { redriveAllowPolicy }),
    ...(kmsMasterKeyId === undefined
      ? {}
      : { kmsMasterKeyId, kmsDataKeyReusePeriodSeconds: kmsDataKeyReusePeriodSeconds ?? KMS_REUSE_SECONDS.usual }),
  };
}

function checkFifoQueue(text: string, fifo: boolean): void {
  if (!fifo) throw unknownAttribute('FifoQueue');
  if (readBoolean(text) !== true) {
    throw new SqsError(
      'InvalidAttributeValue',
      'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.',
    );
  }
}

/** A queue has one kind of encryption: a KMS key turns SQS's own off, and the reverse. */
function encryptionChange(given: ReadonlyMap<string, string>): Change {
  const wantsKms = (given.get('KmsMasterKeyId') ?? '') !== '';
  const wantsManaged = readBoolean(given.get('SqsManagedSseEnabled')) === true;
  if (wantsKms && wantsManaged) {
    throw new SqsError(
      'InvalidAttributeName',
      'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
    );
  }
  if (wantsKms) return { sqsManagedSseEnabled: false };
  return wantsManaged ? { kmsMasterKeyId: undefined } : {};
}

function invalidValue(name: string): SqsError {
  return new SqsError('InvalidAttributeValue', `Invalid value for the parameter ${name}.`);
}

/** `Unknown Attribute N.` */
export function unknownAttribute(name: string): SqsError {
  return new SqsError('InvalidAttributeName', `Unknown Attribute ${echo(name)}.`);
}

function notOnStandard(name: string): SqsError {
  if (name === 'ContentBasedDeduplication') return unknownAttribute(name);
  return new SqsError('InvalidAttributeName', `You can specify the ${name} only when FifoQueue is set to true.`);
}
