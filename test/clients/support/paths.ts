/**
 * Where the clients are installed.
 *
 * @module
 */
import { join } from 'node:path';

export const CLIENTS = join(import.meta.dirname, '..');
/** Not in the repository. */
export const CACHE = join(CLIENTS, '.cache');
export const GO_PROGRAM = join(CACHE, 'go-client');
/** A folder of jars. */
export const JAVA_LIBRARIES = join(CACHE, 'java');

/** Each has a file of requirements. */
export const PYTHON_ENVIRONMENTS = ['current', 'query-era', 'celery'] as const;

export function pythonEnvironment(name: (typeof PYTHON_ENVIRONMENTS)[number]): string {
  return join(CACHE, `python-${name}`);
}

/** A program of such an environment. */
export function pythonProgram(name: (typeof PYTHON_ENVIRONMENTS)[number], program: string): string {
  return join(pythonEnvironment(name), 'bin', program);
}

/** A program of this folder. */
export function program(file: string): string {
  return join(CLIENTS, 'programs', file);
}
