/**
 * The recipes for those who do not use the CDK: each file is read, translated and deployed by the tools of its kind.
 * cfn-lint looks at the templates in test/conformance; test/config holds the guide to the files.
 */
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { command } from './support/command.ts';

const RECIPES = 'docs/guides/recipes';
const OSLS = join(process.cwd(), 'examples/broadcast/node_modules/.bin/serverless');
const OFFLINE = {
  AWS_REGION: 'us-east-1',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
};

const Template = z.object({
  Resources: z.record(
    z.string(),
    z.object({ Type: z.string(), Properties: z.record(z.string(), z.unknown()) }).loose(),
  ),
});
type Template = z.infer<typeof Template>;

const CAPABILITY = '{{resolve:secretsmanager:karin/capability}}';
const urlFor = (topic: string): object => ({
  'Fn::Sub': `\${KarinUrl}/k/${CAPABILITY}/in/\${AWS::AccountId}/\${Jobs.QueueName}?topic=\${${topic}}&raw=true`,
});

/** What holds for each template, whatever tool it went through. */
function expectTheRecipe({ Resources }: Template): void {
  expect(Resources['OrdersToJobs']?.Properties).toMatchObject({ Protocol: 'https', Endpoint: urlFor('Orders') });
  expect(Resources['UploadedToJobs']?.Properties).toMatchObject({ Protocol: 'https', Endpoint: urlFor('Uploaded') });
  // With it SNS sends neither a signature nor attributes.
  expect(Resources['OrdersToJobs']?.Properties).not.toHaveProperty('RawMessageDelivery');
  expect(Resources['JobsDestination']?.Properties).toMatchObject({
    HttpMethod: 'POST',
    InvocationEndpoint: { 'Fn::Sub': '${KarinUrl}/in/${AWS::AccountId}/${Jobs.QueueName}' },
  });
}

/** The mapping of the function, as the transform or the framework made it. */
function mappingIn({ Resources }: Template): unknown {
  return Object.values(Resources).find(({ Type }) => Type === 'AWS::Lambda::EventSourceMapping')?.Properties;
}

async function translated(file: string): Promise<Template> {
  const translate = ['test/deploy/support/translate_sam.py', `${RECIPES}/${file}`];
  return Template.parse(JSON.parse(await command('python3', translate, { env: OFFLINE })));
}

/**
 * What these resources may be given, as far as a recipe may want it. Compared with the pages of the provider's
 * repository (hashicorp/terraform-provider-aws, website/docs/r); `depends_on` is Terraform's own.
 */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  aws_cloudwatch_event_api_destination: [
    'connection_arn',
    'description',
    'http_method',
    'invocation_endpoint',
    'invocation_rate_limit_per_second',
    'name',
  ],
  aws_cloudwatch_event_connection: ['auth_parameters', 'authorization_type', 'description', 'name'],
  aws_cloudwatch_event_rule: ['event_bus_name', 'event_pattern', 'name', 'schedule_expression'],
  aws_cloudwatch_event_target: [
    'arn',
    'dead_letter_config',
    'http_target',
    'input_transformer',
    'retry_policy',
    'role_arn',
    'rule',
  ],
  aws_iam_role: ['assume_role_policy', 'name'],
  aws_iam_role_policy: ['name', 'policy', 'role'],
  aws_lambda_event_source_mapping: [
    'batch_size',
    'depends_on',
    'enabled',
    'event_source_arn',
    'function_name',
    'function_response_types',
    'maximum_batching_window_in_seconds',
  ],
  aws_lambda_function: [
    'environment',
    'filename',
    'function_name',
    'handler',
    'memory_size',
    'role',
    'runtime',
    'timeout',
  ],
  aws_s3_bucket: ['bucket', 'bucket_prefix'],
  aws_s3_bucket_notification: ['bucket', 'depends_on', 'eventbridge', 'lambda_function', 'queue', 'topic'],
  aws_sns_topic: ['name', 'signature_version'],
  aws_sns_topic_policy: ['arn', 'policy'],
  aws_sns_topic_subscription: [
    'confirmation_timeout_in_minutes',
    'endpoint',
    'endpoint_auto_confirms',
    'filter_policy',
    'filter_policy_scope',
    'protocol',
    'redrive_policy',
    'topic_arn',
  ],
  aws_sqs_queue: ['message_retention_seconds', 'name', 'redrive_policy', 'visibility_timeout_seconds'],
  aws_sqs_queue_policy: ['policy', 'queue_url'],
};

const Block = z.object({ type: z.string(), name: z.string(), members: z.array(z.string()) });
const Configuration = z.object({ resources: z.array(Block), named: z.array(z.string()) });

describe('a recipe without the CDK', () => {
  let moto: MotoServer;
  beforeAll(async () => {
    moto = await MotoServer.start();
    if (!existsSync(OSLS)) await command('npm', ['ci'], { cwd: 'examples/broadcast', env: {} });
  });
  afterAll(() => moto.stop());

  it('is deployed as plain CloudFormation, as far as the emulator makes resources from a template', async () => {
    const { Resources } = await translated('cloudformation.yaml');
    // It makes neither API destinations nor subscriptions from one; what the latter say is looked at below.
    const unknown = ['JobsConnection', 'JobsDestination', 'InvokeJobs', 'OrderPlaced', 'UndeliveredPolicy'];
    const emulated = Object.fromEntries(Object.entries(Resources).filter(([name]) => !unknown.includes(name)));
    const folder = await mkdtemp(join(tmpdir(), 'karin-recipe-'));
    const file = join(folder, 'template.json');
    const Parameters = { KarinUrl: { Type: 'String', Default: 'https://karin.example.com' } };
    await writeFile(file, JSON.stringify({ Parameters, Resources: emulated }));
    await command('python3', ['test/deploy/support/create_stack.py', 'shop', file], { env: moto.environment });
    await rm(folder, { recursive: true });
    const read = `
import boto3, json
print(json.dumps({
  "topics": sorted(one["TopicArn"].split(":")[5].split("-")[1] for one in boto3.client("sns").list_topics()["Topics"]),
  "queues": sorted(url.split("/")[-1].split("-")[1] for url in boto3.client("sqs").list_queues()["QueueUrls"]),
  "buckets": [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]],
}))`;
    expect(JSON.parse(await command('python3', ['-c', read], { env: moto.environment }))).toEqual({
      topics: ['Orders', 'Uploaded'],
      queues: ['Jobs', 'Undelivered'],
      buckets: [`shop-uploads-${MOTO_ACCOUNT}`],
    });
  });

  it('is translated from SAM to the resources of plain CloudFormation, and a mapping that Lambda does not poll', async () => {
    const sam = await translated('sam.yaml');
    const plain = await translated('cloudformation.yaml');
    expect(sam.Resources).toMatchObject(plain.Resources);
    expectTheRecipe(sam);
    expect(mappingIn(sam)).toMatchObject({ Enabled: false });
  });

  it('is packaged by the Serverless Framework, which finds no fault, with a mapping that Lambda does not poll', async () => {
    const project = await mkdtemp(join(tmpdir(), 'karin-recipe-'));
    await cp(RECIPES, project, { recursive: true });
    await writeFile(join(project, 'index.js'), 'exports.handler = async () => {};\n');
    const quiet = { SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off' };
    await command(OSLS, ['package', '--package', 'out'], { cwd: project, env: { ...OFFLINE, ...quiet } });
    const packaged = await readFile(join(project, 'out/cloudformation-template-update-stack.json'), 'utf8');
    await rm(project, { recursive: true });
    const template = Template.parse(JSON.parse(packaged));
    expectTheRecipe(template);
    expect(mappingIn(template)).toMatchObject({ Enabled: false });
  });

  it.each([
    ['main.tf', 10],
    ['queue.tf', 5],
  ])(
    'is a Terraform configuration that gives each resource what the provider knows, and names only what it declares: %s',
    async (file, fewest) => {
      const said = await command('python3', ['test/deploy/support/read_hcl.py', `${RECIPES}/${file}`], { env: {} });
      const { resources, named } = Configuration.parse(JSON.parse(said));
      expect(resources.length).toBeGreaterThan(fewest);
      const foreign = resources.flatMap(({ type, name, members }) =>
        members
          .filter((member) => ARGUMENTS[type]?.includes(member) !== true)
          .map((member) => `${type}.${name}.${member}`),
      );
      expect(foreign).toEqual([]);
      const declared = new Set(resources.map(({ type, name }) => `${type}.${name}`));
      expect(named.filter((one) => !declared.has(one))).toEqual([]);
    },
  );
});
