/**
 * Who calls, once it is proven.
 *
 * @module
 */
import type { Scope } from '../../sqs/request.ts';

export interface Credential {
  readonly kind: 'access-key' | 'capability' | 'admin' | 'anyone';
  /** `SenderId` of messages sent with it; never the secret itself. */
  readonly senderId: string;
  /** The token of a capability, so that URLs in answers carry it again. */
  readonly token?: string;
  allows(scope: Scope, queueName?: string): boolean;
}

/** Why a request was not let in; the codes are those of AWS (`sqs/errors.ts` turns them into both protocols). */
export type RefusalCode =
  /** No credential at all. */
  | 'AccessDenied'
  /** An access key or a capability that Karin does not know, has revoked, or that has run out. */
  | 'InvalidClientTokenId'
  | 'SignatureDoesNotMatch'
  | 'IncompleteSignature'
  /** Too many failed attempts from one address. */
  | 'RequestThrottled';

/** The request is refused; the message is safe to show to the caller. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}
