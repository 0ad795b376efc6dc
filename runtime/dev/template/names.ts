/**
 * The physical names of resources. Those that a template leaves to AWS get the shortest name that is unambiguous:
 * `Jobs` where AWS would append stack and random characters, so that a queue URL can be typed.
 *
 * @module
 */

import { readQueueAttributes } from '../../aws/discovery/queues.ts';
import type { DiscoveredQueue } from '../../queue/directory.ts';
import { formatQueueArn, parseQueueArn, type QueueArn, queueKey } from '../../queue/names.ts';
import type { QueueKey } from '../../store/store.ts';
import {
  booleanOr,
  isObject,
  type JsonObject,
  type Resource,
  scalarText,
  type TemplateSettings,
  tagsOf,
  textOr,
} from './model.ts';
import type { StackScope } from './stack-scope.ts';

/** The property that states the name, where it is not `<Kind>Name`. */
const NAME_PROPERTIES: Readonly<Record<string, string>> = {
  'AWS::SNS::Topic': 'TopicName',
  'AWS::Events::EventBus': 'Name',
};

const LONGEST_NAME = 64;
const LONGEST_QUEUE_NAME = 80;
/** Parts of an API, whose names nobody sees: cut or tidied up, two of them could be one. */
const UNSEEN = /^AWS::ApiGateway(V2::(?!Api$)|::(?!RestApi$))/;
const FIFO_SUFFIX = '.fifo';

export class PhysicalNames {
  readonly #scopes: () => readonly StackScope[];
  readonly #names = new Map<StackScope, Map<string, string>>();
  /** How many unnamed resources of all stacks share a kind and a short name. */
  #uses: ReadonlyMap<string, number> | undefined;

  /** `scopes`: all stacks; asked when the first name is needed. */
  constructor(scopes: () => readonly StackScope[]) {
    this.#scopes = scopes;
  }

  of(scope: StackScope, logicalId: string): string {
    const ofScope = this.#names.get(scope) ?? new Map<string, string>();
    this.#names.set(scope, ofScope);
    const known = ofScope.get(logicalId);
    if (known !== undefined) return known;
    const name = this.#compute(scope, logicalId);
    ofScope.set(logicalId, name);
    return name;
  }

  #compute(scope: StackScope, logicalId: string): string {
    const resource = scope.source.template.resources[logicalId];
    if (resource === undefined) return logicalId;
    const stated = scope.resolve(statedName(resource));
    const text = stated.known ? scalarText(stated.value) : undefined;
    return text === undefined || text === '' ? this.#generate(scope, logicalId, resource) : text;
  }

  #generate(scope: StackScope, logicalId: string, resource: Resource): string {
    this.#uses ??= countUses(this.#scopes());
    const short = shortName(logicalId, resource);
    const inStack = `${scope.source.name}-${short}`;
    const alone = this.#uses.get(`${resource.type} ${short}`) === 1;
    const aloneInStack = this.#uses.get(`${resource.type} ${inStack}`) === 1;
    const base = alone ? short : aloneInStack ? inStack : `${scope.source.name}-${logicalId}`;
    const isQueue = resource.type === 'AWS::SQS::Queue';
    const suffix = isQueue && booleanOr(resource.properties['FifoQueue'], false) ? FIFO_SUFFIX : '';
    if (UNSEEN.test(resource.type)) return base;
    const longest = (isQueue ? LONGEST_QUEUE_NAME : LONGEST_NAME) - suffix.length;
    return base.replace(/[^A-Za-z0-9_-]/g, '-').slice(0, longest) + suffix;
  }
}

function countUses(scopes: readonly StackScope[]): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  const count = (key: string): void => {
    uses.set(key, (uses.get(key) ?? 0) + 1);
  };
  for (const scope of scopes) {
    for (const [logicalId, resource] of Object.entries(scope.source.template.resources)) {
      if (statedName(resource) !== undefined) continue;
      const short = shortName(logicalId, resource);
      count(`${resource.type} ${short}`);
      count(`${resource.type} ${scope.source.name}-${short}`);
    }
  }
  return uses;
}

/** The name that the template gives, unresolved. */
function statedName({ type, properties }: Resource): unknown {
  return properties[NAME_PROPERTIES[type] ?? `${type.split('::').at(-1)}Name`];
}

/** The logical id, without the hash that the CDK appends. */
function shortName(logicalId: string, resource: Resource): string {
  const fromCdk = 'aws:cdk:path' in resource.metadata;
  const short = fromCdk ? logicalId.replace(/[0-9A-F]{8}$/, '') : logicalId;
  return short === '' ? logicalId : short;
}

/*
 * The queues of the stacks, by every name that a template gives them.
 */

/** Names that mean a queue of these stacks. */
export class QueueNames {
  readonly #settings: TemplateSettings;
  readonly #names: ReadonlySet<string>;
  /**
   * The accounts that the stacks are bound to: ARNs in them mean the stacks' own queues, as those in the assumed
   * account do.
   */
  readonly #accounts: ReadonlySet<string>;

  constructor(settings: TemplateSettings, names: ReadonlySet<string>, accounts: ReadonlySet<string>) {
    this.#settings = settings;
    this.#names = names;
    this.#accounts = accounts;
  }

  /**
   * The ARN as this server knows the queue; `undefined`: `text` is no queue ARN. Queues of other accounts keep theirs.
   */
  arn(text: string): QueueArn | undefined {
    const arn = parseQueueArn(text);
    if (arn === undefined || !this.#names.has(arn.name) || !this.#accounts.has(arn.account)) return arn;
    return { ...arn, account: this.#settings.account, region: this.#settings.region };
  }

  /**
   * The URL on this server, if `text` is a URL that ends as one of these queues' does, on whatever host; else
   * `undefined`.
   */
  localUrl(text: string): string | undefined {
    const name = /^https?:\/\/.+\/\d{12}\/([A-Za-z0-9_-]+(?:\.fifo)?)$/.exec(text)?.[1];
    if (name === undefined || !this.#names.has(name)) return undefined;
    return `${this.#settings.sqsOrigin}/${this.#settings.account}/${name}`;
  }
}

/** The queues of all stacks; `problems` receives what could not be resolved. */
export function readQueues(
  scopes: readonly StackScope[],
  settings: TemplateSettings,
  problems: string[],
): { readonly names: QueueNames; readonly queues: readonly DiscoveredQueue[] } {
  const found = scopes.flatMap((scope) =>
    scope
      .resources()
      .filter(([, { type }]) => type === 'AWS::SQS::Queue')
      .map(([logicalId, resource]) => ({
        scope,
        resource,
        name: scope.nameOf(logicalId),
        arn: parseQueueArn(String(scope.attribute(logicalId, 'Arn'))),
      })),
  );
  const names = new QueueNames(
    settings,
    new Set(found.map(({ name }) => name)),
    new Set([settings.account, ...scopes.flatMap(({ source }) => source.account ?? [])]),
  );
  const byKey = new Map<QueueKey, DiscoveredQueue>();
  for (const { scope, resource, arn, name } of found) {
    if (arn === undefined) {
      problems.push(`'${name}' in stack ${scope.source.name} is no queue name that SQS allows; the queue is left out`);
    } else if (byKey.has(queueKey(arn))) {
      problems.push(`the queue ${name} is defined twice; that of stack ${scope.source.name} is left out`);
    } else {
      byKey.set(queueKey(arn), {
        arn,
        attributes: readQueueAttributes(resolvedProperties(name, resource.properties, scope, names, problems)),
        tags: tagsIn(resource.properties['Tags'], scope),
      });
    }
  }
  return { names, queues: [...byKey.values()] };
}

function tagsIn(value: unknown, scope: StackScope): Readonly<Record<string, string>> {
  const tags = scope.resolve(value);
  return tagsOf(tags.known ? tags.value : undefined);
}

function resolvedProperties(
  queue: string,
  properties: JsonObject,
  scope: StackScope,
  names: QueueNames,
  problems: string[],
): JsonObject {
  const resolved: Record<string, unknown> = {};
  for (const [property, value] of Object.entries(properties)) {
    // Tags may hold anything and decide nothing; the name is settled already.
    if (property === 'Tags' || property === 'QueueName') continue;
    const resolution = scope.resolve(value);
    if (!resolution.known) {
      problems.push(`queue ${queue}: ${property} cannot be resolved (${resolution.reason}); SQS's default is taken`);
    } else {
      resolved[property] = property === 'RedrivePolicy' ? withOwnTarget(resolution.value, names) : resolution.value;
    }
  }
  return resolved;
}

function withOwnTarget(policy: unknown, names: QueueNames): unknown {
  if (!isObject(policy)) return policy;
  const target = names.arn(textOr(policy['deadLetterTargetArn'], ''));
  return target === undefined ? policy : { ...policy, deadLetterTargetArn: formatQueueArn(target) };
}
