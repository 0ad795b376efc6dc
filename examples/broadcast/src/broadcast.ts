import {
  ApiGatewayManagementApiClient,
  GoneException,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { allConnections, type Connection, removeConnection } from './connections.ts';

/**
 * Posts each message to everyone who is connected; a message that reached nobody because of a fault is reported as
 * failed and comes again.
 */
export async function handler(event: SQSEvent): Promise<SQSBatchResponse> {
  const connections = await allConnections();
  const failed: string[] = [];
  for (const record of event.Records) {
    const posts = await Promise.allSettled(connections.map((connection) => post(connection, record.body)));
    const faults = posts.filter((result) => result.status === 'rejected');
    for (const { reason } of faults) console.error(`"${record.body}" did not reach a connection:`, reason);
    if (faults.length > 0) failed.push(record.messageId);
  }
  return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
}

async function post({ id, endpoint }: Connection, text: string): Promise<void> {
  const api = new ApiGatewayManagementApiClient({ endpoint });
  try {
    await api.send(new PostToConnectionCommand({ ConnectionId: id, Data: text }));
  } catch (error) {
    // The browser left without a word.
    if (error instanceof GoneException) await removeConnection(id);
    else throw error;
  } finally {
    api.destroy();
  }
}
