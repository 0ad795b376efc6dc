/**
 * The yardstick of the throughput figure: node:http and the store's own send, with nothing of SQS between them.
 * Run as a process of its own: `tsx bare-server.ts`, with REDIS_URL and PORT as the real server has them.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeRecord } from '../../runtime/queue/record.ts';
import { openStore } from '../../runtime/store/open-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';

const store = await openStore({
  urls: [process.env['REDIS_URL'] ?? ''],
  instanceId: 'bare',
  time: systemTime,
  randomness: systemRandomness,
});
const queue = { key: 'us-east-1:000000000000:bare', fifo: false };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', async () => {
    const { MessageBody: body } = JSON.parse(Buffer.concat(chunks).toString());
    const id = systemRandomness.uuid();
    await store.send(queue, [{ id, record: encodeRecord({ id, body, attributes: {}, senderId: 'bare' }), delayMs: 0 }]);
    const answer = JSON.stringify({ MessageId: id });
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) });
    response.end(answer);
  });
});
server.listen(0, '127.0.0.1', () => {
  // A TCP server's address is an AddressInfo; the wider type is for pipes.
  console.log(`karin ready http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
process.once('SIGTERM', () => process.exit(0));
