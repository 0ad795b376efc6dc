/**
 * What the list does not say of a disabled mapping: its function's timeout and state, its tags, its filters where they are encrypted.
 *
 * @module
 */
import {
  type EventSourceMappingConfiguration,
  GetEventSourceMappingCommand,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  ListTagsCommand,
} from '@aws-sdk/client-lambda';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import { awsFailure, describeAwsError } from './aws-error.ts';
import type { ListedMapping } from './aws-list.ts';
import { servedSettings } from './mapping-settings.ts';
import type { Pacer } from './pacer.ts';
import { sortedByKey } from './sorting.ts';
import type { Discovery, DiscoveryProblem } from './source.ts';

/** Longer than any function may run: assumed where the real timeout may not be read, so that no Invoke is given up early. */
const LONGEST_TIMEOUT_SECONDS = 900;
/** `Timeout` of a function that states none. */
const DEFAULT_TIMEOUT_SECONDS = 3;

export interface ServedMapping {
  readonly mapping: Mapping;
  /** Its details were asked just now. */
  readonly fresh: boolean;
}

interface FunctionFacts {
  readonly timeoutSeconds: number;
  /** Set: the function cannot be invoked, and why. */
  readonly broken?: string;
  /** The finding may be different at the next sync although the mapping does not change. */
  readonly passing?: true;
}

/** Reads the details of mappings, for one discovery. */
export class MappingDetails {
  readonly #lambda: LambdaClient;
  readonly #pacer: Pacer;
  readonly #full: boolean;
  readonly #served: ReadonlyMap<string, Mapping>;
  readonly #broken: ReadonlyMap<string, BrokenMapping>;
  /** Several mappings of one function ask for it once. */
  readonly #functions = new Map<string, Promise<FunctionFacts>>();
  readonly #problems = new Map<string, DiscoveryProblem>();
  readonly #problemsBefore: readonly DiscoveryProblem[];

  constructor(lambda: LambdaClient, pacer: Pacer, previous: Discovery | undefined, full: boolean) {
    this.#lambda = lambda;
    this.#pacer = pacer;
    this.#full = full;
    this.#served = new Map(previous?.mappings.map((mapping) => [mapping.uuid, mapping]));
    this.#broken = new Map(previous?.broken.map((mapping) => [mapping.uuid, mapping]));
    this.#problemsBefore = previous?.problems ?? [];
  }

  /** What was found that stops no mapping. */
  get problems(): readonly DiscoveryProblem[] {
    return [...this.#problems.values()];
  }

  /** Completes a disabled mapping, from the previous discovery if it did not change since, else by asking Lambda. */
  async read(entry: ListedMapping): Promise<ServedMapping | BrokenMapping> {
    const { uuid, lastModified } = entry;
    const before = this.#served.get(uuid);
    if (!this.#full) {
      const known = this.#problemsBefore.filter(({ about }) => about === uuid || about === entry.functionArn);
      if (before?.lastModified === lastModified && !known.some(({ passing }) => passing)) {
        for (const problem of known) this.#report(problem);
        return { mapping: before, fresh: false };
      }
      const brokenBefore = this.#broken.get(uuid);
      if (brokenBefore?.lastModified === lastModified) return brokenBefore;
    }
    const [facts, tags, filters] = await Promise.all([
      this.#functionFacts(entry.functionArn, before),
      this.#tags(entry, before),
      this.#filters(entry),
    ]);
    const broken = (reason: string, passing: boolean): BrokenMapping => ({
      uuid,
      queueArn: entry.queueArn,
      functionArn: entry.functionArn,
      reason,
      ...(passing ? {} : { lastModified }),
    });
    if ('broken' in filters) return broken(filters.broken, filters.passing);
    if (facts.broken !== undefined) return broken(facts.broken, facts.passing ?? false);
    return {
      fresh: true,
      mapping: {
        uuid,
        mappingArn: entry.mappingArn,
        queueArn: entry.queueArn,
        functionArn: entry.functionArn,
        ...servedSettings({ ...entry.configuration, FilterCriteria: filters.criteria }),
        functionTimeoutSeconds: facts.timeoutSeconds,
        lastModified,
        tags,
      },
    };
  }

  #functionFacts(functionArn: string, before: Mapping | undefined): Promise<FunctionFacts> {
    const asked = this.#functions.get(functionArn);
    if (asked !== undefined) return asked;
    const answer = this.#askFunction(functionArn, before);
    this.#functions.set(functionArn, answer);
    return answer;
  }

  async #askFunction(functionArn: string, before: Mapping | undefined): Promise<FunctionFacts> {
    try {
      const found = await this.#pacer.run(() =>
        this.#lambda.send(new GetFunctionConfigurationCommand({ FunctionName: functionArn })),
      );
      const timeoutSeconds = found.Timeout ?? DEFAULT_TIMEOUT_SECONDS;
      const why = found.StateReason === undefined ? '' : `: ${found.StateReason}`;
      switch (found.State) {
        case 'Failed':
        case 'ActiveNonInvocable':
        case 'Deleting':
          return {
            timeoutSeconds,
            passing: true,
            broken: `the function ${functionArn} is in state ${found.State}${why}; mend or deploy it again, then sync`,
          };
        default:
          // Active; Pending and Inactive functions become active when they are invoked.
          return { timeoutSeconds };
      }
    } catch (error) {
      if (awsFailure(error) === 'not-found') {
        return {
          timeoutSeconds: LONGEST_TIMEOUT_SECONDS,
          broken: `the function ${functionArn} does not exist (deleting a function or an alias leaves its mappings behind); deploy it again, or delete the mapping, then sync`,
        };
      }
      const timeoutSeconds = before?.functionTimeoutSeconds ?? LONGEST_TIMEOUT_SECONDS;
      this.#reportFailure(
        functionArn,
        `the timeout of ${functionArn} cannot be read, ${timeoutSeconds} seconds are assumed`,
        error,
        'allow lambda:GetFunctionConfiguration on it to the identity of this server',
      );
      return { timeoutSeconds };
    }
  }

  async #tags(
    { uuid, mappingArn }: ListedMapping,
    before: Mapping | undefined,
  ): Promise<Readonly<Record<string, string>>> {
    try {
      const { Tags } = await this.#pacer.run(() => this.#lambda.send(new ListTagsCommand({ Resource: mappingArn })));
      return sortedByKey(Tags ?? {});
    } catch (error) {
      this.#reportFailure(
        uuid,
        `the tags of mapping ${uuid} cannot be read, those that tune it have no effect`,
        error,
        `allow lambda:ListTags on ${mappingArn} to the identity of this server`,
      );
      return before?.tags ?? {};
    }
  }

  #report(problem: DiscoveryProblem): void {
    this.#problems.set(problem.text, problem);
  }

  #reportFailure(about: string, what: string, error: unknown, mend: string): void {
    const passing = awsFailure(error) === 'transient';
    const next = passing ? 'the next sync asks again' : `${mend}, then sync`;
    this.#report({ about, text: `${what}: ${describeAwsError(error)}; ${next}`, ...(passing ? { passing } : {}) });
  }

  /** With a customer key on them, the list says nothing of the filters; only GetEventSourceMapping decrypts them. Unknown filters must neither drop nor deliver a message: the mapping is broken. */
  async #filters({
    uuid,
    configuration,
  }: ListedMapping): Promise<
    | { readonly criteria: EventSourceMappingConfiguration['FilterCriteria'] }
    | { readonly broken: string; readonly passing: boolean }
  > {
    let { FilterCriteria: criteria, FilterCriteriaError: failure } = configuration;
    const key = configuration.KMSKeyArn;
    if (failure === undefined && key !== undefined && criteria === undefined) {
      try {
        const whole = await this.#pacer.run(() => this.#lambda.send(new GetEventSourceMappingCommand({ UUID: uuid })));
        criteria = whole.FilterCriteria;
        failure = whole.FilterCriteriaError;
      } catch (error) {
        const detail = describeAwsError(error);
        return {
          passing: awsFailure(error) === 'transient',
          broken: `the filters of mapping ${uuid} are encrypted and cannot be read: ${detail}; allow lambda:GetEventSourceMapping on it and kms:Decrypt on ${key} to the identity of this server, then sync`,
        };
      }
    }
    if (failure !== undefined) {
      const detail = [failure.ErrorCode, failure.Message].filter((part) => part !== undefined).join(': ');
      return {
        passing: false,
        broken: `the filters of mapping ${uuid} cannot be decrypted (${detail}); allow kms:Decrypt on ${key ?? 'their key'} to the identity of this server, then sync`,
      };
    }
    return { criteria };
  }
}
