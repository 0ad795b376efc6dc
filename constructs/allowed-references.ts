import type { CfnResource } from 'aws-cdk-lib';
import { counterpartOfType } from './counterparts';
import type { AnchoredQueue } from './queue-interface';

/**
 * Where a reference to an anchor does no harm: resource type to the properties (first key, or the beginning of the
 * path).
 */
const HARMLESS: Readonly<Record<string, readonly string[]>> = {
  // Permissions deliver nothing.
  'AWS::IAM::Group': ['Policies'],
  'AWS::IAM::GroupPolicy': ['PolicyDocument'],
  'AWS::IAM::ManagedPolicy': ['PolicyDocument'],
  'AWS::IAM::Policy': ['PolicyDocument'],
  'AWS::IAM::Role': ['Policies'],
  'AWS::IAM::RolePolicy': ['PolicyDocument'],
  'AWS::IAM::User': ['Policies'],
  'AWS::IAM::UserPolicy': ['PolicyDocument'],
  'AWS::EC2::VPCEndpoint': ['PolicyDocument'],
  // Programs that send, through the queue URL they are told.
  'AWS::AppRunner::Service': ['SourceConfiguration'],
  'AWS::AutoScaling::LaunchConfiguration': ['UserData'],
  'AWS::Batch::JobDefinition': ['ContainerProperties', 'EcsProperties', 'EksProperties', 'NodeProperties'],
  'AWS::CodeBuild::Project': ['Environment'],
  'AWS::EC2::Instance': ['UserData'],
  'AWS::EC2::LaunchTemplate': ['LaunchTemplateData'],
  'AWS::ECS::TaskDefinition': ['ContainerDefinitions'],
  'AWS::Lambda::Function': ['Environment'],
  'AWS::SSM::Parameter': ['Value'],
  'Custom::AWSCDK-EKS-HelmChart': ['Values'],
  'Custom::AWSCDK-EKS-KubernetesResource': ['Manifest'],
  // Shown to people; an alarm is looked at more closely below.
  'AWS::CloudWatch::Dashboard': ['DashboardBody'],
  // Ways on which a reference travels between stacks; the resource it arrives at is checked itself.
  'AWS::CloudFormation::Stack': ['Parameters'],
  'Custom::CrossRegionExportWriter': ['WriterProps'],
};

/** What AWS would do at the more frequent harmful places, as a clause. */
const CONSEQUENCES: Readonly<Record<string, string>> = {
  'AWS::ApiGateway::Method': 'API Gateway would send to the anchor',
  'AWS::ApiGatewayV2::Integration': 'API Gateway would send to the anchor',
  'AWS::CloudWatch::Alarm': 'the alarm would watch the anchor',
  'AWS::Events::Rule': 'EventBridge would deliver events to the anchor',
  'AWS::IoT::TopicRule': 'the IoT rule would deliver messages to the anchor',
  'AWS::Lambda::EventInvokeConfig': 'AWS Lambda would deliver invocation records to the anchor',
  'AWS::Lambda::EventSourceMapping': 'AWS Lambda would deliver records of failed batches to the anchor',
  'AWS::Lambda::Function': 'AWS Lambda would deliver failed events to the anchor',
  'AWS::Pipes::Pipe': 'EventBridge Pipes would read from or deliver to the anchor',
  'AWS::S3::Bucket': 'Amazon S3 would deliver notifications to the anchor',
  'AWS::SNS::Subscription': 'Amazon SNS would deliver notifications to the anchor',
  'AWS::SQS::Queue': 'Amazon SQS would move dead letters to the anchor',
  'AWS::SQS::QueuePolicy': 'others would be allowed to send to the anchor',
  'AWS::Scheduler::Schedule': 'EventBridge Scheduler would deliver to the anchor',
  'AWS::StepFunctions::StateMachine': 'Step Functions would send to the anchor',
};

/** The property of a mapping that names what it reads from. */
const SOURCE = 'EventSourceArn';

/** A reference from a resource to the anchor of a Karin queue. */
export interface AnchorReference {
  readonly resource: CfnResource;
  /** Path of the property that holds the reference, for example `Target.Arn`. */
  readonly property: string;
  /** All properties of the resource, as they will stand in the template. */
  readonly properties: unknown;
  readonly queue: AnchoredQueue;
  /** Whether the resource is itself the anchor of a Karin queue. */
  readonly isAnchor: boolean;
}

/** Whether nothing can be lost through the reference, or the user said so. */
export function isHarmless({ resource, property, properties, queue, isAnchor }: AnchorReference): boolean {
  const type = resource.cfnResourceType;
  const key = property.split('.')[0] ?? '';
  if (queue._mayReferTo(resource) || HARMLESS[type]?.includes(key) === true) return true;
  switch (type) {
    case 'AWS::Lambda::EventSourceMapping':
      return key === SOURCE && isDisabled(properties);
    case 'AWS::SQS::Queue':
      return isAnchor;
    case 'AWS::SQS::QueuePolicy':
      // The one policy an anchor can have is the queue's own `enforceSSL`.
      return resource.node.scopes.includes(queue);
    case 'AWS::CloudWatch::Alarm':
      return !JSON.stringify(properties).includes('"AWS/SQS"');
    default:
      return false;
  }
}

/** The error for a reference that may not be: resource, property, reason and way out. */
export function complaint({ resource, property, queue }: AnchorReference): string {
  const type = resource.cfnResourceType;
  if (type === 'AWS::Lambda::EventSourceMapping' && property.split('.')[0] === SOURCE) {
    return `'${resource.node.path}' (${type}) on the KarinQueue '${queue.node.path}' is not disabled: AWS Lambda would poll the anchor, which is always empty, and bill each poll; give it queue.queueArn as its source or 'enabled: false', and remove what overrides its property Enabled`;
  }
  const consequence = CONSEQUENCES[type] ?? 'AWS may deliver to the anchor';
  return `'${resource.node.path}' (${type}) refers to the KarinQueue '${queue.node.path}' in its property ${property}: ${consequence}, which nobody reads; ${wayOut(type, property)}, or call queue.allowAnchorReference(construct, reason) if no message can be lost`;
}

function isDisabled(properties: unknown): boolean {
  return typeof properties === 'object' && properties !== null && Reflect.get(properties, 'Enabled') === false;
}

function wayOut(type: string, property: string): string {
  if (/deadletter/i.test(property) && type !== 'AWS::SQS::Queue' && type !== 'AWS::Lambda::Function') {
    return 'use an sqs.Queue as the dead-letter queue of a service of AWS';
  }
  const counterpart = counterpartOfType(type);
  switch (type) {
    case 'AWS::SQS::Queue':
      return 'make that queue a KarinQueue too, or its dead-letter queue an sqs.Queue';
    case 'AWS::CloudWatch::Alarm':
      return 'use queue.metric...(), which the server publishes if KARIN_CLOUDWATCH_QUEUES names the queue';
    case 'AWS::Lambda::EventSourceMapping':
      return 'use an sqs.Queue as destination';
    case 'AWS::Lambda::EventInvokeConfig':
    case 'AWS::Lambda::Function':
      return `write ${counterpart}, or use an sqs.Queue as destination`;
    default:
      return counterpart === undefined
        ? 'use a Lambda function there that sends to the queue (queue.bindEnvironment(fn)), or queue.ingestUrl() if it can post over HTTPS, or an sqs.Queue'
        : `write ${counterpart}, or use an sqs.Queue`;
  }
}
