import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { programOnPath } from '../../runtime/dev/platform.ts';
import { ScratchProject } from './scratch-project.ts';

/** Maven and the compiler take their time where several suites share two cores. */
const PATIENCE_MS = 300_000;

const CLIENT = 'aws-lambda-java-runtime-interface-client';

const TEMPLATE = `Transform: AWS::Serverless-2016-10-31
Resources:
  Orders: { Type: AWS::SQS::Queue }
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: java25
      Handler: shop.Worker::handle
      CodeUri: worker
      Timeout: 60
      MemorySize: 256
      Events: { Order: { Type: SQS, Properties: { Queue: !GetAtt Orders.Arn } } }
`;

const WORKER = `package shop;
public class Worker {
  public String handle(java.util.Map<String, java.util.List<java.util.Map<String, Object>>> event) {
    if (!event.containsKey("Records")) throw new IllegalStateException("no records");
    for (var record : event.get("Records")) System.out.println("got " + record.get("body"));
    return "done by " + System.getenv("AWS_LAMBDA_FUNCTION_NAME");
  }
}
`;

/** Compilers are not on every machine. */
const canCompile = ['javac', 'mvn'].every((name) => programOnPath(name, process.env['PATH'] ?? '') !== undefined);

describe.runIf(canCompile)('a function in Java', { timeout: PATIENCE_MS }, () => {
  let project: ScratchProject;

  beforeAll(() => {
    if (existsSync(join(homedir(), '.m2', 'repository', 'com', 'amazonaws', CLIENT))) return;
    // As the message of karin dev says to get it.
    const artifact = `-Dartifact=com.amazonaws:${CLIENT}:LATEST`;
    execFileSync('mvn', ['--batch-mode', '--quiet', 'dependency:get', artifact], { stdio: 'pipe' });
  }, PATIENCE_MS);
  afterEach(async () => {
    await project.stop();
  });

  it('says how it is built, where only its sources are there', async () => {
    project = new ScratchProject({ 'template.yaml': TEMPLATE, 'worker/pom.xml': '', 'worker/Worker.java': WORKER });
    await project.start();
    expect(project.warnings).toEqual([
      expect.stringContaining(`there is no class shop.Worker in ${project.folder}/worker: build it with 'sam build'`),
    ]);
  });

  it("runs what 'sam build' made of it, by AWS's own runtime interface client", async () => {
    project = new ScratchProject({ 'template.yaml': TEMPLATE, 'worker/Worker.java': WORKER });
    const built = join(project.folder, '.aws-sam', 'build', 'Worker');
    execFileSync('javac', ['-d', built, join(project.folder, 'worker', 'Worker.java')]);
    const { lambdaUrl } = await project.start();
    expect(project.warnings).toEqual([]);
    await project.send('Orders', 'one');
    await project.line(/^\[Worker\] got one$/);
    const invoke = (body: string): Promise<Response> =>
      fetch(`${lambdaUrl}/2015-03-31/functions/Worker/invocations`, { method: 'POST', body });
    expect(await (await invoke('{"Records":[]}')).json()).toBe('done by Worker');
    const failed = await invoke('{}');
    expect(failed.headers.get('x-amz-function-error')).toBe('Unhandled');
    expect(await failed.json()).toMatchObject({
      errorType: 'java.lang.IllegalStateException',
      errorMessage: 'no records',
    });
  });

  it('runs from a jar that another tool of a serverless.yml makes', async () => {
    const yaml = `service: shop
provider: { name: aws, runtime: java21, memorySize: 256, timeout: 60 }
package: { artifact: target/shop.jar }
functions: { worker: { handler: 'shop.Worker::handle', events: [{ sqs: !GetAtt Orders.Arn }] } }
resources: { Resources: { Orders: { Type: AWS::SQS::Queue } } }
`;
    project = new ScratchProject({ 'serverless.yml': yaml, 'Worker.java': WORKER, 'target/.gitignore': '*\n' });
    const classes = join(project.folder, 'target', 'classes');
    execFileSync('javac', ['-d', classes, join(project.folder, 'Worker.java')]);
    execFileSync('jar', ['--create', '--file', join(project.folder, 'target', 'shop.jar'), '-C', classes, '.']);
    await project.start();
    await project.send('Orders', 'one');
    await project.line(/^\[shop-dev-worker\] got one$/);
  });
});
