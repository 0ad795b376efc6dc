/**
 * The constructs as a jsii module: the sources of the public API and a manifest as jsii wants it, compiled in a folder
 * apart. The packages for Python, Java, .NET and Go are generated from it.
 *
 * The sub-path `karin-queue/terraform` stays out. It extends types of cdktf, so cdktf would be a peer of the module and
 * every app in those languages would have to install it. The npm package is built from the same sources by tsc, and has
 * the sub-path with an optional peer, which only npm can express.
 *
 * @module
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { run } from './run.ts';

export const ROOT = join(import.meta.dirname, '..');
/** Where the module is compiled. `.jsii` in it describes the public API. */
export const MODULE = join(import.meta.dirname, 'dist', 'module');
const TOOLS = join(import.meta.dirname, 'node_modules');

const manifestSchema = z.looseObject({
  version: z.string().optional(),
  repository: z.unknown().optional(),
  peerDependencies: z.record(z.string(), z.string()).default({}),
  devDependencies: z.record(z.string(), z.string()).default({}),
});

/** A package.json, as far as packaging looks at it. */
type Manifest = z.infer<typeof manifestSchema>;

export function readManifest(folder: string): Manifest {
  return manifestSchema.parse(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
}

/** Installs jsii and its company, unless what the lock file says is there. */
export async function installTools(): Promise<void> {
  const installed = join(TOOLS, '.package-lock.json');
  const lock = join(import.meta.dirname, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'error'], import.meta.dirname);
}

/** Runs a tool of `packaging/package.json`. */
export async function runTool(name: string, parameters: readonly string[]): Promise<void> {
  // Node 20 is what the packages promise to work with. jsii still works with it, and warns at length.
  const environment = { JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION: '20', JSII_BUILD_GO: '0' };
  await run(join(TOOLS, '.bin', name), parameters, MODULE, environment);
}

/** Compiles the module in `MODULE`. A warning of jsii fails it. */
export async function compileModule(): Promise<void> {
  rmSync(MODULE, { recursive: true, force: true });
  mkdirSync(MODULE, { recursive: true });
  cpSync(join(ROOT, 'constructs'), join(MODULE, 'constructs'), {
    recursive: true,
    filter: (path) => !['terraform', 'tsconfig.json'].includes(basename(path)),
  });
  for (const file of ['LICENSE', 'constructs/README.md']) cpSync(join(ROOT, file), join(MODULE, basename(file)));
  symlinkSync(TOOLS, join(MODULE, 'node_modules'));
  writeFileSync(join(MODULE, 'package.json'), JSON.stringify(moduleManifest()));
  await runTool('jsii', ['--fail-on-warnings']);
}

/** The module is compiled against the lowest versions that `peerDependencies` allow. */
function moduleManifest(): object {
  const manifest = readManifest(ROOT);
  const floors = readManifest(import.meta.dirname).devDependencies;
  for (const name of ['aws-cdk-lib', 'constructs']) {
    const floor = manifest.peerDependencies[name]?.replace(/^\^/, '');
    if (floors[name] !== floor)
      throw new Error(
        `packaging/ compiles with ${name} ${floors[name]}, but the floor in peerDependencies is ${floor}`,
      );
  }
  const targets: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'targets.json'), 'utf8'));
  return {
    ...pick(manifest, ['name', 'version', 'description', 'license', 'author', 'keywords']),
    // jsii insists on an address. This one cannot be published: the release demands a true one.
    repository: manifest.repository ?? { type: 'git', url: 'https://example.com/karin-queue.git' },
    main: 'lib/index.js',
    types: 'lib/index.d.ts',
    files: ['lib', '.jsii'],
    stability: 'experimental',
    peerDependencies: pick(manifest.peerDependencies, ['aws-cdk-lib', 'constructs']),
    devDependencies: pick(floors, ['aws-cdk-lib', 'constructs', '@types/node']),
    jsii: { outdir: 'dist', tsc: { rootDir: 'constructs', outDir: 'lib' }, targets },
  };
}

function pick(values: Readonly<Record<string, unknown>>, names: readonly string[]): object {
  return Object.fromEntries(names.map((name) => [name, values[name]]));
}
