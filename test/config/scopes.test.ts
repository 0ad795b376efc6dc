import { describe, expect, it } from 'vitest';
import { placesOf, scopeFor, scopeProblems, scopesOf } from '../../runtime/aws/scope.ts';
import { partitionOf } from '../../runtime/queue/names.ts';
import { ConfigError, type Environment, readConfig } from '../../runtime/settings.ts';
import { ManualTime } from '../support/manual-time.ts';

const MINIMUM = { REDIS_URL: 'redis://127.0.0.1:6379', AWS_REGION: 'eu-west-1' };
const ROLE = 'arn:aws:iam::111122223333:role/karin';

const read = (env: Environment) => readConfig({ ...MINIMUM, ...env }, 'start', scopeProblems);
const scopes = (env: Environment) => scopesOf(read(env), new ManualTime());
const named = (env: Environment) =>
  scopes(env).map(({ account = 'own', region, role }) => [`${account}/${region}`, role?.externalId]);

function problemsOf(env: Environment): readonly string[] {
  try {
    read(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

describe('the scopes of a server', () => {
  it('are that of its own credentials and region, if nothing else is said', () => {
    const [scope, ...others] = scopes({});
    expect(scope).toMatchObject({ region: 'eu-west-1', partition: 'aws', document: 'discovery' });
    expect([scope?.account, scope?.credentials, others]).toEqual([undefined, undefined, []]);
  });

  it('are further regions of its own credentials, and roles with their regions', () => {
    const KARIN_ROLES = `${ROLE}, arn:aws:iam::444455556666:role/teams/karin:us-east-1+ap-south-1:4711:karin`;
    expect(named({ KARIN_REGIONS: 'us-east-1 eu-west-1', KARIN_ROLES })).toEqual([
      ['own/eu-west-1', undefined],
      ['own/us-east-1', undefined],
      ['111122223333/eu-west-1', undefined],
      ['444455556666/us-east-1', '4711:karin'],
      ['444455556666/ap-south-1', '4711:karin'],
    ]);
  });

  it('are those of roles alone, if the own credentials are to read nothing', () => {
    expect(named({ KARIN_REGIONS: 'none', KARIN_ROLES: `${ROLE}:us-east-1` })).toEqual([
      ['111122223333/us-east-1', undefined],
    ]);
  });

  it('keep each its own document, and the first the one that it always had', () => {
    const KARIN_ROLES = `${ROLE}:us-east-1`;
    expect(scopes({ KARIN_REGIONS: 'us-east-1', KARIN_ROLES }).map(({ document }) => document)).toEqual([
      'discovery',
      'discovery:own:us-east-1',
      'discovery:111122223333:us-east-1',
    ]);
  });

  it.each([
    ['cn-north-1', 'arn:aws-cn:iam::111122223333:role/karin:cn-northwest-1', 'aws-cn'],
    ['us-gov-west-1', 'arn:aws-us-gov:iam::111122223333:role/karin:us-gov-east-1', 'aws-us-gov'],
  ])('of %s are in its partition', (AWS_REGION, KARIN_ROLES, partition) => {
    expect(scopes({ AWS_REGION, KARIN_ROLES }).map((scope) => scope.partition)).toEqual([partition, partition]);
  });

  it.each([
    ['us-iso-east-1', 'aws-iso'],
    ['us-isob-east-1', 'aws-iso-b'],
    ['eu-isoe-west-1', 'aws-iso-e'],
    ['us-isof-south-1', 'aws-iso-f'],
    ['eusc-de-east-1', 'aws-eusc'],
    ['us-east-1', 'aws'],
  ])('the partition of %s is %s', (region, partition) => {
    expect(partitionOf(region)).toBe(partition);
  });

  it.each([
    [
      { KARIN_ROLES: 'karin' },
      'KARIN_ROLES, entry 1: karin: must begin with the ARN of an IAM role; the form is <role',
    ],
    [{ KARIN_ROLES: `${ROLE},arn:aws:iam::1:role/x` }, 'KARIN_ROLES, entry 2: arn:aws:iam::1:role/x: must begin with'],
    [{ KARIN_ROLES: 'arn:aws:iam::111122223333:user/karin' }, 'must begin with the ARN of an IAM role'],
    [{ KARIN_ROLES: `${ROLE}:Ireland` }, '"Ireland" is not the name of an AWS region; the form is <role ARN>'],
    [{ KARIN_ROLES: `${ROLE}:eu-west-1+` }, '"" is not the name of an AWS region'],
    [{ KARIN_ROLES: `${ROLE}:cn-north-1` }, 'the region cn-north-1 is not in the partition of the role, aws'],
    [{ KARIN_ROLES: `${ROLE}::x` }, 'the external id must have 2 to 1224 letters, digits and _+=,.@:/-'],
    [
      { KARIN_ROLES: `${ROLE},${ROLE}-2` },
      '111122223333/eu-west-1 is named twice (also by arn:aws:iam::111122223333:role/karin)',
    ],
    [
      { KARIN_ROLES: 'arn:aws-cn:iam::111122223333:role/karin' },
      'a role of the partition aws-cn cannot be assumed from aws, where AWS_REGION=eu-west-1 is',
    ],
    [{ KARIN_ROLES: ROLE, KARIN_DISCOVERY: 'none' }, 'KARIN_ROLES is set, but KARIN_DISCOVERY=none asks no AWS'],
    [{ KARIN_REGIONS: 'Ireland' }, 'KARIN_REGIONS: Ireland is not the name of an AWS region; name some, for example'],
    [{ KARIN_REGIONS: 'cn-north-1' }, 'do not hold in cn-north-1 of aws-cn: run a server there'],
    [{ KARIN_REGIONS: 'none,us-east-1' }, 'KARIN_REGIONS: none stands alone'],
    [{ KARIN_REGIONS: 'none' }, 'KARIN_REGIONS=none leaves nothing to serve: name roles in KARIN_ROLES'],
  ])('are refused with what is wrong and what mends it: %j', (env: Environment, problem) => {
    expect(problemsOf(env)).toEqual([expect.stringContaining(problem)]);
  });
});

describe('the scope of a queue or function', () => {
  const KARIN_ROLES = `${ROLE}:us-east-1`;
  const all = scopes({ KARIN_REGIONS: 'us-east-1', KARIN_ROLES });
  const found = (account: string, region: string) => scopeFor(all, { account, region })?.description;

  it('is that of its account, else that of the own credentials in its region', () => {
    expect(found('111122223333', 'us-east-1')).toBe('AWS (111122223333, us-east-1)');
    expect(found('999999999999', 'us-east-1')).toBe('AWS (us-east-1)');
    expect(found('111122223333', 'eu-west-1')).toBe('AWS (eu-west-1)');
    expect(found('111122223333', 'sa-east-1')).toBeUndefined();
  });
});

describe('what names without account and region mean', () => {
  const isHome = (env: Environment, account: string, region: string) => {
    const config = read(env);
    return placesOf(config, scopesOf(config, new ManualTime())).isHome({ account, region });
  };

  it('is everything on a server with one scope', () => {
    expect(isHome({}, '111122223333', 'eu-west-1')).toBe(true);
    expect(isHome({}, '999999999999', 'us-east-1')).toBe(true);
  });

  it('is the scope that the server had before others were added', () => {
    const env = { KARIN_REGIONS: 'us-east-1', KARIN_ROLES: ROLE };
    expect(isHome(env, '999999999999', 'eu-west-1')).toBe(true);
    expect(isHome(env, '999999999999', 'us-east-1')).toBe(false);
    expect(isHome(env, '111122223333', 'eu-west-1')).toBe(false);
  });

  it('is the scope of a role, if KARIN_ACCOUNT_ID names its account', () => {
    const env = { KARIN_REGIONS: 'none', KARIN_ROLES: ROLE, KARIN_ACCOUNT_ID: '111122223333' };
    expect(isHome(env, '111122223333', 'eu-west-1')).toBe(true);
    expect(isHome(env, '999999999999', 'eu-west-1')).toBe(false);
  });
});
