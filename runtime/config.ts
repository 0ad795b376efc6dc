/**
 * The environment, read once into one frozen, typed object. AWS variables are not here: they reach the AWS SDK untouched.
 *
 * @module
 */

/** Settings of `karin start`, all from the environment. */
export interface Config {
  /** `HOST`; default 127.0.0.1 (the container image sets 0.0.0.0). */
  readonly host: string;
  /** `PORT`, 0 to 65,535; default 4000; 0: any free port. */
  readonly port: number;
  /** `REDIS_URL`: one URL, or several separated by commas for a cluster; `memory` only for `karin dev`. */
  readonly redis: 'memory' | readonly string[];
  /** `KARIN_PUBLIC_URL`: origin and base path under which callers reach the server; default: the Host of each request. */
  readonly publicUrl?: string;
  /** `AWS_REGION` or `AWS_DEFAULT_REGION`; default us-east-1 in dev only. */
  readonly region: string;
  /** `KARIN_ACCOUNT_ID`; default: the account of the discovered functions, else 000000000000. */
  readonly accountId?: string;
  /** Where mappings come from: `KARIN_DISCOVERY` = `aws` (default), `template:<path>`, `none`. */
  readonly discovery:
    | { readonly kind: 'aws' }
    | { readonly kind: 'template'; readonly path: string }
    | { readonly kind: 'none' };
  /** `KARIN_SYNC_INTERVAL`, seconds between syncs; default 3600; 0: never by itself. */
  readonly syncIntervalSeconds: number;
  /** `KARIN_MAX_DELAY_SECONDS`, 900 to 1,209,600; default 900, as SQS. */
  readonly maxDelaySeconds: number;
  /** `KARIN_KEYS`: access keys that Karin knows, `id:secret[:scopes[:queue globs]]`, several separated by commas or in a file by `KARIN_KEYS_FILE`. */
  readonly keysText: string;
  /** `KARIN_TOKENS`: capability tokens besides those created by `karin token create`. */
  readonly tokensText: string;
  readonly adminPassword?: string;
  /** `KARIN_CONCURRENCY`: Invokes at one time in this process, 1 to 1,000; default 50. */
  readonly maxConcurrency: number;
  /** `KARIN_BYTES_IN_FLIGHT`: bytes of message records under lease in this process; default 25,165,824 (24 MiB). */
  readonly maxBytesInFlight: number;
  /** `KARIN_STOP_GRACE`, seconds that open Invokes get on SIGTERM; default 60. */
  readonly stopGraceSeconds: number;
  /** `LOG_LEVEL`: trace, debug, info, warn, error, silent; default info. */
  readonly logLevel: string;
  /** `KARIN_MODE_ONLY`: queue-name globs of the queues to consume; default: all. */
  readonly queueNames: readonly string[];
}

/** Every problem of a configuration at once; each names the variable, its value (never a secret), the rule and the mend. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n${problems.map((p) => `  - ${p}`).join('\n')}`,
    );
    this.problems = problems;
  }
}
