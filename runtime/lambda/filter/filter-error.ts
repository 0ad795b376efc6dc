/**
 * What can go wrong with filters.
 *
 * @module
 */

/**
 * A filter pattern that cannot be computed. The mapping must not be served: such a filter may neither drop nor deliver a message.
 */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

/**
 * A message that takes more work to match than any message may. It is neither dropped nor delivered; the messages beside it are unharmed.
 */
export class FilterWorkError extends Error {
  override readonly name = 'FilterWorkError';
}
