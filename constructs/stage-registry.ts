import { AspectPriority, Aspects, Stage } from 'aws-cdk-lib';
import type { Construct, IConstruct } from 'constructs';
import { AnchorGuard } from './anchor-guard';
import { DisableMappings } from './disable-mappings';
import type { AnchoredQueue } from './queue-interface';

const REGISTRY = Symbol.for('karin-queue.StageRegistry');

/**
 * Every Karin queue of one Stage, and the one Aspect and the one validation that look after them.
 *
 * Once per Stage and not once per app, because neither Aspects nor validations of an app reach into a Stage (CDK
 * Pipelines). It hangs on the Stage itself, so that two copies of this package in one app still find one registry.
 */
export class StageRegistry {
  /**
   * The registry of the Stage (or the app) that `scope` belongs to; the first call installs the Aspect and the
   * validation.
   */
  static of(scope: Construct): StageRegistry {
    const stage: IConstruct = Stage.of(scope) ?? scope.node.root;
    const existing: unknown = Reflect.get(stage, REGISTRY);
    // The symbol is this package's own: whatever stands there was put there by the lines below.
    if (existing !== undefined) return existing as StageRegistry;
    const registry = new StageRegistry();
    Object.defineProperty(stage, REGISTRY, { value: registry });
    Aspects.of(stage).add(new DisableMappings(registry.queues), { priority: AspectPriority.MUTATING });
    stage.node.addValidation(new AnchorGuard(stage, registry.queues));
    return registry;
  }

  readonly #queues: AnchoredQueue[] = [];

  get queues(): readonly AnchoredQueue[] {
    return this.#queues;
  }

  add(queue: AnchoredQueue): void {
    this.#queues.push(queue);
  }
}
