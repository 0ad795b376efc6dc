/**
 * The queues of the stacks, by every name that a template gives them.
 *
 * @module
 */
import { formatQueueArn, parseQueueArn, type QueueArn, type QueueKey, queueKey } from '../../../queue/arn.ts';
import type { DiscoveredQueue } from '../../../queue/directory.ts';
import { readQueueAttributes } from '../queue-attributes.ts';
import type { TemplateSettings } from './model.ts';
import type { StackScope } from './stack-scope.ts';
import { isObject, type JsonObject, tagsOf, textOr } from './values.ts';

/** Names that mean a queue of these stacks. */
export class QueueNames {
  readonly #settings: TemplateSettings;
  readonly #names: ReadonlySet<string>;
  /** The accounts that the stacks are bound to: ARNs in them mean the stacks' own queues, as those in the assumed account do. */
  readonly #accounts: ReadonlySet<string>;

  constructor(settings: TemplateSettings, names: ReadonlySet<string>, accounts: ReadonlySet<string>) {
    this.#settings = settings;
    this.#names = names;
    this.#accounts = accounts;
  }

  /** The ARN as this server knows the queue; `undefined`: `text` is no queue ARN. Queues of other accounts keep theirs. */
  arn(text: string): QueueArn | undefined {
    const arn = parseQueueArn(text);
    if (arn === undefined || !this.#names.has(arn.name) || !this.#accounts.has(arn.account)) return arn;
    return { ...arn, account: this.#settings.account, region: this.#settings.region };
  }

  /** The URL on this server, if `text` is a URL that ends as one of these queues' does, on whatever host; else `undefined`. */
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
