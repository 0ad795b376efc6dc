/**
 * Every error of the SQS API, in one table: how it is named in either protocol, its HTTP status and its text.
 *
 * Sources: the `awsQueryError` and `httpError` traits of the service model of 2012-11-05 for the modelled errors
 * (`com.amazonaws.sqs`), and answers recorded from SQS for the others (`com.amazon.coral.service`).
 *
 * @module
 */

import { ALLOWED_CHARACTERS, FORBIDDEN_CHARACTER } from './limits.ts';

/** Whose fault it is; SDKs retry what is the receiver's. */
export type Fault = 'Sender' | 'Receiver';

interface ErrorForm {
  /** `__type` of the JSON protocol. */
  readonly type: string;
  /** `Code` of the Query protocol, and of the `x-amzn-query-error` header. */
  readonly queryCode: string;
  readonly status: number;
  readonly fault: Fault;
  /** The text where the thrower gives none. */
  readonly text: string;
  /** SQS words this one differently in the Query protocol. */
  readonly queryText?: string;
}

function modelled(
  shape: string,
  status: number,
  text: string,
  queryCode = `AWS.SimpleQueueService.${shape}`,
): ErrorForm {
  return { type: `com.amazonaws.sqs#${shape}`, queryCode, status, fault: 'Sender', text };
}

function common(shape: string, queryCode: string, status: number, text: string): ErrorForm {
  const fault = status >= 500 ? 'Receiver' : 'Sender';
  return { type: `com.amazon.coral.service#${shape}`, queryCode, status, fault, text };
}

const FORMS = {
  QueueDoesNotExist: {
    ...modelled(
      'QueueDoesNotExist',
      400,
      'The specified queue does not exist.',
      'AWS.SimpleQueueService.NonExistentQueue',
    ),
    queryText: 'The specified queue does not exist for this wsdl version.',
  },
  QueueNameExists: modelled(
    'QueueNameExists',
    400,
    'A queue already exists with the same name and a different value for an attribute.',
    'QueueAlreadyExists',
  ),
  QueueDeletedRecently: modelled(
    'QueueDeletedRecently',
    400,
    'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
  ),
  PurgeQueueInProgress: modelled(
    'PurgeQueueInProgress',
    403,
    'Only one PurgeQueue operation on a queue is allowed every 60 seconds.',
  ),
  ReceiptHandleIsInvalid: modelled(
    'ReceiptHandleIsInvalid',
    404,
    'The input receipt handle is invalid.',
    'ReceiptHandleIsInvalid',
  ),
  MessageNotInflight: modelled('MessageNotInflight', 400, 'The specified message is not in flight.'),
  OverLimit: modelled('OverLimit', 403, 'The request exceeds a limit of the queue.', 'OverLimit'),
  ResourceNotFoundException: modelled(
    'ResourceNotFoundException',
    404,
    'One or more specified resources do not exist.',
    'ResourceNotFoundException',
  ),
  InvalidAttributeName: modelled(
    'InvalidAttributeName',
    400,
    'The specified attribute does not exist.',
    'InvalidAttributeName',
  ),
  InvalidAttributeValue: modelled(
    'InvalidAttributeValue',
    400,
    'A queue attribute value is invalid.',
    'InvalidAttributeValue',
  ),
  InvalidMessageContents: modelled(
    'InvalidMessageContents',
    400,
    'The message contains characters outside the allowed set.',
    'InvalidMessageContents',
  ),
  BatchEntryIdsNotDistinct: modelled(
    'BatchEntryIdsNotDistinct',
    400,
    'Two or more batch entries in the request have the same Id.',
  ),
  BatchRequestTooLong: modelled(
    'BatchRequestTooLong',
    400,
    'The length of all the messages put together is more than the limit.',
  ),
  EmptyBatchRequest: modelled('EmptyBatchRequest', 400, "The batch request doesn't contain any entries."),
  InvalidBatchEntryId: modelled(
    'InvalidBatchEntryId',
    400,
    'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
  ),
  TooManyEntriesInBatchRequest: modelled(
    'TooManyEntriesInBatchRequest',
    400,
    'The batch request contains more entries than permissible.',
  ),
  UnsupportedOperation: modelled('UnsupportedOperation', 400, 'Unsupported operation.'),
  InvalidAddress: modelled('InvalidAddress', 404, 'The address is not valid for this endpoint.', 'InvalidAddress'),
  InvalidSecurity: modelled(
    'InvalidSecurity',
    403,
    'All requests to this queue must use HTTPS and SigV4.',
    'InvalidSecurity',
  ),
  RequestThrottled: modelled('RequestThrottled', 403, 'Rate exceeded. Slow down.', 'RequestThrottled'),

  InvalidParameterValue: common(
    'InvalidParameterValueException',
    'InvalidParameterValue',
    400,
    'One or more parameters are invalid.',
  ),
  MissingParameter: common(
    'MissingRequiredParameterException',
    'MissingParameter',
    400,
    'The request lacks a required parameter.',
  ),
  InvalidAction: common(
    'UnknownOperationException',
    'InvalidAction',
    400,
    'The action is not valid for this endpoint.',
  ),
  MalformedInput: common('SerializationException', 'MalformedInput', 400, 'The request body cannot be read.'),
  AccessDenied: common('AccessDeniedException', 'AccessDenied', 403, 'Access to the resource is denied.'),
  InvalidClientTokenId: common(
    'UnrecognizedClientException',
    'InvalidClientTokenId',
    403,
    'The security token included in the request is invalid.',
  ),
  SignatureDoesNotMatch: common(
    'InvalidSignatureException',
    'SignatureDoesNotMatch',
    403,
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  ),
  IncompleteSignature: common(
    'IncompleteSignatureException',
    'IncompleteSignature',
    400,
    'The Authorization header does not conform to AWS Signature Version 4.',
  ),
  MissingAuthenticationToken: common(
    'MissingAuthenticationTokenException',
    'MissingAuthenticationToken',
    403,
    'Request is missing Authentication Token',
  ),
  RequestExpired: common('RequestExpired', 'RequestExpired', 400, 'Request has expired.'),
  RequestEntityTooLarge: common(
    'RequestEntityTooLargeException',
    'RequestEntityTooLarge',
    413,
    'The request is larger than any valid request can be.',
  ),
  ServiceUnavailable: common(
    'ServiceUnavailableException',
    'ServiceUnavailable',
    503,
    'The store of messages cannot be reached. Try again.',
  ),
  InternalFailure: common(
    'InternalFailure',
    'InternalFailure',
    500,
    'The request processing has failed because of an unknown error, exception or failure.',
  ),
} as const satisfies Record<string, ErrorForm>;

/** The errors of the table. Modelled ones have the name of their shape, the others that of their Query code. */
export type SqsErrorCode = keyof typeof FORMS;

/** All codes, for tests that walk the table. */
export const SQS_ERROR_CODES: readonly SqsErrorCode[] =
  // Object.keys widens to string[]; the table is a constant, so its keys are exactly these.
  Object.keys(FORMS) as SqsErrorCode[];

/** An answer of the SQS API that is not a success. Thrown anywhere below the API, rendered at one place. */
export class SqsError extends Error {
  override readonly name = 'SqsError';
  readonly code: SqsErrorCode;
  readonly #ownText: boolean;

  /** `text`: what the caller reads, in both protocols; default: the table's. */
  constructor(code: SqsErrorCode, text?: string) {
    super(text ?? FORMS[code].text);
    this.code = code;
    this.#ownText = text !== undefined;
  }

  /** `__type` of the JSON protocol, for example `com.amazonaws.sqs#QueueDoesNotExist`. */
  get type(): string {
    return this.#form.type;
  }

  /** `Code` of the Query protocol, for example `AWS.SimpleQueueService.NonExistentQueue`. */
  get queryCode(): string {
    return this.#form.queryCode;
  }

  /** HTTP status. */
  get status(): number {
    return this.#form.status;
  }

  get fault(): Fault {
    return this.#form.fault;
  }

  /** The text in the Query protocol, where SQS words a few errors differently. */
  get queryMessage(): string {
    return this.#ownText ? this.message : (this.#form.queryText ?? this.message);
  }

  get #form(): ErrorForm {
    return FORMS[this.code];
  }
}

/** How much of a refused value an error repeats; a handle or name may be as long as a request. */
const LONGEST_ECHO = 1_024;

/** A value as an error text shows it. */
export function echo(value: string | number): string {
  const text = String(value);
  return text.length <= LONGEST_ECHO ? text : `${text.slice(0, LONGEST_ECHO)}...`;
}

/** `Value V for parameter P is invalid. Reason: R`. */
export function invalidParameter(parameter: string, value: string | number, reason: string): SqsError {
  return new SqsError(
    'InvalidParameterValue',
    `Value ${echo(value)} for parameter ${parameter} is invalid. Reason: ${reason}`,
  );
}

/**
 * `Invalid binary character '#x7' was found in the W, the set of allowed characters is ...`, with the first character
 * of `text` that no message may hold; `undefined`: it holds none. `where`: for example `message body`.
 */
export function forbiddenCharacter(text: string, where: string): string | undefined {
  const codePoint = FORBIDDEN_CHARACTER.exec(text)?.[0].codePointAt(0);
  if (codePoint === undefined) return undefined;
  const found = `#x${codePoint.toString(16).toUpperCase()}`;
  return `Invalid binary character '${found}' was found in the ${where}, the set of allowed characters is ${ALLOWED_CHARACTERS}.`;
}

/** `The request must contain the parameter P.` */
export function missingParameter(parameter: string): SqsError {
  return new SqsError('MissingParameter', `The request must contain the parameter ${parameter}.`);
}
