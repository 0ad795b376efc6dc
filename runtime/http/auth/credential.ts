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
  /** Takes so many messages from its share of this second; `false`: there is no room. Absent: its share is not bounded. */
  readonly takeSends?: (count: number) => boolean;
  allows(scope: Scope, queueName?: string): boolean;
}
