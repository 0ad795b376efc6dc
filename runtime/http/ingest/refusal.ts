/**
 * Why a delivery is not taken, and whether its sender should come again. Senders such as SNS lose a message, or put it
 * into a dead-letter queue of their own, at the first 4xx but 429, and try again for an hour or a day on 5xx. So 4xx
 * is only for what can never succeed as it was sent.
 *
 * @module
 */
import type { SqsError } from '../../sqs/errors.ts';

/**
 * A delivery that is not taken, decided before the API is asked. The message names the value, the rule and the mend.
 */
export class DeliveryRefusal extends Error {
  override readonly name = 'DeliveryRefusal';
  readonly status: 400 | 403 | 404 | 503;
  /** One of a few words: a label in metrics. */
  readonly code: string;

  constructor(status: DeliveryRefusal['status'], code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** An answer that is not 200. */
export interface RefusalAnswer {
  readonly status: number;
  readonly code: string;
  readonly error: string;
  /** Seconds, on 429 and 503. */
  readonly retryAfter?: number;
}

/** For what an operator must do first, seconds; EventBridge and others wait as long as they are told. */
const WHEN_MENDED = 30;
const SOON = 5;

/** What makes a delivery acceptable that SendMessage would refuse, in terms of its URL. */
const MENDS: readonly (readonly [RegExp, string])[] = [
  [/Invalid binary character/, 'Add encoding=base64 to the URL to keep any bytes.'],
  [/not valid UTF-8/, 'Add encoding=base64 to the URL to keep any bytes.'],
  [/parameter MessageBody/, 'A message has at least one character.'],
  [/parameter MessageGroupId\.$/, 'Add group=<text>, group=header:<name> or group=json:<pointer> to the URL.'],
  [
    /MessageDeduplicationId provided explicitly$/,
    'Add dedup=<text>, dedup=header:<name> or dedup=json:<pointer> to the URL.',
  ],
  [/not valid for this queue type/, 'Take delay= or dedup= out of the URL; it is for queues of the other type.'],
  [/message attributes \[/, 'Name fewer headers in the URL, or leave out raw=true to keep attributes in the envelope.'],
];

/** The answer to an error. `isKnown`: whether the sender has proven a credential. */
export function answerTo(error: SqsError | DeliveryRefusal, queue: string, isKnown: boolean): RefusalAnswer {
  const { code, message } = error;
  if (error instanceof DeliveryRefusal) {
    return { status: error.status, code, error: message, ...(error.status === 503 ? { retryAfter: SOON } : {}) };
  }
  switch (error.code) {
    case 'QueueDoesNotExist':
      return {
        status: 503,
        code,
        error: `There is no queue ${queue} here, or not yet: deploy it and sync (POST /sync), or create it, or mend the URL.`,
        retryAfter: WHEN_MENDED,
      };
    case 'ServiceUnavailable':
      return { status: 503, code, error: message, retryAfter: SOON };
    case 'OverLimit':
      return { status: 503, code, error: message, retryAfter: WHEN_MENDED };
    case 'RequestThrottled':
      return { status: 429, code, error: message, retryAfter: SOON };
    case 'AccessDenied':
      return isKnown
        ? { status: 403, code, error: message }
        : {
            status: 401,
            code,
            error: `${message} Put a capability into the URL (/k/<token>/in/...), or send Authorization: Bearer <token>.`,
          };
    default: {
      const mend = error.status < 500 ? MENDS.find(([words]) => words.test(message))?.[1] : undefined;
      return { status: error.status, code, error: mend === undefined ? message : `${message} ${mend}` };
    }
  }
}
