// The conversation with the AWS CLI, one process for each call; the argument is the path of `aws`.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { converse } from './conversation.mjs';

const aws = process.argv[2];
const run = promisify(execFile);

/** `ChangeMessageVisibilityBatch` -> `change-message-visibility-batch`. */
const commandOf = (action) => action.replace(/(?<!^)[A-Z]/g, '-$&').toLowerCase();

const seen = await converse(
  {
    async call(action, input) {
      const parameters = ['--cli-input-json', JSON.stringify(input), '--output', 'json'];
      const { stdout } = await run(aws, [
        'sqs',
        commandOf(action),
        '--endpoint-url',
        process.env.ENDPOINT,
        ...parameters,
      ]);
      return stdout.trim() === '' ? {} : JSON.parse(stdout);
    },
    // `An error occurred (Code) when calling the Operation operation: Message`
    describe(error) {
      const [, code, message] = /\((.+?)\) when calling the \w+ operation: (.*)/.exec(error.stderr) ?? [];
      return { code, message };
    },
    // The CLI takes a binary value as text and prints it as base64.
    bytes: 'abc',
    readBytes: (value) => [...Buffer.from(value, 'base64')],
  },
  process.env.NAME,
);
process.stdout.write(`${JSON.stringify(seen)}\n`);
