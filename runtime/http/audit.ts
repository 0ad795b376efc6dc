/**
 * The audit trail: one line at `info` for each thing that somebody did and that an operator may be asked about later.
 * Who is the id of a credential, never a secret; from where is the address of the client.
 *
 * What strangers cause, refused credentials, and refused deliveries, which their senders repeat, is bounded, so that
 * nobody fills the log: fifty lines at once and one more each second; the next line says how many were left out.
 *
 * @module
 */
import type { Log } from '../log.ts';
import type { Time } from '../time.ts';

export interface AuditEntry {
  /**
   * An action of SQS by its name, or `log-in`, `log-out`, `log-in-refused`, `credential-refused`, `token-created`,
   * `token-revoked`, `sync`, `drain`, `pull`, `export`, `import`, `page`, `hold`, `hold-ended`, `delivery-refused`.
   */
  readonly what: string;
  /** The `SenderId` of the credential, or `sync`; absent: nobody proved who he is. */
  readonly who?: string;
  /**
   * Address of the client; `store`: a command that works on the store itself, or another server, which has a line of
   * its own; `aws`: what a sync read there.
   */
  readonly from: string;
  /** What it was done to: a queue, a token's id and its scopes. */
  readonly to?: Readonly<Record<string, unknown>>;
}

export type Audit = (entry: AuditEntry) => void;

const REFUSALS_AT_ONCE = 50;
const REFUSALS: ReadonlySet<string> = new Set(['log-in-refused', 'credential-refused', 'delivery-refused']);

/** `keep`: takes every entry but refusals. */
export function createAudit(
  log: Log,
  time: Pick<Time, 'monotonic'>,
  keep: (entry: AuditEntry) => void = () => {},
): Audit {
  let room = REFUSALS_AT_ONCE;
  let at = time.monotonic();
  let leftOut = 0;
  const mayRefuse = (): boolean => {
    const now = time.monotonic();
    room = Math.min(REFUSALS_AT_ONCE, room + (now - at) / 1000);
    at = now;
    if (room < 1) return false;
    room -= 1;
    return true;
  };
  return (entry) => {
    const { what, who, from, to } = entry;
    const isRefusal = REFUSALS.has(what);
    if (!isRefusal) keep(entry);
    if (isRefusal && !mayRefuse()) {
      leftOut += 1;
      return;
    }
    log.info(
      { what, ...(who === undefined ? {} : { who }), from, ...to, ...(leftOut > 0 ? { leftOut } : {}) },
      'audit',
    );
    leftOut = 0;
  };
}
