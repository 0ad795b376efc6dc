/**
 * The lists of one region: the event source mappings, every page, without a filter, reduced to those of SQS queues; and the functions that they name, of which the list tells
 * nearly all that matters, fifty a call.
 *
 * @module
 */
import {
  type EventSourceMappingConfiguration,
  type FunctionConfiguration,
  type LambdaClient,
  ListEventSourceMappingsCommand,
  type ListEventSourceMappingsCommandOutput,
  ListFunctionsCommand,
} from '@aws-sdk/client-lambda';
import { parseQueueArn, type QueueArn } from '../../queue/arn.ts';
import type { Mapping } from '../mapping.ts';
import { awsFailure, describeAwsError } from './aws-error.ts';
import type { Pacer } from './pacer.ts';
import { compareTexts } from './sorting.ts';
import { DiscoveryError, type DiscoveryProblem } from './source.ts';

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
  region: string,
  onListed: (mappings: number) => void,
): Promise<{ readonly mappings: readonly ListedMapping[]; readonly problems: readonly DiscoveryProblem[] }> {
  const mappings: ListedMapping[] = [];
  const problems: DiscoveryProblem[] = [];
  for (const configuration of await everyPage(lambda, pacer, region, onListed)) {
    if (!configuration.EventSourceArn?.includes(':sqs:')) continue;
    const mapping = sqsMapping(configuration);
    if ('uuid' in mapping) mappings.push(mapping);
    else problems.push(mapping);
  }
  return { mappings: mappings.sort((a, b) => compareTexts(a.uuid, b.uuid)), problems };
}

async function everyPage(
  lambda: LambdaClient,
  pacer: Pacer,
  region: string,
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
      throw new DiscoveryError(
        `the event source mappings of ${region} cannot be listed: ${describeAwsError(error)}; this server needs AWS credentials that allow lambda:ListEventSourceMappings on *, and a way to reach AWS Lambda`,
        { cause: error },
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
export type FunctionLimits = Pick<
  Mapping,
  'functionTimeoutSeconds' | 'durableExecutionTimeoutSeconds' | 'managedInstances'
>;

/** `Timeout` of a function that states none. */
const DEFAULT_TIMEOUT_SECONDS = 3;

export function limitsOf(
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
 * Those functions of `wanted` (unqualified ARNs) that exist, by unqualified ARN; reads no further than the last of them. Without the list, changes of functions are noticed
 * later: it is a problem, no error.
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
export function qualifierOf(functionArn: string): string | undefined {
  return functionArn.split(':')[7];
}
