/**
 * CDK apps, synthesized as the CDK CLI does it: the `app` command of cdk.json runs with the context in its environment
 * and writes a cloud assembly. The assembly goes to a folder of its own, because one with local endpoints must never be
 * deployed by mistake. Each synthesis has a new one: bundles of the one before are running, and go on running if this
 * one fails.
 *
 * @module
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { bootstrapFile } from '../bootstrap-file.ts';
import { appSources, isCdkBundle } from '../cdk-bundle.ts';
import { isBelow } from '../platform.ts';
import { findStacks } from '../template/application.ts';
import { type JsonObject, objectOr, type StackSource, textOr } from '../template/model.ts';
import {
  type LoadedProject,
  type Project,
  ProjectError,
  type ProjectParts,
  withVirtualEnvironment,
} from './project.ts';

/** Sources that an app is made of; other files are watched only as the code of functions. */
const SOURCE = /\.([cm]?[jt]sx?|json|ya?ml|py|java|kt|cs|go)$/;
/** What one variable of the environment may hold on Linux is 128 KiB; beyond it the context travels in a file. */
const LARGEST_CONTEXT = 100_000;

export function cdkProject(parts: ProjectParts): Project {
  const { folder } = parts;
  const settings = readJson(join(folder, 'cdk.json'));
  const app = textOr(settings['app'], undefined);
  const earlier = resolve(folder, textOr(settings['output'], 'cdk.out'));
  let code: Code = { folders: [], bundled: false };
  let sources: ReadonlySet<string> | undefined;
  /** Of successful readings. */
  let generation = 0;
  const assemblies = join(parts.workFolder, 'cdk.out');
  const assembly = (number: number): string => join(assemblies, String(number));

  const load = async (): Promise<LoadedProject> => {
    if (generation === 0) await rm(assemblies, { recursive: true, force: true });
    const fallback = generation === 0 ? earlier : undefined;
    const [{ stacks, notes }, found] = await Promise.all([
      synthesize(parts, settings, app, assembly(generation + 1), fallback),
      appSources(app ?? '', folder),
    ]);
    sources = found;
    generation += 1;
    // The last one may still be running what it had begun.
    await rm(assembly(generation - 2), { recursive: true, force: true });
    code = codeOf(stacks, parts);
    return { stacks, notes };
  };
  return {
    description: `the CDK app in ${folder}`,
    ...(app === undefined ? {} : { command: app }),
    load,
    // Code that is not copied on synthesis is read where its author edits it, and handlers are bundled without one; of
    // which files other bundles are made nobody says.
    concerns: (path, isInput) => {
      if (!SOURCE.test(path)) return false;
      if (code.bundled || sources?.has(path)) return true;
      if (isInput) return sources === undefined;
      return !code.folders.some((folder) => isBelow(folder, path));
    },
  };
}

/**
 * `output`: where the assembly goes. `earlier`: one to fall back on, if it is there; `undefined`: what was read before
 * is better than that.
 */
async function synthesize(
  parts: ProjectParts,
  settings: JsonObject,
  app: string | undefined,
  output: string,
  earlier: string | undefined,
): Promise<LoadedProject> {
  const { folder, run } = parts;
  const hasEarlier = earlier !== undefined && existsSync(join(earlier, 'manifest.json'));
  if (app === undefined) {
    if (hasEarlier)
      return { stacks: findStacks(earlier), notes: [`cdk.json has no 'app'; ${earlier} is used as it is`] };
    throw new ProjectError(`${join(folder, 'cdk.json')} has no 'app', the command that synthesizes it`);
  }
  const ready = resolve(folder, app);
  if (statSync(ready, { throwIfNoEntry: false })?.isDirectory()) return { stacks: findStacks(ready), notes: [] };

  await rm(output, { recursive: true, force: true });
  await mkdir(output, { recursive: true });
  const environment = await synthesisEnvironment(parts, settings, output);
  const build = textOr(settings['build'], undefined);
  for (const command of build === undefined ? [app] : [build, app]) {
    const { succeeded, output: printed } = await run(command, { cwd: folder, environment });
    if (succeeded) continue;
    const failure = `'${command}' failed:\n${printed.trim()}${mendOf(printed)}`;
    if (!hasEarlier) throw new ProjectError(failure);
    return { stacks: findStacks(earlier), notes: [`${failure}\n${earlier}, which was made earlier, is used instead`] };
  }
  if (!existsSync(join(output, 'manifest.json'))) {
    throw new ProjectError(`'${app}' wrote no cloud assembly; does the app end with app.synth(), where it needs to?`);
  }
  return { stacks: findStacks(output), notes: missingContext(output) };
}

/** What mends a failure that says little of it. */
function mendOf(printed: string): string {
  return /No module named '?aws_cdk/.test(printed)
    ? "\ninstall what the app needs: 'python3 -m venv .venv', '.venv/bin/pip install -r requirements.txt'; .venv is used as it is"
    : '';
}

async function synthesisEnvironment(
  parts: ProjectParts,
  settings: JsonObject,
  output: string,
): Promise<Readonly<Record<string, string | undefined>>> {
  const { folder, workFolder, account, region, sqsOrigin, environment } = parts;
  const context = {
    ...objectOr(readJson(join(homedir(), '.cdk.json'))['context']),
    ...readJson(join(folder, 'cdk.context.json')),
    ...objectOr(settings['context']),
    'karin:endpoint': sqsOrigin,
    'aws:cdk:enable-path-metadata': true,
    'aws:cdk:enable-asset-metadata': true,
    'aws:cdk:version-reporting': false,
    'aws:cdk:bundling-stacks': ['**'],
    // Code is run where it lies: a change of it needs no synthesis, and it finds its own node_modules.
    'aws:cdk:disable-asset-staging': true,
  };
  const text = JSON.stringify(context);
  const shared = {
    ...withVirtualEnvironment(environment, folder),
    CDK_OUTDIR: output,
    CDK_DEFAULT_ACCOUNT: account,
    CDK_DEFAULT_REGION: region,
    NODE_OPTIONS: `${environment['NODE_OPTIONS'] ?? ''} --require ${JSON.stringify(bootstrapFile('cdk-bundles.cjs'))}`,
  };
  if (text.length <= LARGEST_CONTEXT) return { ...shared, CDK_CONTEXT_JSON: text };
  const file = join(workFolder, 'cdk-context.json');
  await writeFile(file, text);
  return { ...shared, CDK_CONTEXT_JSON: '{}', CONTEXT_OVERFLOW_LOCATION_ENV: file };
}

/** Lookups that only AWS can answer; the CDK goes on with placeholders. */
function missingContext(output: string): readonly string[] {
  const { missing } = readJson(join(output, 'manifest.json'));
  const keys = (Array.isArray(missing) ? missing : []).map((one: unknown) => textOr(objectOr(one)['key'], ''));
  if (keys.length === 0) return [];
  return [
    `the app looks up values in AWS that cdk.context.json does not hold, placeholders stand for them: ${keys.join(', ')}`,
  ];
}

/** Where the code of functions and layers comes from. */
interface Code {
  /** Those of the author, which are not copied. */
  readonly folders: readonly string[];
  /** Some of it was made by the synthesis in a way that is not known, out of sources that may lie anywhere. */
  readonly bundled: boolean;
}

function codeOf(stacks: readonly StackSource[], { workFolder }: ProjectParts): Code {
  const paths = stacks.flatMap(({ template, folder }) =>
    Object.values(template.resources).flatMap(({ type, metadata }) => {
      const path = textOr(metadata['aws:asset:path'], undefined);
      return path === undefined || !type.startsWith('AWS::Lambda::') ? [] : [resolve(folder, path)];
    }),
  );
  const isMade = (path: string): boolean => isBelow(workFolder, path);
  return {
    folders: paths.filter((path) => !isMade(path)),
    bundled: paths.some((path) => isMade(path) && !isCdkBundle(path)),
  };
}

/** A JSON file; an empty object if there is none. Errors: `ProjectError` if it cannot be parsed. */
function readJson(file: string): JsonObject {
  if (!existsSync(file)) return {};
  try {
    return objectOr(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new ProjectError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
}
