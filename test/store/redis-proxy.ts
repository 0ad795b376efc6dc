/**
 * A TCP proxy before a Redis server that can lose what real networks lose.
 *
 * @module
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class RedisProxy {
  /** Called with each piece that a client sends; what it returns is answered instead of passing the piece on. */
  answerInstead: (request: string) => string | undefined = () => undefined;
  readonly #server: Server;
  #redisPort: number;
  readonly #clients = new Set<Socket>();
  readonly #subscribers = new Set<Socket>();
  #deaf = new WeakSet<Socket>();
  /** Both ends of each connection. */
  readonly #ends = new Set<Socket>();
  #isCut = false;
  #loseReplyTo: string | undefined;
  #lost: (() => void) | undefined;

  private constructor(redisPort: number) {
    this.#redisPort = redisPort;
    this.#server = createServer((client) => this.#join(client, this.#redisPort));
  }

  static async start(redisPort: number): Promise<RedisProxy> {
    const proxy = new RedisProxy(redisPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get port(): number {
    // A TCP server's address is an AddressInfo; the wider type is for pipes.
    return (this.#server.address() as AddressInfo).port;
  }

  /** New connections lead to another server, as an address does after a fail-over. */
  leadTo(redisPort: number): void {
    this.#redisPort = redisPort;
  }

  /** Closes every connection that is open now. */
  dropConnections(): void {
    for (const client of this.#clients) client.destroy();
  }

  /** From now on the present subscribers receive nothing, though their connections stay open: half-open connections. */
  deafenSubscribers(): void {
    for (const client of this.#subscribers) this.#deaf.add(client);
  }

  /** From now on what the server says to the present clients is lost: a network that swallows packets one way. */
  deafen(): void {
    for (const client of this.#clients) this.#deaf.add(client);
  }

  /**
   * From now on nothing gets through in either direction, on present connections or new ones, and none of them is
   * closed: a network that was parted. What was sent meanwhile arrives after `mend`, as TCP repeats it, even where the
   * sender has closed its end.
   */
  cut(): void {
    this.#isCut = true;
    for (const end of this.#ends) end.pause();
  }

  /** Ends what `cut` began. */
  mend(): void {
    this.#isCut = false;
    for (const end of this.#ends) end.resume();
  }

  /** The reply to the next request that contains `text` is lost with its connection. Resolves when that happened. */
  loseReplyTo(text: string): Promise<void> {
    this.#loseReplyTo = text;
    return new Promise((resolve) => {
      this.#lost = resolve;
    });
  }

  async stop(): Promise<void> {
    this.dropConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, redisPort: number): void {
    const redis = connect(redisPort, '127.0.0.1');
    let loseNext = false;
    this.#clients.add(client);
    client.on('data', (piece) => {
      const request = piece.toString('latin1');
      if (request.toLowerCase().includes('subscribe')) this.#subscribers.add(client);
      const answer = this.answerInstead(request);
      if (answer !== undefined) {
        client.write(answer);
        return;
      }
      if (this.#loseReplyTo !== undefined && request.includes(this.#loseReplyTo)) {
        this.#loseReplyTo = undefined;
        loseNext = true;
      }
      redis.write(piece);
    });
    redis.on('data', (piece) => {
      if (loseNext) {
        client.destroy();
        this.#lost?.();
      } else if (!this.#deaf.has(client)) {
        client.write(piece);
      }
    });
    for (const [socket, peer] of [
      [client, redis],
      [redis, client],
    ] as const) {
      socket.on('close', () => {
        peer.destroy();
        this.#clients.delete(client);
        this.#subscribers.delete(client);
      });
      socket.on('close', () => this.#ends.delete(socket));
      // A close follows, and is handled there.
      socket.on('error', () => {});
      this.#ends.add(socket);
      if (this.#isCut) socket.pause();
    }
  }
}
