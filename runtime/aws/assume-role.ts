/**
 * Assumes a role of another account, by the SDK's own provider. In a file of its own, because most servers never do,
 * and it would be loaded with all of them.
 *
 * @module
 */
import { fromTemporaryCredentials } from '@aws-sdk/credential-providers';

/** STS answers at once; whoever waits for an Invoke waits for this as well. */
const LIMITS = {
  requestHandler: { connectionTimeout: 3000, requestTimeout: 10_000, throwOnRequestTimeout: true },
  maxAttempts: 2,
};
/** Stands in CloudTrail of the other account, where its operator sees who calls. */
const SESSION_NAME = 'karin';

/** One call of STS in `region`, with the process's own credentials. Errors: those of the SDK. */
export function assumeRole(arn: string, externalId: string | undefined, region: string) {
  const provider = fromTemporaryCredentials({
    params: {
      RoleArn: arn,
      RoleSessionName: SESSION_NAME,
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
    },
    clientConfig: { region, ...LIMITS },
  });
  return provider();
}
