/**
 * What feeds the queues of the stacks besides programs: subscriptions of topics, rules of EventBridge, notifications of
 * buckets. Nothing of it runs on this machine; it is read so that a person can play it.
 *
 * @module
 */

import { parseQueueArn } from '../../queue/names.ts';
import type { Feed, FoundFeeds } from './model.ts';
import { booleanOr, type JsonObject, objectOr, textOr } from './model.ts';
import type { QueueNames } from './names.ts';
import type { StackScope } from './stack-scope.ts';

/** The path of a delivery in an address on whatever host. */
const DELIVERY = /\/in\/\d{12}\/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)\/?(?:\?(.*))?$/;
/** `http`: what the constructs write where the server is one of this machine, as it is here. */
const PROTOCOLS: ReadonlySet<unknown> = new Set(['sqs', 'https', 'http']);
const UNRESOLVED = 'cannot be resolved';

export function readFeeds(scopes: readonly StackScope[], queues: QueueNames): FoundFeeds {
  const feeds: Feed[] = [];
  const unknown: string[] = [];
  const each = (visit: (scope: StackScope, id: string, type: string, properties: JsonObject) => void): void => {
    for (const scope of scopes) {
      for (const [id, { type, properties }] of scope.resources()) visit(scope, id, type, properties);
    }
  };
  /** The queue behind an ARN or an address of deliveries; `undefined`: something else. */
  const queueOf = (text: string): string | undefined => {
    const arn = parseQueueArn(text);
    return arn === undefined ? DELIVERY.exec(text)?.[1] : (queues.arn(text) ?? arn).name;
  };
  const textAt = (scope: StackScope, value: unknown, what: string): string | undefined => {
    const found = scope.resolve(value);
    if (!found.known) unknown.push(`${what} ${UNRESOLVED} (${found.reason})`);
    return found.known ? textOr(found.value, undefined) : undefined;
  };

  const subscribe = (scope: StackScope, what: string, topic: unknown, properties: JsonObject): void => {
    const protocol = scope.resolve(properties['Protocol']);
    if (protocol.known && !PROTOCOLS.has(protocol.value)) return;
    const endpoint = textAt(scope, properties['Endpoint'], `${what}: its Endpoint`);
    const topicArn = textAt(scope, topic, `${what}: its topic`);
    const queue = queueOf(endpoint ?? '');
    if (queue === undefined || topicArn === undefined) return;
    const stated = scope.resolve(properties['RawMessageDelivery']);
    const query = new URLSearchParams(DELIVERY.exec(endpoint ?? '')?.[2] ?? '');
    const raw = (stated.known && booleanOr(stated.value, false)) || query.get('raw') === 'true';
    feeds.push({ queue, origin: { kind: 'topic', topicArn, raw } });
  };
  each((scope, id, type, properties) => {
    if (type === 'AWS::SNS::Subscription') subscribe(scope, `subscription ${id}`, properties['TopicArn'], properties);
    if (type !== 'AWS::SNS::Topic') return;
    for (const one of listOf(properties['Subscription'])) {
      subscribe(scope, `a subscription of topic ${id}`, { Ref: id }, objectOr(one));
    }
  });

  // Destinations first: a rule names its destination by an ARN that only AWS knows, or by its logical id.
  const destinations = new Map<StackScope, Map<string, string>>();
  each((scope, id, type, properties) => {
    if (type !== 'AWS::Events::ApiDestination') return;
    const endpoint = textAt(scope, properties['InvocationEndpoint'], `API destination ${id}: its InvocationEndpoint`);
    const queue = queueOf(endpoint ?? '');
    if (queue === undefined) return;
    destinations.set(scope, (destinations.get(scope) ?? new Map<string, string>()).set(id, queue));
  });
  each((scope, id, type, properties) => {
    if (type !== 'AWS::Events::Rule') return;
    const pattern = scope.resolve(properties['EventPattern']);
    const asked = objectOr(pattern.known ? pattern.value : undefined);
    const scheduled = properties['ScheduleExpression'] !== undefined;
    const rule = scope.nameOf(id);
    for (const target of listOf(properties['Targets'])) {
      const arn = objectOr(target)['Arn'];
      const known = destinations.get(scope)?.get(attributeOwner(arn) ?? '');
      const isDestination = attributeOwner(arn) !== undefined && known === undefined && isOther(scope, arn);
      const queue = known ?? (isDestination ? undefined : queueOf(textAt(scope, arn, `rule ${rule}: a target`) ?? ''));
      if (queue === undefined) continue;
      const source = firstText(asked['source']) ?? (scheduled ? 'aws.events' : 'my.app');
      const detailType = firstText(asked['detail-type']) ?? (scheduled ? 'Scheduled Event' : 'MyEvent');
      feeds.push({ queue, origin: { kind: 'rule', rule, source, detailType } });
    }
  });

  const subscribed = feeds.flatMap(({ queue, origin }) => (origin.kind === 'topic' ? [{ queue, ...origin }] : []));
  const notify = (scope: StackScope, bucket: string, configuration: JsonObject): void => {
    const one = (given: unknown, destination: readonly string[], leadsTo: (arn: string) => void): void => {
      const value = destination.map((name) => objectOr(given)[name]).find((found) => found !== undefined);
      const arn = textAt(scope, value, `bucket ${bucket}: the destination of a notification`);
      if (arn !== undefined) leadsTo(arn);
    };
    for (const given of listOf(configuration['QueueConfigurations'])) {
      one(given, ['Queue', 'QueueArn'], (arn) => {
        const queue = queueOf(arn);
        if (queue !== undefined) feeds.push({ queue, origin: { kind: 'bucket', bucket, eventName: eventOf(given) } });
      });
    }
    for (const given of listOf(configuration['TopicConfigurations'])) {
      one(given, ['Topic', 'TopicArn'], (arn) => {
        for (const { queue, topicArn, raw } of subscribed) {
          if (topicArn !== arn) continue;
          const origin = { kind: 'bucket', bucket, eventName: eventOf(given) } as const;
          feeds.push({ queue, origin: raw ? origin : { ...origin, envelope: topicArn } });
        }
      });
    }
  };
  each((scope, id, type, properties) => {
    if (type === 'AWS::S3::Bucket') {
      notify(scope, scope.nameOf(id), objectOr(properties['NotificationConfiguration']));
    } else if (type === 'Custom::S3BucketNotifications') {
      // What the CDK makes of bucket.addEventNotification.
      const bucket = textAt(scope, properties['BucketName'], `notifications ${id}: the bucket`);
      if (bucket !== undefined) notify(scope, bucket, objectOr(properties['NotificationConfiguration']));
    }
  });
  return { feeds, unknown: [...new Set(unknown)] };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The logical id in `Fn::GetAtt`. */
function attributeOwner(value: unknown): string | undefined {
  const argument = objectOr(value)['Fn::GetAtt'];
  return textOr(Array.isArray(argument) ? argument[0] : textOr(argument, undefined)?.split('.')[0], undefined);
}

/** Whether an attribute belongs to a resource of the stack that is no queue, so that the way does not lead to one. */
function isOther(scope: StackScope, value: unknown): boolean {
  const owner = scope.source.template.resources[attributeOwner(value) ?? ''];
  return owner !== undefined && owner.type !== 'AWS::SQS::Queue' && owner.type !== 'AWS::CloudFormation::Stack';
}

function firstText(value: unknown): string | undefined {
  return listOf(value).find((one): one is string => typeof one === 'string');
}

/** An event that the notification asks for: `s3:ObjectCreated:*` is asked for by a Put. */
function eventOf(given: unknown): string {
  const { Event, Events } = objectOr(given);
  const name = (textOr(Event, undefined) ?? firstText(Events) ?? 's3:ObjectCreated:*').replace(/^s3:/, '');
  return name.replace(/^ObjectCreated:\*$/, 'ObjectCreated:Put').replace(/^(\w+):\*$/, '$1:Delete');
}
