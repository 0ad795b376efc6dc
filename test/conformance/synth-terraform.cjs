// Synthesizes the cdktf construct, as a CommonJS app does.
const { existsSync, mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { DockerProvider } = require('@cdktf/provider-docker/lib/provider');
const { App, TerraformStack } = require('cdktf');
const { KarinRuntime } = require('karin-queue/terraform');

const outdir = mkdtempSync(join(tmpdir(), 'karin-terraform-'));
const app = new App({ outdir });
const stack = new TerraformStack(app, 'karin');
new DockerProvider(stack, 'docker');
new KarinRuntime(stack, 'Karin', { region: 'us-east-1', image: 'karin', tokens: 'a-token-of-some-length:send' });
app.synth();
if (!existsSync(join(outdir, 'stacks', 'karin', 'cdk.tf.json'))) throw new Error('nothing was synthesized');
rmSync(outdir, { recursive: true });
process.stdout.write(`synthesized with cdktf ${require('cdktf/package.json').version}, without aws-cdk-lib\n`);
