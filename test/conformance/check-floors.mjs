// Fails unless the versions here are the lowest that the package says it works with.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , root] = process.argv;
const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const { peerDependencies } = read(join(root, 'package.json'));
const { devDependencies } = read(new URL('./package.json', import.meta.url));

for (const name of ['aws-cdk-lib', 'constructs']) {
  const floor = peerDependencies[name].replace(/^\^/, '');
  if (devDependencies[name] !== floor) {
    throw new Error(
      `test/conformance checks ${name} ${devDependencies[name]}, but the floor in peerDependencies is ${floor}`,
    );
  }
}
