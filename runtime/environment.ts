/**
 * Reads settings from the environment and collects every problem instead of stopping at the first.
 *
 * A problem names the variable, its value unless it is a secret, the rule, and the mend.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

export type Environment = Readonly<Record<string, string | undefined>>;

export class EnvironmentReader {
  readonly problems: string[] = [];
  readonly #environment: Environment;
  readonly #known = new Set<string>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** The value, without surrounding space; empty counts as absent, because that is how a shell or a compose file unsets one. */
  text(name: string): string | undefined {
    this.#known.add(name);
    const value = this.#environment[name]?.trim();
    return value === '' ? undefined : value;
  }

  /** The value, or the contents of the file that `<name>_FILE` names: a file is not shown by `docker inspect` and not inherited by child processes. */
  secret(name: string): string | undefined {
    const value = this.text(name);
    const path = this.text(`${name}_FILE`);
    if (path === undefined) return value;
    if (value !== undefined) {
      this.problems.push(`${name} and ${name}_FILE are both set: leave one of them out`);
      return value;
    }
    try {
      const contents = readFileSync(path, 'utf8').trim();
      if (contents !== '') return contents;
      this.problems.push(`${name}_FILE=${path}: the file is empty`);
    } catch (error) {
      this.problems.push(`${name}_FILE=${path}: cannot be read (${error instanceof Error ? error.message : error})`);
    }
    return undefined;
  }

  /** A whole number from `min` to `max`; `unit` stands in the problem. */
  integer(name: string, min: number, max: number, fallback: number, unit = ''): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const of = unit === '' ? '' : ` of ${unit}`;
    this.problems.push(
      `${name}=${text}: must be a whole number${of} from ${min} to ${max}; leave it out for ${fallback}`,
    );
    return fallback;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[], fallback: T): T {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const found = allowed.find((value) => value === text);
    if (found !== undefined) return found;
    this.problems.push(`${name}=${text}: must be one of ${allowed.join(', ')}; leave it out for ${fallback}`);
    return fallback;
  }

  /** `1` or `true`, `0` or `false`; default false. */
  flag(name: string): boolean {
    const text = this.text(name)?.toLowerCase();
    if (text === undefined || text === '0' || text === 'false') return false;
    if (text === '1' || text === 'true') return true;
    this.problems.push(`${name}=${text}: must be 1 or 0; leave it out for 0`);
    return false;
  }

  /** The parts of a list separated by commas or white space; empty parts are left out. */
  list(name: string): readonly string[] {
    return parts(this.text(name));
  }

  /** As `list`, of a secret. */
  secretList(name: string): readonly string[] {
    return parts(this.secret(name));
  }

  /** Variables that begin with `prefix` and were never asked for: most likely misspelt. */
  unread(prefix: string): readonly string[] {
    return Object.keys(this.#environment).filter((name) => name.startsWith(prefix) && !this.#known.has(name));
  }
}

function parts(text: string | undefined): readonly string[] {
  return (text ?? '').split(/[\s,]+/).filter((part) => part !== '');
}
