/**
 * Events of the consumer as tests emit them: the members that hardly any test looks at.
 *
 * @module
 */

export const LEASED = { kind: 'leased', receiveCounts: [1, 1, 1], traceHeaders: [], tookMs: 1 } as const;

export const INVOKED = {
  kind: 'invoked',
  attempt: 1,
  functionArn: 'f',
  payloadBytes: 1,
  traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793',
  traceHeaders: [],
  lateMs: [],
  agesMs: [],
} as const;

export const ANSWERED = {
  kind: 'answered',
  attempt: 1,
  outcome: 'success',
  durationMs: 1,
  traceHeader: INVOKED.traceHeader,
} as const;

export const DELETED = { kind: 'deleted', tookMs: 1 } as const;
