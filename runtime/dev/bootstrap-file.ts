/**
 * The programs of this package that are loaded into processes of its users.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The path of one; in the published package they lie beside the folder of this code. */
export function bootstrapFile(name: string): string {
  const places = ['./bootstrap/', '../bootstrap/'].map((folder) =>
    fileURLToPath(new URL(folder + name, import.meta.url)),
  );
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error(`karin is not installed completely: ${name} is missing`);
  return found;
}
