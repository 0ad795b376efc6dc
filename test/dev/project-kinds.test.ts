import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { DevOptions } from '../../runtime/cli/dev.ts';
import { findStacks, readApplication } from '../../runtime/dev/template/application.ts';
import type { TemplateApplication } from '../../runtime/dev/template/model.ts';
import { zip } from '../local/zip.ts';
import { type Files, ScratchProject } from './scratch-project.ts';

/** Synthesizing and starting take their time where several suites share two cores. */
const PATIENCE_MS = 60_000;

const PYTHON =
  'def handler(event, context):\n    for record in event["Records"]:\n        print("got", record["body"])\n';

/** Of a module that was never deployed: what a plan does not tell is read from these. */
const TERRAFORM = {
  'main.tf': `
resource "aws_sqs_queue" "jobs" {
  name           = "shop-jobs" # the only { one
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.failed.arn, maxReceiveCount = 5 })
}
resource "aws_lambda_function" "worker" {
  function_name = "shop-worker"
  environment {
    variables = {
      GREETING = "got, as said"
      LEVEL    = 3
      NEXT_URL = aws_sqs_queue.jobs.url
      MAIL_URL = module.mails.url
      ROLE     = aws_iam_role.role.arn
      COMPUTED = join("-", ["a", "b"])
    }
  }
}
`,
  'queue/main.tf': 'resource "aws_sqs_queue" "this" { name = var.name }\n',
  'src/app.py': PYTHON,
};

describe('projects of other tools', { timeout: PATIENCE_MS }, () => {
  let project: ScratchProject | undefined;

  afterEach(async () => {
    await project?.stop();
    project = undefined;
  });

  const plan = (name: string): string => fileURLToPath(new URL(`plans/${name}`, import.meta.url));
  const made = (files: Files): ScratchProject => {
    project = new ScratchProject(files);
    return project;
  };
  /** A program that stands in for a tool that is not on every machine, before all others of the machine. */
  const withProgram = (of: ScratchProject, name: string, script: string): Partial<DevOptions> => {
    of.write({ [`bin/${name}`]: `#!/bin/sh\n${script}` });
    chmodSync(join(of.folder, 'bin', name), 0o755);
    const { PATH = '', HOME = '' } = process.env;
    return { environment: { PATH: join(of.folder, 'bin') + delimiter + PATH, HOME } };
  };
  const read = (file: string): TemplateApplication =>
    readApplication(findStacks(file), {
      account: '000000000000',
      region: 'eu-west-1',
      sqsOrigin: 'http://127.0.0.1:4000',
      functionUrl: () => '',
    });
  const mappingsOf = ({ mappings }: TemplateApplication): readonly unknown[] =>
    mappings.map(({ mapping, enabled }) => [mapping.queueArn.name, mapping.functionArn.split(':')[6], enabled]).sort();

  it('a plan of Terraform has queues and mappings of every module and of every item of a loop', () => {
    const { folder } = made(TERRAFORM);
    copyFileSync(plan('terraform.json'), join(folder, 'plan.json'));
    const application = read(join(folder, 'plan.json'));
    expect(mappingsOf(application)).toEqual([
      ['shop-jobs', 'shop-worker', false],
      ['shop-mails', 'shop-worker', true],
      ['shop-one', 'shop-worker', true],
      ['shop-two', 'shop-worker', true],
    ]);
    const jobs = application.mappings.find(({ mapping }) => mapping.queueArn.name === 'shop-jobs')?.mapping;
    expect(jobs).toMatchObject({ batchSize: 5, maximumConcurrency: 4, reportBatchItemFailures: true });
    expect(jobs?.filterPatterns).toEqual(['{"body":{"kind":["a"]}}']);
    const queue = application.queues.find(({ arn }) => arn.name === 'shop-jobs');
    expect(queue?.attributes).toMatchObject({
      visibilityTimeoutSeconds: 60,
      redrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:000000000000:shop-failed', maxReceiveCount: 5 },
    });
  });

  it('a plan of Terraform has functions from the folder that their archive is made of, with their variables', () => {
    const { folder } = made(TERRAFORM);
    copyFileSync(plan('terraform.json'), join(folder, 'plan.json'));
    const { functions, problems } = read(join(folder, 'plan.json'));
    expect(functions).toEqual([
      expect.objectContaining({
        name: 'shop-worker',
        runtime: 'python3.12',
        timeoutSeconds: 10,
        code: { kind: 'folder', path: join(folder, 'src') },
        environment: {
          GREETING: 'got, as said',
          LEVEL: '3',
          NEXT_URL: 'http://127.0.0.1:4000/000000000000/shop-jobs',
          MAIL_URL: 'http://127.0.0.1:4000/000000000000/shop-mails',
        },
      }),
    ]);
    expect(functions[0]).not.toHaveProperty('reservedConcurrency');
    expect(problems).toEqual([
      expect.stringContaining('a layer is left out: its code should be at'),
      expect.stringContaining(
        'the variable ROLE cannot be resolved (aws_iam_role.role.arn is known after the deployment only)',
      ),
      expect.stringContaining('the variable COMPUTED cannot be resolved (join('),
    ]);
  });

  it('a module of Terraform is planned and run, and no plan is left behind', async () => {
    const of = made(TERRAFORM);
    const program = `echo "$@" >> ${of.folder}/calls.txt; [ "$1" = show ] && cat ${plan('terraform.json')}; exit 0\n`;
    await of.start(withProgram(of, 'terraform', program));
    await of.send('shop-mails', 'one');
    await of.line(/^\[shop-worker\] got one$/);
    expect(readFileSync(join(of.folder, 'calls.txt'), 'utf8')).toMatch(
      /^plan -input=false -lock=false -refresh=false -no-color -out=\S+\.karin\/\S+plan\.out\nshow -json \S+plan\.out\n$/,
    );
    const left = readdirSync(join(of.folder, '.karin'), { recursive: true }).map(String);
    expect(left.filter((name) => name.includes('plan'))).toEqual([]);
  });

  it('a module of Terraform that cannot be planned says why, and the way that works without', async () => {
    const of = made(TERRAFORM);
    const options = withProgram(of, 'terraform', 'echo "Error: Backend initialization required"; exit 1\n');
    await expect(of.start(options)).rejects.toThrow(
      /Backend initialization required\nmake the plan yourself .* 'karin dev --template plan\.json'/,
    );
  });

  it('a state of Terraform is in the account in which it is deployed', () => {
    const { folder } = made({
      'state.json': JSON.stringify({
        format_version: '1.0',
        values: {
          root_module: {
            resources: [
              {
                address: 'aws_sqs_queue.jobs',
                mode: 'managed',
                type: 'aws_sqs_queue',
                name: 'jobs',
                values: { name: 'jobs', arn: 'arn:aws:sqs:eu-west-1:111122223333:jobs' },
              },
              {
                address: 'aws_lambda_function.worker',
                mode: 'managed',
                type: 'aws_lambda_function',
                name: 'worker',
                values: { function_name: 'worker', runtime: 'nodejs22.x', handler: 'index.handler', image_uri: '' },
              },
              {
                address: 'aws_lambda_event_source_mapping.jobs',
                mode: 'managed',
                type: 'aws_lambda_event_source_mapping',
                name: 'jobs',
                values: { event_source_arn: 'arn:aws:sqs:eu-west-1:111122223333:jobs', function_name: 'worker' },
              },
            ],
          },
        },
      }),
    });
    const { mappings } = read(join(folder, 'state.json'));
    expect(mappings.map(({ mapping }) => mapping.queueArn.account)).toEqual(['000000000000']);
  });

  it('a state of Pulumi has what is deployed, and functions from the folders that it packs', async () => {
    const of = made({ 'Pulumi.yaml': 'name: shop\n', 'src/app.py': PYTHON });
    const program = `[ "$2" = export ] && cp ${plan('pulumi.json')} "$5"\n`;
    await of.start({ ...withProgram(of, 'pulumi', program), all: false });
    await of.send('jobs-5d6e7f8', '{"kind":"a"}');
    await of.line(/^\[worker-9a8b7c6\] got \{"kind":"a"\}$/);
    copyFileSync(plan('pulumi.json'), join(of.folder, 'stack.json'));
    const { functions, queues, problems } = read(join(of.folder, 'stack.json'));
    expect(functions[0]?.environment).toEqual({
      NEXT_URL: 'http://127.0.0.1:4000/000000000000/jobs-5d6e7f8',
      stageName: 'dev',
    });
    expect(queues.find(({ arn }) => arn.name === 'jobs-5d6e7f8')?.attributes.redrivePolicy?.maxReceiveCount).toBe(5);
    expect(problems).toEqual([]);
  });

  it('a preview of Pulumi follows what a value hangs on, and a Pulumi program without Pulumi says what to do', async () => {
    const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
    const [queue, worker] = ['aws:sqs/queue:Queue', 'aws:lambda/function:Function'].map((type) => `urn:${type}::one`);
    const mapping = 'aws:lambda/eventSourceMapping:EventSourceMapping';
    const steps = [
      { urn: queue, type: 'aws:sqs/queue:Queue', inputs: { name: 'jobs' } },
      {
        urn: worker,
        type: 'aws:lambda/function:Function',
        inputs: { name: 'worker', environment: { variables: { URL: unknown, WORD: 'got' } } },
        propertyDependencies: { environment: [queue] },
      },
      {
        urn: `urn:${mapping}::one`,
        type: mapping,
        inputs: { eventSourceArn: unknown, functionName: unknown },
        propertyDependencies: { eventSourceArn: [queue], functionName: [worker] },
      },
    ].map((newState) => ({ op: 'create', newState }));
    const of = made({ 'preview.json': JSON.stringify({ steps }), 'Pulumi.yaml': 'name: shop\n' });
    const application = read(join(of.folder, 'preview.json'));
    expect(mappingsOf(application)).toEqual([['jobs', 'worker', true]]);
    expect(application.functions[0]?.environment).toEqual({ WORD: 'got' });
    await expect(of.start({ environment: { PATH: '/nowhere' } })).rejects.toThrow(
      /there is no pulumi on the PATH; .* 'pulumi stack export --file stack\.json', 'karin dev --template stack\.json'/,
    );
  });

  it('an app of SST says by which command it can be read, and is read from what version 2 built', async () => {
    const of = made({ 'sst.config.ts': 'export default $config({ async run() {} });\n' });
    await expect(of.start()).rejects.toThrow(/SST 3 or later.* 'npx sst state export > state\.json'/);
    of.write({ 'sst.config.ts': "import type { SSTConfig } from 'sst';\n" });
    await expect(of.start()).rejects.toThrow(/SST 2, which is not built: 'npx sst build'/);
    const template = { Resources: { Jobs: { Type: 'AWS::SQS::Queue' } } };
    const artifacts = { Shop: { type: 'aws:cloudformation:stack', properties: { templateFile: 'shop.json' } } };
    of.write({
      '.sst/dist/manifest.json': JSON.stringify({ artifacts }),
      '.sst/dist/shop.json': JSON.stringify(template),
    });
    await of.start();
    expect(of.said).toContain('read in');
    expect(of.said).toContain('0 functions, 1 queue');
  });

  it('an app of Chalice is packaged, and its handlers run from their sources beside the packages in the package', async () => {
    const of = made({
      '.chalice/config.json': '{"version":"2.0","app_name":"shop"}',
      'app.py':
        'import helper\ndef work(event, context):\n    print("got", event["Records"][0]["body"], helper.WORD)\n',
    });
    const sam = {
      Transform: 'AWS::Serverless-2016-10-31',
      Resources: {
        Work: {
          Type: 'AWS::Serverless::Function',
          Properties: {
            Runtime: 'python3.12',
            Handler: 'app.work',
            CodeUri: './deployment.zip',
            Events: {
              WorkSqsEventSource: {
                Type: 'SQS',
                Properties: {
                  Queue: { 'Fn::Sub': 'arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:shop-jobs' },
                  BatchSize: 5,
                },
              },
            },
          },
        },
      },
    };
    of.write({ 'stand-in/sam.json': JSON.stringify(sam) });
    const old = 'def work(event, context): print("as packaged")\n';
    const entries = [
      { name: 'app.py', text: old },
      { name: 'helper.py', text: 'WORD = "with help"\n' },
    ];
    writeFileSync(join(of.folder, 'stand-in', 'deployment.zip'), zip(entries));
    // In a virtual environment that nobody activated.
    mkdirSync(join(of.folder, '.venv', 'bin'), { recursive: true });
    of.write({ '.venv/bin/python': '', '.venv/bin/chalice': '#!/bin/sh\nmkdir -p "$4" && cp stand-in/* "$4"\n' });
    chmodSync(join(of.folder, '.venv', 'bin', 'chalice'), 0o755);
    await of.start();
    await of.send('shop-jobs', 'one');
    await of.line(/^\[Work\] got one with help$/);
  });

  it('an app of Chalice without Chalice says how to get it', async () => {
    const of = made({ '.chalice/config.json': '{}' });
    await expect(of.start({ environment: { PATH: '/nowhere' } })).rejects.toThrow(
      /there is no chalice on the PATH or in \.venv; install it: pip install chalice/,
    );
  });

  it('a CDK app in Python runs in its own virtual environment, or says how to make one', async () => {
    const app = `import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "shop.json"}}
(out / "manifest.json").write_text(json.dumps({"artifacts": {"Shop": stack}}))
(out / "shop.json").write_text(json.dumps({"Resources": {os.environ["WHERE"]: {"Type": "AWS::SQS::Queue"}}}))
`;
    const of = made({ 'cdk.json': '{"app":"python3 app.py"}', 'app.py': `import aws_cdk_of_nobody\n${app}` });
    await expect(of.start()).rejects.toThrow(
      /No module named 'aws_cdk_of_nobody'\ninstall what the app needs: 'python3 -m venv \.venv'/,
    );
    of.write({
      'app.py': app,
      '.venv/bin/python': '',
      '.venv/bin/python3': '#!/bin/sh\nPATH=${PATH#*:} WHERE=InVenv exec python3 "$@"\n',
    });
    chmodSync(join(of.folder, '.venv', 'bin', 'python3'), 0o755);
    await of.start();
    expect(of.said).toContain('/in/000000000000/InVenv');
  });
});
