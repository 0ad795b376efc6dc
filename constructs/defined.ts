/** The properties of `T`, each of which may also be present with the value `undefined`. */
export type PossiblyUndefined<T> = { [K in keyof T]: T[K] | undefined };

/**
 * Leaves out the properties whose value is `undefined`.
 *
 * The types of aws-cdk-lib say "absent or a value" and not "or undefined"; under `exactOptionalPropertyTypes` an
 * optional property can therefore not simply be handed on.
 */
export function defined<T extends object>(properties: PossiblyUndefined<T>): T {
  const entries = Object.entries(properties).filter(([, value]) => value !== undefined);
  // The cast states what the filter did, which the type of Object.fromEntries cannot carry.
  return Object.fromEntries(entries) as T;
}
