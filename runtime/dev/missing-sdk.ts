/**
 * Names the command that mends a missing AWS SDK: Lambda's runtimes bring it along, this machine may not.
 *
 * A package of it is looked for beside the code and in the project, then among what this package itself depends on
 * (`NODE_PATH`). Only what is in none of them comes here.
 *
 * @module
 */
import type { TemplateFunction } from './template/model.ts';

const MISSING_NODE = /Cannot find (?:module|package) '(@(?:aws-sdk|smithy)\/[\w.-]+|aws-sdk)[/']/;
const MISSING_PYTHON = /No module named '(boto3|botocore)/;
/** Runtimes that brought `aws-sdk`, version 2. */
const WITH_VERSION_2 = /^nodejs(1[0246])\.x$/;

/** What is to be said of the failure, JSON; empty: it is another. Source: Lambda Developer Guide, `lambda-nodejs`. */
export function missingSdk({ runtime = '' }: TemplateFunction, payload: Uint8Array): readonly string[] {
  const text = Buffer.from(payload).toString('utf8');
  const [, python] = MISSING_PYTHON.exec(text) ?? [];
  if (python !== undefined) {
    return [`Lambda brings ${python} along, and python3 on this machine has none: pip install boto3`];
  }
  const [, name] = MISSING_NODE.exec(text) ?? [];
  if (name === undefined) return [];
  if (name !== 'aws-sdk') {
    return [`Lambda brings ${name} along, and neither the project nor karin has it: npm i -D ${name}`];
  }
  return WITH_VERSION_2.test(runtime)
    ? [`${runtime} brings aws-sdk (version 2) along, and neither the project nor karin has it: npm i -D aws-sdk`]
    : [`${runtime} has no aws-sdk (version 2) in Lambda either: npm i aws-sdk, or move to @aws-sdk/client-*`];
}
