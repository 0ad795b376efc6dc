/**
 * Digests, as the one SDK sees them that verifies those of message attributes and of system attributes too.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { JAVA_LIBRARIES, program } from './support/paths.ts';
import { runProgram } from './support/run-program.ts';
import { type ClientServer, clientEnvironment, startServer } from './support/server.ts';

let server: ClientServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

it('the AWS SDK for Java v2 finds every digest right', async () => {
  const parameters = ['--class-path', join(JAVA_LIBRARIES, '*'), program('java/Digests.java')];
  const environment = clientEnvironment({ ENDPOINT: server.url, NAME: 'digests' });
  expect(await runProgram({ file: 'java', parameters }, environment)).toEqual({ all: 10, some: 4, none: 0 });
});
