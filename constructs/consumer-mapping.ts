import { ArnFormat, Duration, Reference, Stack, Token, Tokenization } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { targetsIn } from './references';

/** Lambda's own default, where a function states no timeout. */
const DEFAULT_FUNCTION_TIMEOUT_SECONDS = 3;

/** The function that a mapping invokes, if it is defined in this app: directly, or behind an alias or a version. */
export function functionBehind(mapping: lambda.CfnEventSourceMapping): lambda.CfnFunction | undefined {
  return functionIn(mapping, mapping.functionName, 0);
}

function functionIn(scope: lambda.CfnEventSourceMapping, name: string, depth: number): lambda.CfnFunction | undefined {
  // mapping -> alias -> function is the longest chain CloudFormation knows; the bound keeps a malformed tree from
  // looping.
  if (depth > 2) return undefined;
  for (const target of targetsIn(scope, name)) {
    if (lambda.CfnFunction.isCfnFunction(target)) return target;
    if (lambda.CfnAlias.isCfnAlias(target) || lambda.CfnVersion.isCfnVersion(target)) {
      return functionIn(scope, target.functionName, depth + 1);
    }
  }
  return undefined;
}

/**
 * Timeout of the consuming function; `undefined`: the function is not part of this app, or its timeout is only known at
 * deployment.
 */
export function functionTimeout(mapping: lambda.CfnEventSourceMapping): Duration | undefined {
  const fn = functionBehind(mapping);
  if (fn === undefined) return undefined;
  const seconds = fn.timeout ?? DEFAULT_FUNCTION_TIMEOUT_SECONDS;
  return Token.isUnresolved(seconds) ? undefined : Duration.seconds(seconds);
}

/** The ARN that is invoked, with its alias or version: what the mapping will report as `FunctionArn`. */
export function invokedFunctionArn(mapping: lambda.CfnEventSourceMapping): string {
  const name = mapping.functionName;
  const token = Tokenization.reverse(name, { failConcat: false });
  const target = Reference.isReference(token) ? token.target : undefined;
  if (lambda.CfnFunction.isCfnFunction(target)) return target.attrArn;
  // Ref of an alias or a version is its ARN, of which only parts appear where CDK made a name from it.
  if (lambda.CfnAlias.isCfnAlias(target) || lambda.CfnVersion.isCfnVersion(target)) return target.ref;
  if (name.startsWith('arn:')) return name;
  return Stack.of(mapping).formatArn({
    service: 'lambda',
    resource: 'function',
    resourceName: name,
    arnFormat: ArnFormat.COLON_RESOURCE_NAME,
  });
}
