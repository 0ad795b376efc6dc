/**
 * A filter pattern that cannot be computed. The mapping must not be served: such a filter may neither drop nor deliver a message.
 */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}
