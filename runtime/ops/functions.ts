/**
 * The directory of functions: those that queues invoke, and the function URLs of the account, so that nobody has to search the AWS console for the address of a
 * stage.
 *
 * @module
 */
import type { Discovery } from '../lambda/discovery/source.ts';
import { type QueueKey, queueKey } from '../queue/arn.ts';
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
