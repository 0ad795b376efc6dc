import {
  DeleteFunctionCommand,
  LambdaClient,
  ListEventSourceMappingsCommand,
  ListFunctionsCommand,
} from '@aws-sdk/client-lambda';
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCli } from '../cli/run-cli.ts';
import { MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';

let moto: MotoServer;
let redis: RedisServer;

beforeAll(async () => {
  [moto, redis] = await Promise.all([MotoServer.start(), RedisServer.start()]);
  for (const [name, value] of Object.entries(moto.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([moto.stop(), redis.stop()]);
});

describe('karin doctor', () => {
  it('looks at what is deployed, and finds the topic that feeds a queue nobody reads, and the mapping whose function was deleted', async () => {
    const doctor = () => runCli(['doctor'], { ...moto.environment, REDIS_URL: redis.url });
    expect((await doctor()).out).toContain('ok     AWS (us-east-1): 0 disabled SQS mappings can be served');

    const stack = ['test/deploy/support/create_stack.py', 'plain', 'test/deploy/front-doors/plain.json'];
    await command('python3', stack, { env: moto.environment });
    const healthy = await doctor();
    expect(healthy.out).toContain('ok     AWS (us-east-1): 1 disabled SQS mappings can be served');
    expect(healthy.out).toContain('ok     1 functions may be invoked');
    // The emulator does not simulate policies: the doctor says so in one line, and goes on.
    expect(healthy.out).toMatch(/^note {3}permissions were not simulated: .*\n$/m);
    expect(healthy.out).not.toContain('WRONG');
    expect(healthy.status).toBe(0);

    const lambda = new LambdaClient({});
    const { EventSourceMappings } = await lambda.send(new ListEventSourceMappingsCommand({}));
    const anchor = EventSourceMappings?.[0]?.EventSourceArn;
    const sns = new SNSClient({});
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'orders' }));
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: anchor }));
    expect((await doctor()).out).toContain(`note   ${TopicArn} delivers to ${anchor} in SQS, where nobody takes`);
    sns.destroy();

    const { Functions } = await lambda.send(new ListFunctionsCommand({}));
    for (const { FunctionName } of Functions ?? []) await lambda.send(new DeleteFunctionCommand({ FunctionName }));
    lambda.destroy();
    const broken = await doctor();
    expect(broken.out).toMatch(/^WRONG {2}.* does not exist .*deploy it again, or delete the mapping, then sync$/m);
    expect(broken.status).toBe(1);
  });
});
