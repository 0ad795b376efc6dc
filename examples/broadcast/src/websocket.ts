import type { APIGatewayProxyWebsocketEventV2 } from 'aws-lambda';
import { addConnection, removeConnection } from './connections.ts';

/** Remembers who is connected. */
export async function handler(event: APIGatewayProxyWebsocketEventV2): Promise<{ statusCode: number }> {
  const { connectionId: id, eventType, domainName, stage } = event.requestContext;
  if (eventType === 'CONNECT') {
    await addConnection({ id, endpoint: process.env['WEBSOCKET_ENDPOINT'] ?? `https://${domainName}/${stage}` });
  } else {
    await removeConnection(id);
  }
  return { statusCode: 200 };
}
