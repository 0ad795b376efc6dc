/**
 * What a request says about its own signature: which key, when, which headers. Read from its head, before any body is.
 *
 * Codes and texts of what is refused are those of AWS, so that SDKs show their users what they know.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { echo, SqsError } from '../../sqs/errors.ts';
import { isJson } from '../../sqs/protocol/content-type.ts';
import { basicIso } from './basic-iso.ts';
import { queryPairs, type RequestParts } from './canonical.ts';

export const ALGORITHM = 'AWS4-HMAC-SHA256';
export const TERMINATOR = 'aws4_request';
/** The longest life of a presigned URL: seven days. */
const LONGEST_EXPIRES_SECONDS = 604_800;

/** What a request says about its own signature; nothing of it is proven yet. */
export interface SignatureClaim {
  readonly accessKeyId: string;
  /** `date/region/service/aws4_request`. */
  readonly scope: string;
  readonly scopeDate: string;
  readonly region: string;
  readonly service: string;
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly timestamp: string;
  /** As listed; names that are not in lower case match no header. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** Presigned URLs: how long they hold, seconds. */
  readonly expiresSeconds?: number;
}

/** Reads the claim of a request; `undefined`: it is not signed. Errors: `SqsError` if it is signed, but not in full. */
export function readClaim(parts: RequestParts): SignatureClaim | undefined {
  const authorization = header(parts.rawHeaders, 'authorization');
  if (authorization?.startsWith('AWS4-')) return readHeaderClaim(parts, authorization);
  if (parts.query.includes('X-Amz-Signature') || parts.query.includes('X-Amz-Credential'))
    return readPresignedClaim(parts);
  return undefined;
}

function readHeaderClaim(parts: RequestParts, authorization: string): SignatureClaim {
  const space = authorization.indexOf(' ');
  const algorithm = space < 0 ? authorization : authorization.slice(0, space);
  if (algorithm !== ALGORITHM)
    throw new SqsError('IncompleteSignature', `Unsupported AWS 'algorithm': '${echo(algorithm)}'.`);
  const fields = new Map<string, string>();
  for (const part of space < 0 ? [] : authorization.slice(space + 1).split(',')) {
    const field = part.replace(/^ +/, '');
    const equals = field.indexOf('=');
    if (equals < 0) {
      throw new SqsError(
        'IncompleteSignature',
        `Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '${fingerprint(authorization)}'.`,
      );
    }
    fields.set(field.slice(0, equals), field.slice(equals + 1));
  }
  const date = header(parts.rawHeaders, 'x-amz-date') ?? header(parts.rawHeaders, 'date');
  const [credential, signature, signedHeaders] = ['Credential', 'Signature', 'SignedHeaders'].map((n) => fields.get(n));
  if (!credential || !signature || !signedHeaders || !date) {
    const missing = [
      credential ? '' : "Authorization header requires 'Credential' parameter. ",
      signature ? '' : "Authorization header requires 'Signature' parameter. ",
      signedHeaders ? '' : "Authorization header requires 'SignedHeaders' parameter. ",
      date ? '' : "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
    ].join('');
    throw new SqsError(
      'IncompleteSignature',
      `${missing}(Hashed with SHA-256 and encoded with Base64) Authorization=${fingerprint(authorization)}`,
    );
  }
  return claimOf(parts, { credential, signature, signedHeaders, date });
}

function readPresignedClaim(parts: RequestParts): SignatureClaim {
  const fields = new Map(queryPairs(parts.query));
  const algorithm = fields.get('X-Amz-Algorithm');
  if (algorithm !== undefined && algorithm !== ALGORITHM) {
    throw new SqsError('IncompleteSignature', `Unsupported AWS 'algorithm': '${echo(algorithm)}'.`);
  }
  const names = [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Signature',
    'X-Amz-SignedHeaders',
    'X-Amz-Date',
    'X-Amz-Expires',
  ];
  const [, credential, signature, signedHeaders, date, expires] = names.map((name) => fields.get(name));
  if (!algorithm || !credential || !signature || !signedHeaders || !date || !expires) {
    const missing = names
      .filter((name) => !fields.get(name))
      .map((name) => `AWS query-string parameters must include '${name}'. `);
    throw new SqsError('IncompleteSignature', `${missing.join('')}Re-examine the query-string parameters.`);
  }
  const expiresSeconds = /^\d{1,6}$/.test(expires) ? Number(expires) : 0;
  if (expiresSeconds < 1 || expiresSeconds > LONGEST_EXPIRES_SECONDS) {
    throw new SqsError(
      'IncompleteSignature',
      `X-Amz-Expires must be between 1 and ${LONGEST_EXPIRES_SECONDS} seconds.`,
    );
  }
  return { ...claimOf(parts, { credential, signature, signedHeaders, date }), expiresSeconds };
}

interface Fields {
  readonly credential: string;
  readonly signature: string;
  readonly signedHeaders: string;
  readonly date: string;
}

function claimOf(parts: RequestParts, fields: Fields): SignatureClaim {
  const elements = fields.credential.split('/');
  const [accessKeyId, scopeDate, region, service, terminator] = elements;
  if (
    elements.length !== 5 ||
    !accessKeyId ||
    scopeDate === undefined ||
    region === undefined ||
    service === undefined
  ) {
    throw new SqsError(
      'IncompleteSignature',
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${echo(fields.credential)}'`,
    );
  }
  if (terminator !== TERMINATOR) {
    throw new SqsError(
      'SignatureDoesNotMatch',
      `Credential should be scoped with a valid terminator: '${TERMINATOR}', not '${echo(terminator ?? '')}'.`,
    );
  }
  const timestamp = basicIso(fields.date);
  if (timestamp === undefined) {
    throw new SqsError(
      'IncompleteSignature',
      `Date must be in ISO-8601 'basic format'. Got '${echo(fields.date)}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    );
  }
  if (timestamp.slice(0, 8) !== scopeDate) {
    throw new SqsError(
      'SignatureDoesNotMatch',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${echo(scopeDate)}' != '${timestamp.slice(0, 8)}', from '${timestamp}'.`,
    );
  }
  const signedHeaders = fields.signedHeaders.split(';');
  if (!signedHeaders.includes('host') && !signedHeaders.includes(':authority')) {
    throw new SqsError(
      'SignatureDoesNotMatch',
      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    );
  }
  // The action of a JSON request stands in this header: unsigned, it would turn a signed SendMessage body into anything.
  if (header(parts.rawHeaders, 'x-amz-target') !== undefined && !signedHeaders.includes('x-amz-target')) {
    throw new SqsError('SignatureDoesNotMatch', "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.");
  }
  // AWS wants Content-Type signed where there is one, but the SDK for JavaScript v2 never did it and is let in. So it may be left out only where another value
  // would change nothing: with a target the body is JSON, and must not be read as a form.
  const contentType = header(parts.rawHeaders, 'content-type');
  const isSigned = contentType === undefined || signedHeaders.includes('content-type');
  if (!isSigned && signedHeaders.includes('x-amz-target') && !isJson(contentType)) {
    throw new SqsError('SignatureDoesNotMatch', "'Content-Type' must be a 'SignedHeader' in the AWS Authorization.");
  }
  return {
    accessKeyId,
    scope: elements.slice(1).join('/'),
    scopeDate,
    region,
    service,
    timestamp,
    signedHeaders,
    signature: fields.signature,
  };
}

/** Lets an operator recognise a header in a report without repeating what it holds. */
function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

/** The first header of this name. */
function header(rawHeaders: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) return rawHeaders[i + 1];
  }
  return undefined;
}
