/**
 * Makes the packages that users install, from this clone, into `packages/`.
 *
 * Usage: npm run package [-- module|js|python|java|dotnet|go ...]; all of them by default. A language whose tools are
 * missing on this machine gets its source alone, and the last lines say so.
 *
 * @module
 */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compileModule, installTools, MODULE, ROOT, runTool } from './module.ts';
import { installed, run } from './run.ts';

const PACKAGES = join(ROOT, 'packages');

/** The program that builds the package of a language. The Go module is source: `go` only resolves its modules. */
const BUILDERS = { python: 'python3', java: 'mvn', dotnet: 'dotnet', go: 'go' } as const;
type Language = keyof typeof BUILDERS;
const LANGUAGES = ['python', 'java', 'dotnet', 'go'] as const satisfies readonly Language[];

const CONTENTS: Readonly<Record<Language, string>> = {
  python: 'a wheel and a source distribution',
  java: 'a Maven repository with the jar, its sources and its documentation',
  dotnet: 'a NuGet package',
  go: 'the Go module',
};

await makePackages(process.argv.slice(2));

async function makePackages(asked: readonly string[]): Promise<void> {
  const known = ['module', 'js', ...LANGUAGES];
  const unknown = asked.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${known.join(', ')}`);
  const wanted = (name: string) => asked.length === 0 || asked.includes(name);
  const report: string[] = [];

  if (wanted('js')) {
    await packForNpm();
    report.push('packages/js: the npm packages karin-queue and karin-server');
  }
  const languages = LANGUAGES.filter(wanted);
  if (languages.length > 0 || wanted('module')) {
    await installTools();
    await compileModule();
  }
  const built = languages.filter((language) => installed(BUILDERS[language]));
  const sources = languages.filter((language) => !installed(BUILDERS[language]));
  await generate(built, []);
  await generate(sources, ['--code-only']);
  for (const language of built) report.push(`packages/${language}: ${CONTENTS[language]}`);
  for (const language of sources)
    report.push(
      `packages/${language}: source only, because ${BUILDERS[language]} is not installed; nothing compiled it`,
    );
  for (const line of report) process.stdout.write(`${line}\n`);
}

/** Packing builds what it packs. */
async function packForNpm(): Promise<void> {
  const target = join(PACKAGES, 'js');
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const built of ['dist', 'runtime/dist']) rmSync(join(ROOT, built), { recursive: true, force: true });
  for (const scope of [[], ['--workspace', 'karin-server']])
    await run('npm', ['pack', '--silent', ...scope, '--pack-destination', target], ROOT);
}

async function generate(languages: readonly Language[], options: readonly string[]): Promise<void> {
  if (languages.length === 0) return;
  const out = join(MODULE, '..', 'generated');
  rmSync(out, { recursive: true, force: true });
  const targets = languages.flatMap((language) => ['--target', language]);
  await runTool('jsii-pacmak', [...targets, '--outdir', out, ...options]);
  for (const language of languages) {
    const target = join(PACKAGES, language);
    rmSync(target, { recursive: true, force: true });
    if (!existsSync(join(out, language))) throw new Error(`jsii-pacmak made nothing for ${language}`);
    cpSync(join(out, language), target, { recursive: true });
  }
}
