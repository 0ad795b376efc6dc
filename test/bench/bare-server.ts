/**
 * The yardstick of the throughput figures: the least that a server with messages in Redis can do, and none of Karin's
 * code.
 *
 * node:http, one parse of the JSON body, ioredis with automatic pipelining, a script of one HSET and one ZADD, one
 * answer with the MD5 digest that SDKs check. It has no limits, no credentials, no delays and no receives, so nobody
 * could use it. That is what makes it a yardstick: the distance to it is what everything else costs. Run as a process
 * of its own: `tsx bare-server.ts`, with REDIS_URL and PORT as the real server has them.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';

const SEND = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])";

const redis = new Redis(process.env['REDIS_URL'] ?? '', {
  enableAutoPipelining: true,
  scripts: { bareSend: { lua: SEND, numberOfKeys: 2 } },
});
// ioredis adds scripts to the client as methods that its types do not know.
const { bareSend } = redis as unknown as { bareSend(...args: readonly (string | number)[]): Promise<number> };

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', async () => {
    const { MessageBody: body } = JSON.parse(Buffer.concat(chunks).toString());
    const id = randomUUID();
    await bareSend.call(redis, 'bare:messages', 'bare:due', id, body, Date.now());
    const answer = JSON.stringify({ MessageId: id, MD5OfMessageBody: createHash('md5').update(body).digest('hex') });
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0', 'content-length': answer.length });
    response.end(answer);
  });
});
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  // A TCP server's address is an AddressInfo; the wider type is for pipes.
  console.log(`karin ready http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
process.once('SIGTERM', () => process.exit(0));
