import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from './dev-process.ts';

/** What is started by karin dev holds a connection to the test as long as it lives. */
describe.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('karin dev leaves nothing behind at %s', (signal) => {
  let folder: string;
  let watcher: Server;
  let hold: string;
  let dev: ChildProcess;
  let ready: Promise<string>;

  beforeEach(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-signals-')));
    watcher = createServer((socket) => socket.on('error', () => {}).resume());
    watcher.listen(0, '127.0.0.1');
    await once(watcher, 'listening');
    // Listening on a TCP port: the address is never the name of a pipe.
    hold = `require('node:net').connect(${(watcher.address() as AddressInfo).port}, '127.0.0.1')`;
  });
  afterEach(() => {
    dev.kill('SIGKILL');
    watcher.close();
    rmSync(folder, { recursive: true });
  });

  const start = (): void => {
    const { PATH = '', HOME = '' } = process.env;
    const args = [
      '--import',
      'tsx',
      join(ROOT, 'runtime', 'cli', 'karin.ts'),
      'dev',
      '--project',
      folder,
      '--port',
      '0',
    ];
    dev = spawn(process.execPath, args, { cwd: ROOT, env: { PATH, HOME }, stdio: ['ignore', 'pipe', 'inherit'] });
    ready = new Promise((resolve) => {
      if (dev.stdout === null) return;
      createInterface({ input: dev.stdout }).on('line', (line) => {
        if (line.startsWith('karin ready ')) resolve(line.replace('karin ready ', ''));
      });
    });
  };
  const connected = async (): Promise<Socket> => {
    // The listener of connections gets one socket.
    const [socket] = (await once(watcher, 'connection')) as [Socket];
    return socket;
  };
  /** Sends the signal; resolves with the exit status when the process and what it started are gone. */
  const end = async (started: Socket): Promise<number | null> => {
    const gone = once(started, 'close');
    const exited = once(dev, 'close');
    dev.kill(signal);
    await gone;
    const [status] = await exited;
    return status;
  };

  it('while a command of the project runs, with what that started', async () => {
    // A shell that stays, as for `npx tsc && npx tsx app.ts`.
    writeFileSync(join(folder, 'cdk.json'), JSON.stringify({ app: 'node app.cjs && true' }));
    writeFileSync(join(folder, 'app.cjs'), hold);
    const socket = connected();
    start();
    // As shells tell of a signal: nothing was begun that could end in order.
    expect(await end(await socket)).toBe(128 + constants.signals[signal]);
  });

  it('while a function runs', async () => {
    const code = `exports.handler = () => new Promise(() => ${hold});`;
    const resources = {
      Jobs: { Type: 'AWS::SQS::Queue' },
      Fn: {
        Type: 'AWS::Lambda::Function',
        Properties: { Runtime: 'nodejs22.x', Handler: 'index.handler', Timeout: 900, Code: { ZipFile: code } },
      },
      Mapping: {
        Type: 'AWS::Lambda::EventSourceMapping',
        Properties: { EventSourceArn: { 'Fn::GetAtt': ['Jobs', 'Arn'] }, FunctionName: { Ref: 'Fn' }, Enabled: false },
      },
    };
    writeFileSync(join(folder, 'template.json'), JSON.stringify({ Resources: resources }));
    const socket = connected();
    start();
    const endpoint = await ready;
    const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };
    const sqs = new SQSClient({ endpoint, region: 'us-east-1', credentials });
    const QueueUrl = `${endpoint}/000000000000/Jobs`;
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }));
    sqs.destroy();
    expect(await end(await socket)).toBe(0);
  });
});
