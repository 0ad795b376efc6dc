/**
 * JSON by which values are compared: one text for equal values, whatever the order in which their members were written.
 *
 * @module
 */

/** JSON with members in order of their names, at every depth. */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
