/**
 * Keeps the messages of a batch in flight while somebody looks at its function with a debugger: they would be received
 * again, by the same function, as soon as their visibility timeout is over.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { Invoker } from '../aws/invoke.ts';
import { parseQueueArn } from '../queue/names.ts';
import { repeat } from '../retry.ts';
import type { Time } from '../time.ts';

export interface Holding {
  /** Origin of the SQS API. */
  readonly sqsOrigin: string;
  readonly time: Time;
  isDebugged(functionArn: string): Promise<boolean>;
}

/** How often the messages are held anew, milliseconds, and for how long each time, seconds. */
const HOLD_EVERY_MS = 2_000;
const HELD_SECONDS = 60;
/** No Invoke is given up while it may be looked at, seconds. */
const LONGEST_SECONDS = 24 * 3_600;

const Batch = z.object({ Records: z.array(z.object({ receiptHandle: z.string(), eventSourceARN: z.string() })) });

/** The invoker, with patience: its Invokes last as long as anybody looks. */
export function holdingMessages(invoker: Invoker, holding: Holding): Invoker {
  return {
    probe: (functionArn) => invoker.probe(functionArn),
    close: () => invoker.close(),
    invoke: async (request) => {
      const hold = (): void => {
        // A hold that fails is made again in a moment.
        void holdAll(request.functionArn, request.payload, holding).catch(() => {});
      };
      hold();
      const end = repeat(holding.time, HOLD_EVERY_MS, hold);
      try {
        return await invoker.invoke({ ...request, longestSeconds: LONGEST_SECONDS });
      } finally {
        end();
      }
    },
  };
}

async function holdAll(functionArn: string, payload: Uint8Array, holding: Holding): Promise<void> {
  if (!(await holding.isDebugged(functionArn))) return;
  const batch = Batch.safeParse(JSON.parse(new TextDecoder().decode(payload)));
  const records = batch.success ? batch.data.Records : [];
  const queue = parseQueueArn(records[0]?.eventSourceARN ?? '');
  if (queue === undefined) return;
  const QueueUrl = `${holding.sqsOrigin}/${queue.account}/${queue.name}`;
  await Promise.all(
    records.map(({ receiptHandle: ReceiptHandle }) =>
      fetch(`${holding.sqsOrigin}/`, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-amz-json-1.0',
          'x-amz-target': 'AmazonSQS.ChangeMessageVisibility',
        },
        body: JSON.stringify({ QueueUrl, ReceiptHandle, VisibilityTimeout: HELD_SECONDS }),
      }).then((answer) => answer.arrayBuffer()),
    ),
  );
}
