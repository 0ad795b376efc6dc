import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { asksRegistryForKarin, commandsIn, installCommands } from '../support/install-commands.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COMMANDS = installCommands(ROOT);
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

// test/conformance/run documents runs what is extracted here.
describe('the commands of the documents that install something', () => {
  it('are found in blocks and in sentences, without comments, also behind another command', () => {
    const text = [
      'Type `npm install karin-queue` or:',
      '```sh',
      '(cd ../karin && npm ci && npx karin-server dev)   # npm install nothing',
      'npm install --global \\',
      '  a-package',
      '```',
    ].join('\n');
    expect(commandsIn(text)).toEqual([
      'npx karin-server dev',
      'npm install --global a-package',
      'npm install karin-queue',
    ]);
  });

  it.each([
    'npm install karin-queue aws-cdk-lib',
    'npm i -g karin-server@latest',
    'npx karin-server dev',
    'npx --yes karin dev',
    'pip install karin-queue==0.1.0',
    'pip install karin_queue',
    'dotnet add package Karin.Queue',
    'go get github.com/karin-queue/karin-queue-go/karinqueue',
    'docker pull ghcr.io/karin-queue/karin:0.1.0',
  ])('are seen to need a registry: %s', (command) => {
    expect(asksRegistryForKarin(command)).toBe(true);
  });

  it('never ask a registry for Karin, which is on none', () => {
    expect(COMMANDS.length).toBeGreaterThan(5);
    expect(COMMANDS.filter(({ command }) => asksRegistryForKarin(command))).toEqual([]);
  });

  it('name packages that `npm run package` makes', () => {
    const { version } = JSON.parse(read('package.json'));
    const made = [
      `packages/js/karin-queue-${version}.tgz`,
      `packages/js/karin-server-${version}.tgz`,
      `packages/python/karin_queue-${version}-py3-none-any.whl`,
    ];
    const named = COMMANDS.flatMap(({ command }) => command.match(/packages\/(?:js|python)\/\S+/g) ?? []);
    expect(named.length).toBeGreaterThan(5);
    for (const path of named) {
      const [before = '', after = ''] = path.split('*');
      expect(
        made.filter((name) => name.startsWith(before) && name.endsWith(after)),
        path,
      ).toHaveLength(1);
    }
  });

  it('stand in the first lines of the README and of both packages, with the sentence that nothing is published', () => {
    for (const document of ['README.md', 'runtime/README.md', 'constructs/README.md']) {
      const beginning = read(document).split('\n').slice(0, 36).join('\n');
      expect(beginning, document).toMatch(/not\s+on\s+the\s+(?:npm\s+registry|package\s+registries|registries)\s+yet/);
      expect(
        commandsIn(beginning).some((command) => command.includes('../karin/packages/js/')),
        document,
      ).toBe(true);
    }
  });
});
