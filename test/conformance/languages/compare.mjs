// Fails unless two cloud assemblies hold the same template, the hashes of assets excepted.
// Usage: node compare.mjs <expected cdk.out> <actual cdk.out> <name of the stack>
import { deepStrictEqual } from 'node:assert';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , expected, actual, stack] = process.argv;
const templateIn = (folder) =>
  JSON.parse(readFileSync(join(folder, `${stack}.template.json`), 'utf8').replaceAll(/[0-9a-f]{64}/g, 'HASH'));

const template = templateIn(actual);
deepStrictEqual(template, templateIn(expected));
const count = Object.keys(template.Resources).length;
if (count < 10) throw new Error(`only ${count} resources were synthesized`);
process.stdout.write(`the same ${count} resources as in TypeScript\n`);
