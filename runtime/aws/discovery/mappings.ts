/**
 * The lists of one region: the event source mappings, every page, without a filter, reduced to those of SQS queues; and
 * the functions that they name, of which the list tells nearly all that matters, fifty a call.
 *
 * @module
 */
import {
  type EventSourceMappingConfiguration,
  type FunctionConfiguration,
  GetEventSourceMappingCommand,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  ListEventSourceMappingsCommand,
  type ListEventSourceMappingsCommandOutput,
  ListFunctionsCommand,
  ListTagsCommand,
} from '@aws-sdk/client-lambda';
import { parseQueueArn, type QueueArn } from '../../queue/names.ts';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import { AssumeRoleError, type AwsScope } from '../scope.ts';
import { awsFailure, describeAwsError, OutOfTimeError, type Pacer } from './calls.ts';
import {
  compareTexts,
  type Discovery,
  DiscoveryError,
  type DiscoveryProblem,
  servedSettings,
  sortedByKey,
} from './discovery.ts';

/** The page size that AWS grants at most, whatever is asked. */
const PAGE_SIZE = 100;

/** A mapping of an SQS queue, with the members that AWS always gives. */
export interface ListedMapping {
  readonly uuid: string;
  readonly mappingArn: string;
  readonly queueArn: QueueArn;
  readonly functionArn: string;
  readonly lastModified: number;
  readonly configuration: EventSourceMappingConfiguration;
}

/** The mappings of SQS queues in any state, sorted by UUID. Errors: `DiscoveryError`. */
export async function listSqsMappings(
  lambda: LambdaClient,
  pacer: Pacer,
  scope: AwsScope,
  onListed: (mappings: number) => void,
): Promise<{ readonly mappings: readonly ListedMapping[]; readonly problems: readonly DiscoveryProblem[] }> {
  const mappings: ListedMapping[] = [];
  const problems: DiscoveryProblem[] = [];
  for (const configuration of await everyPage(lambda, pacer, scope, onListed)) {
    if (!configuration.EventSourceArn?.includes(':sqs:')) continue;
    const mapping = sqsMapping(configuration);
    if ('uuid' in mapping) mappings.push(mapping);
    else problems.push(mapping);
  }
  return { mappings: mappings.sort((a, b) => compareTexts(a.uuid, b.uuid)), problems };
}

/** Why a list failed, without what AWS says of accounts and roles. */
const REASONS: Readonly<Record<ReturnType<typeof awsFailure>, string>> = {
  'not-found': 'AWS does not know what was asked',
  refused: 'AWS refuses the list of mappings',
  transient: 'AWS does not answer, or is busy',
};

async function everyPage(
  lambda: LambdaClient,
  pacer: Pacer,
  { region, role, credentials }: AwsScope,
  onListed: (mappings: number) => void,
): Promise<readonly EventSourceMappingConfiguration[]> {
  const all: EventSourceMappingConfiguration[] = [];
  const markers = new Set<string>();
  let marker: string | undefined;
  do {
    const input = { MaxItems: PAGE_SIZE, ...(marker === undefined ? {} : { Marker: marker }) };
    let page: ListEventSourceMappingsCommandOutput;
    try {
      page = await pacer.run(() => lambda.send(new ListEventSourceMappingsCommand(input)));
    } catch (error) {
      // They may be of a role that was made anew, or whose sessions were ended.
      credentials?.forget();
      if (error instanceof AssumeRoleError) {
        throw new DiscoveryError(error.message, { cause: error, reason: 'its role cannot be assumed' });
      }
      const whose = role === undefined ? 'this server needs AWS credentials' : `the role ${role.arn} needs permissions`;
      throw new DiscoveryError(
        `the event source mappings of ${region} cannot be listed: ${describeAwsError(error)}; ${whose} that allow lambda:ListEventSourceMappings on *, and a way to reach AWS Lambda`,
        { cause: error, reason: REASONS[awsFailure(error)] },
      );
    }
    all.push(...(page.EventSourceMappings ?? []));
    onListed(all.length);
    // A page may be empty and still have a successor; only a missing marker ends the list.
    marker = page.NextMarker === '' ? undefined : page.NextMarker;
    if (marker !== undefined && markers.has(marker)) {
      throw new DiscoveryError(
        `the list of event source mappings of ${region} repeats itself: AWS gave the same marker twice; sync again`,
      );
    }
    if (marker !== undefined) markers.add(marker);
  } while (marker !== undefined);
  return all;
}

function sqsMapping(configuration: EventSourceMappingConfiguration): ListedMapping | DiscoveryProblem {
  const { UUID: uuid, EventSourceArn: source = '', FunctionArn: functionArn } = configuration;
  const queueArn = parseQueueArn(source);
  if (queueArn === undefined || uuid === undefined || functionArn === undefined) {
    return {
      about: uuid ?? source,
      text: `AWS lists a mapping of '${source}' (${uuid ?? 'without a UUID'}) that is not one of a queue and a function; it is left alone`,
    };
  }
  return {
    uuid,
    queueArn,
    functionArn,
    mappingArn: configuration.EventSourceMappingArn ?? mappingArnOf(uuid, functionArn),
    lastModified: configuration.LastModified?.getTime() ?? 0,
    configuration,
  };
}

/** Older emulators leave the ARN out; it follows from the function's. */
function mappingArnOf(uuid: string, functionArn: string): string {
  const [arn, partition, service, region, account] = functionArn.split(':');
  return `${arn}:${partition}:${service}:${region}:${account}:event-source-mapping:${uuid}`;
}

/** What the list of functions says of one, as far as its mappings are concerned. */
export interface ListedFunction extends FunctionLimits {
  /** Changes with every change of its code or configuration, and with every version that is published of it. */
  readonly revision: string;
}

/** How long invocations of a function may last. */
type FunctionLimits = Pick<Mapping, 'functionTimeoutSeconds' | 'durableExecutionTimeoutSeconds' | 'managedInstances'>;

/** `Timeout` of a function that states none. */
const DEFAULT_TIMEOUT_SECONDS = 3;

function limitsOf(
  stated: Pick<FunctionConfiguration, 'Timeout' | 'DurableConfig' | 'CapacityProviderConfig'>,
): FunctionLimits {
  const execution = stated.DurableConfig?.ExecutionTimeout ?? undefined;
  const managed = stated.CapacityProviderConfig ?? undefined;
  return {
    functionTimeoutSeconds: stated.Timeout ?? DEFAULT_TIMEOUT_SECONDS,
    ...(execution === undefined ? {} : { durableExecutionTimeoutSeconds: execution }),
    ...(managed === undefined ? {} : { managedInstances: true }),
  };
}

/** The list of functions cannot be had. */
export interface NoFunctionList {
  readonly problem: DiscoveryProblem;
}

/**
 * Those functions of `wanted` (unqualified ARNs) that exist, by unqualified ARN; reads no further than the last of
 * them. Without the list, changes of functions are noticed later: it is a problem, no error.
 */
export async function listFunctions(
  lambda: LambdaClient,
  pacer: Pacer,
  region: string,
  wanted: ReadonlySet<string>,
): Promise<ReadonlyMap<string, ListedFunction> | NoFunctionList> {
  const found = new Map<string, ListedFunction>();
  const markers = new Set<string>();
  let marker: string | undefined;
  try {
    while (found.size < wanted.size) {
      const input = marker === undefined ? {} : { Marker: marker };
      const page = await pacer.run(() => lambda.send(new ListFunctionsCommand(input)));
      for (const stated of page.Functions ?? []) {
        const { FunctionArn: arn, RevisionId, LastModified } = stated;
        if (arn === undefined || !wanted.has(arn)) continue;
        found.set(arn, { ...limitsOf(stated), revision: [RevisionId, LastModified].join(' ') });
      }
      marker = page.NextMarker === '' ? undefined : page.NextMarker;
      if (marker === undefined || markers.has(marker)) break;
      markers.add(marker);
    }
  } catch (error) {
    const passing = awsFailure(error) === 'transient';
    const mend = passing
      ? 'the next sync asks again'
      : 'allow lambda:ListFunctions on * to the identity of this server';
    const text = `the functions of ${region} cannot be listed, so each is asked for, and a change of one is noticed within a day or by karin sync: ${describeAwsError(error)}; ${mend}`;
    return { problem: { about: region, text, ...(passing ? { passing } : {}) } };
  }
  return found;
}

/** The ARN without alias, version or `$LATEST`. */
export function unqualifiedArn(functionArn: string): string {
  return functionArn.split(':').slice(0, 7).join(':');
}

/** The qualifier of a function ARN; `undefined`: there is none. */
function qualifierOf(functionArn: string): string | undefined {
  return functionArn.split(':')[7];
}

/*
 * What the list does not say of a disabled mapping: its function's timeout and state, its tags, its filters where they
 * are encrypted.
 */

/** Longer than any function may run: assumed where the real timeout may not be read. */
const LONGEST_TIMEOUT_SECONDS = 900;
/**
 * The state of a function is not in the list of functions. It is asked for of so many at most in one discovery: beyond
 * that the answers would come too late, and what a broken function answers to its first Invoke says the same.
 */
const STATES_ASKED = 100;

/** What became of one mapping. */
export type ReadMapping = { readonly mapping: Mapping; readonly unread?: true } | BrokenMapping;

interface FunctionFacts {
  readonly limits: FunctionLimits;
  /** Set: the function cannot be invoked, and why. */
  readonly broken?: string;
}

export interface MappingDetailsParts {
  readonly lambda: LambdaClient;
  readonly pacer: Pacer;
  readonly previous: Discovery | undefined;
  readonly full: boolean;
  /** By unqualified ARN; `undefined`: the list cannot be had. */
  readonly functions: ReadonlyMap<string, ListedFunction> | undefined;
  /** On the monotonic clock: what was not asked by then is left for the next discovery. */
  readonly until: number;
}

/**
 * Reads the details of mappings, for one discovery. They are read of a mapping that is new or changed, whose function
 * changed, that was broken or only partly known, and on a full read. Where the time runs out, a mapping that was served
 * is served on as last known, and one that was not waits.
 */
export class MappingDetails {
  readonly #parts: MappingDetailsParts;
  readonly #served: ReadonlyMap<string, Mapping>;
  readonly #broken: ReadonlyMap<string, BrokenMapping>;
  readonly #unread: ReadonlySet<string>;
  /** Several mappings of one function ask for it once. */
  readonly #functions = new Map<string, Promise<FunctionFacts>>();
  readonly #problems = new Map<string, DiscoveryProblem>();
  readonly #problemsBefore = new Map<string, DiscoveryProblem[]>();
  #statesToAsk = 0;

  constructor(parts: MappingDetailsParts) {
    const { previous } = parts;
    this.#parts = parts;
    this.#served = new Map(previous?.mappings.map((mapping) => [mapping.uuid, mapping]));
    this.#broken = new Map(previous?.broken.map((mapping) => [mapping.uuid, mapping]));
    this.#unread = new Set(previous?.unread);
    for (const problem of previous?.problems ?? []) {
      this.#problemsBefore.set(problem.about, [...(this.#problemsBefore.get(problem.about) ?? []), problem]);
    }
  }

  /** What was found that stops no mapping. */
  get problems(): readonly DiscoveryProblem[] {
    return [...this.#problems.values()];
  }

  /** What the last discovery had of a mapping that must not be asked for now. */
  asBefore(uuid: string): ReadMapping | undefined {
    const mapping = this.#served.get(uuid);
    return mapping === undefined ? this.#broken.get(uuid) : { mapping };
  }

  /**
   * Completes disabled mappings, in their order; those that changed are asked for first. `onRead` is called after each.
   */
  async readAll(entries: readonly ListedMapping[], onRead: () => void): Promise<readonly ReadMapping[]> {
    const stale = entries.filter((entry) => this.isStale(entry));
    const changed = new Set(stale.filter((entry) => this.#isChanged(entry)));
    this.#statesToAsk = new Set(stale.map(({ functionArn }) => functionArn)).size;
    const reading = new Map<ListedMapping, Promise<ReadMapping>>();
    for (const entry of [...changed, ...entries.filter((one) => !changed.has(one))]) {
      reading.set(entry, this.#read(entry).finally(onRead));
    }
    return Promise.all(entries.flatMap((entry) => reading.get(entry) ?? []));
  }

  /** Whether details of the mapping must be asked for. */
  isStale(entry: ListedMapping): boolean {
    return this.#parts.full || this.#isChanged(entry);
  }

  #isChanged({ uuid, functionArn, lastModified }: ListedMapping): boolean {
    const before = this.#served.get(uuid);
    if (before?.lastModified !== lastModified || before.functionArn !== functionArn || this.#unread.has(uuid))
      return true;
    return this.#knownProblems(uuid, functionArn).some(({ passing }) => passing) || this.#functionChanged(functionArn);
  }

  #functionChanged(functionArn: string): boolean {
    const { functions, previous } = this.#parts;
    if (functions === undefined) return false;
    const arn = unqualifiedArn(functionArn);
    const listed = functions.get(arn);
    return listed === undefined || listed.revision !== previous?.functions?.[arn];
  }

  #knownProblems(uuid: string, functionArn: string): readonly DiscoveryProblem[] {
    return [uuid, functionArn].flatMap((about) => this.#problemsBefore.get(about) ?? []);
  }

  async #read(entry: ListedMapping): Promise<ReadMapping> {
    const { uuid, functionArn } = entry;
    const before = this.#served.get(uuid);
    if (before !== undefined && !this.isStale(entry)) {
      for (const problem of this.#knownProblems(uuid, functionArn)) this.#report(problem);
      return { mapping: before };
    }
    try {
      return await this.#ask(entry, before);
    } catch (error) {
      if (!(error instanceof OutOfTimeError)) throw error;
      if (before !== undefined) return { mapping: before, unread: true };
      const reason =
        'its details are not read yet: AWS grants few calls a second; the next look, within seconds, goes on with them';
      return this.#broken.get(uuid) ?? brokenMapping(entry, reason);
    }
  }

  async #ask(entry: ListedMapping, before: Mapping | undefined): Promise<ReadMapping> {
    const asked = this.#functionFacts(entry.functionArn, before);
    if (this.#broken.has(entry.uuid)) {
      // What was broken mostly still is, for the same reason: one call tells.
      const { broken } = await asked;
      if (broken !== undefined) return brokenMapping(entry, broken);
    }
    const [facts, tags, filters] = await Promise.all([asked, this.#tags(entry, before), this.#filters(entry, before)]);
    const reason = facts.broken ?? ('broken' in filters ? filters.broken : undefined) ?? tags.unknown;
    if (reason !== undefined) return brokenMapping(entry, reason);
    const { uuid, mappingArn, queueArn, functionArn, lastModified } = entry;
    const criteria = 'broken' in filters ? undefined : filters.criteria;
    return {
      mapping: {
        uuid,
        mappingArn,
        queueArn,
        functionArn,
        ...servedSettings({ ...entry.configuration, FilterCriteria: criteria }),
        ...facts.limits,
        lastModified,
        tags: tags.known ?? {},
      },
    };
  }

  #functionFacts(functionArn: string, before: Mapping | undefined): Promise<FunctionFacts> {
    const asked = this.#functions.get(functionArn);
    if (asked !== undefined) return asked;
    const answer = this.#readFunction(functionArn, before);
    this.#functions.set(functionArn, answer);
    return answer;
  }

  /** The list tells the limits of a function itself; of an alias or a version it tells nothing. */
  async #readFunction(functionArn: string, before: Mapping | undefined): Promise<FunctionFacts> {
    const qualifier = qualifierOf(functionArn);
    const listed =
      qualifier === undefined || qualifier === '$LATEST'
        ? this.#parts.functions?.get(unqualifiedArn(functionArn))
        : undefined;
    if (listed === undefined) return this.#askFunction(functionArn, before);
    const { revision: _, ...limits } = listed;
    if (this.#statesToAsk > STATES_ASKED) return { limits };
    try {
      return { ...(await this.#functionNow(functionArn)), limits };
    } catch (error) {
      // The list names it, so its state is a bonus: a function that cannot be asked for is served.
      if (awsFailure(error) === 'not-found') return { limits, broken: missingFunction(functionArn) };
      return { limits };
    }
  }

  async #functionNow(functionArn: string): Promise<FunctionFacts> {
    const found = await this.#call((lambda) =>
      lambda.send(new GetFunctionConfigurationCommand({ FunctionName: functionArn })),
    );
    const limits = limitsOf(found);
    if (found.TenancyConfig?.TenantIsolationMode !== undefined) {
      const what = `the function ${functionArn} isolates its tenants, and needs a tenant id that no message of SQS names`;
      return { limits, broken: `${what}; invoke it from another function that names one, then sync` };
    }
    const why = found.StateReason === undefined ? '' : `: ${found.StateReason}`;
    switch (found.State) {
      case 'Failed':
      case 'ActiveNonInvocable':
      case 'Deleting':
        return {
          limits,
          broken: `the function ${functionArn} is in state ${found.State}${why}; mend or deploy it again, then sync`,
        };
      default:
        // Active; Pending and Inactive functions become active when they are invoked.
        return { limits };
    }
  }

  async #askFunction(functionArn: string, before: Mapping | undefined): Promise<FunctionFacts> {
    try {
      return await this.#functionNow(functionArn);
    } catch (error) {
      if (error instanceof OutOfTimeError) throw error;
      const limits = limitsAlone(before ?? { functionTimeoutSeconds: LONGEST_TIMEOUT_SECONDS });
      if (awsFailure(error) === 'not-found') return { limits, broken: missingFunction(functionArn) };
      this.#reportFailure(
        functionArn,
        `the timeout of ${functionArn} cannot be read, ${limits.functionTimeoutSeconds} seconds are assumed`,
        error,
        'allow lambda:GetFunctionConfiguration on it to the identity of this server',
      );
      return { limits };
    }
  }

  /**
   * A tag may say that Karin must leave the mapping alone. So tags that cannot be read are unknown, not absent: those
   * last read hold, and a mapping of which none were ever read is not served until they can be.
   */
  async #tags(
    { uuid, mappingArn }: ListedMapping,
    before: Mapping | undefined,
  ): Promise<{ readonly known?: Readonly<Record<string, string>>; readonly unknown?: string }> {
    try {
      const { Tags } = await this.#call((lambda) => lambda.send(new ListTagsCommand({ Resource: mappingArn })));
      return { known: sortedByKey(Tags ?? {}) };
    } catch (error) {
      if (error instanceof OutOfTimeError) throw error;
      const detail = describeAwsError(error);
      const mend =
        awsFailure(error) === 'transient'
          ? 'they are asked for again soon'
          : `allow lambda:ListTags on ${mappingArn} to the identity of this server, then sync`;
      if (before === undefined) {
        return {
          unknown: `the tags of mapping ${uuid} cannot be read, and one of them may say that it must be left alone: ${detail}; ${mend}`,
        };
      }
      const text = `the tags of mapping ${uuid} cannot be read, those last read hold: ${detail}; ${mend}`;
      this.#report({ about: uuid, text, passing: true });
      return { known: before.tags };
    }
  }

  /** Asks Lambda when it is this call's turn. Errors: those of the SDK, `OutOfTimeError`. */
  #call<T>(ask: (lambda: LambdaClient) => Promise<T>): Promise<T> {
    const { lambda, pacer, until } = this.#parts;
    return pacer.run(() => ask(lambda), until);
  }

  #report(problem: DiscoveryProblem): void {
    this.#problems.set(problem.text, problem);
  }

  #reportFailure(about: string, what: string, error: unknown, mend: string): void {
    const passing = awsFailure(error) === 'transient';
    const next = passing ? 'the next sync asks again' : `${mend}, then sync`;
    this.#report({ about, text: `${what}: ${describeAwsError(error)}; ${next}`, ...(passing ? { passing } : {}) });
  }

  /**
   * With a customer key on them, the list says nothing of the filters; only GetEventSourceMapping decrypts them.
   * Unknown filters must neither drop nor deliver a message: the mapping is broken. While it is unchanged, those last
   * read are its filters.
   */
  async #filters(
    { uuid, configuration, lastModified }: ListedMapping,
    before: Mapping | undefined,
  ): Promise<{ readonly criteria: EventSourceMappingConfiguration['FilterCriteria'] } | { readonly broken: string }> {
    let { FilterCriteria: criteria, FilterCriteriaError: failure } = configuration;
    const key = configuration.KMSKeyArn;
    if (failure === undefined && key !== undefined && criteria === undefined) {
      try {
        const whole = await this.#call((lambda) => lambda.send(new GetEventSourceMappingCommand({ UUID: uuid })));
        criteria = whole.FilterCriteria;
        failure = whole.FilterCriteriaError;
      } catch (error) {
        if (error instanceof OutOfTimeError) throw error;
        if (before?.lastModified === lastModified && awsFailure(error) === 'transient') {
          return { criteria: { Filters: before.filterPatterns.map((Pattern) => ({ Pattern })) } };
        }
        const detail = describeAwsError(error);
        return {
          broken: `the filters of mapping ${uuid} are encrypted and cannot be read: ${detail}; allow lambda:GetEventSourceMapping on it and kms:Decrypt on ${key} to the identity of this server, then sync`,
        };
      }
    }
    if (failure !== undefined) {
      const detail = [failure.ErrorCode, failure.Message].filter((part) => part !== undefined).join(': ');
      return {
        broken: `the filters of mapping ${uuid} cannot be decrypted (${detail}); allow kms:Decrypt on ${key ?? 'their key'} to the identity of this server, then sync`,
      };
    }
    return { criteria };
  }
}

function brokenMapping({ uuid, queueArn, functionArn }: ListedMapping, reason: string): BrokenMapping {
  return { uuid, queueArn, functionArn, reason };
}

function missingFunction(functionArn: string): string {
  return `the function ${functionArn} does not exist (deleting a function or an alias leaves its mappings behind); deploy it again, or delete the mapping, then sync`;
}

/** The limits alone, of a mapping that has them. */
function limitsAlone({
  functionTimeoutSeconds,
  durableExecutionTimeoutSeconds,
  managedInstances,
}: FunctionLimits): FunctionLimits {
  return {
    functionTimeoutSeconds,
    ...(durableExecutionTimeoutSeconds === undefined ? {} : { durableExecutionTimeoutSeconds }),
    ...(managedInstances === undefined ? {} : { managedInstances }),
  };
}
