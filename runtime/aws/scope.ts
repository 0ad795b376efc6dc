/**
 * The scopes of AWS that a server works in: in each, one account and one region, reached with one set of credentials.
 *
 * There are those of the process's own credentials, one for each region, and those of roles that it assumes in other
 * accounts (`KARIN_ROLES`). Everything that asks AWS is made once for each scope and never waits for another: a role
 * that was revoked or a region that is down costs what is in it, and nothing else.
 *
 * The account of the process's own credentials is nowhere written. It is known once a function of it was found; until
 * then these scopes stand for all that no role claims in their region.
 *
 * @module
 */

import type { LambdaClientConfig } from '@aws-sdk/client-lambda';
import { partitionOf, type QueueArn } from '../queue/names.ts';
import { type Config, REGION } from '../settings.ts';
import type { Time } from '../time.ts';

/** One account and region, as it is named. */
export interface AwsPlace {
  /** Twelve digits; absent: the account of the process's own credentials, whichever it is. */
  readonly account?: string;
  readonly region: string;
}

export interface AwsScope extends AwsPlace {
  readonly partition: string;
  /** For people and logs: `AWS (eu-west-1)`, `AWS (111122223333, eu-west-1)`. */
  readonly description: string;
  /** Name of the document that keeps what was found here. */
  readonly document: string;
  /** Absent: the process's own credentials. */
  readonly role?: AwsRole;
  /** For a client of the AWS SDK; absent: as the SDK finds them. */
  readonly credentials?: ScopeCredentials;
}

/** A role to assume. */
interface AwsRole {
  readonly arn: string;
  readonly account: string;
  /** What its trust policy asks for; absent: nothing. */
  readonly externalId?: string;
}

type CredentialsProvider = Extract<NonNullable<LambdaClientConfig['credentials']>, (...args: never[]) => unknown>;
type Identity = Awaited<ReturnType<CredentialsProvider>>;

/** Credentials that are fetched when they are needed, and kept while they last. */
interface ScopeCredentials {
  /** Errors: `AssumeRoleError`. */
  (): Promise<Identity>;
  /** The next call fetches others: AWS refused these. */
  forget(): void;
}

/** A role could not be assumed. The message says why, and what mends it. */
export class AssumeRoleError extends Error {
  // What the SDK's own providers throw: whoever sorts errors knows that nothing was sent.
  override readonly name = 'CredentialsProviderError';
}

type ScopeSettings = Pick<Config, 'region' | 'ownRegions' | 'roles' | 'discovery'>;

interface RoleEntry extends AwsRole {
  readonly regions: readonly string[];
}

/** `arn:aws:iam::111122223333:role/path/name`; source: IAM, "IAM and AWS STS quotas", name and path requirements. */
const ROLE = /^arn:(aws[a-z0-9-]*):iam::(\d{12}):role\/((?:[\x21-\x39\x3b-\x7e]+\/)*)([A-Za-z0-9_+=,.@-]{1,64})$/;
/** Source: AWS STS API, `AssumeRole`, `ExternalId`. */
export const EXTERNAL_ID = /^[A-Za-z0-9_+=,.@:/-]{2,1224}$/;

const FORM =
  '<role ARN>[:<regions joined by +>[:<external id>]], for example arn:aws:iam::111122223333:role/karin:eu-west-1+us-east-1:4711-karin';

/** What is wrong with `KARIN_ROLES`, each with the value, the rule and the mend. */
export function scopeProblems(config: ScopeSettings): readonly string[] {
  const problems: string[] = [];
  const roles = readRoles(config, problems);
  const { kind } = config.discovery;
  if (config.roles.length > 0 && kind !== 'aws') {
    problems.push(`KARIN_ROLES is set, but KARIN_DISCOVERY=${kind} asks no AWS: leave one of them out`);
  }
  if (config.ownRegions.length === 0 && roles.length === 0 && config.roles.length === 0) {
    problems.push('KARIN_REGIONS=none leaves nothing to serve: name roles in KARIN_ROLES, or leave it out');
  }
  const own = partitionOf(config.region);
  for (const region of config.ownRegions.filter((one) => partitionOf(one) !== own)) {
    const foreign = partitionOf(region);
    problems.push(
      `KARIN_REGIONS: credentials of ${own}, where AWS_REGION=${config.region} is, do not hold in ${region} of ${foreign}: run a server there`,
    );
  }
  return problems;
}

function readRoles(config: ScopeSettings, problems: string[]): readonly RoleEntry[] {
  const taken = new Map<string, string>();
  return config.roles.flatMap((text, index) => {
    const where = `KARIN_ROLES, entry ${index + 1}: ${text}`;
    const before = problems.length;
    const entry = readRole(text, config.region);
    if ('problem' in entry) {
      problems.push(`${where}: ${entry.problem}`);
      return [];
    }
    for (const region of entry.regions) {
      const place = `${entry.account}/${region}`;
      const other = taken.get(place);
      if (other !== undefined) {
        problems.push(
          `${where}: ${place} is named twice (also by ${other}): one server reads each account and region once`,
        );
      }
      taken.set(place, entry.arn);
    }
    return problems.length > before ? [] : [entry];
  });
}

function readRole(text: string, ownRegion: string): RoleEntry | { readonly problem: string } {
  const fields = text.split(':');
  const arn = fields.slice(0, 6).join(':');
  const [, partition, account] = ROLE.exec(arn) ?? [];
  if (partition === undefined || account === undefined) {
    return { problem: `must begin with the ARN of an IAM role; the form is ${FORM}` };
  }
  const own = partitionOf(ownRegion);
  if (partition !== own) {
    return {
      problem: `a role of the partition ${partition} cannot be assumed from ${own}, where AWS_REGION=${ownRegion} is: run a server there`,
    };
  }
  const [regionsText = '', ...rest] = fields.slice(6);
  const regions = regionsText === '' ? [ownRegion] : regionsText.split('+');
  const wrong = regions.find((region) => !REGION.test(region));
  if (wrong !== undefined) return { problem: `"${wrong}" is not the name of an AWS region; the form is ${FORM}` };
  const foreign = regions.find((region) => partitionOf(region) !== partition);
  if (foreign !== undefined) {
    return { problem: `the region ${foreign} is not in the partition of the role, ${partition}` };
  }
  const externalId = rest.length === 0 ? undefined : rest.join(':');
  if (externalId !== undefined && !EXTERNAL_ID.test(externalId)) {
    return { problem: 'the external id must have 2 to 1224 letters, digits and _+=,.@:/-' };
  }
  return { arn, account, regions: [...new Set(regions)], ...(externalId === undefined ? {} : { externalId }) };
}

/**
 * The scopes of a configuration, those of the process's own credentials first. Nothing is asked yet. Entries that are
 * wrong (`scopeProblems`) are left out.
 */
export function scopesOf(config: ScopeSettings, time: Time): readonly AwsScope[] {
  const own = config.ownRegions.map((region) =>
    // The name that it had when there was one scope.
    region === config.region ? ownScope(region) : { ...ownScope(region), document: `discovery:own:${region}` },
  );
  const others = readRoles(config, []).flatMap(({ regions, ...role }) => {
    // One for all its regions: AWS gives credentials for the whole account.
    const credentials = remember(() => assume(role, config.region), time);
    return regions.map((region): AwsScope => {
      return {
        account: role.account,
        region,
        partition: partitionOf(region),
        description: `AWS (${role.account}, ${region})`,
        document: `discovery:${role.account}:${region}`,
        role,
        credentials,
      };
    });
  });
  return [...own, ...others];
}

/** The scope of the process's own credentials in a region, as a server has it that has no other. */
export function ownScope(region: string): AwsScope {
  return { region, partition: partitionOf(region), description: `AWS (${region})`, document: 'discovery' };
}

/** The scope of an account and region: that of its role, else that of the own credentials in the region. */
export function scopeFor<S extends AwsPlace>(
  scopes: readonly S[],
  { account, region }: Pick<QueueArn, 'account' | 'region'>,
): S | undefined {
  return (
    scopes.find((scope) => scope.region === region && scope.account === account) ??
    scopes.find((scope) => scope.region === region && scope.account === undefined)
  );
}

/** Why there is no way to AWS for something in this place, and what mends it. */
export function noScope({ account, region }: Pick<QueueArn, 'account' | 'region'>): string {
  return `this server has no credentials for account ${account} in ${region}; name a role of it in KARIN_ROLES`;
}

async function assume(role: AwsRole, region: string): Promise<Identity> {
  const { assumeRole } = await import('./assume-role.ts');
  try {
    return await assumeRole(role.arn, role.externalId, region);
  } catch (error) {
    const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    if (error instanceof Error && error.name === 'CredentialsProviderError') {
      throw new AssumeRoleError(
        `the role ${role.arn} cannot be assumed, because this server has no AWS credentials of its own (${said})`,
        { cause: error },
      );
    }
    const withId = role.externalId === undefined ? '' : ' with the external id of KARIN_ROLES';
    throw new AssumeRoleError(
      `the role ${role.arn} cannot be assumed (${said}); its trust policy must allow sts:AssumeRole to the identity of this server${withId}, and this identity must be allowed sts:AssumeRole on it; karin iam --trust prints such a role`,
      { cause: error },
    );
  }
}

/** Credentials are fetched again that long before they end, ms: a call must not begin with what ends under way. */
const EARLY_MS = 300_000;
/**
 * How long a client of the SDK may go on with credentials before it asks here again, ms, beyond `EARLY_MS`, at which it
 * asks by itself. It costs no call of AWS; it lets what was forgotten here be forgotten there.
 */
const CLIENT_KEEPS_MS = 60_000;

/**
 * Fetches once for all who ask meanwhile, and keeps what it got until shortly before its end. A failure is not kept:
 * the next call asks again.
 */
function remember(fetch: () => Promise<Identity>, time: Time): ScopeCredentials {
  let kept: Promise<Identity> | undefined;
  const fresh = (): Promise<Identity> => {
    const asked = fetch();
    kept = asked;
    asked.catch(() => {
      if (kept === asked) kept = undefined;
    });
    return asked;
  };
  const provide = async (): Promise<Identity> => {
    const asked = kept ?? fresh();
    let identity = await asked;
    if ((identity.expiration?.getTime() ?? Infinity) - time.now() <= EARLY_MS) {
      // Whoever saw it first has asked for others.
      identity = await (kept === undefined || kept === asked ? fresh() : kept);
    }
    const soon = time.now() + EARLY_MS + CLIENT_KEEPS_MS;
    const end = Math.min(identity.expiration?.getTime() ?? soon, soon);
    return { ...identity, expiration: new Date(end) };
  };
  const forget = (): void => {
    kept = undefined;
  };
  return Object.assign(provide, { forget });
}

/*
 * The accounts and regions of a server, as its callers see them.
 */

export interface Places {
  /** Where a request belongs that names no region. */
  readonly region: string;
  /** All that are served, `region` among them. */
  readonly regions: ReadonlySet<string>;
  /**
   * Whether a queue belongs to the scope that the server had before others were added: credentials and patterns that
   * name no account and no region mean this one. It is everything, if there is one scope.
   */
  isHome(queue: Pick<QueueArn, 'account' | 'region'>): boolean;
}

export function placesOf(
  { region, accountId }: Pick<Config, 'region' | 'accountId'>,
  scopes: readonly AwsPlace[],
): Places {
  const regions = new Set([region, ...scopes.map((scope) => scope.region)]);
  const accounts = new Set(scopes.flatMap(({ account }) => account ?? []));
  const isOne = regions.size === 1 && accounts.size === 0;
  const home = accountId !== undefined && accounts.has(accountId) ? accountId : undefined;
  return {
    region,
    regions,
    isHome: (queue) => {
      if (isOne) return true;
      if (queue.region !== region) return false;
      return home === undefined ? !accounts.has(queue.account) : queue.account === home;
    },
  };
}
