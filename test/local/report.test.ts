import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { report } from '../../runtime/dev/report.ts';
import type { LoggedResult } from '../../runtime/dev/runtime-api.ts';
import { readApplication } from '../../runtime/dev/template/application.ts';
import { templateOf } from '../../runtime/dev/template/model.ts';

describe('what is said of an invocation', () => {
  let folder: string;

  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-report-')));
    writeFileSync(join(folder, 'worker.ts'), "one\n  throw new Error('no');\nthree\n");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const RedrivePolicy = { deadLetterTargetArn: { 'Fn::GetAtt': ['Dlq', 'Arn'] }, maxReceiveCount: 3 };
  const stacks = (queue: object = { RedrivePolicy }) =>
    readApplication(
      [
        {
          name: 'shop',
          folder,
          assets: new Map(),
          template: templateOf({
            Resources: {
              Dlq: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'jobs-dlq' } },
              Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'jobs', VisibilityTimeout: 60, ...queue } },
              Fn: {
                Type: 'AWS::Lambda::Function',
                Properties: { FunctionName: 'fn', Runtime: 'nodejs22.x', Handler: 'worker.handler', Code: folder },
              },
              Mapping: {
                Type: 'AWS::Lambda::EventSourceMapping',
                Properties: {
                  EventSourceArn: { 'Fn::GetAtt': ['Queue', 'Arn'] },
                  FunctionName: { 'Fn::GetAtt': ['Fn', 'Arn'] },
                  Enabled: false,
                  FunctionResponseTypes: ['ReportBatchItemFailures'],
                },
              },
            },
          }),
        },
      ],
      {
        account: '000000000000',
        region: 'eu-west-1',
        sqsOrigin: 'http://127.0.0.1:4000',
        layersFolder: join(folder, 'layers'),
        functionUrl: () => '',
      },
    );
  const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const batch = (...receiveCounts: number[]): Uint8Array =>
    bytes({
      Records: receiveCounts.map((count, index) => ({
        messageId: `m${index}`,
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:eu-west-1:000000000000:jobs',
        attributes: { ApproximateReceiveCount: String(count) },
      })),
    });
  const said = (payload: Uint8Array, result: LoggedResult, of = stacks()): readonly string[] => {
    const functionArn = 'arn:aws:lambda:eu-west-1:000000000000:function:fn';
    const run = { invocation: { functionArn, payload }, result, durationMs: 12.4 };
    return report(run, of, folder).map(({ text }) => text);
  };
  const failure = (error: object): LoggedResult => ({ kind: 'function-error', payload: bytes(error) });
  const response = (value: unknown): LoggedResult => ({ kind: 'response', payload: bytes(value) });

  it('is one line with the count, the queue, the duration and the result', () => {
    expect(said(batch(1, 1), response(null))).toEqual(['2 messages of jobs, 12 ms: ok']);
    expect(said(bytes({ any: 'event' }), response({ statusCode: 200 }))).toEqual(['12 ms: ok']);
  });

  it('is, of a failure, the error, the line of the source, and what happens to the messages next', () => {
    const node = failure({
      errorType: 'Error',
      errorMessage: 'no',
      trace: [
        'Error: no',
        `    at inner (${folder}/node_modules/x/index.js:1:1)`,
        `    at handler (${folder}/worker.ts:2:9)`,
        '    at node:internal/process/task_queues:95:5',
      ],
    });
    expect(said(batch(1), node)).toEqual([
      'Error: no (1 message of jobs, 12 ms)',
      "  at worker.ts:2  throw new Error('no');",
      '  1 message comes again 60 s after the receive (receive 1 of 3)',
    ]);
    expect(said(batch(1, 3, 3), node).at(-1)).toBe(
      '  1 message comes again 60 s after the receive (receive 1 of 3); 2 messages received 3 of 3 times: to jobs-dlq',
    );
    expect(said(batch(7), node, stacks({})).at(-1)).toMatch(/until they succeed or expire: .* no dead-letter queue$/);
  });

  it('names the innermost line of the user in Python, and the place that esbuild names', () => {
    const python = failure({
      errorType: 'ValueError',
      errorMessage: 'no',
      stackTrace: [
        `  File "${folder}/app.py", line 9, in handler\n    work()\n`,
        `  File "${folder}/worker.ts", line 2, in work\n    raise\n`,
        '  File "/usr/lib/python3/site-packages/boto3/session.py", line 5, in client\n',
      ],
    });
    expect(said(bytes({}), python)[1]).toBe("  at worker.ts:2  throw new Error('no');");
    const bundle = failure({
      errorType: 'Runtime.UserCodeSyntaxError',
      errorMessage: `✘ [ERROR] Unexpected "x"\n\n    ${folder}/worker.ts:2:4:\n      2 │ x`,
    });
    expect(said(bytes({}), bundle)).toEqual([
      'Runtime.UserCodeSyntaxError: ✘ [ERROR] Unexpected "x" (12 ms)',
      "  at worker.ts:2  throw new Error('no');",
    ]);
    expect(said(bytes({}), failure({ errorType: 'Sandbox.Timedout', errorMessage: 'late' }))).toEqual([
      'Sandbox.Timedout: late (12 ms)',
      '  no line of a source is known',
    ]);
  });

  it('counts what the function reported as failed, and says when its report is none', () => {
    expect(said(batch(1, 2), response({ batchItemFailures: [{ itemIdentifier: 'm1' }] }))).toEqual([
      '2 messages of jobs, 12 ms: 1 ok, 1 reported as failed',
      '  1 message comes again 60 s after the receive (receive 2 of 3)',
    ]);
    expect(said(batch(1), response({ batchItemFailures: [{}] }))[0]).toMatch(
      /^all messages count as failed: batchItem/,
    );
  });
});
