/**
 * One stack as the place in which its intrinsic functions are computed: parameters, pseudo parameters, conditions, and
 * what `Ref` and `Fn::GetAtt` of its resources give.
 *
 * @module
 */

import { parseFunctionReference } from '../../aws/mapping.ts';
import { partitionOf, urlSuffixOf } from '../../queue/names.ts';
import { type Lookups, NO_VALUE, resolveCondition, resolveValue, Unresolvable } from './intrinsics.ts';
import {
  isObject,
  objectOr,
  type Resource,
  type StackSource,
  scalarText,
  type TemplateSettings,
  textOr,
} from './model.ts';

/** What a stack needs from the other stacks. */
export interface Surroundings {
  readonly settings: TemplateSettings;
  importValue(exportName: string): unknown;
  stackOutput(stackName: string, output: string): unknown;
  /** The physical name of a resource of `scope`. */
  nameOf(scope: StackScope, logicalId: string): string;
  /** The stack behind an `AWS::CloudFormation::Stack` of `scope`. */
  nested(scope: StackScope, logicalId: string): StackScope | undefined;
}

/** The value, or why there is none. */
export type Resolution<T = unknown> =
  | { readonly known: true; readonly value: T }
  | { readonly known: false; readonly reason: string };

export class StackScope implements Lookups {
  readonly source: StackSource;
  readonly #surroundings: Surroundings;
  /** Parameters as the parent stack gives them; they are resolved there. */
  readonly #given: Readonly<Record<string, () => unknown>>;
  /** What is being computed, to notice what refers to itself. */
  readonly #underWay = new Set<string>();

  constructor(source: StackSource, surroundings: Surroundings, given: Readonly<Record<string, () => unknown>> = {}) {
    this.source = source;
    this.#surroundings = surroundings;
    this.#given = given;
  }

  get settings(): TemplateSettings {
    return this.#surroundings.settings;
  }

  get region(): string {
    return this.settings.region;
  }

  /** Computes `value`, or says why it cannot be. */
  resolve(value: unknown): Resolution {
    try {
      const resolved = resolveValue(value, this);
      return { known: true, value: resolved === NO_VALUE ? undefined : resolved };
    } catch (error) {
      if (error instanceof Unresolvable) return { known: false, reason: error.message };
      throw error;
    }
  }

  /** The resources that exist, by logical id: those whose condition holds, or cannot be computed. */
  resources(): readonly (readonly [string, Resource])[] {
    return Object.entries(this.source.template.resources).filter(([, { condition }]) => {
      if (condition === undefined) return true;
      try {
        return this.condition(condition);
      } catch (error) {
        if (error instanceof Unresolvable) return true;
        throw error;
      }
    });
  }

  ref(name: string): unknown {
    return this.#once(`Ref ${name}`, () => {
      if (name.startsWith('AWS::')) return this.#pseudo(name);
      if (Object.hasOwn(this.source.template.parameters, name)) return this.#parameter(name);
      return resourceReference(this.#resource(name), this.nameOf(name), this);
    });
  }

  attribute(logicalId: string, attribute: string): unknown {
    return this.#once(`${logicalId}.${attribute}`, () => {
      // SAM writes `${Function.Alias}` for what it makes beside a function.
      const beside = `${logicalId}.${attribute}`;
      if (Object.hasOwn(this.source.template.resources, beside)) return this.ref(beside);
      const resource = this.#resource(logicalId);
      if (resource.type === 'AWS::CloudFormation::Stack') return this.#nestedOutput(logicalId, attribute);
      return resourceAttribute(resource, this.nameOf(logicalId), attribute, this);
    });
  }

  nameOf(logicalId: string): string {
    return this.#surroundings.nameOf(this, logicalId);
  }

  importValue(exportName: string): unknown {
    return this.#surroundings.importValue(exportName);
  }

  stackOutput(stackName: string, output: string): unknown {
    return this.#surroundings.stackOutput(stackName, output);
  }

  mapped(map: string, first: string, second: string): unknown {
    return objectOr(objectOr(this.source.template.mappings[map])[first])[second];
  }

  condition(name: string): boolean {
    return this.#once(`Condition ${name}`, () => {
      const body = this.source.template.conditions[name];
      if (body === undefined) throw new Unresolvable(`the condition ${name} is not defined`);
      return resolveCondition(body, this);
    });
  }

  /** The value of an output. Throws `Unresolvable`. */
  output(name: string): unknown {
    const output = this.source.template.outputs[name];
    if (!isObject(output)) throw new Unresolvable(`the stack ${this.source.name} has no output ${name}`);
    return resolveValue(output['Value'], this);
  }

  #once<T>(what: string, compute: () => T): T {
    if (this.#underWay.has(what)) throw new Unresolvable(`${what} refers to itself`);
    this.#underWay.add(what);
    try {
      return compute();
    } finally {
      this.#underWay.delete(what);
    }
  }

  #resource(logicalId: string): Resource {
    const resource = this.source.template.resources[logicalId];
    if (resource === undefined) {
      throw new Unresolvable(`the stack ${this.source.name} has no parameter or resource ${logicalId}`);
    }
    return resource;
  }

  #nestedOutput(logicalId: string, attribute: string): unknown {
    const nested = this.#surroundings.nested(this, logicalId);
    if (nested === undefined) throw new Unresolvable(`the nested stack ${logicalId} is not among the files`);
    return nested.output(attribute.replace(/^Outputs\./, ''));
  }

  #parameter(name: string): unknown {
    const definition = objectOr(this.source.template.parameters[name]);
    const type = textOr(definition['Type'], 'String');
    const given = this.#given[name];
    if (given === undefined && type.startsWith('AWS::SSM::')) {
      throw new Unresolvable(`the parameter ${name} is read from SSM at deployment`);
    }
    const value = given === undefined ? definition['Default'] : given();
    if (value === undefined) throw new Unresolvable(`the parameter ${name} has no default`);
    const isList = type === 'CommaDelimitedList' || type.startsWith('List<');
    return isList && typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value;
  }

  #pseudo(name: string): unknown {
    const { account, region } = this.settings;
    switch (name) {
      case 'AWS::AccountId':
        return account;
      case 'AWS::Region':
        return region;
      case 'AWS::Partition':
        return partitionOf(region);
      case 'AWS::URLSuffix':
        return urlSuffixOf(region);
      case 'AWS::StackName':
        return this.source.name;
      case 'AWS::StackId':
        return `arn:${partitionOf(region)}:cloudformation:${region}:${account}:stack/${this.source.name}/00000000-0000-0000-0000-000000000000`;
      case 'AWS::NotificationARNs':
        return [];
      case 'AWS::NoValue':
        return NO_VALUE;
      default:
        throw new Unresolvable(`${name} is no pseudo parameter known here`);
    }
  }
}

/*
 * What `Ref` and `Fn::GetAtt` give for a resource, once it has a name. Queues and functions exactly; of other services
 * the few values that follow from a name, because handlers receive them in their environment.
 */

/** The value of `Ref`. Throws `Unresolvable`. */
function resourceReference(resource: Resource, name: string, scope: StackScope): unknown {
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
function resourceAttribute(resource: Resource, name: string, attribute: string, scope: StackScope): unknown {
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
  'AWS::ApiGatewayV2::Api.ApiId': (name) => name,
  'AWS::ApiGatewayV2::Api.ApiEndpoint': apiEndpoint,
  'AWS::ApiGateway::RestApi.RestApiId': (name) => name,
  'AWS::ApiGateway::RestApi.RootResourceId': (name) => `${name}-root`,
  'AWS::DynamoDB::Table.Arn': (name, scope) => `${arn('dynamodb', scope)}table/${name}`,
  'AWS::S3::Bucket.Arn': (name, scope) => `arn:${partitionOf(scope.region)}:s3:::${name}`,
  'AWS::SNS::Topic.TopicArn': (name, scope) => `${arn('sns', scope)}${name}`,
  'AWS::SNS::Topic.TopicName': (name) => name,
  'AWS::IAM::Role.Arn': (name, scope) => `arn:${partitionOf(scope.region)}:iam::${scope.settings.account}:role/${name}`,
};

/**
 * As at AWS without a base path, because templates take the name out of it by its place; a variable that holds it gets
 * the path back.
 */
function queueUrl(name: string, scope: StackScope): string {
  return `${new URL(scope.settings.sqsOrigin).origin}/${scope.settings.account}/${name}`;
}

/** As at AWS; a variable that holds it gets the address of this machine. */
function apiEndpoint(name: string, scope: StackScope): string {
  return `https://${name}.execute-api.${scope.region}.${urlSuffixOf(scope.region)}`;
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
