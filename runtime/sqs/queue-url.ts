/**
 * Queue URLs: what they name, and the capability they may carry.
 *
 * A QueueUrl is any text whose last two path segments are an account and a queue name, whatever the origin and whatever stands before them (a base path,
 * `/k/<token>`): SDKs send the URL they were configured with, and that may be the one of a queue in AWS. A bare queue name is understood as well.
 *
 * @module
 */
import type { QueueArn } from '../queue/arn.ts';
import { echo, SqsError } from './errors.ts';
import { QUEUE_NAME } from './limits.ts';
import { isForm, isJson } from './protocol/content-type.ts';
import { Form } from './protocol/form.ts';
import { parseBody } from './protocol/json.ts';
import type { Caller, SqsRequest } from './request.ts';

const ACCOUNT = /^\d{12}$/;

/** The queue that a QueueUrl names for this caller. Errors: `QueueDoesNotExist` (absent, or no queue can have this name), `InvalidAddress` (a URL of something else). */
export function parseQueueUrl(text: string | undefined, caller: Pick<Caller, 'account' | 'region'>): QueueArn {
  if (text === undefined || text === '') throw new SqsError('QueueDoesNotExist');
  const segments = pathOf(text)
    .split('/')
    .filter((segment) => segment !== '');
  const name = segments.at(-1);
  if (name === undefined || !QUEUE_NAME.test(name)) throw new SqsError('QueueDoesNotExist');
  if (!text.includes('/')) return queueArn(caller.account, name, caller.region);
  const account = segments.at(-2);
  if (account === undefined || !ACCOUNT.test(account)) {
    throw new SqsError('InvalidAddress', `The address ${echo(text)} is not valid for this endpoint.`);
  }
  return queueArn(account, name, caller.region);
}

/** The ARN of a queue of this server; the partition follows from the region. */
export function queueArn(account: string, name: string, region: string): QueueArn {
  return { partition: partitionOf(region), region, account, name };
}

/** The URL that callers use for a queue. `endpoint`: origin and base path, with the caller's capability if he has one. */
export function formatQueueUrl(endpoint: string, arn: QueueArn): string {
  return `${endpoint}/${arn.account}/${arn.name}`;
}

/**
 * The QueueUrl in a request's body or query string, if that URL may carry a capability (`/k/<token>`); otherwise `undefined`. For the caller of the API, who needs the
 * token before the request is authorized: cheap for requests without one, and never an error, because decoding proper follows.
 */
export function findQueueUrl(request: Pick<SqsRequest, 'headers' | 'query' | 'body'>): string | undefined {
  try {
    if (isJson(request.headers('content-type'))) {
      if (!mentionsCapability(request.body)) return undefined;
      const body = parseBody(request.body);
      const url = typeof body === 'object' && body !== null && 'QueueUrl' in body ? body.QueueUrl : undefined;
      return typeof url === 'string' ? url : undefined;
    }
    const query = Buffer.from(request.query);
    if (!mentionsCapability(query) && !mentionsCapability(request.body)) return undefined;
    const form = new Form();
    form.add(request.query);
    if (isForm(request.headers('content-type'))) form.addBody(request.body);
    return form.get('QueueUrl');
  } catch {
    // Whatever is wrong with the request is reported by decoding it, to a caller who was authorized by other means or not at all.
    return undefined;
  }
}

/** `/k/` as it may be written: plain, with escaped slashes (JSON), percent-encoded (form). */
const CAPABILITY_MARKS = ['/k/', '\\/k\\/', '%2Fk%2F', '%2fk%2f'].map((mark) => Buffer.from(mark));

function mentionsCapability(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return CAPABILITY_MARKS.some((mark) => buffer.includes(mark));
}

/** The path of a URL, without query and fragment; a path stays as it is. */
function pathOf(text: string): string {
  const [address = ''] = text.split(/[?#]/, 1);
  const scheme = address.indexOf('://');
  if (scheme === -1) return address;
  const slash = address.indexOf('/', scheme + 3);
  return slash === -1 ? '' : address.slice(slash);
}

function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}
