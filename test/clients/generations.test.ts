/**
 * One conversation with the server (`programs/conversation.mjs`), held by SDKs of several generations and languages,
 * each verifying what it verifies. Signed with a key, and with a capability in the endpoint path under keys that the
 * server does not know.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GO_PROGRAM, program, pythonProgram } from './support/paths.ts';
import { type Command, runProgram } from './support/run-program.ts';
import { ACCOUNT, type ClientServer, clientEnvironment, startServer, TOKEN } from './support/server.ts';

interface Client {
  readonly name: string;
  readonly command: Command;
  /**
   * How this client names the errors of the service model: by shape, or by Query code. Errors that are not in the model
   * have their Query code everywhere.
   */
  readonly codes: 'shape' | 'query';
  readonly protocol: 'json' | 'query';
  readonly hasNoStatus?: true;
  /** This client knows ReceiptHandleIsInvalid, and its model of that error has no text. */
  readonly losesText?: true;
  readonly bytes?: readonly number[];
}

const node = (...parameters: readonly string[]): Command => ({ file: process.execPath, parameters });

const CLIENTS: readonly Client[] = [
  {
    name: 'AWS SDK for JavaScript v3, current',
    command: node(program('javascript-v3.mjs'), '@aws-sdk/client-sqs'),
    codes: 'shape',
    protocol: 'json',
  },
  {
    name: 'AWS SDK for JavaScript v3.362.0',
    command: node(program('javascript-v3.mjs'), 'client-sqs-3-362'),
    codes: 'query',
    protocol: 'query',
    losesText: true,
  },
  {
    name: 'AWS SDK for JavaScript v2.1400.0',
    command: node(program('javascript-v2.mjs')),
    codes: 'query',
    protocol: 'query',
  },
  {
    name: 'boto3, current',
    command: { file: pythonProgram('current', 'python'), parameters: [program('conversation.py')] },
    codes: 'query',
    protocol: 'json',
  },
  {
    name: 'botocore 1.31.80',
    command: { file: pythonProgram('query-era', 'python'), parameters: [program('conversation.py')] },
    codes: 'query',
    protocol: 'query',
  },
  {
    name: 'AWS CLI',
    command: node(program('aws-cli.mjs'), pythonProgram('current', 'aws')),
    codes: 'query',
    protocol: 'json',
    hasNoStatus: true,
    bytes: [97, 98, 99],
  },
  {
    name: 'AWS SDK for Go v2',
    command: { file: GO_PROGRAM, parameters: [] },
    codes: 'query',
    protocol: 'json',
  },
];

let server: ClientServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

describe.each(CLIENTS)('$name', (client) => {
  it('signed with an access key', async () => {
    await converse('signed', server.url, {});
  });

  it('with a capability in the endpoint', async () => {
    const unknownKeys = { AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN', AWS_SECRET_ACCESS_KEY: 'unknown' };
    await converse('capable', `${server.url}/k/${TOKEN}`, unknownKeys);
  });

  async function converse(how: string, endpoint: string, credentials: Record<string, string>): Promise<void> {
    const name = `${how}-${CLIENTS.indexOf(client)}`;
    const seen = await runProgram(
      client.command,
      clientEnvironment({ ENDPOINT: endpoint, NAME: name, ...credentials }),
    );
    expect(seen).toEqual(expectedOf(client, `${endpoint}/${ACCOUNT}/${name}`));
    expect(seen['firstId']).toBe(seen['sentId']);
  }
});

function expectedOf(client: Client, url: string): object {
  const refusal = (shape: string, query: string, status: number, message: string) => ({
    code: client.codes === 'shape' ? shape : query,
    ...(client.hasNoStatus ? {} : { status }),
    message,
  });
  return {
    url,
    found: url,
    listed: [url],
    visibilityTimeout: '45',
    maximumMessageSize: '65536',
    tags: { team: 'clients' },
    sentId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    batched: ['second', 'third'],
    refused: [{ Id: 'late', Code: 'InvalidParameterValue', SenderFault: true }],
    receivedBodies: ['h\u00e9llo <&>\r\n\u{1f600}', 'second', 'third'],
    firstId: expect.any(String),
    firstText: '\u00e9\r',
    firstNumber: '12.5',
    firstBytes: client.bytes ?? [0, 255, 13],
    firstTrace: 'Root=1-2-3',
    receiveCount: '2',
    hidden: 2,
    deleted: 2,
    notDeleted: [{ Id: 'bad', Code: 'ReceiptHandleIsInvalid', SenderFault: true }],
    delayed: 'delayed',
    ordered: ['1', '2', '3'],
    duplicateHasFirstNumber: true,
    missing: refusal(
      'QueueDoesNotExist',
      'AWS.SimpleQueueService.NonExistentQueue',
      400,
      client.protocol === 'json'
        ? 'The specified queue does not exist.'
        : 'The specified queue does not exist for this wsdl version.',
    ),
    badHandle: refusal(
      'ReceiptHandleIsInvalid',
      'ReceiptHandleIsInvalid',
      404,
      client.losesText ? 'UnknownError' : 'The input receipt handle "not a handle" is not a valid receipt handle.',
    ),
    badValue: refusal(
      'InvalidParameterValue',
      'InvalidParameterValue',
      400,
      'Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.',
    ),
    left: '0',
  };
}
