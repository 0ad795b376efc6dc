/**
 * The directory of functions: those that queues invoke, and the function URLs of the account, so that nobody has to
 * search the AWS console for the address of a stage.
 *
 * @module
 */

import {
  LambdaClient,
  type LambdaClientConfig,
  paginateListFunctions,
  paginateListFunctionUrlConfigs,
} from '@aws-sdk/client-lambda';
import type { Discovery } from '../aws/discovery/discovery.ts';
import type { AwsScope } from '../aws/scope.ts';
import type { Log } from '../log.ts';
import { queueKey } from '../queue/names.ts';
import type { QueueKey } from '../store/store.ts';
import type { Time } from '../time.ts';
import { nameOf } from './activity.ts';

export interface FunctionRow {
  /** With alias or version, if it has one. */
  readonly name: string;
  readonly arn: string;
  readonly queues: readonly { readonly key: QueueKey; readonly name: string }[];
  readonly urls: readonly string[];
}

export interface FunctionUrl {
  /** With a qualifier if the URL belongs to an alias. */
  readonly functionArn: string;
  readonly url: string;
}

/** Where function URLs come from: AWS, or the local Lambda. */
export interface FunctionUrls {
  /** Never rejects: what cannot be had is explained by `hint`. */
  list(): Promise<{ readonly urls: readonly FunctionUrl[]; readonly hint?: string }>;
}

/** The functions of a discovery and those with a URL, by name. */
export function functionRows(discovery: Discovery | undefined, urls: readonly FunctionUrl[]): readonly FunctionRow[] {
  const mappings = discovery?.mappings ?? [];
  const arns = new Set([...mappings.map((mapping) => mapping.functionArn), ...urls.map((url) => url.functionArn)]);
  return [...arns]
    .map((arn) => ({
      name: nameOf(arn),
      arn,
      queues: mappings
        .filter((mapping) => mapping.functionArn === arn)
        .map((mapping) => ({ key: queueKey(mapping.queueArn), name: mapping.queueArn.name })),
      urls: urls.filter((url) => url.functionArn === arn).map((url) => url.url),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/*
 * Function URLs of an AWS account and region, asked only when somebody opens the page, and remembered for a while.
 */

const FRESH_MS = 300_000;
/** AWS grants 15 such calls a second to the whole account, and one is needed for each function. */
const PARALLEL = 5;
const MOST_FUNCTIONS = 300;

export interface AwsFunctionUrlsOptions {
  /** At least one. */
  readonly scopes: readonly AwsScope[];
  readonly time: Time;
  readonly log: Log;
  /** Beside the SDK's own configuration. */
  readonly lambda?: LambdaClientConfig;
}

type Listed = Awaited<ReturnType<FunctionUrls['list']>>;

export function createAwsFunctionUrls(options: AwsFunctionUrlsOptions): FunctionUrls {
  const { scopes, time, log } = options;
  let cached: { readonly at: number; readonly listed: Promise<Listed> } | undefined;
  return {
    list: () => {
      if (cached === undefined || time.monotonic() - cached.at > FRESH_MS) {
        const listed = Promise.all(
          scopes.map(({ region, credentials, description }) => {
            const config = { region, ...(credentials === undefined ? {} : { credentials }), ...options.lambda };
            return list(new LambdaClient(config), scopes.length === 1 ? '' : ` of ${description}`, log);
          }),
        ).then(joined);
        cached = { at: time.monotonic(), listed };
      }
      return cached.listed;
    },
  };
}

/** A scope that cannot be listed hides no other. */
function joined(all: readonly Listed[]): Listed {
  const hints = all.flatMap(({ hint }) => hint ?? []);
  return { urls: all.flatMap(({ urls }) => urls), ...(hints.length === 0 ? {} : { hint: hints.join(' ') }) };
}

/** `whose`: of which scope, for the hint; empty: there is no other. */
async function list(lambda: LambdaClient, whose: string, log: Log): Promise<Listed> {
  try {
    const names: string[] = [];
    let more = false;
    for await (const page of paginateListFunctions({ client: lambda }, {})) {
      names.push(...(page.Functions ?? []).flatMap(({ FunctionName }) => FunctionName ?? []));
      more = names.length > MOST_FUNCTIONS;
      if (more) break;
    }
    const open = names.slice(0, MOST_FUNCTIONS);
    const urls: FunctionUrl[] = [];
    const work = async (): Promise<void> => {
      for (let name = open.pop(); name !== undefined; name = open.pop()) urls.push(...(await urlsOf(lambda, name)));
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
    return more
      ? {
          urls,
          hint: `Only the first ${MOST_FUNCTIONS} functions${whose || ' of the account'} were asked for their URL.`,
        }
      : { urls };
  } catch (error) {
    log.info({ err: error }, 'function URLs cannot be listed');
    return {
      urls: [],
      hint: `Function URLs${whose} are not shown, because they cannot be listed: the server needs lambda:ListFunctions and lambda:ListFunctionUrlConfigs for that.`,
    };
  } finally {
    lambda.destroy();
  }
}

async function urlsOf(lambda: LambdaClient, name: string): Promise<readonly FunctionUrl[]> {
  const found: FunctionUrl[] = [];
  for await (const page of paginateListFunctionUrlConfigs({ client: lambda }, { FunctionName: name })) {
    for (const { FunctionArn, FunctionUrl: url } of page.FunctionUrlConfigs ?? []) {
      if (FunctionArn !== undefined && url !== undefined) found.push({ functionArn: FunctionArn, url });
    }
  }
  return found;
}
