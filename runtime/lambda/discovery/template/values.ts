/**
 * Reading JSON of unknown shape without trusting it.
 *
 * @module
 */

/** An object whose members may be anything. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value if it is an object, else an empty one. */
export function objectOr(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function textOr<T>(value: unknown, fallback: T): string | T {
  return typeof value === 'string' ? value : fallback;
}

/** CloudFormation takes numbers and booleans as texts, too. */
export function numberOr<T>(value: unknown, fallback: T): number | T {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return fallback;
  const number = Number(value);
  return Number.isFinite(number) ? number : fallback;
}

export function booleanOr<T>(value: unknown, fallback: T): boolean | T {
  if (typeof value === 'boolean') return value;
  if (typeof value !== 'string') return fallback;
  switch (value.toLowerCase()) {
    case 'true':
      return true;
    case 'false':
      return false;
    default:
      return fallback;
  }
}

/** What a scalar becomes where only text fits, as CloudFormation converts it; `undefined`: it is none. */
export function scalarText(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}

/** `Tags`, as a list of `Key` and `Value` (CloudFormation) or as an object (SAM). */
export function tagsOf(value: unknown): Readonly<Record<string, string>> {
  const entries: readonly (readonly [unknown, unknown])[] = Array.isArray(value)
    ? value.map((tag: unknown) => [objectOr(tag)['Key'], objectOr(tag)['Value']])
    : Object.entries(objectOr(value));
  return Object.fromEntries(
    entries.flatMap(([key, tag]) => (typeof key === 'string' ? [[key, scalarText(tag) ?? '']] : [])),
  );
}
