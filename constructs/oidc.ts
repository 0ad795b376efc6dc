import { Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { KarinOidcIdentityProps } from './runtime-identity-props';

/** AWS's security token service, as the audience of a token. */
const DEFAULT_AUDIENCE = 'sts.amazonaws.com';

/** Words with which issuers begin a subject, and which stand in everybody's: they name the kind of what follows. */
const KINDS = new Set(
  'repo repository repository_owner owner org organization team user project project_path group namespace workspace app system serviceaccount sub'.split(
    ' ',
  ),
);

/**
 * Whether a subject names whom it trusts: before the first wildcard stands a whole part, ended by a colon or slash,
 * that is more than the kind of what follows. `repo:my-org/*` does, `repo:*`, `repo:m*`, `*:*` and `?*` do not.
 */
function namesSomebody(subject: string): boolean {
  if (Token.isUnresolved(subject)) return true;
  const wildcard = subject.search(/[*?]/);
  if (wildcard === -1) return subject.trim() !== '';
  const parts = subject.slice(0, wildcard).split(/[:/]/).slice(0, -1);
  return parts.some((part) => part !== '' && !KINDS.has(part.toLowerCase()));
}

/**
 * Trusts tokens of the issuer for the given audience and subjects. Throws if the issuer is no https URL or the subjects
 * trust everyone.
 */
export function oidcPrincipal(scope: Construct, props: KarinOidcIdentityProps): iam.IPrincipal {
  const { issuer, subjects } = props;
  const fail = (rule: string) => new Error(`${scope.node.path}: ${rule}`);
  if (Token.isUnresolved(issuer) || !issuer.startsWith('https://') || issuer.endsWith('/')) {
    throw fail(
      `issuer must be a literal URL that begins with https:// and does not end with a slash, but '${issuer}' was provided: IAM builds the names of condition keys from it`,
    );
  }
  if (subjects.length === 0) throw fail('subjects must name at least one subject to trust, but the list is empty');
  const everyone = subjects.find((subject) => !namesSomebody(subject));
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
