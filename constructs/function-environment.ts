import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type { BindEnvironmentOptions, IKarinQueue } from './queue-interface';

/** What the SDKs for Python, Go, PHP and current Java go by. */
export const ENDPOINT_VARIABLE = 'AWS_ENDPOINT_URL_SQS';
const BOUND = Symbol.for('karin-queue.boundEnvironment');

/** Sets the variables; throws if the function already has one of them with another value from an earlier binding. */
export function bindFunctionEnvironment(
  queue: IKarinQueue,
  fn: lambda.Function,
  options: BindEnvironmentOptions,
): void {
  const urlVariable = options.urlVariable ?? 'QUEUE_URL';
  bindOnce(queue, fn, urlVariable, queue.queueUrl, "pass another 'urlVariable'");
  if (options.endpointVariable ?? true) {
    const mend =
      "queues of one function must share an endpoint and a capability, or be bound with 'endpointVariable: false'";
    bindOnce(queue, fn, ENDPOINT_VARIABLE, queue.endpoint, mend);
  }
}

/** `addEnvironment` overwrites in silence, so what was bound is remembered on the function itself. */
function bindOnce(queue: IKarinQueue, fn: lambda.Function, name: string, value: string, mend: string): void {
  const bound = boundVariables(fn);
  const earlier = bound.get(name);
  if (earlier === value) return;
  if (earlier !== undefined) {
    throw new Error(
      `${queue.node.path}: '${fn.node.path}' already has the environment variable '${name}' for another queue; ${mend}`,
    );
  }
  fn.addEnvironment(name, value);
  bound.set(name, value);
}

/** Whether a construct is a function on which `bindFunctionEnvironment` set this variable. */
export function hasBound(fn: unknown, name: string): boolean {
  if (typeof fn !== 'object' || fn === null) return false;
  const bound: unknown = Reflect.get(fn, BOUND);
  return bound instanceof Map && bound.has(name);
}

function boundVariables(fn: lambda.Function): Map<string, string> {
  const existing: unknown = Reflect.get(fn, BOUND);
  if (existing instanceof Map) return existing;
  const created = new Map<string, string>();
  Object.defineProperty(fn, BOUND, { value: created });
  return created;
}
