/**
 * Mappings and queues as a synthesized template states them, without AWS: for development, and for servers that are to
 * follow a file.
 *
 * @module
 */

import {
  compareTexts,
  type Discovery,
  DiscoveryError,
  type DiscoveryProblem,
  type DiscoverySource,
} from '../../aws/discovery/discovery.ts';
import type { BrokenMapping, Mapping } from '../../aws/mapping.ts';
import { stableJson } from '../../aws/mapping.ts';
import { DEFAULT_ATTRIBUTES } from '../../queue/definition.ts';
import type { DiscoveredQueue } from '../../queue/directory.ts';
import { formatQueueArn, parseQueueArn, type QueueArn, queueKey } from '../../queue/names.ts';
import type { QueueKey } from '../../store/store.ts';
import type { Time } from '../../time.ts';
import { findStacks, readApplication } from './application.ts';
import type { TemplateApplication, TemplateFunction, TemplateSettings } from './model.ts';
import { TemplateSyntaxError } from './parse.ts';

/** How an application becomes a discovery. */
export interface ServingOptions {
  /** Serves mappings that the template enables, too; default: they are foreign, as AWS would consume them. */
  readonly consumeEnabled?: boolean;
  /**
   * Every queue of the template exists, not only those that Karin would own in AWS: functions send to the others, too.
   */
  readonly everyQueue?: boolean;
  /** Why a function cannot be invoked; its mappings are then broken. */
  readonly unusable?: (fn: TemplateFunction) => string | undefined;
}

export interface TemplateDiscoveryOptions extends ServingOptions {
  /** A template, or a folder that `findStacks` knows. */
  readonly path: string;
  /** `AWS::AccountId`; twelve digits. */
  readonly account: string;
  readonly region: string;
  readonly time: Time;
}

/** A source that reads the template anew at every sync. */
export function createTemplateDiscovery(options: TemplateDiscoveryOptions): DiscoverySource {
  const { path, account, region, time } = options;
  // Environments of functions are not used here; the values they would hold are.
  const settings = { account, region, sqsOrigin: 'http://localhost', functionUrl: () => 'http://localhost' };
  return {
    description: `template ${path}`,
    async discover(previous, full) {
      const found = discoveryOf(readTemplate(path, settings), previous, time.now(), options);
      return full || previous === undefined ? found : { ...found, detailsReadAt: previous.detailsReadAt };
    },
  };
}

/** Reads the application at `path`. Errors: `DiscoveryError`, naming the file and what is wrong with it. */
export function readTemplate(path: string, settings: TemplateSettings): TemplateApplication {
  try {
    return readApplication(findStacks(path), settings);
  } catch (error) {
    if (error instanceof TemplateSyntaxError) throw new DiscoveryError(error.message, { cause: error });
    throw error;
  }
}

/**
 * What Karin serves of an application. A mapping that did not change keeps its `lastModified`; a new or changed one
 * gets `now` (epoch ms).
 */
export function discoveryOf(
  application: TemplateApplication,
  previous: Discovery | undefined,
  now: number,
  options: ServingOptions = {},
): Discovery {
  const unusable = new Map<string, string>();
  for (const fn of application.functions) {
    const reason = options.unusable?.(fn);
    if (reason !== undefined) unusable.set(fn.arn, reason);
  }
  const before = new Map(previous?.mappings.map((mapping) => [mapping.uuid, mapping]));
  const served: Mapping[] = [];
  const broken: BrokenMapping[] = [...application.broken];
  const foreign = application.mappings.filter(({ enabled }) => enabled && !options.consumeEnabled);
  for (const { mapping, enabled } of application.mappings) {
    if (enabled && !options.consumeEnabled) continue;
    const { uuid, queueArn, functionArn } = mapping;
    const reason = unusable.get(functionOf(mapping));
    if (reason === undefined) served.push(dated(mapping, before.get(uuid), now));
    else broken.push({ uuid, queueArn, functionArn, reason });
  }
  const problems: DiscoveryProblem[] = application.problems.map((text) => ({ about: 'template', text }));
  // Those of a mapping that is served are told with it; others are invoked by programs, who would notice first.
  const mapped = new Set([...served, ...broken].map(functionOf));
  for (const [about, text] of unusable) if (!mapped.has(about)) problems.push({ about, text });
  const sources = [...served, ...broken].map(({ queueArn }) => queueArn);
  const queues = reachableQueues(application, sources, options.everyQueue ?? false, problems);
  return {
    mappings: served.sort((one, other) => compareTexts(one.uuid, other.uuid)),
    broken: broken.sort((one, other) => compareTexts(one.uuid, other.uuid)),
    foreign: foreign.map(({ mapping: { uuid, queueArn, functionArn } }) => ({
      uuid,
      queueArn,
      functionArn,
      state: 'Enabled',
    })),
    queues,
    waitingInSqs: {},
    ...(problems.length === 0 ? {} : { problems }),
    detailsReadAt: now,
  };
}

/** The ARN of its function, without a qualifier. */
function functionOf({ functionArn }: Pick<Mapping, 'functionArn'>): string {
  return functionArn.split(':').slice(0, 7).join(':');
}

function dated(mapping: Mapping, before: Mapping | undefined, now: number): Mapping {
  const unchanged = before !== undefined && stableJson({ ...before, lastModified: 0 }) === stableJson(mapping);
  return { ...mapping, lastModified: unchanged ? before.lastModified : now };
}

/** These queues and their redrive targets, transitively; with `all`, everything that the template defines besides. */
function reachableQueues(
  application: TemplateApplication,
  sources: readonly QueueArn[],
  all: boolean,
  problems: DiscoveryProblem[],
): readonly DiscoveredQueue[] {
  const defined = new Map(application.queues.map((queue) => [queueKey(queue.arn), queue]));
  const reached = new Map<QueueKey, DiscoveredQueue>();
  const next = [...sources];
  if (all) next.push(...application.queues.map(({ arn }) => arn));
  for (let arn = next.pop(); arn !== undefined; arn = next.pop()) {
    const key = queueKey(arn);
    if (reached.has(key)) continue;
    const known = defined.get(key);
    if (known === undefined) {
      const about = formatQueueArn(arn);
      const text = `the queue ${about} is not part of the template; the default attributes of SQS are assumed`;
      problems.push({ about, text });
    }
    const queue = known ?? { arn, attributes: DEFAULT_ATTRIBUTES, tags: {} };
    reached.set(key, queue);
    const target = parseQueueArn(queue.attributes.redrivePolicy?.deadLetterTargetArn ?? '');
    if (target !== undefined) next.push(target);
  }
  return [...reached].sort(([one], [other]) => compareTexts(one, other)).map(([, queue]) => queue);
}
