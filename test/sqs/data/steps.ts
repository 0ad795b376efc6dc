/**
 * Calls of the API as data, for the tables of recorded answers.
 *
 * @module
 */

/**
 * An action with its input. In a text, `<handle>` is the receipt handle of the last message received, `<arn>` and
 * `<url>` begin the names of queues.
 */
export type Step = readonly [action: string, input: Readonly<Record<string, unknown>>];

export const create: Step = ['CreateQueue', { QueueName: 'q' }];
export const fifo = (attributes: object = {}): Step => [
  'CreateQueue',
  { QueueName: 'q.fifo', Attributes: { FifoQueue: 'true', ...attributes } },
];
export const send: Step = ['SendMessage', { QueueUrl: '<url>q', MessageBody: 'x' }];
export const receive: Step = ['ReceiveMessage', { QueueUrl: '<url>q' }];
