/**
 * Discoveries for tests, and a source that gives what the test tells it.
 *
 * @module
 */
import {
  type Discovery,
  DiscoveryError,
  type DiscoveryProgress,
  type DiscoverySource,
  type ForeignMapping,
} from '../../runtime/aws/discovery/discovery.ts';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import type { AwsPlace } from '../../runtime/aws/scope.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import type { DiscoveredQueue } from '../../runtime/queue/directory.ts';
import { formatQueueArn, type QueueArn } from '../../runtime/queue/names.ts';
import { queueArn } from '../../runtime/sqs/queue-url.ts';

export function arnOf(name: string): QueueArn {
  return { partition: 'aws', region: 'eu-west-1', account: '111122223333', name };
}

export function keyOf(name: string): string {
  return `eu-west-1:111122223333:${name}`;
}

export function mappingOf(name: string, change: Partial<Mapping> = {}): Mapping {
  return {
    uuid: `uuid-${name}`,
    mappingArn: `arn:aws:lambda:eu-west-1:111122223333:event-source-mapping:uuid-${name}`,
    queueArn: arnOf(name),
    functionArn: `arn:aws:lambda:eu-west-1:111122223333:function:on-${name}`,
    batchSize: 10,
    batchWindowSeconds: 0,
    filterPatterns: [],
    reportBatchItemFailures: false,
    functionTimeoutSeconds: 3,
    lastModified: 0,
    tags: {},
    ...change,
  };
}

export function foreignOf(name: string): ForeignMapping {
  const { uuid, queueArn, functionArn } = mappingOf(name);
  return { uuid, queueArn, functionArn, state: 'Enabled' };
}

export function queueOf(name: string, deadLetters?: string): DiscoveredQueue {
  const policy =
    deadLetters === undefined
      ? {}
      : { redrivePolicy: { deadLetterTargetArn: formatQueueArn(arnOf(deadLetters)), maxReceiveCount: 3 } };
  return { arn: arnOf(name), attributes: { ...DEFAULT_ATTRIBUTES, ...policy }, tags: {} };
}

/** Mappings of these queues, served, and nothing else. */
export function discoveryOf(names: readonly string[], change: Partial<Discovery> = {}): Discovery {
  return {
    mappings: names.map((name) => mappingOf(name)),
    broken: [],
    foreign: [],
    queues: names.map((name) => queueOf(name)),
    waitingInSqs: {},
    detailsReadAt: 0,
    ...change,
  };
}

/** A source under the hand of the test. */
export class ScriptedSource implements DiscoverySource {
  readonly description = 'a script';
  readonly asked: { readonly previous: Discovery | undefined; readonly full: boolean }[] = [];
  /** What it finds next. */
  found: Discovery | Error = discoveryOf([]);
  /** How far it says it is when it is asked; `undefined`: nothing is said. */
  progress: DiscoveryProgress | undefined;
  #gate: Promise<void> | undefined;

  /** From now on answers wait; the returned function lets them go. */
  hold(): () => void {
    let open = (): void => {};
    this.#gate = new Promise((resolve) => {
      open = resolve;
    });
    return () => {
      this.#gate = undefined;
      open();
    };
  }

  async discover(
    previous: Discovery | undefined,
    full: boolean,
    onProgress?: (progress: DiscoveryProgress) => void,
  ): Promise<Discovery> {
    this.asked.push({ previous, full });
    const { found, progress } = this;
    if (progress !== undefined) onProgress?.(progress);
    await this.#gate;
    if (found instanceof Error) throw found;
    return found;
  }
}

export const UNREACHABLE = new DiscoveryError('AWS (eu-west-1) cannot be reached; check the network');

/** The account of sources that name none. */
export const OWN_ACCOUNT = '999999999999';

/** A disabled mapping of a queue `jobs` in each scope, and what else it has. */
export function foundIn(account: string, region: string, names: readonly string[] = ['jobs']): Discovery {
  const mappings = names.map((name): Mapping => {
    const functionArn = `arn:aws:lambda:${region}:${account}:function:on-${name}`;
    return mappingOf(name, {
      uuid: `${account}-${region}-${name}`,
      queueArn: queueArn(account, name, region),
      functionArn,
    });
  });
  const queues = names.map((name) => ({
    arn: queueArn(account, name, region),
    attributes: DEFAULT_ATTRIBUTES,
    tags: {},
  }));
  return discoveryOf([], { mappings, queues });
}

/** A source of one scope under the hand of the test. */
export function scopedSource(place: AwsPlace, document: string) {
  const script = new ScriptedSource();
  script.found = foundIn(place.account ?? OWN_ACCOUNT, place.region);
  const description = `AWS (${place.account ?? 'own'}, ${place.region})`;
  const source: DiscoverySource = {
    description,
    place,
    document,
    discover: (...asked) => script.discover(...asked),
  };
  return { script, source };
}
