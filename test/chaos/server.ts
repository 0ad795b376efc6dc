/**
 * A server to be killed: the whole of it, but that the test says which mappings there are. Runs as a child process, see
 * `server-process.ts`.
 *
 * @module
 */
import { z } from 'zod';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import { startKarin } from '../../runtime/main.ts';
import { readConfig } from '../../runtime/settings.ts';

/** Environment variable with the discovery as JSON. */
const VARIABLE = 'KARIN_TEST_DISCOVERY';

const { [VARIABLE]: text = '', ...environment } = process.env;
// Written by the test itself, a moment ago.
const discovery = z.custom<Discovery>((value) => typeof value === 'object').parse(JSON.parse(text));
const karin = await startKarin(readConfig(environment), {
  source: { description: 'the test', discover: async () => discovery },
});
let deleted = 0;
karin.events.subscribe((event) => {
  if (event.kind === 'deleted') deleted += event.messageIds.length;
});
process.on('message', () => process.send?.({ deleted }));
process.on('disconnect', () => process.exit());
process.send?.({ url: karin.url });
