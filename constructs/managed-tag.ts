/** Key of the tag that marks functions, mappings and anchors as Karin's. */
export const MANAGED_TAG = 'karin:managed';

/** Its value. */
export const MANAGED_TAG_VALUE = 'true';
