/**
 * What one target is still to be told: gathered while a delivery is under way or the target was told enough, then sent
 * as one message.
 *
 * Invariant: at most one delivery is under way. It is repeated with growing pauses; lines that come meanwhile wait for
 * the next message, at most `MOST_WAITING` of them, the others are counted. A line that ends before it was told is not
 * told at all.
 *
 * @module
 */
import type { Log } from '../log.ts';
import { Attempts, pause } from '../retry.ts';
import type { Randomness, Time } from '../time.ts';
import { type AlertLine, AlertRefusedError, type AlertTarget } from './alert-targets.ts';

/** Messages that a target gets at once, and after how long it may get one more. */
const MESSAGES_AT_ONCE = 10;
const ONE_MORE_MS = 180_000;
/** With pauses that double from 1 s to a minute: about five minutes. */
const MOST_ATTEMPTS = 10;
const MOST_WAITING = 200;

interface Outbox {
  readonly name: string;
  add(began: readonly AlertLine[], resolved: readonly AlertLine[]): void;
  /** Ends pauses and the delivery under way; what was not delivered is named in the log. */
  close(): Promise<void>;
}

interface OutboxParts {
  readonly server: () => string;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly log: Log;
}

export function createOutbox(target: AlertTarget, { server, time, randomness, log }: OutboxParts): Outbox {
  const ending = new AbortController();
  const { signal } = ending;
  let began = new Map<string, AlertLine>();
  let resolved = new Map<string, AlertLine>();
  let leftOut = 0;
  let room = MESSAGES_AT_ONCE;
  let at = time.monotonic();
  let sending: Promise<void> | undefined;

  const waitForRoom = async (): Promise<void> => {
    const now = time.monotonic();
    room = Math.min(MESSAGES_AT_ONCE, room + (now - at) / ONE_MORE_MS);
    at = now;
    if (room < 1) {
      await pause(time, Math.ceil((1 - room) * ONE_MORE_MS), signal);
      room = 1;
      at = time.monotonic();
    }
    room -= 1;
  };

  const sendAll = async (): Promise<void> => {
    while (began.size + resolved.size > 0 && !signal.aborted) {
      await waitForRoom();
      if (signal.aborted) break;
      const lines = { began: [...began.values()], resolved: [...resolved.values()], leftOut };
      began = new Map();
      resolved = new Map();
      leftOut = 0;
      const message = { kind: 'alert' as const, at: new Date(time.now()).toISOString(), server: server(), ...lines };
      let attempts = 0;
      const retries = new Attempts({
        time,
        randomness,
        signal,
        onRetry: (inMs, reason) => log.debug({ target: target.name, inMs, reason }, 'an alert is sent again'),
        isPermanent: (error) => {
          attempts += 1;
          return error instanceof AlertRefusedError || attempts >= MOST_ATTEMPTS;
        },
      });
      const ids = [...lines.began, ...lines.resolved].map(({ id }) => id);
      try {
        const delivered = await retries.persist(async () => {
          await target.send(message, signal);
          return true;
        });
        if (delivered === undefined)
          log.warn({ target: target.name, alerts: ids }, 'an alert was not sent: the server stops');
        else log.info({ target: target.name, alerts: ids }, 'alert sent');
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        log.error({ target: target.name, reason, attempts, alerts: ids }, 'an alert could not be sent; it is given up');
      }
    }
  };

  const start = (): void => {
    if (sending !== undefined || began.size + resolved.size === 0 || signal.aborted) return;
    sending = sendAll().finally(() => {
      sending = undefined;
      start();
    });
  };

  return {
    name: target.name,
    add: (begun, over) => {
      for (const line of over) {
        // Nobody was told that it began.
        if (!began.delete(line.id)) put(resolved, line);
      }
      for (const line of begun) {
        resolved.delete(line.id);
        put(began, line);
      }
      start();
    },
    close: async () => {
      ending.abort();
      await sending;
    },
  };

  function put(lines: Map<string, AlertLine>, line: AlertLine): void {
    if (lines.size < MOST_WAITING) lines.set(line.id, line);
    else leftOut += 1;
  }
}
