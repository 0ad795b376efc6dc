import { Annotations, type CfnResource, Reference } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { AnchorIndex } from './anchor-index';
import { ENDPOINT_VARIABLE, hasBound } from './function-environment';
import type { AnchoredQueue } from './queue-interface';
import { resolveIn } from './references';
import type { RenderedResource } from './rendered-resource';

/** Runtimes whose SDK sends to the host of a queue URL, whatever else it is told. */
const GOES_BY_QUEUE_URL = /^(nodejs|ruby)/;

/**
 * Warnings about the environment of a function that knows Karin queues: `anchors` by the path of the property that
 * names them.
 */
export function checkEnvironment(
  resource: CfnResource,
  rendered: RenderedResource,
  anchors: ReadonlyMap<string, AnchoredQueue>,
  index: AnchorIndex,
): void {
  if (!lambda.CfnFunction.isCfnFunction(resource)) return;
  warnOfRedirect(resource, rendered, index);
  warnOfMissingEndpoint(resource, rendered, anchors);
}

/** `AWS_ENDPOINT_URL_SQS` redirects every SQS client of a function, also the one for a queue of Amazon SQS. */
function warnOfRedirect(resource: lambda.CfnFunction, { sightings }: RenderedResource, index: AnchorIndex): void {
  if (!hasBound(resource.node.scope, ENDPOINT_VARIABLE)) return;
  const real = sightings
    .map(({ token, path }) => (path[0] === 'Environment' && Reference.isReference(token) ? token.target : undefined))
    .find((target) => sqs.CfnQueue.isCfnQueue(target) && !index.isAnchor(target));
  if (real === undefined) return;
  Annotations.of(resource).addWarningV2(
    'karin-queue:endpointRedirectsAll',
    `AWS_ENDPOINT_URL_SQS sends every SQS client of this function to the Karin server, but its environment also names '${real.node.path}', a queue of Amazon SQS; bind it with 'endpointVariable: false' and give its Karin client the endpoint in code, or make that queue a KarinQueue`,
  );
}

/**
 * Most SDKs ignore the host of a queue URL, and all of them ask Amazon SQS where they only know a name: both end at the
 * anchor.
 */
function warnOfMissingEndpoint(
  resource: lambda.CfnFunction,
  { properties }: RenderedResource,
  anchors: ReadonlyMap<string, AnchoredQueue>,
): void {
  const variables = at(at(properties, 'Environment'), 'Variables');
  if ([ENDPOINT_VARIABLE, 'AWS_ENDPOINT_URL'].some((name) => at(variables, name) !== undefined)) return;
  for (const [path, queue] of anchors) {
    const [top, , name = ''] = path.split('.');
    if (top !== 'Environment' || hasBound(resource.node.scope, name)) continue;
    const value = at(variables, name);
    if (isArn(value)) continue;
    if (isOnServer(value, resource, queue) && GOES_BY_QUEUE_URL.test(String(at(properties, 'Runtime')))) continue;
    Annotations.of(resource).addWarningV2(
      'karin-queue:endpointNotSet',
      `the environment variable '${name}' names the KarinQueue '${queue.node.path}', but AWS_ENDPOINT_URL_SQS is not set: unless the code gives its SQS client the endpoint, it sends to the anchor at Amazon SQS, which nobody reads; call queue.bindEnvironment(fn)`,
    );
  }
}

function isArn(value: unknown): boolean {
  return typeof value === 'string' ? value.startsWith('arn:') : String(at(value, 'Fn::GetAtt')).endsWith(',Arn');
}

function isOnServer(value: unknown, resource: CfnResource, queue: AnchoredQueue): boolean {
  const endpoint = resolveIn(resource, queue.endpoint).value;
  return typeof value === 'string' && typeof endpoint === 'string' && value.includes(`${endpoint}/`);
}

function at(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
