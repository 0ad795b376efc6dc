/**
 * What an operator asks of the functions that queues invoke: whether the server may invoke them, and the end of their
 * logs for a while. The page of functions and `/api/v1/functions` do the same.
 *
 * @module
 */
import type { Invoker } from '../aws/invoke.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { LogTails } from '../consumer/delivery.ts';
import type { QueueArn } from '../queue/names.ts';
import type { Time } from '../time.ts';
import { type FunctionRow, functionRows } from './functions.ts';

/** Whether a function can be invoked now, by a dry run: Lambda looks at the permission and runs nothing. */
interface FunctionCheck {
  readonly may: boolean;
  /** What Lambda, or the way to it, said. */
  readonly why?: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number;
}

export interface FunctionActions {
  /** Those of mappings, by name. `sees`: whether the reader may know of the queue of this name; default: he may. */
  list(sees?: (queue: QueueArn) => boolean): readonly FunctionRow[];
  /** As it was found last. */
  checkOf(functionArn: string): FunctionCheck | undefined;
  /** Asks anew about these functions, `MOST_CHECKED` at most; the rest stay as they were. Never rejects. */
  check(functionArns: readonly string[]): Promise<void>;
  /** When the logs of a function are no longer kept, epoch ms; `undefined`: they are not asked for. */
  logsUntil(functionArn: string): number | undefined;
  /** Asks for the end of the logs of a function from now on; gives until when. Errors: `StoreUnavailableError`. */
  keepLogs(functionArn: string): Promise<number>;
}

export interface FunctionActionsParts {
  readonly invoker: Pick<Invoker, 'probe'>;
  readonly logTails: LogTails;
  readonly syncState: () => SyncState | undefined;
  readonly time: Pick<Time, 'now'>;
}

/** One call of Lambda for each. */
export const MOST_CHECKED = 200;
const PARALLEL = 5;

export function createFunctionActions({ invoker, logTails, syncState, time }: FunctionActionsParts): FunctionActions {
  let checks: ReadonlyMap<string, FunctionCheck> = new Map();
  return {
    list: (sees = () => true) => {
      const discovery = syncState()?.discovery;
      if (discovery === undefined) return [];
      return functionRows({ ...discovery, mappings: discovery.mappings.filter(({ queueArn }) => sees(queueArn)) }, []);
    },
    checkOf: (functionArn) => checks.get(functionArn),
    check: async (functionArns) => {
      const open = functionArns.slice(0, MOST_CHECKED);
      const found = new Map(checks);
      const work = async (): Promise<void> => {
        for (let arn = open.pop(); arn !== undefined; arn = open.pop()) {
          const probed = await invoker.probe(arn);
          const at = time.now();
          found.set(arn, probed.kind === 'reached' ? { may: true, at } : { may: false, why: probed.message, at });
        }
      };
      await Promise.all(Array.from({ length: PARALLEL }, work));
      checks = found;
    },
    logsUntil: logTails.until,
    keepLogs: logTails.keep,
  };
}
