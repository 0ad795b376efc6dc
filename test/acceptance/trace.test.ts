import { expect, it } from 'vitest';
import { createInvoker } from '../../runtime/aws/invoke.ts';
import { formatQueueArn } from '../../runtime/queue/names.ts';
import { systemTime } from '../../runtime/time.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { ScriptableLambda } from '../support/scriptable-lambda.ts';
import { arnOf, discoveryOf } from '../sync/discoveries.ts';

const TRACE = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';

it('the trace header of a SendMessage request reaches the function, as a header of its Invoke and in the record', async () => {
  const lambda = await ScriptableLambda.start();
  try {
    const invoker = createInvoker({
      region: 'eu-west-1',
      endpoint: lambda.endpoint,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxSockets: 50,
      time: systemTime,
    });
    const { url } = await runKarin(
      { AWS_REGION: 'eu-west-1' },
      { invoker, source: { description: 'the test', discover: async () => discoveryOf(['jobs']) } },
    );
    const { account, name } = arnOf('jobs');
    const input = { QueueUrl: `${url}/${account}/${name}`, MessageBody: 'traced' };
    const sent = await sqsCall(url, 'SendMessage', input, { 'X-Amzn-Trace-Id': TRACE });
    expect(sent.status).toBe(200);

    const call = await lambda.next();
    expect(call.headers['x-amzn-trace-id']).toMatch(new RegExp(`^${TRACE};Karin=[0-9a-f]{8}:1$`));
    expect(call.event).toMatchObject({
      Records: [
        { body: 'traced', attributes: { AWSTraceHeader: TRACE }, eventSourceARN: formatQueueArn(arnOf('jobs')) },
      ],
    });
  } finally {
    await lambda.close();
  }
});
