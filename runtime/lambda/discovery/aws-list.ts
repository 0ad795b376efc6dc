/**
 * The list of event source mappings of one region: every page, without a filter, reduced to the mappings of SQS queues.
 *
 * @module
 */
import {
  type EventSourceMappingConfiguration,
  type LambdaClient,
  ListEventSourceMappingsCommand,
  type ListEventSourceMappingsCommandOutput,
} from '@aws-sdk/client-lambda';
import { parseQueueArn, type QueueArn } from '../../queue/arn.ts';
import { describeAwsError } from './aws-error.ts';
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
