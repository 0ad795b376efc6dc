/**
 * Reads settings from the environment and collects every problem instead of stopping at the first.
 *
 * A problem names the variable, its value unless it is a secret, the rule, and the mend.
 *
 * @module
 */

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
    return (this.text(name) ?? '').split(/[\s,]+/).filter((part) => part !== '');
  }

  /** Variables that begin with `prefix` and were never asked for: most likely misspelt. */
  unread(prefix: string): readonly string[] {
    return Object.keys(this.#environment).filter((name) => name.startsWith(prefix) && !this.#known.has(name));
  }
}
