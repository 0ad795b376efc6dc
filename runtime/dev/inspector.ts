/**
 * The port at which a debugger reaches a function, whichever process runs it at the moment.
 *
 * Each process of the function has an inspector at a port that it chose itself; what connects here is led on to the one
 * of the newest process, which is started if there is none. So the port stays the same from one edit to the next, and
 * it is known whether a debugger is attached: while one is, nothing that waits for the function loses patience.
 *
 * @module
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What Node says of its inspector, with the port; and what else it says of it. */
const LISTENING = /^Debugger listening on ws:\/\/[^/]*:(\d+)\//;
const CHATTER = /^(Debugger (attached|ending)|For help, see: https:\/\/nodejs\.org\/|Waiting for the debugger)/;
/** The first line of an attaching debugger; others only look which programs there are. */
const ATTACHING = /^upgrade:\s*websocket/im;
/** How many ports above the wanted one are tried. */
const PORTS_TRIED = 200;
const LAST_PORT = 65_535;

export class Inspector {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #attached = new Set<Socket>();
  readonly #wake: () => void;
  /** The newest process, and the port of its inspector. */
  #target: { readonly owner: object; readonly port: number } | undefined;
  #waiting: (() => void)[] = [];

  /**
   * Listens on `port` or the next free one above it, and if none is to be had on any; 0: any. `wake`: a process is
   * wanted.
   */
  static async listen(port: number, wake: () => void): Promise<Inspector> {
    const last = port === 0 ? 0 : Math.min(port + PORTS_TRIED, LAST_PORT);
    for (let tried = port; tried <= last; tried += 1) {
      const inspector = new Inspector(wake);
      try {
        await inspector.#listen(tried);
        return inspector;
      } catch {
        // The next one, then.
      }
    }
    const inspector = new Inspector(wake);
    await inspector.#listen(0);
    return inspector;
  }

  private constructor(wake: () => void) {
    this.#wake = wake;
    this.#server = createServer((socket) => void this.#lead(socket));
  }

  get port(): number {
    // Listening on a TCP port: the address is never the name of a pipe.
    return (this.#server.address() as AddressInfo).port;
  }

  /** A debugger is connected. */
  get isAttached(): boolean {
    return this.#attached.size > 0;
  }

  /** Takes what Node prints of the inspector of the process `owner`; false: the line is the user's. */
  takes(line: string, owner: object): boolean {
    const [, port] = LISTENING.exec(line) ?? [];
    if (port === undefined) return CHATTER.test(line);
    this.#target = { owner, port: Number(port) };
    for (const go of this.#waiting.splice(0)) go();
    return true;
  }

  /** The process is about to end, or ended: those who wait want another one. */
  forget(owner: object): void {
    if (this.#target?.owner === owner) this.#target = undefined;
    if (this.#target === undefined && this.#waiting.length > 0) this.#wake();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    for (const go of this.#waiting.splice(0)) go();
  }

  #listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', resolve);
    });
  }

  async #lead(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#attached.delete(socket);
    });
    if (this.#target === undefined) {
      const there = new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.#wake();
      await there;
    }
    if (this.#target === undefined || socket.destroyed) return void socket.destroy();
    const inner = connect(this.#target.port, '127.0.0.1');
    this.#sockets.add(inner);
    inner.on('error', () => socket.destroy());
    inner.once('close', () => {
      this.#sockets.delete(inner);
      socket.destroy();
    });
    socket.once('close', () => inner.destroy());
    socket.once('data', (chunk) => {
      if (ATTACHING.test(chunk.toString('latin1'))) this.#attached.add(socket);
    });
    socket.pipe(inner);
    inner.pipe(socket);
  }
}
