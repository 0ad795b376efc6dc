/**
 * What an operator can say about a single mapping without a second configuration: tags on the event source mapping in AWS.
 *
 * | tag                         | value           | default                          | meaning                                                                    |
 * |-----------------------------|-----------------|----------------------------------|----------------------------------------------------------------------------|
 * | `karin:consume`             | `true`, `false` | `true`                           | `false`: Karin leaves this mapping alone, however long it is disabled      |
 * | `karin:maximum-concurrency` | 1 to 1000       | the mapping's MaximumConcurrency | Invokes at one time, over all instances; 1, which AWS does not offer, makes processing strictly serial |
 * | `karin:start-concurrency`   | 1 to 1000       | ten per MinimumPollers, else 5   | Invokes at one time with which a backlog is begun, before growth           |
 * | `karin:stop-loops`          | `true`, `false` | the server's setting (`true`)    | `true`: messages of a loop go to the dead-letter queue; without one the mapping is paused |
 *
 * Beside the tags, queue-name globs (`KARIN_CONSUME`) choose the queues that a server consumes at all: `*` stands for any characters, `?` for one, and a leading `!`
 * excludes. A queue is chosen if some glob without `!` matches (or there is none) and no glob with `!` does.
 *
 * A value that cannot be understood stops its mapping: to guess could mean to consume what nobody wanted consumed. A name that means nothing does not, because a later or an earlier
 * version may know it; it is warned of.
 *
 * @module
 */
import { matchesGlob } from '../glob.ts';
import type { Mapping } from '../lambda/mapping.ts';

/** The tags of a mapping, understood. */
export interface Tuning {
  readonly consume: boolean;
  /** Over all instances, 1 to 1,000; absent: no limit of its own. */
  readonly maximumConcurrency?: number;
  /** 1 or more. */
  readonly startConcurrency: number;
  readonly stopLoops: boolean;
}

/** What holds where no tag says otherwise. */
export interface TuningDefaults {
  readonly startConcurrency: number;
  readonly stopLoops: boolean;
}

/** A tag has a value that it cannot have; the message names the tag, the value, the rule and the mend. */
export class TuningError extends Error {
  override readonly name = 'TuningError';
}

const LARGEST_CONCURRENCY = 1_000;
const KNOWN_TAGS = ['karin:consume', 'karin:maximum-concurrency', 'karin:start-concurrency', 'karin:stop-loops'];
/** Tells Karin's resources from others, for permissions; it tunes nothing. */
const MARK_TAG = 'karin:managed';

/** Reads the tags of a mapping. Errors: `TuningError`, with every tag that is wrong. */
export function readTuning(mapping: Mapping, defaults: TuningDefaults): Tuning {
  const problems: string[] = [];

  const flag = (tag: string, fallback: boolean): boolean => {
    const value = mapping.tags[tag];
    if (value === undefined || value === '') return fallback;
    if (value === 'true' || value === 'false') return value === 'true';
    problems.push(`tag ${tag} is ${JSON.stringify(value)}, but must be true or false`);
    return fallback;
  };
  const count = (tag: string): number | undefined => {
    const value = mapping.tags[tag];
    if (value === undefined || value === '') return undefined;
    const number = /^\d{1,4}$/.test(value) ? Number(value) : 0;
    if (number >= 1 && number <= LARGEST_CONCURRENCY) return number;
    problems.push(
      `tag ${tag} is ${JSON.stringify(value)}, but must be a whole number from 1 to ${LARGEST_CONCURRENCY}`,
    );
    return undefined;
  };

  const maximumConcurrency = count('karin:maximum-concurrency') ?? mapping.maximumConcurrency;
  const tuning: Tuning = {
    consume: flag('karin:consume', true),
    ...(maximumConcurrency !== undefined && { maximumConcurrency }),
    startConcurrency: count('karin:start-concurrency') ?? mapping.startConcurrency ?? defaults.startConcurrency,
    stopLoops: flag('karin:stop-loops', defaults.stopLoops),
  };
  if (problems.length > 0) {
    throw new TuningError(`${problems.join('; ')}; correct or remove the tag on the event source mapping, then sync`);
  }
  return tuning;
}

/** What to tell an operator of tags that look like Karin's and are none; `undefined`: there are none. */
export function unknownTags({ tags }: Mapping): string | undefined {
  const unknown = Object.keys(tags).filter(
    (tag) => /^karin:/i.test(tag) && tag !== MARK_TAG && !KNOWN_TAGS.includes(tag),
  );
  if (unknown.length === 0) return undefined;
  const what = unknown.length === 1 ? `the tag ${unknown[0]} has` : `the tags ${unknown.join(', ')} have`;
  return `${what} no effect, perhaps for a misspelling; Karin knows ${KNOWN_TAGS.join(', ')}`;
}

/** Whether a queue name is chosen by globs, as the module comment describes them. */
export function queueNameChooser(globs: readonly string[]): (name: string) => boolean {
  const includes = globs.filter((glob) => !glob.startsWith('!'));
  const excludes = globs.filter((glob) => glob.startsWith('!')).map((glob) => glob.slice(1));
  return (name) =>
    (includes.length === 0 || includes.some((glob) => matchesGlob(glob, name))) &&
    !excludes.some((glob) => matchesGlob(glob, name));
}
