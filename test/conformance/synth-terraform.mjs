// Imports the cdktf construct from an ECMAScript module.
import { KarinRuntime } from 'karin-queue/terraform';

if (typeof KarinRuntime !== 'function') throw new Error('karin-queue/terraform does not export KarinRuntime');
process.stdout.write('imported karin-queue/terraform from an ECMAScript module\n');
