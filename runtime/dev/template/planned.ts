/**
 * Resources in the terms of Terraform's AWS provider (Pulumi's is made of the same), written out as the CloudFormation
 * template that would deploy them: queues, functions and what lies between them. Everything else is left out.
 *
 * Source: https://registry.terraform.io/providers/hashicorp/aws/latest/docs
 *
 * @module
 */
import { unresolvable } from './intrinsics.ts';
import { isObject, type JsonObject, objectOr, textOr } from './model.ts';

/** A resource that a tool plans to make, or has made. */
export interface PlannedResource {
  /** As the tool names it; unique. */
  readonly address: string;
  /** `aws_sqs_queue` */
  readonly type: string;
  /** What is known, in snake case. */
  readonly values: JsonObject;
  /**
   * What stands for a value that is not known: a reference to another resource, or what says why there is none;
   * `undefined`: it has no value. `attribute`: which one of another resource fits there.
   */
  reference(path: readonly string[], attribute: string): unknown;
}

/**
 * The account in which resources are deployed already, as their ARNs tell; `undefined`: none is.
 */
export function accountIn(template: JsonObject): string | undefined {
  return /arn:aws[\w-]*:(?:sqs|lambda):[\w-]+:(\d{12}):/.exec(JSON.stringify(template))?.[1];
}

/** The template of `resources`. `archives`: folders that zip files were made of. */
export function plannedTemplate(
  resources: readonly PlannedResource[],
  archives: ReadonlyMap<string, string> = new Map(),
): JsonObject {
  const written = resources.flatMap((resource): [string, JsonObject][] => {
    const kind = KINDS[resource.type];
    if (kind === undefined) return [];
    const Properties = kind.properties(new Reader(resource, archives));
    return [[logicalIdOf(resource.address), { Type: kind.type, Properties }]];
  });
  const template = Object.fromEntries(written);
  for (const resource of resources.filter(({ type }) => type === 'aws_sqs_queue_redrive_policy')) {
    const of = new Reader(resource, archives);
    const queue = template[textOr(objectOr(of.value('queue_url', 'url'))['Ref'], '')];
    if (queue !== undefined) Object.assign(objectOr(queue['Properties']), { RedrivePolicy: of.json('redrive_policy') });
  }
  return { Resources: template };
}

/** What gives the attribute of a resource in a template. */
export function attributeOf({ type, address }: Pick<PlannedResource, 'type' | 'address'>, attribute: string): unknown {
  const target = logicalIdOf(address);
  const form = KINDS[type]?.attributes[attribute];
  if (form === undefined) return unresolvable(`${address}.${attribute} is known after the deployment only`);
  return form === 'Ref' ? { Ref: target } : { 'Fn::GetAtt': [target, form] };
}

function logicalIdOf(address: string): string {
  return address.replace(/[^A-Za-z0-9]+/g, '_').replace(/_$/, '');
}

/** The values of one resource, with references where nothing is known. */
class Reader {
  readonly #resource: PlannedResource;
  readonly #archives: ReadonlyMap<string, string>;

  constructor(resource: PlannedResource, archives: ReadonlyMap<string, string>) {
    this.#resource = resource;
    this.#archives = archives;
  }

  value(key: string, attribute = 'arn'): unknown {
    return this.#resource.values[key] ?? this.#resource.reference([key], attribute);
  }

  /** A block, which Terraform writes as a list of one. */
  block(key: string): JsonObject {
    return objectOr([this.#resource.values[key]].flat()[0]);
  }

  /** A JSON text, or the object that one would be made of. */
  json(key: string): unknown {
    const value = this.value(key);
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value);
    } catch {
      return unresolvable(`its ${key} is no JSON`);
    }
  }

  variables(): unknown {
    return this.block('environment')['variables'] ?? this.#resource.reference(['environment', 'variables'], 'url');
  }

  /** A package on this machine, or the folder that it was made of; else where it is. */
  code(): unknown {
    const file = textOr(this.value('filename'), undefined);
    if (file !== undefined) return this.#archives.get(file) ?? file;
    const { image_uri: image, s3_key: key, s3_bucket: bucket } = this.#resource.values;
    return image === undefined || image === null ? { S3Bucket: bucket, S3Key: key ?? 'unknown' } : { ImageUri: image };
  }
}

interface Kind {
  readonly type: string;
  /** What `Ref` or `Fn::GetAtt` gives, by the tool's own name of the attribute. */
  readonly attributes: Readonly<Record<string, string>>;
  properties(reader: Reader): JsonObject;
}

const KINDS: Readonly<Record<string, Kind>> = {
  aws_sqs_queue: {
    type: 'AWS::SQS::Queue',
    attributes: { arn: 'Arn', url: 'Ref', id: 'Ref', name: 'QueueName' },
    properties: (of) =>
      stated({
        QueueName: of.value('name'),
        FifoQueue: of.value('fifo_queue') === true ? true : undefined,
        VisibilityTimeout: of.value('visibility_timeout_seconds'),
        DelaySeconds: of.value('delay_seconds'),
        MessageRetentionPeriod: of.value('message_retention_seconds'),
        MaximumMessageSize: of.value('max_message_size'),
        ReceiveMessageWaitTimeSeconds: of.value('receive_wait_time_seconds'),
        ContentBasedDeduplication: of.value('content_based_deduplication') === true ? true : undefined,
        DeduplicationScope: of.value('deduplication_scope'),
        FifoThroughputLimit: of.value('fifo_throughput_limit'),
        RedrivePolicy: of.json('redrive_policy'),
        Tags: of.value('tags'),
      }),
  },
  aws_lambda_function: {
    type: 'AWS::Lambda::Function',
    attributes: { arn: 'Arn', qualified_arn: 'Arn', function_name: 'Ref', id: 'Ref', name: 'Ref' },
    properties: (of) => {
      const reserved = of.value('reserved_concurrent_executions');
      const {
        entry_point: EntryPoint,
        command: Command,
        working_directory: WorkingDirectory,
      } = of.block('image_config');
      return stated({
        FunctionName: of.value('function_name') ?? of.value('name'),
        Runtime: of.value('runtime'),
        Handler: of.value('handler'),
        Timeout: of.value('timeout'),
        MemorySize: of.value('memory_size'),
        // -1: no limit.
        ReservedConcurrentExecutions: Number(reserved) >= 0 ? reserved : undefined,
        Layers: of.value('layers'),
        Environment: { Variables: of.variables() },
        ImageConfig: { EntryPoint, Command, WorkingDirectory },
        Code: of.code(),
      });
    },
  },
  aws_lambda_layer_version: {
    type: 'AWS::Lambda::LayerVersion',
    attributes: { arn: 'Ref', id: 'Ref' },
    properties: (of) => stated({ LayerName: of.value('layer_name'), Content: of.code() }),
  },
  aws_lambda_event_source_mapping: {
    type: 'AWS::Lambda::EventSourceMapping',
    attributes: {},
    properties: (of) => {
      const { filter, filters = filter } = of.block('filter_criteria');
      const patterns = (Array.isArray(filters) ? filters : []).map((one) => ({ Pattern: objectOr(one)['pattern'] }));
      const { maximum_concurrency: MaximumConcurrency } = of.block('scaling_config');
      return stated({
        EventSourceArn: of.value('event_source_arn'),
        FunctionName: of.value('function_name'),
        Enabled: of.value('enabled'),
        BatchSize: of.value('batch_size'),
        MaximumBatchingWindowInSeconds: of.value('maximum_batching_window_in_seconds'),
        FunctionResponseTypes: of.value('function_response_types'),
        ScalingConfig: MaximumConcurrency === undefined ? undefined : { MaximumConcurrency },
        FilterCriteria: patterns.length === 0 ? undefined : { Filters: patterns },
      });
    },
  },
  aws_lambda_alias: {
    type: 'AWS::Lambda::Alias',
    attributes: { arn: 'Ref', id: 'Ref' },
    properties: (of) => stated({ Name: of.value('name'), FunctionName: of.value('function_name') }),
  },
  aws_lambda_function_url: {
    type: 'AWS::Lambda::Url',
    attributes: { function_url: 'FunctionUrl' },
    properties: (of) => stated({ TargetFunctionArn: of.value('function_name') }),
  },
  aws_sns_topic: {
    type: 'AWS::SNS::Topic',
    attributes: { arn: 'Ref', id: 'Ref', name: 'TopicName' },
    properties: (of) => stated({ TopicName: of.value('name') }),
  },
  aws_sns_topic_subscription: {
    type: 'AWS::SNS::Subscription',
    attributes: {},
    properties: (of) =>
      stated({
        TopicArn: of.value('topic_arn'),
        Protocol: of.value('protocol'),
        Endpoint: of.value('endpoint'),
        RawMessageDelivery: of.value('raw_message_delivery'),
      }),
  },
};

/** Terraform writes null where nothing is stated. */
function stated(properties: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(properties).filter(([, value]) => value !== undefined && value !== null && !isEmpty(value)),
  );
}

function isEmpty(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((member) => member === undefined || member === null);
}
