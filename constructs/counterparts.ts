/**
 * What to write where a service of AWS would deliver to an anchor: the line that makes it deliver to the Karin server.
 *
 * @module
 */

const SUBSCRIPTION = 'topic.addSubscription(new KarinSubscription(queue))';
const TARGET = 'rule.addTarget(new KarinTarget(queue))';
const BUCKET = 'bucket.addEventNotification(s3.EventType.OBJECT_CREATED, new KarinBucketDestination(queue))';

/** By the first part of a service principal. */
const OF_SERVICE: Readonly<Record<string, string>> = { sns: SUBSCRIPTION, events: TARGET, s3: BUCKET };

/** By the type of a resource. */
const OF_TYPE: Readonly<Record<string, string>> = {
  'AWS::ApiGateway::Method': "resource.addMethod('POST', new KarinRestIntegration(queue))",
  'AWS::ApiGatewayV2::Integration':
    "api.addRoutes({ path, methods, integration: new KarinHttpIntegration('Queue', queue) }), or new KarinWebSocketIntegration('Queue', queue) for a WebSocket API",
  'AWS::Events::Rule': TARGET,
  'AWS::IoT::TopicRule': `an sns action with messageFormat 'RAW' and topic.addSubscription(new KarinSubscription(queue, { rawMessageDelivery: true }))`,
  'AWS::Lambda::EventInvokeConfig': `new destinations.SnsDestination(topic) and topic.addSubscription(new KarinSubscription(queue, { rawMessageDelivery: true }))`,
  'AWS::Lambda::Function': `deadLetterTopic: topic and topic.addSubscription(new KarinSubscription(queue, { rawMessageDelivery: true }))`,
  'AWS::Pipes::Pipe':
    'as the target of the pipe an events.ApiDestination with the endpoint queue.ingestUrl({ withCapability: false })',
  'AWS::S3::Bucket': BUCKET,
  'AWS::SNS::Subscription': SUBSCRIPTION,
  'AWS::Scheduler::Schedule': 'new events.Rule(this, id, { schedule, targets: [new KarinTarget(queue)] })',
  'AWS::StepFunctions::StateMachine':
    "a tasks.HttpInvoke with apiRoot queue.ingestUrl({ withCapability: false }), apiEndpoint sfn.TaskInput.fromText(''), method sfn.TaskInput.fromText('POST'), and a connection with the header 'Authorization' and the value 'Bearer <capability>'",
};

/** The line for a principal of a resource policy, `sns.amazonaws.com`, if that service has a counterpart. */
export function counterpartOfPrincipal(principal: unknown): string | undefined {
  return typeof principal === 'string' ? OF_SERVICE[principal.split('.')[0] ?? ''] : undefined;
}

/** The line for a resource, if its service has a counterpart. */
export function counterpartOfType(type: string): string | undefined {
  return OF_TYPE[type];
}
