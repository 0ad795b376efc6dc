/**
 * The committed templates of the examples that other tools than the CDK make; those of the CDK are checked in
 * test/examples.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { command } from './support/command.ts';

const BROADCAST = join(process.cwd(), 'examples/broadcast');

/** What differs from one packaging to the next: hashes of the code, and when it was made. */
const FLEETING: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/"S3Key": ".*\/(\w+\.zip)"/g, '"S3Key": "serverless/broadcast/local/$1"'],
  [/"CodeSha256": ".*"/g, `"CodeSha256": "${'A'.repeat(43)}="`],
  // In base 64 without its signs, so their length varies.
  [/(LambdaVersion|WebsocketsDeployment)(?!Stage)\w{30,}/g, '$1Hash'],
];

type Section = Readonly<Record<string, unknown>>;

/** Sorted, because the framework adds resources and outputs in the order in which it is ready with them. */
function textOf({ Resources, Outputs, ...rest }: { readonly Resources: Section; readonly Outputs?: Section }): string {
  const sorted = (section: Section): Section =>
    Object.fromEntries(Object.entries(section).sort(([a], [b]) => (a < b ? -1 : 1)));
  const template = { ...rest, Resources: sorted(Resources), ...(Outputs && { Outputs: sorted(Outputs) }) };
  return `${JSON.stringify(template, undefined, 2)}\n`;
}

describe('the template of an example is the one that is committed', () => {
  it('broadcast, packaged by the Serverless Framework', async () => {
    if (!existsSync(join(BROADCAST, 'node_modules'))) await command('npm', ['ci'], { cwd: BROADCAST, env: {} });
    await command('npm', ['run', 'build'], { cwd: BROADCAST, env: {} });
    const folder = await mkdtemp(join(tmpdir(), 'karin-broadcast-'));
    await command('node_modules/.bin/serverless', ['package', '--stage', 'local', '--package', folder], {
      cwd: BROADCAST,
      env: {
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'none',
        AWS_SECRET_ACCESS_KEY: 'none',
        SLS_TELEMETRY_DISABLED: '1',
        SLS_NOTIFICATIONS_MODE: 'off',
      },
    });
    const packaged = await readFile(join(folder, 'cloudformation-template-update-stack.json'), 'utf8');
    await rm(folder, { recursive: true });
    const lasting = FLEETING.reduce((text, [pattern, instead]) => text.replace(pattern, instead), packaged);
    await expect(textOf(JSON.parse(lasting))).toMatchFileSnapshot('../examples/broadcast/template.snapshot.json');
  });

  it('sam, translated as CloudFormation does', async () => {
    const args = ['test/deploy/support/translate_sam.py', 'examples/sam/template.yaml'];
    const translated: Parameters<typeof textOf>[0] = JSON.parse(
      await command('python3', args, { env: { AWS_REGION: 'us-east-1', AWS_DEFAULT_REGION: 'us-east-1' } }),
    );
    await expect(textOf(translated)).toMatchFileSnapshot('../examples/sam/template.snapshot.json');
  });
});
