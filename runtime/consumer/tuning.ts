/**
 * What an operator can say about a single mapping without a second configuration: tags on the event source mapping in
 * AWS.
 *
 * | tag                         | value           | default                          | meaning                                                                    |
 * |-----------------------------|-----------------|----------------------------------|----------------------------------------------------------------------------|
 * | `karin:consume`             | `true`, `false` | `true`                           | `false`: Karin leaves this mapping alone, however long it is disabled      |
 * | `karin:maximum-concurrency` | 1 to 1000       | the mapping's MaximumConcurrency | Invokes at one time, over all instances; 1, which AWS does not offer, makes processing strictly serial |
 * | `karin:start-concurrency`   | 1 to 1000       | ten per MinimumPollers, else 5   | Invokes at one time with which a backlog is begun, before growth           |
 * | `karin:stop-loops`          | `true`, `false` | the server's setting (`true`)    | `true`: messages of a loop go to the dead-letter queue; without one the mapping is paused |
 *
 * Beside the tags, queue-name globs (`KARIN_CONSUME`) choose the queues that a server consumes at all: `*` stands for
 * any characters, `?` for one, and a leading `!` excludes. A queue is chosen if some glob without `!` matches (or there
 * is none) and no glob with `!` does.
 *
 * A value that cannot be understood stops its mapping: a wrong guess could consume messages that are not meant for this
 * server. A name that means nothing does not, because a later or an earlier version may know it; it is warned of.
 *
 * @module
 */

import { expectedRunSeconds, longestInvokeSeconds, type Mapping } from '../aws/mapping.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { matchesQueue, type QueueRef, queueKey } from '../queue/names.ts';
import type { ConsumerEvent, EventSink } from './events.ts';

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

/** Whether a queue is chosen by globs, as the module comment describes them. */
export function queueChooser(globs: readonly string[]): (queue: QueueRef) => boolean {
  const includes = globs.filter((glob) => !glob.startsWith('!'));
  const excludes = globs.filter((glob) => glob.startsWith('!')).map((glob) => glob.slice(1));
  return (queue) =>
    (includes.length === 0 || includes.some((glob) => matchesQueue(glob, queue))) &&
    !excludes.some((glob) => matchesQueue(glob, queue));
}

/*
 * Warnings about mappings that can be served but are likely not meant as they are; each is given once per cause, and
 * again if the cause went away and came back.
 */

type Warning = ConsumerEvent & { readonly kind: 'warning' };

export class MappingWarnings {
  readonly #directory: QueueDirectory;
  readonly #events: EventSink;
  #given: ReadonlySet<string> = new Set();

  constructor(directory: QueueDirectory, events: EventSink) {
    this.#directory = directory;
    this.#events = events;
  }

  /** Looks at all mappings that are served now; answers every warning that holds for them, given before or not. */
  check(mappings: readonly Mapping[]): readonly string[] {
    const warnings = [
      ...mappings.flatMap((mapping) => [
        ...this.#shortVisibility(mapping),
        ...longExecution(mapping),
        ...strangeTags(mapping),
      ]),
      ...competition(mappings),
    ];
    const causes = new Map(
      warnings.map((warning) => [`${warning.what} ${warning.mapping} ${warning.detail}`, warning]),
    );
    for (const [cause, warning] of causes) if (!this.#given.has(cause)) this.#events.emit(warning);
    this.#given = new Set(causes.keys());
    return [...causes.values()].map(({ mapping, detail }) => `mapping ${mapping}: ${detail}`);
  }

  /** Leases that end before the function may. AWS checks it when a mapping is made, but never again. */
  #shortVisibility(mapping: Mapping): readonly Warning[] {
    const queue = queueKey(mapping.queueArn);
    const visibility = this.#directory.byKey(queue)?.definition.attributes.visibilityTimeoutSeconds;
    const runSeconds = expectedRunSeconds(mapping);
    if (visibility === undefined || visibility >= runSeconds) return [];
    const limit = mapping.durableExecutionTimeoutSeconds === undefined ? 'timeout' : 'execution timeout';
    return [
      {
        kind: 'warning',
        what: 'visibility-too-short',
        mapping: mapping.uuid,
        queue,
        detail:
          `the visibility timeout of the queue is ${visibility} s, the ${limit} of ${mapping.functionArn} is ${runSeconds} s: ` +
          `messages may be delivered again while the function still works on them; AWS advises six times the ${limit} of the function`,
      },
    ];
  }
}

/**
 * A durable execution that may outlast any Invoke: AWS ends the Invoke, while the execution goes on and its messages
 * come back.
 */
function longExecution(mapping: Mapping): readonly Warning[] {
  const execution = mapping.durableExecutionTimeoutSeconds;
  const longest = longestInvokeSeconds(mapping);
  if (execution === undefined || execution <= longest) return [];
  return [
    {
      kind: 'warning',
      what: 'execution-too-long',
      mapping: mapping.uuid,
      queue: queueKey(mapping.queueArn),
      detail:
        `the execution timeout of ${mapping.functionArn} is ${execution} s, but AWS lets an Invoke last ${longest} s: ` +
        'a longer execution goes on while its messages are delivered again; ' +
        `set its ExecutionTimeout to ${longest} s or less`,
    },
  ];
}

/** A tag whose name is misspelt would otherwise go unnoticed, and what it was to prevent would happen. */
function strangeTags(mapping: Mapping): readonly Warning[] {
  const detail = unknownTags(mapping);
  if (detail === undefined) return [];
  return [{ kind: 'warning', what: 'unknown-tag', mapping: mapping.uuid, queue: queueKey(mapping.queueArn), detail }];
}

/** Several mappings of one queue compete for its messages; that is easily taken for fan-out. */
function competition(mappings: readonly Mapping[]): readonly Warning[] {
  const perQueue = new Map<string, Mapping[]>();
  for (const mapping of mappings) {
    const key = queueKey(mapping.queueArn);
    perQueue.set(key, [...(perQueue.get(key) ?? []), mapping]);
  }
  return [...perQueue].flatMap(([queue, competing]): readonly Warning[] => {
    const [first, ...others] = competing;
    if (first === undefined || others.length === 0) return [];
    const functions = competing.map((mapping) => mapping.functionArn).join(', ');
    const filtered = competing.some((mapping) => mapping.filterPatterns.length > 0);
    return [
      {
        kind: 'warning',
        what: 'several-mappings',
        mapping: first.uuid,
        queue,
        detail:
          `${competing.length} mappings compete for this queue (${functions}): each message goes to one of them` +
          (filtered ? ', and what its filters do not match is deleted, whatever the others would have done' : ''),
      },
    ];
  });
}
