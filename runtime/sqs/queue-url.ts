/**
 * Queue URLs: what they name, and the capability they may carry.
 *
 * A QueueUrl is any text whose last two path segments are an account and a queue name, whatever the origin and whatever
 * stands before them (a base path, `/k/<token>`): SDKs send the URL they were configured with, and that may be the one
 * of a queue in AWS. Before the account may stand `/r/<region>`. A bare queue name is understood as well.
 *
 * @module
 */
import { partitionOf, type QueueArn } from '../queue/names.ts';
import { echo, SqsError } from './errors.ts';
import { QUEUE_NAME } from './limits.ts';
import { decodeFormText, endOfPair } from './protocol/form.ts';
import { type Caller, isForm, isJson, type SqsRequest } from './request.ts';

const ACCOUNT = /^\d{12}$/;

/**
 * The queue that a QueueUrl names for this caller. Errors: `QueueDoesNotExist` (absent, or no queue can have this
 * name), `InvalidAddress` (a URL of something else, or of another region than the request).
 */
export function parseQueueUrl(
  text: string | undefined,
  caller: Pick<Caller, 'account' | 'region' | 'regionOf'>,
): QueueArn {
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
  const named = regionBefore(segments.slice(0, -2));
  if (caller.regionOf !== undefined) return queueArn(account, name, caller.regionOf(named ?? regionOfAws(text)));
  // The host may be that of AWS in any region: with one region here, there is no other that could be meant.
  if (named !== undefined && named !== caller.region) {
    throw new SqsError(
      'InvalidAddress',
      `The address ${echo(text)} names the region ${echo(named)}; this server serves ${caller.region}.`,
    );
  }
  return queueArn(account, name, caller.region);
}

/** The region of `/r/<region>` at the end of a path, or before a capability there. */
function regionBefore(segments: readonly string[]): string | undefined {
  const [mark, region] = segments.slice(-2);
  if (mark === 'r') return region;
  return mark === 'k' ? regionBefore(segments.slice(0, -2)) : undefined;
}

/** The region in the host of a queue in AWS; `undefined`: it is no such host. */
function regionOfAws(text: string): string | undefined {
  return /^https?:\/\/sqs\.([a-z]{2,}(?:-[a-z0-9]+)+)\.[a-z0-9.-]+(?::\d+)?\//.exec(text)?.[1];
}

/** The ARN of a queue of this server; the partition follows from the region. */
export function queueArn(account: string, name: string, region: string): QueueArn {
  return { partition: partitionOf(region), region, account, name };
}

/**
 * The URL that callers use for a queue. `endpoint`: origin and base path, with the caller's capability if he has one.
 * On a server of several regions it names its own, so that it means the same queue to every caller.
 */
export function formatQueueUrl(
  { endpoint, caller }: { readonly endpoint: string; readonly caller: Pick<Caller, 'account' | 'regionOf'> },
  arn: QueueArn,
): string {
  const region = caller.regionOf === undefined ? '' : `/r/${arn.region}`;
  return `${endpoint}${region}/${arn.account}/${arn.name}`;
}

/**
 * The longest QueueUrl that is looked at for a capability, bytes as sent. An account, a queue name, a token and a long
 * host take 400.
 */
const LONGEST_QUEUE_URL = 2_048;

/**
 * The QueueUrl in a request's body or query string, for the caller of the API, who needs the capability that it may
 * carry (`/k/<token>`) before the request is authorized. So it costs a stranger's request nothing but one look at each
 * byte: nothing is decoded but the URL itself. Never an error, because decoding proper follows.
 *
 * `whole`: the body is complete; then a URL without a capability is not looked for. Otherwise it is a beginning, in
 * which the URL may not have come yet, or not all of it.
 */
export function findQueueUrl(
  request: Pick<SqsRequest, 'headers' | 'query' | 'body'>,
  whole = true,
): string | undefined {
  const { query } = request;
  const contentType = request.headers('content-type');
  // A view, not a copy.
  const body = Buffer.from(request.body.buffer, request.body.byteOffset, request.body.byteLength);
  try {
    if (isJson(contentType)) {
      return whole && !mentionsCapability(body) ? undefined : queueUrlOfJson(body);
    }
    if (isForm(contentType) && !(whole && !mentionsCapability(body))) {
      const found = queueUrlOfForm(body, whole);
      if (found !== undefined) return found;
    }
    if (query === '') return undefined;
    const parameters = Buffer.from(query);
    return mentionsCapability(parameters) ? queueUrlOfForm(parameters, true) : undefined;
  } catch {
    // Whatever is wrong with the request is reported by decoding it, to a caller who was authorized by other means or
    // not at all.
    return undefined;
  }
}

/** `/k/` as it may be written: plain, with escaped slashes (JSON), percent-encoded (form). */
const CAPABILITY_MARKS = ['/k/', '\\/k\\/', '%2Fk%2F', '%2fk%2f'].map((mark) => Buffer.from(mark));

function mentionsCapability(bytes: Buffer): boolean {
  return CAPABILITY_MARKS.some((mark) => bytes.includes(mark));
}

const [QUOTE, BACKSLASH, COMMA, COLON, OPEN_LIST, CLOSE_LIST, OPEN_STRUCTURE, CLOSE_STRUCTURE] = [
  0x22, 0x5c, 0x2c, 0x3a, 0x5b, 0x5d, 0x7b, 0x7d,
];
const MEMBER = Buffer.from('QueueUrl');

/**
 * The text of the member `QueueUrl` of a JSON structure, or of the beginning of one: one walk over the bytes that skips
 * texts and knows its depth.
 */
function queueUrlOfJson(body: Buffer): string | undefined {
  let depth = 0;
  let atName = false;
  let isQueueUrl = false;
  for (let at = 0; at < body.length; at += 1) {
    switch (body[at]) {
      case QUOTE: {
        const end = endOfText(body, at + 1);
        if (end === -1) return undefined;
        if (depth === 1 && atName) isQueueUrl = MEMBER.equals(body.subarray(at + 1, end));
        else if (depth === 1 && isQueueUrl) return end - at > LONGEST_QUEUE_URL ? undefined : textOf(body, at, end);
        at = end;
        break;
      }
      case OPEN_STRUCTURE:
      case OPEN_LIST:
        depth += 1;
        atName = depth === 1 && body[at] === OPEN_STRUCTURE;
        break;
      case CLOSE_STRUCTURE:
      case CLOSE_LIST:
        depth -= 1;
        break;
      case COMMA:
        if (depth === 1) [atName, isQueueUrl] = [true, false];
        break;
      case COLON:
        atName = false;
        break;
      default:
    }
  }
  return undefined;
}

/** Where the JSON text that begins at `from` has its closing quote; -1: not in these bytes. */
function endOfText(body: Buffer, from: number): number {
  for (let at = from; at < body.length; at += 1) {
    if (body[at] === BACKSLASH) at += 1;
    else if (body[at] === QUOTE) return at;
  }
  return -1;
}

function textOf(body: Buffer, open: number, close: number): string | undefined {
  const text: unknown = JSON.parse(body.toString('utf8', open, close + 1));
  return typeof text === 'string' ? text : undefined;
}

const PARAMETER = Buffer.from('QueueUrl=');
const NEXT_PARAMETER = Buffer.from('&QueueUrl=');

function queueUrlOfForm(body: Buffer, whole: boolean): string | undefined {
  const isFirst = body.subarray(0, PARAMETER.length).equals(PARAMETER);
  const next = isFirst ? -1 : body.indexOf(NEXT_PARAMETER);
  if (!isFirst && next === -1) return undefined;
  const from = isFirst ? PARAMETER.length : next + NEXT_PARAMETER.length;
  const end = endOfPair(body, from);
  const isComplete = whole || end < body.length;
  return isComplete && end - from <= LONGEST_QUEUE_URL ? decodeFormText(body, from, end) : undefined;
}

/** The path of a URL, without query and fragment; a path stays as it is. */
function pathOf(text: string): string {
  const [address = ''] = text.split(/[?#]/, 1);
  const scheme = address.indexOf('://');
  if (scheme === -1) return address;
  const slash = address.indexOf('/', scheme + 3);
  return slash === -1 ? '' : address.slice(slash);
}
