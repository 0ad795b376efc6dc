import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { ACCOUNT, startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { makeCertificate } from '../../support/certificates.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';

/** `KARIN_CONCURRENCY` that is not set. */
const INVOKES = 200;
/** Mappings begin with five Invokes each, so none must grow first. */
const QUEUES = 50;
const SMALL_BYTES = 200;
const LARGE_BYTES = 262_144;

/**
 * Resident memory while as many Invokes are open over TLS as one server may have: of small messages, and with as many
 * messages of 256 KB waiting. Lambda answers none of them until the memory was read; each has a connection of its own.
 */
export async function openInvokes(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const names = Array.from({ length: QUEUES }, (_, i) => `queue-${i}`);
  const aws = await bench.keep(startAwsEndpoint(names));
  const lambda = await bench.keep(overTls(Number(new URL(aws.url).port)));

  const held: (() => void)[] = [];
  let done = 0;
  aws.onInvoke = () =>
    new Promise<void>((resolve) => {
      held.push(() => {
        done += 1;
        resolve();
      });
    });
  const server = await bench.server({
    REDIS_URL: redis.url,
    ...aws.environment,
    AWS_ENDPOINT_URL_LAMBDA: lambda.url,
    NODE_EXTRA_CA_CERTS: lambda.authority,
  });
  await bench.until(async () => (await bench.metric(server, 'karin_queues')) === names.length);

  const count = bench.size(INVOKES, 50);
  const figure = async (what: string, bytes: number): Promise<Figure> => {
    const MessageBody = 'x'.repeat(bytes);
    done = 0;
    for (let i = 0; i < count; i += 1) {
      const QueueUrl = `http://127.0.0.1:${server.port}/${ACCOUNT}/${names[i % names.length]}`;
      await bench.sqs(server, 'SendMessage', { QueueUrl, MessageBody });
    }
    // The budget of bytes may admit fewer than there are messages: what is open then is what will be.
    for (let before = -1; held.length < count && before !== held.length; await bench.pause(3_000)) before = held.length;
    const open = held.length;
    const value = server.residentMb();
    for (const end = performance.now() + 60_000; done < count && performance.now() < end; await bench.pause(20)) {
      for (const answer of held.splice(0)) answer();
    }
    if (done < count) throw new Error(`only ${done} of ${count} Invokes came`);
    return {
      name: `resident memory with ${open} open Invokes over TLS, ${count} messages of ${what}`,
      value,
      unit: 'MB',
      bound: { kind: 'at-most', value: 150 },
    };
  };
  const figures = [await figure('200 bytes', SMALL_BYTES), await figure('256 KB', LARGE_BYTES)];
  return [
    ...figures,
    {
      name: 'resident memory, the highest of these two',
      value: server.highestResidentMb(),
      unit: 'MB',
      bound: { kind: 'at-most', value: 150 },
    },
  ];
}

/** The plain server at `port`, over TLS at `localhost`. `authority`: the file of the certificate to trust. */
async function overTls(
  port: number,
): Promise<{ readonly url: string; readonly authority: string; close(): Promise<void> }> {
  const root = makeCertificate({ name: 'Root of the bench', isAuthority: true });
  const leaf = makeCertificate({ name: 'localhost', issuer: root });
  const folder = await mkdtemp(join(tmpdir(), 'karin-bench-'));
  const authority = join(folder, 'root.pem');
  await writeFile(authority, root.pem);

  const open = new Set<TLSSocket>();
  const key = leaf.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const server = createServer({ cert: leaf.pem, key }, (outside) => {
    const inside = connect(port, '127.0.0.1');
    open.add(outside);
    outside.on('close', () => {
      open.delete(outside);
      inside.destroy();
    });
    outside.on('error', () => inside.destroy());
    inside.on('error', () => outside.destroy());
    outside.pipe(inside).pipe(outside);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A TCP server's address is an AddressInfo; the wider type is for pipes.
  const address = server.address() as AddressInfo;
  return {
    url: `https://localhost:${address.port}`,
    authority,
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await rm(folder, { recursive: true });
    },
  };
}
