import { readFileSync } from 'node:fs';

/** Folders in which `package.json` may stand, from here: beside the sources, or above the bundle and its chunks. */
const FOLDERS = ['./', '../', '../../'];

/** The version of this package. */
export function readVersion(): string {
  for (const folder of FOLDERS) {
    const version = versionIn(new URL(`${folder}package.json`, import.meta.url));
    if (version !== undefined) return version;
  }
  return 'unknown';
}

function versionIn(url: URL): string | undefined {
  try {
    const found: unknown = JSON.parse(readFileSync(url, 'utf8'));
    if (typeof found !== 'object' || found === null || !('name' in found) || !('version' in found)) return undefined;
    return found.name === 'karin-server' && typeof found.version === 'string' ? found.version : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
