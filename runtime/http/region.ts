/**
 * The region that a request means, on a server of several.
 *
 * Two queues of one name in two regions are told apart by what the request says, in this order: `/r/<region>` in the
 * QueueUrl or in the path of the request, the region of the signature, the region that the credential is for, the
 * region of the server. What the request says twice it must say alike, and a region that is not served is refused:
 * nothing is guessed.
 *
 * A signature that nobody verified (a Lambda function signs beside its capability, for its own region) says less than a
 * URL, which somebody wrote for this queue; one that was verified says as much, and the two must agree.
 *
 * @module
 */
import type { Places } from '../aws/scope.ts';
import { echo, SqsError } from '../sqs/errors.ts';
import type { AuthenticationHead } from './auth/authenticator.ts';
import type { Credential } from './auth/credentials.ts';
import { readClaim } from './auth/sigv4.ts';
import type { Location } from './location.ts';

/** What of a request tells its region. */
export interface RegionalRequest {
  readonly head: Pick<AuthenticationHead, 'query' | 'rawHeaders'>;
  readonly location: Pick<Location, 'region'>;
  readonly credential: Pick<Credential, 'kind' | 'home'>;
}

/** `named`: by the QueueUrl. Errors: `InvalidAddress`. */
export function regionOf(places: Places, request: RegionalRequest, named?: string): string {
  const { location, credential } = request;
  const { region: inPath } = location;
  if (named !== undefined && inPath !== undefined && named !== inPath) {
    throw refused(`The QueueUrl names the region ${echo(named)}, and the path of the request ${inPath}.`);
  }
  const byUrl = named ?? inPath;
  if (byUrl !== undefined && !places.regions.has(byUrl)) {
    throw refused(`The request names the region ${echo(byUrl)}; this server serves ${listed(places)}.`);
  }
  // With one region, callers that are configured for another mean this one all the same.
  if (places.regions.size === 1) return byUrl ?? places.region;
  const signed = signedRegion(request.head);
  if (byUrl !== undefined) {
    const isProven = credential.kind === 'access-key';
    if (isProven && signed !== undefined && signed !== byUrl && places.regions.has(signed)) {
      throw refused(
        `The request names the region ${byUrl}, and is signed for ${signed}; configure its client for the region of the queue.`,
      );
    }
    return byUrl;
  }
  const region = signed ?? credential.home?.region ?? places.region;
  if (places.regions.has(region)) return region;
  throw refused(
    `The request is signed for ${echo(region)}, where this server has no queue; it serves ${listed(places)}. Put /r/<region> before the account in the QueueUrl, or configure the client for one of them.`,
  );
}

/** The region that a signature names; `undefined`: there is none. A signature in part is refused elsewhere. */
function signedRegion(head: RegionalRequest['head']): string | undefined {
  try {
    return readClaim(head)?.region;
  } catch (error) {
    if (error instanceof SqsError) return undefined;
    throw error;
  }
}

function listed({ regions }: Places): string {
  return [...regions].sort().join(', ');
}

function refused(text: string): SqsError {
  return new SqsError('InvalidAddress', text);
}
