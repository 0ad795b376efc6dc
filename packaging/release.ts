/**
 * Releases one version of every package: checks, builds, lists what is inside, and publishes.
 *
 * Usage: npm run release [-- --dry-run]          tells each step and publishes nothing; this is the default
 *        npm run release -- --dry-run --built    the same with what stands in packages/ already
 *        npm run release -- --publish
 *
 * A contradiction in the repository fails every run. What only the release itself needs (a clean tree, the changelog
 * closed, credentials, every language compiled) fails `--publish` before anything is published; a dry run names it and
 * goes on.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { ROOT, readManifest } from './module.ts';
import { contradictions, type Facts, openPoints, publications } from './release-plan.ts';
import { installed, run } from './run.ts';

const PACKAGES = join(ROOT, 'packages');
const OPTIONS = ['--dry-run', '--built', '--publish'];

await release(process.argv.slice(2));

async function release(options: readonly string[]): Promise<void> {
  const unknown = options.find((option) => !OPTIONS.includes(option));
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${OPTIONS.join(', ')}`);
  const publish = options.includes('--publish');
  if (publish && options.length > 1) throw new Error('--publish builds everything anew and takes no other option');

  const facts = readFacts();
  say(`1. checks: karin ${facts.version}`);
  const wrong = contradictions(facts);
  if (wrong.length > 0) throw new Error(`the repository contradicts itself:\n${bullets(wrong)}`);
  const plan = publications(facts.version);
  const open = openPoints(facts, plan, (program) => installed(program), process.env);
  for (const point of open) say(`   ${publish ? 'stops the release' : 'would stop the release'}: ${point}`);
  if (publish && open.length > 0) throw new Error('nothing was published');

  say('2. packages');
  if (options.includes('--built')) say('   those in packages/, as they are');
  else await run('npm', ['run', '--silent', 'package'], ROOT);

  say('3. bills of materials (CycloneDX, by npm sbom) and SHA256SUMS');
  writeBills();
  writeSums();

  say(publish ? '4. publish' : '4. would publish');
  for (const { title, command, environment } of plan) {
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    say(`   ${title}\n     $ ${[...variables, ...command].join(' ')}`);
    const [program = '', ...parameters] = command;
    if (publish) await run(program, parameters, ROOT, environment);
  }
  say(publish ? `released ${facts.version}` : 'dry run: nothing was published');
}

function readFacts(): Facts {
  const text = (path: string) => readFileSync(join(ROOT, path), 'utf8');
  const { version = '', repository } = readManifest(ROOT);
  return {
    version,
    versions: {
      'runtime/package.json': readManifest(join(ROOT, 'runtime')).version ?? '',
      'package-lock.json': z.object({ version: z.string() }).parse(JSON.parse(text('package-lock.json'))).version,
      'examples/java-cdk/pom.xml': /<karin\.version>(.*?)</.exec(text('examples/java-cdk/pom.xml'))?.[1] ?? '',
      'packaging/README.md':
        /<artifactId>karin-queue<\/artifactId><version>(.*?)</.exec(text('packaging/README.md'))?.[1] ?? '',
    },
    changelog: text('CHANGELOG.md'),
    repository: repository !== undefined,
    changed: execFileSync('git', ['status', '--porcelain'], { cwd: ROOT, encoding: 'utf8' }).trim(),
  };
}

/** The server is bundled: what it is made of stands in the development dependencies of its workspace. */
function writeBills(): void {
  const folder = join(PACKAGES, 'sbom');
  mkdirSync(folder, { recursive: true });
  const bills = {
    'karin-queue': ['--workspaces=false', '--omit=dev'],
    'karin-server': ['--workspace', 'karin-server'],
  };
  for (const [name, scope] of Object.entries(bills)) {
    const bill = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only', ...scope], {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    const { components } = z
      .object({ bomFormat: z.literal('CycloneDX'), components: z.array(z.object({ name: z.string() })) })
      .parse(JSON.parse(bill));
    writeFileSync(join(folder, `${name}.cdx.json`), bill);
    say(`   packages/sbom/${name}.cdx.json: ${components.length} components`);
  }
}

function writeSums(): void {
  const target = join(PACKAGES, 'SHA256SUMS');
  rmSync(target, { force: true });
  const files = readdirSync(PACKAGES, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  const lines = paths.map((path) => {
    const sum = createHash('sha256').update(readFileSync(path)).digest('hex');
    return `${sum}  ${relative(PACKAGES, path)}\n`;
  });
  writeFileSync(target, lines.join(''));
  say(`   packages/SHA256SUMS: ${lines.length} files`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}
