import { App, type AppProps, Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match, type Template } from 'aws-cdk-lib/assertions';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';

export const ENDPOINT = 'https://karin.example.com';

/** An app whose queues have an endpoint, as cdk.json would give it. */
export function testApp(props: AppProps = {}): App {
  return new App({ ...props, context: { 'karin:endpoint': ENDPOINT, ...props.context } });
}

export function testStack(id = 'Stack', app: Construct = testApp()): Stack {
  return new Stack(app, id, { env: { account: '111122223333', region: 'eu-west-1' } });
}

/** A function whose code nobody runs. `timeoutSeconds`: AWS's default of 3 if left out. */
export function testFunction(scope: Construct, id = 'Fn', timeoutSeconds?: number): lambda.Function {
  return new lambda.Function(scope, id, {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = async () => {}'),
    ...(timeoutSeconds === undefined ? {} : { timeout: Duration.seconds(timeoutSeconds) }),
  });
}

export interface Resource {
  readonly Type: string;
  readonly Properties: Record<string, unknown>;
  readonly DependsOn?: readonly string[];
}

/** Resources of one type, by logical id. */
export function resources(template: Template, type: string): Record<string, Resource> {
  // Template types its result by any: what stands there is CloudFormation's own shape.
  return template.findResources(type) as Record<string, Resource>;
}

/** The only resource of a type. */
export function onlyResource(template: Template, type: string): Resource {
  const found = Object.values(resources(template, type));
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`${found.length} resources of type ${type}, not one`);
  return first;
}

/** The texts of the warnings on a stack, with their ids. */
export function warnings(stack: Stack): string[] {
  return Annotations.fromStack(stack)
    .findWarning('*', Match.anyValue())
    .map(({ entry }) => String(entry.data));
}

/**
 * Hands an object of aws-cdk-lib to aws-cdk-lib. Some of its classes have optional members that may be undefined where
 * their own interfaces say absent; under `exactOptionalPropertyTypes` the compiler then refuses the class where its
 * interface is asked for.
 */
export function asDeclared<T>(construct: unknown): T {
  return construct as T;
}
