// The conversation with the AWS SDK for JavaScript v3; the argument names the package of the generation to use.
import { converse } from './conversation.mjs';

const sdk = await import(process.argv[2]);
const client = new sdk.SQSClient({ endpoint: process.env.ENDPOINT });

const seen = await converse(
  {
    call: (action, input) => client.send(new sdk[`${action}Command`](input)),
    describe: (error) => ({ code: error.name, status: error.$metadata?.httpStatusCode, message: error.message }),
    bytes: Uint8Array.of(0, 255, 13),
    readBytes: (value) => [...value],
  },
  process.env.NAME,
);
process.stdout.write(`${JSON.stringify(seen)}\n`);
