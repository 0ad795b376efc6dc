/**
 * Shapes: what a member of a request or an answer is, as data. One description drives the decoders and encoders of both protocols and, through
 * `Value`, the TypeScript type that the actions see.
 *
 * @module
 */

/** How a member differs from its plain shape. */
interface MemberTraits {
  /** Name in the Query protocol, where it differs: for lists and maps the name of one flattened item (`AttributeName.1`). */
  readonly wire?: string;
  /** Must be present and not empty; what the `MissingParameter` error calls it. */
  readonly required?: string;
  /** Name in the JSON rendering of the Query protocol (`Accept: application/json`), where it differs from the member's. */
  readonly plain?: string;
}

export type StringShape = MemberTraits & { readonly kind: 'string' };
/** 32 or 64 bits on the wire alike; a JavaScript integer here. */
export type IntegerShape = MemberTraits & { readonly kind: 'integer' };
export type BooleanShape = MemberTraits & { readonly kind: 'boolean' };
/** Bytes; base64 on the wire. */
export type BlobShape = MemberTraits & { readonly kind: 'blob' };
/** Always flattened in the Query protocol: SQS has no other lists. */
export type ListShape = MemberTraits & { readonly kind: 'list'; readonly of: Shape };
/** Flattened as well; `key` and `value` name the two halves of an item in the Query protocol. */
export type MapShape = MemberTraits & {
  readonly kind: 'map';
  readonly of: Shape;
  readonly key: string;
  readonly value: string;
};
export type StructureShape = MemberTraits & { readonly kind: 'structure'; readonly members: Members };

export type Shape = StringShape | IntegerShape | BooleanShape | BlobShape | ListShape | MapShape | StructureShape;
/** Members by their name in the JSON protocol. */
export type Members = Readonly<Record<string, Shape>>;

/** The TypeScript type of a shape. Members that are not required may be absent. */
export type Value<S> = S extends { readonly kind: 'string' }
  ? string
  : S extends { readonly kind: 'integer' }
    ? number
    : S extends { readonly kind: 'boolean' }
      ? boolean
      : S extends { readonly kind: 'blob' }
        ? Uint8Array
        : S extends { readonly kind: 'list'; readonly of: infer Item }
          ? readonly Value<Item>[]
          : S extends { readonly kind: 'map'; readonly of: infer Item }
            ? ReadonlyMap<string, Value<Item>>
            : S extends { readonly kind: 'structure'; readonly members: infer M }
              ? StructureValue<M>
              : never;

type StructureValue<M> = {
  readonly [K in keyof M as M[K] extends { readonly required: string } ? K : never]: Value<M[K]>;
} & {
  readonly [K in keyof M as M[K] extends { readonly required: string } ? never : K]?: Value<M[K]> | undefined;
};

export const string = { kind: 'string' } as const;
export const integer = { kind: 'integer' } as const;
export const boolean = { kind: 'boolean' } as const;
export const blob = { kind: 'blob' } as const;

/** A list whose items are called `wire` in the Query protocol. */
export function list<const S extends Shape, const W extends string>(wire: W, of: S) {
  return { kind: 'list', of, wire } as const;
}

/** A map whose items are called `wire` in the Query protocol, with the halves `key` and `value`. */
export function map<const S extends Shape, const W extends string>(wire: W, of: S, key = 'Name', value = 'Value') {
  return { kind: 'map', of, key, value, wire } as const;
}

export function structure<const M extends Members>(members: M) {
  return { kind: 'structure', members } as const;
}

/** Marks a member that must be present and not empty; `missing`: what the error calls it. */
export function required<const S extends Shape>(missing: string, shape: S) {
  return { ...shape, required: missing } as const;
}

/** Gives a member another name in the JSON rendering of the Query protocol. */
export function plain<const S extends Shape>(name: string, shape: S) {
  return { ...shape, plain: name } as const;
}

/** The name of a member in the Query protocol. */
export function wireName(member: string, shape: Shape): string {
  return shape.wire ?? member;
}
