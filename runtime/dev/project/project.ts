/**
 * A project that `karin dev` runs: whatever its kind, stacks come out of it.
 *
 * @module
 */

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { CommandRunner } from '../processes.ts';
import type { StackSource } from '../template/model.ts';

/** The stacks of a project, read just now. */
export interface LoadedProject {
  readonly stacks: readonly StackSource[];
  /** What its developer should know, one sentence each. */
  readonly notes: readonly string[];
}

export interface Project {
  /** For people: what was found, and where. */
  readonly description: string;
  /** What reading it takes, if it takes long: `npx tsx app.ts`. */
  readonly command?: string;
  /** Reads the stacks; may take seconds. Errors: `ProjectError`, `DiscoveryError`, `TemplateSyntaxError`. */
  load(): Promise<LoadedProject>;
  /**
   * Whether a change of this file (an absolute path) may change the stacks; otherwise it is code at most. `isInput`:
   * functions are known to be bundled of it.
   */
  concerns(path: string, isInput: boolean): boolean;
}

/** The project cannot be read; the message says what was found, what is wrong, and what mends it. */
export class ProjectError extends Error {
  override readonly name = 'ProjectError';
}

/**
 * The environment with the programs of the folder's own virtual environment of Python before all others, if there is
 * one and none is active: commands of projects in Python expect it.
 */
export function withVirtualEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  folder: string,
): Readonly<Record<string, string | undefined>> {
  if (environment['VIRTUAL_ENV'] !== undefined) return environment;
  const [isWindows, programs] = process.platform === 'win32' ? [true, 'Scripts'] : [false, 'bin'];
  const found = ['.venv', 'venv']
    .map((name) => join(folder, name))
    .find((place) => existsSync(join(place, programs, isWindows ? 'python.exe' : 'python')));
  if (found === undefined) return environment;
  const path = [join(found, programs), environment['PATH'] ?? ''].join(delimiter);
  return { ...environment, VIRTUAL_ENV: found, PATH: path };
}

/** What all kinds of projects are given. */
export interface ProjectParts {
  /** Absolute. */
  readonly folder: string;
  /** Where a project may put what it makes: below its folder, and ignored by Git. */
  readonly workFolder: string;
  readonly account: string;
  readonly region: string;
  /** Origin of the SQS API. */
  readonly sqsOrigin: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly run: CommandRunner;
}
