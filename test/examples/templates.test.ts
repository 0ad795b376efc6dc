import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { App, type Stack } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { ReportsStack } from '../../examples/existing-queue/reports-stack.ts';
import { FanOutStack } from '../../examples/fan-out/fan-out-stack.ts';
import { OrdersStack } from '../../examples/fifo-orders/orders-stack.ts';
import { HelloStack } from '../../examples/hello/hello-stack.ts';
import { ThumbnailsStack } from '../../examples/partial-failures/thumbnails-stack.ts';
import { UploadsStack } from '../../examples/s3-thumbnails/uploads-stack.ts';
import { WebhooksStack } from '../../examples/webhooks/webhooks-stack.ts';
import { snapshotOf } from './support/template.ts';

const folderOf = (example: string) => new URL(`../../examples/${example}/`, import.meta.url);

const STACKS: ReadonlyArray<[example: string, define: (app: App) => Stack]> = [
  ['hello', (app) => new HelloStack(app, 'Hello')],
  ['fifo-orders', (app) => new OrdersStack(app, 'Orders')],
  ['partial-failures', (app) => new ThumbnailsStack(app, 'Thumbnails')],
  ['existing-queue', (app) => new ReportsStack(app, 'Reports')],
  ['fan-out', (app) => new FanOutStack(app, 'FanOut')],
  ['s3-thumbnails', (app) => new UploadsStack(app, 'Uploads')],
  ['webhooks', (app) => new WebhooksStack(app, 'Webhooks')],
];

describe('the template of an example is the one that is committed', () => {
  it.each(STACKS)('%s', async (example, define) => {
    const { context } = JSON.parse(readFileSync(new URL('cdk.json', folderOf(example)), 'utf8'));
    await expect(snapshotOf(define(new App({ context })))).toMatchFileSnapshot(`${example}/template.snapshot.json`);
  });

  it('terraform-docker', async () => {
    const outdir = mkdtempSync(join(tmpdir(), 'karin-terraform-docker-'));
    try {
      const { PATH = '', HOME = '' } = process.env;
      execFileSync('npx', ['tsx', 'main.ts'], {
        cwd: fileURLToPath(folderOf('terraform-docker')),
        env: { PATH, HOME, CDKTF_OUTDIR: outdir, AWS_REGION: 'us-east-1', CHECKPOINT_DISABLE: '1' },
      });
      const synthesized = JSON.parse(readFileSync(join(outdir, 'stacks', 'karin', 'cdk.tf.json'), 'utf8'));
      // The backend names a file of this machine.
      delete synthesized.terraform.backend;
      const text = `${JSON.stringify(synthesized, undefined, 2)}\n`;
      await expect(text).toMatchFileSnapshot('terraform-docker/template.snapshot.tf.json');
    } finally {
      rmSync(outdir, { recursive: true });
    }
  });
});
