/** The package carries no types. */
declare module 'cluster-key-slot' {
  /** The slot of a key, 0 to 16,383; only its hash tag counts if it has one. */
  export default function slotOf(key: string): number;
}
