/**
 * The connection that listens: everything that instances tell each other comes through one channel and one plain
 * connection.
 *
 * Promise to whoever listens: every signal published while we are subscribed arrives, and after every interval in which
 * we were not, or in which the connection for commands was lost, a `gap` does.
 *
 *   connecting   a fresh client to one server (in a cluster the next node: a `Cluster` object would change nodes and
 *                subscribe again behind our back, and what was published meanwhile would be lost without a trace). When
 *                it is ready: subscribe, then emit `gap`, then ping.
 *   listening    messages become signals. Every canary interval a ping goes out over the command connection; it must
 *                come back here.
 *   lost         the client ended, or the subscription failed, or a ping did not come back in 10 s: a half-open
 *                connection, which nobody closes for minutes or hours. The client is destroyed; after a pause that
 *                grows with each failure we are connecting again.
 *
 * The ping is also how instances know of each other: who hears a ping of an instance that it did not know answers with
 * one of its own, so that a newcomer knows everybody after one round. An instance that dies without a goodbye is missed
 * after two and a half intervals; sooner if somebody who has reason to doubt it asks: the question reaches all, and all
 * count it as gone if it does not answer in 10 s.
 *
 * @module
 */

import type { Redis } from 'ioredis';
import { backOff } from '../../retry.ts';
import type { Cancel, Randomness, Time } from '../../time.ts';
import type { QueueKey, Signal } from '../store.ts';
import { RECONNECTS } from './connection.ts';
import { goodbyeText, helpText, parseChannelMessage, pingText, questionText } from './keys.ts';

/** How long a ping may take to come back, and the answer to a question; no longer than half the canary interval. */
const PING_ANSWER_MS = 10_000;
/** After this many canary intervals of silence an instance counts as gone: two of its pings were lost. */
const SILENT_INTERVALS = 2.5;
/** The nonce of a ping that is only a greeting and need not come back. */
const GREETING = '-';

export interface WakeChannelOptions {
  /** Makes a new, unconnected client. */
  readonly listener: () => Redis;
  readonly channel: string;
  /** Publishes over the command connection. Rejects while that is down. */
  readonly publish: (text: string) => Promise<unknown>;
  readonly instanceId: string;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly canaryIntervalMs: number;
  readonly emit: (signal: Signal) => void;
}

export class WakeChannel {
  readonly #options: WakeChannelOptions;
  readonly #membership: Membership;
  #client: Redis | undefined;
  #subscribed = false;
  #failures = 0;
  #closed = false;
  /** Instances that were asked after, until they may be again. */
  readonly #asked = new Map<string, Cancel>();
  #expectedNonce: string | undefined;
  #cancelRetry: Cancel = () => {};
  #cancelCanary: Cancel = () => {};
  #cancelAnswer: Cancel = () => {};
  #firstAttempt: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(options: WakeChannelOptions) {
    this.#options = options;
    const { instanceId, time, canaryIntervalMs, emit } = options;
    this.#membership = new Membership(instanceId, time, SILENT_INTERVALS * canaryIntervalMs, (ids) =>
      emit({ kind: 'instances', ids }),
    );
  }

  /** All live instances, this one included. */
  get instances(): readonly string[] {
    return this.#membership.ids;
  }

  /**
   * Begins to listen. Resolves once subscribed; rejects if the first attempt fails, but goes on trying until `close`.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#firstAttempt = { resolve, reject };
      this.#connect();
    });
  }

  /**
   * The other connection was made anew. This one may be dead without knowing it, so it pings at once; and if it is not,
   * what is behind the address may still be another server after a fail-over, without the last writes of the one
   * before: whoever listens must ask again.
   */
  check(): void {
    if (this.#client === undefined || !this.#subscribed) return;
    this.#options.emit({ kind: 'gap' });
    this.#canary(this.#client);
  }

  /**
   * Asks whether another instance is there. At most once per canary interval for each: one that is there but busy would
   * otherwise be asked with every message that it leaves lying.
   */
  doubt(id: string): void {
    const { time, canaryIntervalMs, publish } = this.#options;
    if (this.#closed || this.#asked.has(id) || !this.#membership.trusts(id)) return;
    this.#asked.set(
      id,
      time.after(canaryIntervalMs, () => this.#asked.delete(id)),
    );
    // If it is lost, the instance is missed when its pings are.
    publish(questionText(id)).catch(() => undefined);
  }

  /** Tells the others that this instance has no room for what is due in the queue. */
  askForHelp(queue: QueueKey): void {
    if (this.#closed) return;
    // If it is lost, the others help two seconds after they saw that something is due.
    this.#options.publish(helpText(queue, this.#options.instanceId)).catch(() => undefined);
  }

  /** Says goodbye and stops. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const client = this.#client;
    this.#forgetClient();
    this.#membership.close();
    for (const cancel of this.#asked.values()) cancel();
    this.#asked.clear();
    // The others find out by themselves if Redis cannot be reached now.
    await this.#options.publish(goodbyeText(this.#options.instanceId)).catch(() => undefined);
    client?.disconnect();
  }

  #connect(): void {
    const client = this.#options.listener();
    this.#client = client;
    let fault = new Error('the connection for signals was closed');
    client.on('error', (error: Error) => {
      fault = error;
    });
    client.once('end', () => this.#lost(client, fault));
    client.once('ready', () => {
      this.#subscribe(client).catch((error: Error) => {
        fault = error;
        client.disconnect();
      });
    });
    // A failure also ends the client, and that is where it is handled.
    client.connect().catch(() => undefined);
  }

  async #subscribe(client: Redis): Promise<void> {
    client.on('message', (_channel: string, text: string) => {
      if (client === this.#client) this.#heard(text);
    });
    await client.subscribe(this.#options.channel);
    if (client !== this.#client) return;
    this.#failures = 0;
    this.#subscribed = true;
    this.#options.emit({ kind: 'gap' });
    this.#firstAttempt?.resolve();
    this.#firstAttempt = undefined;
    this.#canary(client);
  }

  #lost(client: Redis, fault: Error): void {
    if (client !== this.#client) return;
    this.#forgetClient();
    this.#firstAttempt?.reject(fault);
    this.#firstAttempt = undefined;
    this.#failures += 1;
    const { time, randomness } = this.#options;
    this.#cancelRetry = time.after(backOff(RECONNECTS, this.#failures - 1, randomness), () => this.#connect());
  }

  #forgetClient(): void {
    this.#client = undefined;
    this.#subscribed = false;
    this.#expectedNonce = undefined;
    this.#cancelRetry();
    this.#cancelCanary();
    this.#cancelAnswer();
  }

  /** Sends a ping now and arms the next, instead of the one that is armed: a check may come at any time. */
  #canary(client: Redis): void {
    const { time, randomness, instanceId, canaryIntervalMs } = this.#options;
    const nonce = randomness.uuid();
    this.#expectedNonce = nonce;
    this.#cancelCanary();
    this.#cancelCanary = time.after(canaryIntervalMs, () => this.#canary(client));
    this.#cancelAnswer();
    this.#cancelAnswer = time.after(this.#answerMs, () => {
      if (this.#expectedNonce !== nonce) return;
      client.stream.destroy();
      this.#lost(client, new Error('a ping did not come back'));
      client.disconnect();
    });
    this.#options.publish(pingText(nonce, instanceId)).catch(() => {
      // Not sent, so it proves nothing that it does not come back.
      if (this.#expectedNonce === nonce) this.#expectedNonce = undefined;
    });
  }

  #heard(text: string): void {
    const message = parseChannelMessage(text);
    if (message === undefined) return;
    switch (message.kind) {
      case 'ping':
        if (message.nonce === this.#expectedNonce) {
          this.#expectedNonce = undefined;
          this.#cancelAnswer();
        }
        if (this.#membership.heard(message.instance)) this.#greet();
        return;
      case 'goodbye':
        this.#membership.left(message.instance);
        return;
      case 'question':
        if (message.instance === this.#options.instanceId) this.#greet();
        else this.#membership.doubted(message.instance, this.#answerMs);
        return;
      case 'wake':
      case 'help': {
        // Its own calls have told this instance by their replies; the echo of a wake would only cost a receive that
        // finds nothing.
        const { instance, ...signal } = message;
        if (instance !== this.#options.instanceId) this.#options.emit(signal);
        return;
      }
      default:
        this.#options.emit(message);
    }
  }

  get #answerMs(): number {
    return Math.min(PING_ANSWER_MS, this.#options.canaryIntervalMs / 2);
  }

  #greet(): void {
    // If it is lost, the next ping does the same.
    this.#options.publish(pingText(GREETING, this.#options.instanceId)).catch(() => undefined);
  }
}

interface Other {
  /** Somebody asked whether it is there, and it was not heard since. */
  readonly doubted: boolean;
  /** Keeps it from counting as gone. */
  readonly cancel: Cancel;
}

/** Which instances are alive, as far as their pings tell. This one always is. */
export class Membership {
  readonly #self: string;
  readonly #time: Time;
  readonly #silenceMs: number;
  readonly #changed: (ids: readonly string[]) => void;
  readonly #others = new Map<string, Other>();

  /**
   * `silenceMs`: an instance that was not heard for this long is gone. `changed` is called with all ids after each
   * change.
   */
  constructor(self: string, time: Time, silenceMs: number, changed: (ids: readonly string[]) => void) {
    this.#self = self;
    this.#time = time;
    this.#silenceMs = silenceMs;
    this.#changed = changed;
  }

  /** All ids in order. */
  get ids(): readonly string[] {
    return [this.#self, ...this.#others.keys()].sort();
  }

  /** Answers whether the instance was not known before. */
  heard(id: string): boolean {
    if (id === this.#self) return false;
    const known = this.#others.get(id);
    this.#expect(id, this.#silenceMs, false);
    if (known === undefined) this.#changed(this.ids);
    return known === undefined;
  }

  /**
   * Somebody asked whether the instance is there: unless it is heard within `answerMs`, it is gone. More who ask do not
   * give it more time.
   */
  doubted(id: string, answerMs: number): void {
    if (this.#others.get(id)?.doubted === false) this.#expect(id, answerMs, true);
  }

  /** Whether the instance counts as there, and nobody has asked since it was last heard. */
  trusts(id: string): boolean {
    return this.#others.get(id)?.doubted === false;
  }

  left(id: string): void {
    const other = this.#others.get(id);
    if (other === undefined) return;
    other.cancel();
    this.#others.delete(id);
    this.#changed(this.ids);
  }

  /** Forgets the others without telling anybody. */
  close(): void {
    for (const { cancel } of this.#others.values()) cancel();
    this.#others.clear();
  }

  /** Counts it as gone unless it is heard in time. */
  #expect(id: string, ms: number, doubted: boolean): void {
    this.#others.get(id)?.cancel();
    this.#others.set(id, { doubted, cancel: this.#time.after(ms, () => this.left(id)) });
  }
}
