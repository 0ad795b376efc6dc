import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { HelloStack } from '../../examples/hello/hello-stack.ts';
import { snapshotOf } from './support/template.ts';

describe('examples/hello', () => {
  it('has the template that is committed', async () => {
    const config = new URL('../../examples/hello/cdk.json', import.meta.url);
    const { context } = JSON.parse(readFileSync(config, 'utf8'));
    const stack = new HelloStack(new App({ context }), 'Hello');
    await expect(snapshotOf(stack)).toMatchFileSnapshot('hello/template.snapshot.json');
  });
});
