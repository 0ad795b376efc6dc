// The conversation with the AWS SDK for JavaScript v2, which speaks the Query protocol.
import { converse } from './conversation.mjs';

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';
const { default: AWS } = await import('aws-sdk');
const client = new AWS.SQS({ endpoint: process.env.ENDPOINT });

const seen = await converse(
  {
    call: (action, input) => client[`${action.charAt(0).toLowerCase()}${action.slice(1)}`](input).promise(),
    describe: (error) => ({ code: error.code, status: error.statusCode, message: error.message }),
    bytes: Buffer.from([0, 255, 13]),
    readBytes: (value) => [...value],
  },
  process.env.NAME,
);
process.stdout.write(`${JSON.stringify(seen)}\n`);
