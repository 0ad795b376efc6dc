import type { Template } from 'aws-cdk-lib/assertions';
import type { Statement } from './policy-evaluator.ts';
import { resources } from './stacks.ts';

/** What the intrinsic functions of a template become at deployment. */
export interface Deployment {
  readonly account: string;
  readonly region: string;
}

/** The statements of all managed policies of a template, with their resources as the ARNs that AWS would see. */
export function deployedStatements(template: Template, deployment: Deployment): Statement[] {
  const value = deploy(template, deployment);
  return Object.values(resources(template, 'AWS::IAM::ManagedPolicy')).flatMap(({ Properties }) => {
    // The shape of a policy document is IAM's; the cast names it.
    const document = value(Properties['PolicyDocument']) as { Statement: Statement[] };
    return document.Statement;
  });
}

/** Name of a resource after deployment: its logical id, which is enough to tell resources apart. */
function deploy(template: Template, { account, region }: Deployment): (node: unknown) => unknown {
  const pseudo: Record<string, string> = {
    'AWS::Partition': 'aws',
    'AWS::Region': region,
    'AWS::AccountId': account,
  };
  const types: Record<string, { Type: string } | undefined> = template.toJSON()['Resources'];
  const arnOf = (id: string): string => {
    const service = types[id]?.Type === 'AWS::SQS::Queue' ? 'sqs' : 'lambda';
    return `arn:aws:${service}:${region}:${account}:${service === 'sqs' ? '' : 'function:'}${id}`;
  };
  const value = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(value);
    if (typeof node !== 'object' || node === null) return node;
    const [[key, argument] = ['', undefined]] = Object.entries(node);
    if (key === 'Ref') return reference(String(argument));
    if (key === 'Fn::GetAtt' && Array.isArray(argument)) return arnOf(String(argument[0]));
    if (key === 'Fn::Join' && Array.isArray(argument)) return join(argument);
    if (key === 'Fn::Split' && Array.isArray(argument)) return String(value(argument[1])).split(String(argument[0]));
    if (key === 'Fn::Select' && Array.isArray(argument)) return select(argument);
    return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, value(child)]));
  };
  /** Ref of an alias or a version is its ARN, qualified. */
  const reference = (id: string): string => {
    const qualified = { 'AWS::Lambda::Alias': 'live', 'AWS::Lambda::Version': '1' }[types[id]?.Type ?? ''];
    return pseudo[id] ?? (qualified === undefined ? id : `${arnOf('Fn')}:${qualified}`);
  };
  const join = ([separator, parts]: unknown[]): string => {
    const texts = value(parts);
    return Array.isArray(texts) ? texts.join(String(separator)) : '';
  };
  const select = ([index, items]: unknown[]): unknown => {
    const values = value(items);
    return Array.isArray(values) ? values[Number(index)] : undefined;
  };
  return value;
}
