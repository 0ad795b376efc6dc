/**
 * One order for everything a discovery returns: its result is stored only when it differs, and serialised equally it must compare equal.
 *
 * @module
 */

/** Compares by code units, for `sort`. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The same entries, sorted by key. */
export function sortedByKey<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => compareTexts(a, b)));
}
