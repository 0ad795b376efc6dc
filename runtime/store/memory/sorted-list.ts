/**
 * As many items as a bucket may hold; then it is split. Moving this many items in an array is cheaper than any tree.
 */
const BUCKET = 512;

/**
 * Items in order, for millions of them: an array of short sorted arrays. Adding and removing cost a binary search and
 * the shift of one bucket. What the order depends on must not change while an item is in the list.
 */
export class SortedList<T> {
  readonly #compare: (a: T, b: T) => number;
  #buckets: T[][] = [];
  #size = 0;

  /** `compare`: negative if `a` comes first; 0 only for one and the same item. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#buckets[0]?.[0];
  }

  add(item: T): void {
    const index = Math.min(this.#bucketOf(item), Math.max(0, this.#buckets.length - 1));
    const bucket = this.#buckets[index];
    this.#size += 1;
    if (bucket === undefined) {
      this.#buckets.push([item]);
      return;
    }
    bucket.splice(this.#placeIn(bucket, item), 0, item);
    if (bucket.length > BUCKET) this.#buckets.splice(index + 1, 0, bucket.splice(BUCKET / 2));
  }

  /** Answers whether the item was there. */
  remove(item: T): boolean {
    const index = this.#bucketOf(item);
    const bucket = this.#buckets[index];
    if (bucket === undefined) return false;
    const place = this.#placeIn(bucket, item);
    const found = bucket[place];
    if (found === undefined || this.#compare(found, item) !== 0) return false;
    bucket.splice(place, 1);
    if (bucket.length === 0) this.#buckets.splice(index, 1);
    this.#size -= 1;
    return true;
  }

  clear(): void {
    this.#buckets = [];
    this.#size = 0;
  }

  /** The first `count` items, or all. */
  take(count: number): T[] {
    const taken: T[] = [];
    for (const bucket of this.#buckets) {
      if (taken.length >= count) break;
      taken.push(...bucket.slice(0, count - taken.length));
    }
    return taken;
  }

  /** The item at a place, counted from 0. */
  at(place: number): T | undefined {
    let left = place;
    for (const bucket of this.#buckets) {
      if (left < bucket.length) return bucket[left];
      left -= bucket.length;
    }
    return undefined;
  }

  /** The items before the first one that fails `test`. */
  takeWhile(test: (item: T) => boolean): T[] {
    return this.take(this.countWhile(test));
  }

  /** How many items come before the first one that fails `test`; no later one may pass it. */
  countWhile(test: (item: T) => boolean): number {
    let count = 0;
    for (const bucket of this.#buckets) {
      const last = bucket[bucket.length - 1];
      if (last !== undefined && test(last)) {
        count += bucket.length;
        continue;
      }
      return count + firstIndex(bucket.length, (index) => !passes(test, bucket[index]));
    }
    return count;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const bucket of this.#buckets) yield* bucket;
  }

  /** The first bucket whose last item does not come before `item`: the one that has it or would. */
  #bucketOf(item: T): number {
    return firstIndex(this.#buckets.length, (index) => {
      const last = this.#buckets[index]?.at(-1);
      return last !== undefined && this.#compare(last, item) >= 0;
    });
  }

  #placeIn(bucket: readonly T[], item: T): number {
    return firstIndex(bucket.length, (index) => {
      const present = bucket[index];
      return present !== undefined && this.#compare(present, item) >= 0;
    });
  }
}

function passes<T>(test: (item: T) => boolean, item: T | undefined): boolean {
  return item !== undefined && test(item);
}

/**
 * The smallest index below `length` for which `test` holds, given that it holds for all after it; `length` if there is
 * none.
 */
function firstIndex(length: number, test: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (test(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
