import { DeleteItemCommand, DynamoDBClient, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';

const dynamodb = new DynamoDBClient({});
const TableName = process.env['CONNECTIONS_TABLE'];

/** An open WebSocket, and where messages for it are posted. */
export interface Connection {
  readonly id: string;
  readonly endpoint: string;
}

export async function addConnection({ id, endpoint }: Connection): Promise<void> {
  await dynamodb.send(new PutItemCommand({ TableName, Item: { id: { S: id }, endpoint: { S: endpoint } } }));
}

export async function removeConnection(id: string): Promise<void> {
  await dynamodb.send(new DeleteItemCommand({ TableName, Key: { id: { S: id } } }));
}

/** Everyone who is connected; one page of a table is 1 MB, far more than this example will see. */
export async function allConnections(): Promise<readonly Connection[]> {
  const { Items = [] } = await dynamodb.send(new ScanCommand({ TableName, ConsistentRead: true }));
  return Items.flatMap(({ id, endpoint }) => (id?.S && endpoint?.S ? [{ id: id.S, endpoint: endpoint.S }] : []));
}
