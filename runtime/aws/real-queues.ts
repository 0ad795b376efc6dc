/**
 * The real SQS queues, as a transfer needs them.
 *
 * @module
 */

import type {
  Message as AwsMessage,
  MessageAttributeValue,
  SendMessageBatchRequestEntry,
  SQSClient,
  SQSClientConfig,
} from '@aws-sdk/client-sqs';
import type { Message, MessageAttribute, MessageAttributes } from '../queue/message.ts';
import { formatQueueArn, type QueueArn } from '../queue/names.ts';
import { awsFailure, describeAwsError } from './discovery/calls.ts';
import { realQueueUrl } from './discovery/queues.ts';
import { type AwsScope, noScope, scopeFor } from './scope.ts';

/** A message for a real queue. */
export interface RealEntry {
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly traceHeader?: string;
  readonly groupId?: string;
  /** FIFO queues only. */
  readonly deduplicationId?: string;
  /** 0 to 900 s; standard queues only, SQS knows no delay of a single FIFO message. Absent: the queue's own. */
  readonly delaySeconds?: number;
}

/** What became of one entry of a send. */
export type RealSendOutcome =
  | { readonly kind: 'sent'; readonly messageId: string; readonly sequenceNumber?: string }
  /** Not accepted now; the same entry may be accepted later. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Never accepted as it is. */
  | { readonly kind: 'refused'; readonly reason: string };

/** A message received from a real queue; `id` is the one SQS gave it. */
export interface RealMessage extends Message {
  readonly receiptHandle: string;
  /** Epoch ms by the clock of SQS. */
  readonly sentAt: number;
  /** This receive included. */
  readonly receiveCount: number;
  readonly firstReceivedAt: number;
}

interface RealReceive {
  /** 1 to 10. */
  readonly maxMessages: number;
  /** Long polling, 0 to 20 s. */
  readonly waitSeconds: number;
  readonly visibilityTimeoutSeconds: number;
  readonly signal?: AbortSignal;
}

/** The approximate counts of a real queue. */
export interface RealDepth {
  readonly visible: number;
  readonly delayed: number;
  readonly inFlight: number;
}

/**
 * A transfer between Karin and SQS cannot go on, and trying again changes nothing: the queue does not exist in AWS, or
 * AWS refuses. The message says what mends it. Nothing is lost by it; the same command goes on where this one stopped.
 */
export class TransferError extends Error {
  override readonly name = 'TransferError';
}

/**
 * All calls reject with `TransferError` when trying again changes nothing, and with any other error when it may help.
 */
export interface RealQueues {
  /** Sends 1 to 10 messages of at most 1,048,576 bytes together; an outcome for each, in order. */
  send(queue: QueueArn, entries: readonly RealEntry[]): Promise<readonly RealSendOutcome[]>;
  receive(queue: QueueArn, request: RealReceive): Promise<readonly RealMessage[]>;
  /** Deletes 1 to 10 messages; whether each is gone. */
  delete(queue: QueueArn, receiptHandles: readonly string[]): Promise<readonly boolean[]>;
  depth(queue: QueueArn): Promise<RealDepth>;
  close(): void;
}

/** Messages in one call of SQS. */
export const MAX_BATCH_ENTRIES = 10;
/**
 * Bytes of all messages of one call of SQS together: bodies, and names, types and values of attributes. Source: SQS
 * quotas, "Message size".
 */
export const MAX_BATCH_BYTES = 1_048_576;

/** Cuts messages into batches that SQS takes in one call, keeping their order. */
export function batchesOf<M extends Pick<Message, 'body' | 'attributes'>>(messages: readonly M[]): readonly M[][] {
  const batches: M[][] = [];
  let batch: M[] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = messageBytes(message);
    if (batch.length === MAX_BATCH_ENTRIES || (batch.length > 0 && bytes + size > MAX_BATCH_BYTES)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(message);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

function messageBytes({ body, attributes }: Pick<Message, 'body' | 'attributes'>): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, attribute] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(attribute.dataType);
    bytes += 'stringValue' in attribute ? Buffer.byteLength(attribute.stringValue) : attribute.binaryValue.byteLength;
  }
  return bytes;
}

/*
 * The real queues over the AWS SDK, which is loaded by the first call: most servers never transfer anything.
 *
 * The SDK's retries stay on. A send that is repeated because its answer was lost may store a message twice on a
 * standard queue, as SQS allows at any time; on a FIFO queue the deduplication id collapses the two.
 */

type Sdk = typeof import('@aws-sdk/client-sqs');

export interface AwsRealQueuesOptions {
  /** Default: as the AWS SDK finds it. */
  readonly region?: string;
  /** Default: as the AWS SDK finds it (`AWS_ENDPOINT_URL_SQS`, ...). */
  readonly endpoint?: string;
  /** Default: as the AWS SDK finds them. */
  readonly credentials?: SQSClientConfig['credentials'];
}

const CONNECT_TIMEOUT_MS = 3_000;
/** Longer than the longest long poll (20 s). */
const REQUEST_TIMEOUT_MS = 30_000;

/** What SQS answers to a whole call for the sake of what one message in it is. */
const CONTENT_ERRORS = new Set([
  'BatchRequestTooLong',
  'InvalidMessageContents',
  'InvalidParameterValue',
  'InvalidParameterValueException',
  'InvalidAttributeValue',
  'SerializationException',
]);

/**
 * Real queues of the account and region that the SDK's configuration names; other accounts of the region too, as far as
 * they allow it.
 */
export function createAwsRealQueues(options: AwsRealQueuesOptions = {}): RealQueues {
  return new AwsRealQueues(options);
}

/** The real queues of all scopes, each asked in its own region with the credentials of its account. */
export function createScopedRealQueues(scopes: readonly AwsScope[]): RealQueues {
  const made = new Map<AwsScope, RealQueues>();
  const of = (queue: QueueArn): RealQueues => {
    const scope = scopeFor(scopes, queue);
    if (scope === undefined) throw new TransferError(`${formatQueueArn(queue)}: ${noScope(queue)}`);
    const known = made.get(scope);
    if (known !== undefined) return known;
    const { region, credentials } = scope;
    const realQueues = createAwsRealQueues({ region, ...(credentials === undefined ? {} : { credentials }) });
    made.set(scope, realQueues);
    return realQueues;
  };
  return {
    send: async (queue, entries) => of(queue).send(queue, entries),
    receive: async (queue, request) => of(queue).receive(queue, request),
    delete: async (queue, receiptHandles) => of(queue).delete(queue, receiptHandles),
    depth: async (queue) => of(queue).depth(queue),
    close: () => {
      for (const realQueues of made.values()) realQueues.close();
    },
  };
}

class AwsRealQueues implements RealQueues {
  readonly #options: AwsRealQueuesOptions;
  #loaded: Promise<{ readonly sdk: Sdk; readonly client: SQSClient }> | undefined;

  constructor(options: AwsRealQueuesOptions) {
    this.#options = options;
  }

  async send(queue: QueueArn, entries: readonly RealEntry[]): Promise<readonly RealSendOutcome[]> {
    try {
      return await this.#sendTogether(queue, entries);
    } catch (error) {
      const { cause } = error instanceof TransferError ? error : { cause: undefined };
      if (!(cause instanceof Error && CONTENT_ERRORS.has(cause.name))) throw error;
      // Something in one of them made SQS refuse the whole call: alone, each is judged for itself.
      if (entries.length === 1) return [{ kind: 'refused', reason: describeAwsError(cause) }];
      const outcomes: RealSendOutcome[] = [];
      for (const entry of entries) outcomes.push(...(await this.send(queue, [entry])));
      return outcomes;
    }
  }

  receive(queue: QueueArn, request: RealReceive): Promise<readonly RealMessage[]> {
    return this.#call(queue, 'sqs:ReceiveMessage', async (sdk, client, QueueUrl) => {
      const command = new sdk.ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: request.maxMessages,
        WaitTimeSeconds: request.waitSeconds,
        VisibilityTimeout: request.visibilityTimeoutSeconds,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      });
      const { Messages = [] } = await client.send(
        command,
        request.signal === undefined ? {} : { abortSignal: request.signal },
      );
      return Messages.map(realMessage);
    });
  }

  delete(queue: QueueArn, receiptHandles: readonly string[]): Promise<readonly boolean[]> {
    return this.#call(queue, 'sqs:DeleteMessage', async (sdk, client, QueueUrl) => {
      const Entries = receiptHandles.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
      const { Successful = [] } = await client.send(new sdk.DeleteMessageBatchCommand({ QueueUrl, Entries }));
      const gone = new Set(Successful.map(({ Id }) => Id));
      return Entries.map(({ Id }) => gone.has(Id));
    });
  }

  depth(queue: QueueArn): Promise<RealDepth> {
    return this.#call(queue, 'sqs:GetQueueAttributes', async (sdk, client, QueueUrl) => {
      const { Attributes = {} } = await client.send(
        new sdk.GetQueueAttributesCommand({
          QueueUrl,
          AttributeNames: [
            'ApproximateNumberOfMessages',
            'ApproximateNumberOfMessagesDelayed',
            'ApproximateNumberOfMessagesNotVisible',
          ],
        }),
      );
      return {
        visible: Number(Attributes['ApproximateNumberOfMessages'] ?? 0),
        delayed: Number(Attributes['ApproximateNumberOfMessagesDelayed'] ?? 0),
        inFlight: Number(Attributes['ApproximateNumberOfMessagesNotVisible'] ?? 0),
      };
    });
  }

  close(): void {
    // A load that failed has told its caller; there is nothing to close then.
    this.#loaded?.then(
      ({ client }) => client.destroy(),
      () => {},
    );
  }

  #sendTogether(queue: QueueArn, entries: readonly RealEntry[]): Promise<readonly RealSendOutcome[]> {
    return this.#call(queue, 'sqs:SendMessage', async (sdk, client, QueueUrl) => {
      const Entries = entries.map(sendEntry);
      const answer = await client.send(new sdk.SendMessageBatchCommand({ QueueUrl, Entries }));
      const sent = new Map(answer.Successful?.map((entry) => [entry.Id, entry]));
      const failed = new Map(answer.Failed?.map((entry) => [entry.Id, entry]));
      return Entries.map(({ Id }): RealSendOutcome => {
        const success = sent.get(Id);
        if (success?.MessageId !== undefined) {
          const { MessageId: messageId, SequenceNumber: sequenceNumber } = success;
          return { kind: 'sent', messageId, ...(sequenceNumber !== undefined && { sequenceNumber }) };
        }
        const failure = failed.get(Id);
        const reason = `${failure?.Code ?? 'no answer'}: ${failure?.Message ?? 'SQS did not say why'}`;
        const forGood = failure?.SenderFault === true && !/Throttl/i.test(failure.Code ?? '');
        return { kind: forGood ? 'refused' : 'failed', reason };
      });
    });
  }

  async #call<T>(
    queue: QueueArn,
    action: string,
    run: (sdk: Sdk, client: SQSClient, queueUrl: string) => Promise<T>,
  ): Promise<T> {
    this.#loaded ??= this.#load();
    const { sdk, client } = await this.#loaded;
    try {
      return await run(sdk, client, realQueueUrl(queue));
    } catch (error) {
      throw permanentError(error, queue, action) ?? error;
    }
  }

  async #load(): Promise<{ readonly sdk: Sdk; readonly client: SQSClient }> {
    const [sdk, { NodeHttpHandler }] = await Promise.all([
      import('@aws-sdk/client-sqs'),
      import('@smithy/node-http-handler'),
    ]);
    const { region, endpoint, credentials } = this.#options;
    const client = new sdk.SQSClient({
      ...(region !== undefined && { region }),
      ...(endpoint !== undefined && { endpoint }),
      ...(credentials !== undefined && { credentials }),
      // The queue's own URL names AWS; an endpoint in the environment (an emulator) has to win over it.
      useQueueUrlAsEndpoint: false,
      requestHandler: new NodeHttpHandler({
        connectionTimeout: CONNECT_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
      }),
    });
    return { sdk, client };
  }
}

/** What AWS will say again next time, with what mends it; `undefined`: trying again may help. */
function permanentError(error: unknown, queue: QueueArn, action: string): TransferError | undefined {
  const said = describeAwsError(error);
  const arn = formatQueueArn(queue);
  if (error instanceof Error && error.name === 'CredentialsProviderError') {
    return new TransferError(`there are no AWS credentials to call ${action} on ${arn} with (${said})`, {
      cause: error,
    });
  }
  switch (awsFailure(error)) {
    case 'transient':
      return undefined;
    case 'not-found':
      return new TransferError(`the queue ${arn} does not exist in AWS (${said}); deploy the stack that defines it`, {
        cause: error,
      });
    case 'refused':
      return new TransferError(
        `AWS refused ${action} on ${arn} (${said}); allow it to the identity that this process runs with, and kms:Decrypt and kms:GenerateDataKey if the queue has a key of its own`,
        { cause: error },
      );
  }
}

function sendEntry(entry: RealEntry, index: number): SendMessageBatchRequestEntry {
  const { traceHeader, groupId, deduplicationId, delaySeconds } = entry;
  return {
    Id: String(index),
    MessageBody: entry.body,
    ...(Object.keys(entry.attributes).length > 0 && { MessageAttributes: awsAttributes(entry.attributes) }),
    ...(traceHeader !== undefined && {
      MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: traceHeader } },
    }),
    ...(groupId !== undefined && { MessageGroupId: groupId }),
    ...(deduplicationId !== undefined && { MessageDeduplicationId: deduplicationId }),
    ...(delaySeconds !== undefined && { DelaySeconds: delaySeconds }),
  };
}

function awsAttributes(attributes: MessageAttributes): Record<string, MessageAttributeValue> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, attribute]) => [
      name,
      'stringValue' in attribute
        ? { DataType: attribute.dataType, StringValue: attribute.stringValue }
        : { DataType: attribute.dataType, BinaryValue: attribute.binaryValue },
    ]),
  );
}

function realMessage(message: AwsMessage): RealMessage {
  const { MessageId, ReceiptHandle, Body = '', MessageAttributes = {}, Attributes = {} } = message;
  if (MessageId === undefined || ReceiptHandle === undefined) {
    throw new Error('SQS answered with a message that has no id or no receipt handle');
  }
  const { AWSTraceHeader, MessageGroupId, MessageDeduplicationId, DeadLetterQueueSourceArn } = Attributes;
  return {
    id: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
    attributes: Object.fromEntries(
      Object.entries(MessageAttributes).map(([name, attribute]) => [name, ownAttribute(attribute)]),
    ),
    senderId: Attributes.SenderId ?? '',
    sentAt: Number(Attributes.SentTimestamp),
    receiveCount: Number(Attributes.ApproximateReceiveCount ?? 1),
    firstReceivedAt: Number(Attributes.ApproximateFirstReceiveTimestamp ?? 0),
    ...(AWSTraceHeader !== undefined && { traceHeader: AWSTraceHeader }),
    ...(MessageGroupId !== undefined && { groupId: MessageGroupId }),
    ...(MessageDeduplicationId !== undefined && { deduplicationId: MessageDeduplicationId }),
    ...(DeadLetterQueueSourceArn !== undefined && { deadLetterSourceArn: DeadLetterQueueSourceArn }),
  };
}

function ownAttribute({ DataType = 'String', StringValue, BinaryValue }: MessageAttributeValue): MessageAttribute {
  return BinaryValue === undefined
    ? { dataType: DataType, stringValue: StringValue ?? '' }
    : { dataType: DataType, binaryValue: BinaryValue };
}
