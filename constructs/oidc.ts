import { Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { KarinOidcIdentityProps } from './runtime-identity-props';

/** AWS's security token service, as the audience of a token. */
const DEFAULT_AUDIENCE = 'sts.amazonaws.com';

/** Trusts tokens of the issuer for the given audience and subjects. Throws if the issuer is no https URL or the subjects trust everyone. */
export function oidcPrincipal(scope: Construct, props: KarinOidcIdentityProps): iam.IPrincipal {
  const { issuer, subjects } = props;
  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  if (Token.isUnresolved(issuer) || !issuer.startsWith('https://') || issuer.endsWith('/')) {
    throw fail(
      `issuer must be a literal URL that begins with https:// and does not end with a slash, but '${issuer}' was provided: IAM builds the names of condition keys from it`,
    );
  }
  if (subjects.length === 0) throw fail('subjects must name at least one subject to trust, but the list is empty');
  const everyone = subjects.find((subject) => /^\*+$/.test(subject));
  if (everyone !== undefined) {
    throw fail(
      `subject '${everyone}' trusts everyone with an account at ${issuer}; name your organization and app in it`,
    );
  }
  const provider =
    props.provider ??
    new iam.OidcProviderNative(scope, 'Provider', { url: issuer, clientIds: [props.audience ?? DEFAULT_AUDIENCE] });
  const key = issuer.slice('https://'.length);
  return new iam.OpenIdConnectPrincipal(provider, {
    StringEquals: { [`${key}:aud`]: props.audience ?? DEFAULT_AUDIENCE },
    StringLike: { [`${key}:sub`]: subjects },
  });
}
