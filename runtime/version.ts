import { readFileSync } from 'node:fs';

/** The version of this package: `package.json` stands one folder above the bundle, and beside the sources. */
export function readVersion(): string {
  for (const path of ['../package.json', './package.json']) {
    try {
      // package.json of this package; its shape is known, and checked below.
      const found = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (found.name === 'karin-server' && found.version !== undefined) return found.version;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return 'unknown';
}
