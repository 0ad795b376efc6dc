/**
 * What `Ref` and `Fn::GetAtt` give for a resource, once it has a name. Queues and functions exactly; of other services the few values that
 * follow from a name, because handlers receive them in their environment.
 *
 * @module
 */
import { parseFunctionReference } from '../../function-reference.ts';
import { partitionOf } from '../regions.ts';
import { Unresolvable } from './intrinsics.ts';
import type { Resource } from './model.ts';
import type { StackScope } from './stack-scope.ts';
import { scalarText } from './values.ts';

/** The value of `Ref`. Throws `Unresolvable`. */
export function resourceReference(resource: Resource, name: string, scope: StackScope): unknown {
  switch (resource.type) {
    case 'AWS::SQS::Queue':
      return queueUrl(name, scope);
    case 'AWS::Lambda::Alias':
    case 'AWS::Lambda::Version':
      return qualifiedFunctionArn(resource, scope);
    case 'AWS::Lambda::Url':
      return functionArn(targetFunction(resource, 'TargetFunctionArn', scope), scope);
    case 'AWS::Lambda::LayerVersion':
      return `${arn('lambda', scope)}layer:${name}:1`;
    case 'AWS::SNS::Topic':
      return `${arn('sns', scope)}${name}`;
    default:
      return name;
  }
}

/** The value of `Fn::GetAtt`. Throws `Unresolvable`. */
export function resourceAttribute(resource: Resource, name: string, attribute: string, scope: StackScope): unknown {
  const value = ATTRIBUTES[`${resource.type}.${attribute}`]?.(name, scope, resource);
  if (value === undefined) {
    throw new Unresolvable(`the attribute ${attribute} of ${name} (${resource.type}) is only known in AWS`);
  }
  return value;
}

const ATTRIBUTES: Readonly<Record<string, (name: string, scope: StackScope, resource: Resource) => string>> = {
  'AWS::SQS::Queue.Arn': (name, scope) => `${arn('sqs', scope)}${name}`,
  'AWS::SQS::Queue.QueueName': (name) => name,
  'AWS::SQS::Queue.QueueUrl': queueUrl,
  'AWS::Lambda::Function.Arn': functionArn,
  'AWS::Lambda::Version.Version': () => '1',
  'AWS::Lambda::Version.FunctionArn': (_, scope, resource) => qualifiedFunctionArn(resource, scope),
  'AWS::Lambda::Alias.AliasArn': (_, scope, resource) => qualifiedFunctionArn(resource, scope),
  'AWS::Lambda::Url.FunctionUrl': (_, scope, resource) =>
    scope.settings.functionUrl(targetFunction(resource, 'TargetFunctionArn', scope)),
  'AWS::Lambda::Url.FunctionArn': (_, scope, resource) =>
    functionArn(targetFunction(resource, 'TargetFunctionArn', scope), scope),
  'AWS::DynamoDB::Table.Arn': (name, scope) => `${arn('dynamodb', scope)}table/${name}`,
  'AWS::S3::Bucket.Arn': (name, scope) => `arn:${partitionOf(scope.region)}:s3:::${name}`,
  'AWS::SNS::Topic.TopicArn': (name, scope) => `${arn('sns', scope)}${name}`,
  'AWS::SNS::Topic.TopicName': (name) => name,
  'AWS::IAM::Role.Arn': (name, scope) => `arn:${partitionOf(scope.region)}:iam::${scope.settings.account}:role/${name}`,
};

/** As at AWS without a base path, because templates take the name out of it by its place; a variable that holds it gets the path back. */
function queueUrl(name: string, scope: StackScope): string {
  return `${new URL(scope.settings.sqsOrigin).origin}/${scope.settings.account}/${name}`;
}

function functionArn(name: string, scope: StackScope): string {
  return `${arn('lambda', scope)}function:${name}`;
}

/** The ARN of an alias or a version: with its qualifier. */
function qualifiedFunctionArn(resource: Resource, scope: StackScope): string {
  const alias = resource.type === 'AWS::Lambda::Alias' ? textOf(resource.properties['Name'], scope) : '1';
  return `${functionArn(targetFunction(resource, 'FunctionName', scope), scope)}:${alias}`;
}

/** The name of the function that an alias, a version or a URL belongs to, whatever form it is given in. */
function targetFunction(resource: Resource, property: string, scope: StackScope): string {
  const text = textOf(resource.properties[property], scope);
  const reference = parseFunctionReference(text);
  if (reference === undefined) throw new Unresolvable(`'${text}' names no function`);
  return reference.name;
}

function textOf(value: unknown, scope: StackScope): string {
  const resolved = scope.resolve(value);
  if (!resolved.known) throw new Unresolvable(resolved.reason);
  const text = scalarText(resolved.value);
  if (text === undefined) throw new Unresolvable(`a text is needed, but there is ${JSON.stringify(resolved.value)}`);
  return text;
}

function arn(service: string, scope: StackScope): string {
  return `arn:${partitionOf(scope.region)}:${service}:${scope.region}:${scope.settings.account}:`;
}
