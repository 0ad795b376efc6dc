/**
 * An event source mapping as Karin consumes it: the SQS-relevant fields of `lambda:ListEventSourceMappings`, completed
 * by details of the function.
 *
 * @module
 */
import type { QueueArn } from '../queue/names.ts';

export interface Mapping {
  /** Identity; state that outlives a sync is keyed by it, except queue data, which is keyed by the queue. */
  readonly uuid: string;
  /** Needed for ListTags. */
  readonly mappingArn: string;
  readonly queueArn: QueueArn;
  /** As given, with alias, version or `$LATEST` if AWS has it so; passed to Invoke unchanged. */
  readonly functionArn: string;
  /** 1 to 10,000 (FIFO 10); default 10. */
  readonly batchSize: number;
  /** `MaximumBatchingWindowInSeconds`, 0 to 300 s; FIFO 0. */
  readonly batchWindowSeconds: number;
  /** Patterns as JSON texts; empty: everything matches. */
  readonly filterPatterns: readonly string[];
  /** `FunctionResponseTypes` has `ReportBatchItemFailures`. */
  readonly reportBatchItemFailures: boolean;
  /**
   * `ScalingConfig.MaximumConcurrency` (AWS: 2 to 1,000; a tag may set 1), or ten per `MaximumPollers`; absent: no
   * limit of its own.
   */
  readonly maximumConcurrency?: number;
  /**
   * Invokes at one time with which a backlog begins: ten per `MinimumPollers` of provisioned mode; absent: as the
   * server is set.
   */
  readonly startConcurrency?: number;
  /** `Timeout` of the function, 1 to 900 s, as last read: a deployment may have changed it since. */
  readonly functionTimeoutSeconds: number;
  /**
   * `DurableConfig.ExecutionTimeout` of the function, s: an Invoke lasts as long as the durable execution; absent: not
   * durable.
   */
  readonly durableExecutionTimeoutSeconds?: number;
  /** The function runs on Lambda Managed Instances (`CapacityProviderConfig`), where an Invoke may last longer. */
  readonly managedInstances?: true;
  /** Epoch milliseconds of `LastModified`; a change means that details must be read again. */
  readonly lastModified: number;
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * The longest that AWS lets a synchronous Invoke last, s; source: "Using event source mappings with durable functions",
 * Lambda quotas.
 */
const LONGEST_INVOKE_SECONDS = 900;
/** The same on Lambda Managed Instances, s. */
const LONGEST_INVOKE_ON_MANAGED_INSTANCES_SECONDS = 5_400;

/** The longest that an Invoke of this mapping can last, s, whatever the timeout of its function is by now. */
export function longestInvokeSeconds(mapping: Mapping): number {
  return mapping.managedInstances === true ? LONGEST_INVOKE_ON_MANAGED_INSTANCES_SECONDS : LONGEST_INVOKE_SECONDS;
}

/**
 * How long one invocation is expected to last at most, s, by what was last read of the function: for leases and slots,
 * never to give up an Invoke.
 */
export function expectedRunSeconds(mapping: Mapping): number {
  const { durableExecutionTimeoutSeconds: durable, functionTimeoutSeconds: timeout } = mapping;
  return Math.min(durable === undefined ? timeout : Math.max(durable, timeout), longestInvokeSeconds(mapping));
}

/** A mapping that Karin must not serve, and why; the others are unharmed. It is looked at again at every sync. */
export interface BrokenMapping {
  readonly uuid: string;
  readonly queueArn: QueueArn;
  readonly functionArn: string;
  /** A sentence for the operator: what is wrong and what mends it. */
  readonly reason: string;
}

/*
 * The forms in which AWS lets a function be named.
 */

export interface FunctionReference {
  /** Twelve digits; absent: the name alone was given. */
  readonly account?: string;
  /** Absent: the name or the partial ARN was given. */
  readonly region?: string;
  readonly name: string;
  /** Alias, version or `$LATEST`; absent: unqualified. */
  readonly qualifier?: string;
}

const FORM =
  /^(?:arn:[a-z0-9-]+:lambda:(?<region>[a-z0-9-]+):)?(?:(?<account>\d{12}):function:)?(?<name>[A-Za-z0-9_-]{1,140})(?::(?<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?$/;

/**
 * Reads `name`, `name:qualifier`, `account:function:name[:qualifier]` or the whole ARN (`FunctionName` of the Lambda
 * API); `undefined` for anything else.
 */
export function parseFunctionReference(text: string): FunctionReference | undefined {
  const { region, account, name, qualifier } = FORM.exec(text)?.groups ?? {};
  if (name === undefined) return undefined;
  return {
    name,
    ...(account === undefined ? {} : { account }),
    ...(region === undefined ? {} : { region }),
    ...(qualifier === undefined ? {} : { qualifier }),
  };
}

/**
 * JSON by which mappings and what belongs to them are compared: members in order of their names, at every depth, so
 * that equal values have one text.
 */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
