import { request } from 'node:http';
import {
  GetEventSourceMappingCommand,
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  LambdaClient,
  ListEventSourceMappingsCommand,
  ListFunctionsCommand,
  ListFunctionUrlConfigsCommand,
  ListTagsCommand,
} from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { createAwsDiscovery } from '../../runtime/aws/discovery/aws.ts';
import { createInvoker } from '../../runtime/aws/invoke.ts';
import { ownScope } from '../../runtime/aws/scope.ts';
import { startRuntimeApi } from '../../runtime/dev/runtime-api.ts';
import type { TemplateMapping } from '../../runtime/dev/template/model.ts';
import { systemTime } from '../../runtime/time.ts';
import { ScriptedAws } from '../lambda/discovery/scripted-aws.ts';
import { ScratchLambda } from './scratch-lambda.ts';

function mapping(uuid: string, enabled = false): TemplateMapping {
  return {
    enabled,
    mapping: {
      uuid,
      mappingArn: `arn:aws:lambda:eu-west-1:000000000000:event-source-mapping:${uuid}`,
      queueArn: { partition: 'aws', region: 'eu-west-1', account: '000000000000', name: 'jobs' },
      functionArn: 'arn:aws:lambda:eu-west-1:000000000000:function:fn',
      batchSize: 5,
      batchWindowSeconds: 2,
      filterPatterns: ['{"body":["x"]}'],
      reportBatchItemFailures: true,
      maximumConcurrency: 3,
      functionTimeoutSeconds: 10,
      lastModified: 1_735_689_600_123,
      tags: { 'karin:managed': 'true' },
    },
  };
}

describe('the Lambda API of the local Lambda', () => {
  let scratch: ScratchLambda;

  beforeEach(async () => {
    scratch = new ScratchLambda();
    await scratch.start();
    scratch.write('index.js', 'exports.handler = async (event) => event;');
  });
  afterEach(() => scratch.stop());

  it('lists mappings by pages of at most a hundred', async () => {
    const many = Array.from({ length: 130 }, (_, index) => mapping(`m${index}`, index === 0));
    scratch.apply([scratch.define()], { mappings: many });
    const first = await scratch.client.send(new ListEventSourceMappingsCommand({ MaxItems: 1000 }));
    expect(first.EventSourceMappings).toHaveLength(100);
    const rest = await scratch.client.send(new ListEventSourceMappingsCommand({ Marker: first.NextMarker }));
    expect(rest.EventSourceMappings).toHaveLength(30);
    expect(rest.NextMarker).toBeFalsy();
    expect(first.EventSourceMappings?.slice(0, 2).map(({ State }) => State)).toEqual(['Enabled', 'Disabled']);
  });

  it('is read by the discovery that reads AWS', async () => {
    scratch.apply([scratch.define()], { mappings: [mapping('a'), mapping('b', true)] });
    const client = { endpoint: scratch.lambda.origin, credentials: { accessKeyId: 'x', secretAccessKey: 'x' } };
    const aws = new ScriptedAws();
    aws.script.queues = { '000000000000/jobs': {} };
    await aws.start();
    onTestFinished(() => aws.stop());
    const sqs = { ...client, endpoint: aws.url };
    const source = createAwsDiscovery({ scope: ownScope('eu-west-1'), time: systemTime, lambda: client, sqs });
    const found = await source.discover(undefined, true);
    expect(found.mappings).toEqual([mapping('a').mapping]);
    expect(found.foreign.map(({ uuid }) => uuid)).toEqual(['b']);
  });

  it('gives one mapping, its tags, and functions with their URLs', async () => {
    scratch.apply([scratch.define({ url: { cors: {} } }), scratch.define({ name: 'other' })], {
      mappings: [mapping('a')],
    });
    const one = await scratch.client.send(new GetEventSourceMappingCommand({ UUID: 'a' }));
    expect(one).toMatchObject({ UUID: 'a', BatchSize: 5, ScalingConfig: { MaximumConcurrency: 3 } });
    const tags = await scratch.client.send(new ListTagsCommand({ Resource: one.EventSourceMappingArn }));
    expect(tags.Tags).toEqual({ 'karin:managed': 'true' });
    const functions = await scratch.client.send(new ListFunctionsCommand({}));
    expect(functions.Functions?.map(({ FunctionName }) => FunctionName)).toEqual(['fn', 'other']);
    const urls = await scratch.client.send(new ListFunctionUrlConfigsCommand({ FunctionName: 'fn' }));
    expect(urls.FunctionUrlConfigs?.map(({ FunctionUrl }) => FunctionUrl)).toEqual([scratch.lambda.functionUrl('fn')]);
    const none = await scratch.client.send(new ListFunctionUrlConfigsCommand({ FunctionName: 'other' }));
    expect(none.FunctionUrlConfigs).toEqual([]);
  });

  it.each([
    ['fn', 200],
    ['fn:live', 200],
    ['fn:$LATEST', 200],
    ['fn:7', 200],
    ['000000000000:function:fn', 200],
    ['arn:aws:lambda:eu-west-1:000000000000:function:fn', 200],
    ['arn:aws:lambda:eu-west-1:000000000000:function:fn:live', 200],
    ['fn:gone', 404],
    ['gone', 404],
  ])('knows the function as %s: %i', async (name, status) => {
    scratch.apply([scratch.define({ aliases: ['live'] })]);
    const asked = [
      scratch.client.send(new GetFunctionConfigurationCommand({ FunctionName: name })),
      scratch.client.send(new GetFunctionCommand({ FunctionName: name })).then(({ Configuration }) => Configuration),
    ];
    for (const one of asked) {
      if (status === 200)
        await expect(one).resolves.toMatchObject({ FunctionName: 'fn', Timeout: 10, State: 'Active' });
      else
        await expect(one).rejects.toMatchObject({
          name: 'ResourceNotFoundException',
          $metadata: { httpStatusCode: 404 },
        });
    }
  });

  it('refuses what Lambda refuses', async () => {
    scratch.apply([scratch.define()]);
    const send = (Payload: string, FunctionName = 'fn'): Promise<unknown> =>
      scratch.client.send(new InvokeCommand({ FunctionName, Payload: Buffer.from(Payload) }));
    await expect(send('{', 'fn')).rejects.toMatchObject({ name: 'InvalidRequestContentException' });
    await expect(send('{}', 'gone')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(send(`"${'x'.repeat(6_291_456)}"`)).rejects.toMatchObject({
      name: 'RequestTooLargeException',
      message: 'Request must be smaller than 6291456 bytes for the InvokeFunction operation',
    });
    await expect(scratch.client.send(new GetEventSourceMappingCommand({ UUID: 'gone' }))).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });

  it('tells the end of the log of a run to whoever asks, of that run alone, and 4 KB at most', async () => {
    scratch.write(
      'index.js',
      `exports.handler = async ({ say, times, fail }) => {
        for (let n = 0; n < times; n += 1) console.log(say);
        if (fail) throw new Error('no price');
      };`,
    );
    scratch.apply([scratch.define()]);
    const run = async (event: object, LogType?: 'Tail') => {
      const Payload = Buffer.from(JSON.stringify(event));
      const command = new InvokeCommand({ FunctionName: 'fn', Payload, ...(LogType === undefined ? {} : { LogType }) });
      const { LogResult } = await scratch.client.send(command);
      return LogResult === undefined ? undefined : Buffer.from(LogResult, 'base64').toString();
    };
    expect(await run({ say: 'first', times: 1 })).toBeUndefined();
    const second = await run({ say: 'second', times: 1 }, 'Tail');
    expect(second).toMatch(/^START RequestId: \S+ Version: \$LATEST\n.*second\n.*END RequestId: /s);
    expect(second).not.toContain('first');
    expect(await run({ say: 'third', times: 1, fail: true }, 'Tail')).toContain('third');
    const long = (await run({ say: 'y'.repeat(100), times: 100 }, 'Tail')) ?? '';
    expect(Buffer.byteLength(long)).toBe(4_096);
    expect(long).toMatch(/REPORT RequestId: .*\tDuration: [\d.]+ ms\n$/);
  });

  it('answers a dry run without running, and an asynchronous event at once', async () => {
    scratch.write('index.js', 'exports.handler = async (event) => { console.log("ran", event.how); };');
    scratch.apply([scratch.define()]);
    const call = (InvocationType: 'DryRun' | 'Event'): Promise<{ readonly StatusCode?: number | undefined }> =>
      scratch.client.send(
        new InvokeCommand({ FunctionName: 'fn', InvocationType, Payload: Buffer.from(`{"how":"${InvocationType}"}`) }),
      );
    expect((await call('DryRun')).StatusCode).toBe(204);
    expect((await call('Event')).StatusCode).toBe(202);
    await scratch.printed('ran Event');
    expect(scratch.lines.join('\n')).not.toContain('DryRun');
  });

  it("gives Karin's own invoker each outcome", async () => {
    scratch.write(
      'index.js',
      'exports.handler = async ({ fail }) => { if (fail) throw new Error("no"); return "well"; };',
    );
    scratch.apply([scratch.define({ aliases: ['live'] }), scratch.define({ name: 'closed', reservedConcurrency: 0 })]);
    const invoker = createInvoker({
      region: 'eu-west-1',
      endpoint: scratch.lambda.origin,
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
      maxSockets: 5,
      time: systemTime,
    });
    const run = (functionArn: string, event: object): Promise<unknown> =>
      invoker.invoke({ functionArn, payload: Buffer.from(JSON.stringify(event)), longestSeconds: 10 });
    const arn = scratch.define().arn;
    await expect(run(`${arn}:live`, {})).resolves.toMatchObject({ kind: 'success', response: expect.anything() });
    await expect(run(arn, { fail: true })).resolves.toMatchObject({
      kind: 'function-error',
      errorType: 'Error',
      message: 'no',
    });
    await expect(run(`${arn}-gone`, {})).resolves.toMatchObject({ kind: 'unreached', why: 'not-found' });
    await expect(run(scratch.define({ name: 'closed' }).arn, {})).resolves.toMatchObject({ kind: 'throttled' });
    invoker.close();
  });

  it('refuses web pages, which could otherwise run functions of whoever visits them', async () => {
    scratch.apply([scratch.define()]);
    const answer = await fetch(`${scratch.lambda.origin}/2015-03-31/functions/fn/invocations`, {
      method: 'POST',
      body: '{}',
      headers: { origin: 'https://example.com' },
    });
    expect(answer.status).toBe(403);
  });

  it('refuses names that a stranger can own, also where a function asks for its next event', async () => {
    const api = await startRuntimeApi({ ready: () => {}, answered: () => {}, initFailed: () => {} });
    const paths = [
      `${scratch.lambda.origin}/2015-03-31/functions`,
      `http://${api.address}/2018-06-01/runtime/init/error`,
    ];
    for (const path of paths) {
      const { port, pathname } = new URL(path);
      const status = await new Promise((resolve, reject) => {
        const call = request({ host: '127.0.0.1', port, path: pathname, headers: { host: `evil.example:${port}` } });
        call
          .once('response', (response) => resolve(response.resume().statusCode))
          .once('error', reject)
          .end();
      });
      expect(status, path).toBe(403);
    }
    await api.close();
  });

  it('says that other calls are not its own', async () => {
    const client = new LambdaClient({
      endpoint: scratch.lambda.origin,
      region: 'eu-west-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
      maxAttempts: 1,
    });
    const { ListLayersCommand } = await import('@aws-sdk/client-lambda');
    await expect(client.send(new ListLayersCommand({}))).rejects.toMatchObject({
      name: 'UnknownOperationException',
      message: expect.stringContaining('not part of the local Lambda'),
    });
  });
});
