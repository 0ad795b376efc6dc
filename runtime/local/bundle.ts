/**
 * TypeScript handlers, bundled for Node with esbuild.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import type { BuildOptions } from 'esbuild';

/** The sources cannot be bundled; the message is esbuild's, with file, line and column. */
export class BundleError extends Error {
  override readonly name = 'BundleError';
}

/** Packages that AWS's Node runtimes bring along. */
const PROVIDED = ['@aws-sdk/*', '@smithy/*'];

/** CommonJS packages inside an ES module still call `require`. */
const REQUIRE_FOR_MODULES = [
  "import { createRequire as __createRequire } from 'node:module';",
  'const require = __createRequire(import.meta.url);',
].join('\n');

/** Bundles `entry` into `folder` and returns the file. `layers`: folders of the packages that layers bring. Errors: `BundleError`. */
export async function bundleHandler(entry: string, folder: string, layers: readonly string[] = []): Promise<string> {
  // Loaded here, because only functions in TypeScript need it.
  const { build, formatMessages } = await import('esbuild');
  const isModule = isEcmaScriptModule(entry);
  const outfile = join(folder, isModule ? 'handler.mjs' : 'handler.cjs');
  const options: BuildOptions = {
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: `node${process.versions.node}`,
    format: isModule ? 'esm' : 'cjs',
    mainFields: isModule ? ['module', 'main'] : ['main', 'module'],
    external: PROVIDED,
    nodePaths: [...layers],
    sourcemap: 'linked',
    logLevel: 'silent',
    ...(isModule ? { banner: { js: REQUIRE_FOR_MODULES } } : {}),
  };
  try {
    await build(options);
  } catch (error) {
    // esbuild rejects with a BuildFailure, whose `errors` it formats itself; anything else has no such member.
    const { errors } = error as { readonly errors?: Parameters<typeof formatMessages>[0] };
    const lines = errors === undefined ? [String(error)] : await formatMessages(errors, { kind: 'error' });
    throw new BundleError(`${entry} cannot be bundled:\n${lines.join('\n').trim()}`, { cause: error });
  }
  return outfile;
}

/** As Node and TypeScript decide: by the extension, else by the nearest package.json. */
function isEcmaScriptModule(file: string): boolean {
  const extension = extname(file);
  if (extension === '.mts') return true;
  if (extension === '.cts') return false;
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest)) {
      // Only one member is looked at, and compared with a text.
      const { type } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly type?: unknown };
      return type === 'module';
    }
    if (folder === dirname(folder)) return false;
  }
}
