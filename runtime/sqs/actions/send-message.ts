import { acceptMessage } from '../outgoing-message.ts';
import { queueAction, takeSends } from './action.ts';

export const sendMessage = queueAction('SendMessage', 'send', async (queue, input, call) => {
  const accepted = acceptMessage(input, queue.definition, call);
  takeSends(call, 1);
  const [sent] = await queue.send([accepted.message]);
  if (sent === undefined) throw new Error(`queue ${queue.key} answered a send of one message with none`);
  return accepted.answer(sent);
});
