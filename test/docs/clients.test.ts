/** The versions of SDKs that the guide calls tested are those that `test/clients` runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './blocks.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const GUIDE = read('docs/guides/clients.md');

/** Name in the first column, and where the version stands that the third one names. */
const SOURCES: readonly (readonly [sdk: string, file: string, version: RegExp])[] = [
  ['AWS CLI', 'requirements/current.txt', /^awscli==(\d+\.\d+)/m],
  ['JavaScript v3', 'package.json', /"@aws-sdk\/client-sqs": "(\d+\.\d+)/],
  ['JavaScript v3', 'package.json', /npm:@aws-sdk\/client-sqs@(\d+\.\d+)/],
  ['JavaScript v2', 'package.json', /"aws-sdk": "(\d+\.\d+)/],
  ['Python (boto3)', 'requirements/current.txt', /^boto3==(\d+\.\d+)/m],
  ['Python (boto3)', 'requirements/query-era.txt', /^botocore==(\d+\.\d+)/m],
  ['Go v2', 'programs/go/go.mod', /service\/sqs v(\d+\.\d+)/],
  ['Java v2', 'programs/java/pom.xml', /<version>(2\.\d+)/],
  ['Celery (kombu)', 'requirements/celery.txt', /^celery==(\d+\.\d+)/m],
  ['sqs-consumer', 'package.json', /"sqs-consumer": "(\d+\.\d+)/],
];

describe('the guide to the endpoint line of each SDK', () => {
  it.each(SOURCES)('names the version of %s that %s has', (sdk, file, version) => {
    const [, found] = version.exec(read(`test/clients/${file}`)) ?? [];
    const row = GUIDE.split('\n').find((line) => line.startsWith(`| ${sdk} |`)) ?? '';
    expect(row.split('|').at(-2)).toMatch(new RegExp(`\\b${found?.replace('.', '\\.')}\\b`));
  });

  it('calls no SDK tested that is not', () => {
    const rows = GUIDE.split('\n').filter((line) => /^\| .* \|$/.test(line) && !/^\| (?:SDK|-+) /.test(line));
    const tested = rows.filter((row) => !row.endsWith('| no |')).map((row) => row.split('|')[1]?.trim());
    expect(tested.filter((sdk) => sdk !== '---' && !SOURCES.some(([name]) => name === sdk))).toEqual([]);
  });
});
