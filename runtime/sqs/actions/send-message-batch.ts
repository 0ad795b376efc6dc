import type { Queue } from '../../queue/queue.ts';
import { type BatchEntry, checkBatch, partition } from '../batch.ts';
import { SqsError } from '../errors.ts';
import { MAX_MESSAGE_BYTES } from '../limits.ts';
import { type AcceptedMessage, acceptMessage, sizeOf } from '../outgoing-message.ts';
import type { MessageInput } from '../protocol/model.ts';
import { type Call, queueAction, takeSends } from './action.ts';

const ENTRY = 'SendMessageBatchRequestEntry';

export const sendMessageBatch = queueAction('SendMessageBatch', 'send', async (queue, input, call) => {
  const entries = checkBatch(input.Entries, ENTRY);
  checkTotal(entries);
  const { accepted, failed } = queue.definition.fifo
    ? { accepted: acceptAllOrNone(entries, queue, call), failed: [] }
    : partition(entries, (entry) => accept(entry, queue, call, 'One or more parameters cannot be validated.'));
  if (accepted.length > 0) takeSends(call, accepted.length);
  const sent = accepted.length === 0 ? [] : await queue.send(accepted.map(({ value }) => value.message));
  const Successful = accepted.map(({ id, value }, index) => {
    const outcome = sent[index];
    if (outcome === undefined) throw new Error(`queue ${queue.key} answered a send of ${accepted.length} with fewer`);
    return { Id: id, ...value.answer(outcome) };
  });
  return { Successful, Failed: failed };
});

function checkTotal(entries: readonly BatchEntry<MessageInput>[]): void {
  const total = entries.reduce((sum, { entry }) => sum + sizeOf(entry), 0);
  if (total <= MAX_MESSAGE_BYTES) return;
  throw new SqsError(
    'BatchRequestTooLong',
    `Batch requests cannot be longer than ${MAX_MESSAGE_BYTES} bytes. You have sent ${total} bytes.`,
  );
}

/** On a FIFO queue one bad entry refuses the batch: sending the others would change their order. */
function acceptAllOrNone(
  entries: readonly BatchEntry<MessageInput>[],
  queue: Queue,
  call: Call,
): readonly { readonly id: string; readonly value: AcceptedMessage }[] {
  return entries.map((entry) => {
    if (entry.entry.MessageBody && !entry.entry.MessageGroupId) {
      throw new SqsError('InvalidParameterValue', 'The request must contain the parameter MessageGroupId.');
    }
    return { id: entry.id, value: accept(entry, queue, call, 'One or more parameters are invalid.') };
  });
}

function accept(entry: BatchEntry<MessageInput>, queue: Queue, call: Call, oversized: string): AcceptedMessage {
  return acceptMessage(entry.entry, queue.definition, call, { body: `${ENTRY}.${entry.place}.MessageBody`, oversized });
}
