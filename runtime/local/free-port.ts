/**
 * Finds out whether a port can be had before anything else is done, because the address of the server stands in the environment of functions.
 *
 * @module
 */

import { type AddressInfo, createServer } from 'node:net';

/** The port that can be listened on: `port` itself, or a free one for 0. Errors: those of listening (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`). */
export async function availablePort(host: string, port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  // Listening on a TCP port: the address is never the name of a pipe.
  const { port: found } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return found;
}
