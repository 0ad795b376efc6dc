import { DockerProvider } from '@cdktf/provider-docker/lib/provider';
import { App, TerraformOutput, TerraformStack, TerraformVariable } from 'cdktf';
// In an app of your own: import { KarinRuntime } from 'karin-queue/terraform';
import { KarinRuntime } from '../../constructs/terraform';

const app = new App();
const stack = new TerraformStack(app, 'karin');
new DockerProvider(stack, 'docker');

/** Values that are asked for, and shown nowhere. */
const secret = (name: string, description: string): string =>
  new TerraformVariable(stack, name, { type: 'string', sensitive: true, description }).stringValue;

const karin = new KarinRuntime(stack, 'Karin', {
  region: process.env['AWS_REGION'] ?? 'us-east-1',
  build: { context: '../../../../..' },
  tokens: secret('tokens', 'Capability tokens of the callers, as in KARIN_TOKENS: <token>:send'),
  adminPassword: secret('admin_password', "Password of the operator's page, at least 12 characters"),
  awsCredentials: {
    accessKeyId: secret('aws_access_key_id', "Access key of the runtime's IAM user (KarinRuntimeIdentity)"),
    secretAccessKey: secret('aws_secret_access_key', 'Its secret'),
  },
});
new TerraformOutput(stack, 'endpoint', { value: karin.endpoint });

app.synth();
