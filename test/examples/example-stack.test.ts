import { readFileSync } from 'node:fs';
import { App, Stack, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { ExampleStack } from '../../bin/example-stack.ts';
import { KarinRuntimeIdentity } from '../../constructs/index.ts';
import { snapshotOf } from './support/template.ts';

const { context } = JSON.parse(readFileSync(new URL('../../cdk.json', import.meta.url), 'utf8'));

describe('the example stack that `npx cdk deploy` deploys', () => {
  it('has the template that is committed', async () => {
    const stack = new ExampleStack(new App({ context }), 'KarinExample');
    await expect(snapshotOf(stack)).toMatchFileSnapshot('example-stack/template.snapshot.json');
  });

  it('leaves cdk-nag nothing to find but what is acknowledged with a reason', () => {
    // What is in the bundles is not looked at, so they need not be made.
    const app = new App({ context: { ...context, 'aws:cdk:bundling-stacks': [] } });
    new ExampleStack(app, 'KarinExample');
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    expect(() => app.synth()).not.toThrow();
  });

  it('is looked at by cdk-nag in earnest: without the acknowledgements it fails', () => {
    const app = new App({ context });
    KarinRuntimeIdentity.user(new Stack(app, 'Stack'), 'Runtime');
    Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
    expect(() => app.synth()).toThrow('AwsSolutions-IAM5');
  });
});
