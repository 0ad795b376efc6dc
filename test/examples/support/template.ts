import type { Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';

/**
 * The template of a stack as the text that is committed beside its test. Hashes of bundled code are left out: they
 * change with the bundler and with the SDK, not with the stack.
 */
export function snapshotOf(stack: Stack): string {
  const template = JSON.stringify(Template.fromStack(stack).toJSON(), undefined, 2);
  return `${template.replaceAll(/"[0-9a-f]{64}\.zip"/g, '"<asset>.zip"')}\n`;
}
