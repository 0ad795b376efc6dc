/**
 * The physical names of resources. Those that a template leaves to AWS get the shortest name that is unambiguous: `Jobs` where AWS would
 * append stack and random characters, so that a queue URL can be typed.
 *
 * @module
 */
import type { Resource } from './model.ts';
import type { StackScope } from './stack-scope.ts';
import { booleanOr, scalarText } from './values.ts';

/** The property that states the name, where it is not `<Kind>Name`. */
const NAME_PROPERTIES: Readonly<Record<string, string>> = {
  'AWS::SNS::Topic': 'TopicName',
  'AWS::Events::EventBus': 'Name',
};

const LONGEST_NAME = 64;
const LONGEST_QUEUE_NAME = 80;
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
