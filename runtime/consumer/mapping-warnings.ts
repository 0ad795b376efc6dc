/**
 * Warnings about mappings that can be served but are likely not meant as they are; each is given once per cause, and again if the cause went away and came back.
 *
 * @module
 */
import { expectedRunSeconds, longestInvokeSeconds, type Mapping } from '../lambda/mapping.ts';
import { queueKey } from '../queue/arn.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { ConsumerEvent, EventSink } from './events.ts';
import { unknownTags } from './tuning.ts';

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

/** A durable execution that may outlast any Invoke: AWS ends the Invoke, while the execution goes on and its messages come back. */
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
