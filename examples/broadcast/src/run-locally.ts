/**
 * The whole scene on one machine: a DynamoDB emulator, serverless-offline as WebSocket and Lambda, and Karin, which
 * finds the disabled mapping in the packaged template and invokes the function there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import dynalite from 'dynalite';

/** Where each part listens; another program that has a port already is no reason to stop it. */
const PORTS = {
  HTTP_PORT: process.env['HTTP_PORT'] ?? '3000',
  WEBSOCKET_PORT: process.env['WEBSOCKET_PORT'] ?? '3001',
  LAMBDA_PORT: process.env['LAMBDA_PORT'] ?? '3002',
  KARIN_PORT: process.env['KARIN_PORT'] ?? '4000',
  DYNAMODB_PORT: process.env['DYNAMODB_PORT'] ?? '8000',
};
const TEMPLATE = '.serverless/cloudformation-template-update-stack.json';
const KARIN = process.env['RUN_KARIN'] ?? 'karin';

const environment = {
  ...process.env,
  ...PORTS,
  SLS_TELEMETRY_DISABLED: '1',
  SLS_NOTIFICATIONS_MODE: 'off',
  AWS_ACCESS_KEY_ID: 'local',
  AWS_SECRET_ACCESS_KEY: 'local',
  AWS_REGION: 'us-east-1',
  AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${PORTS.DYNAMODB_PORT}`,
  AWS_ENDPOINT_URL_SQS: `http://127.0.0.1:${PORTS.KARIN_PORT}`,
  WEBSOCKET_ENDPOINT: `http://127.0.0.1:${PORTS.WEBSOCKET_PORT}`,
  WEBSOCKET_URL: `ws://127.0.0.1:${PORTS.WEBSOCKET_PORT}`,
};
const children: ChildProcess[] = [];

/**
 * Starts a command, shows what it prints under its name, and resolves when a line matches, or when it ends if nothing
 * is to be waited for.
 */
function run(name: string, command: string, ready?: RegExp): Promise<void> {
  // In a process group of its own: npx and the serverless command start children, which must end with them.
  const child = spawn(command, { shell: true, detached: true, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        console.log(`${name.padEnd(10)} | ${line}`);
        if (ready?.test(line)) resolve();
      });
    }
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${name} ended with status ${code}`))));
  });
}

function stop(status: number): void {
  for (const { pid } of children) {
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGTERM');
    } catch {
      // It has ended already.
    }
  }
  process.exit(status);
}
process.once('SIGINT', () => stop(0));
process.once('SIGTERM', () => stop(0));

try {
  const server = dynalite({ createTableMs: 0 });
  await new Promise<void>((resolve) => server.listen(Number(PORTS.DYNAMODB_PORT), '127.0.0.1', resolve));
  const dynamodb = new DynamoDBClient({
    endpoint: environment.AWS_ENDPOINT_URL_DYNAMODB,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  await dynamodb.send(
    new CreateTableCommand({
      TableName: 'broadcast-local-connections',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    }),
  );
  await run('package', 'npx serverless package --stage local');
  const listen = `--httpPort ${PORTS.HTTP_PORT} --websocketPort ${PORTS.WEBSOCKET_PORT} --lambdaPort ${PORTS.LAMBDA_PORT}`;
  await run('offline', `npx serverless offline --stage local --localEnvironment ${listen}`, /Server ready/);
  await run(
    'karin',
    `${KARIN} dev --template ${TEMPLATE} --port ${PORTS.KARIN_PORT} --lambda-endpoint http://127.0.0.1:${PORTS.LAMBDA_PORT} --no-watch`,
    /karin ready/,
  );
  console.log(`\nopen http://127.0.0.1:${PORTS.HTTP_PORT} and press Start`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  stop(1);
}
