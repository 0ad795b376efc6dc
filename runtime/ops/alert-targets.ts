/**
 * Where alerts go: web hooks, Slack, Discord, mail, SNS. What they say holds no body of a message; what is logged of a
 * target is its name alone, because its address is often its secret.
 *
 * @module
 */
import { awsFailure, describeAwsError } from '../aws/discovery/calls.ts';
import type { QueueKey } from '../store/store.ts';
import type { Time } from '../time.ts';

/** One thing that began or ended. */
export interface AlertLine {
  /** That of the need; the same when it is resolved. */
  readonly id: string;
  readonly kind: string;
  readonly urgency: 'now' | 'soon';
  readonly text: string;
  readonly queue?: QueueKey;
  /** The page that shows more; absent: nobody said under which address the server is reached. */
  readonly link?: string;
}

/** What is told at one time. */
export interface AlertMessage {
  /** `test`: somebody asked whether the way is open. */
  readonly kind: 'alert' | 'test';
  /** Wall clock, ISO 8601. */
  readonly at: string;
  /** Address or name of the server that tells. */
  readonly server: string;
  readonly began: readonly AlertLine[];
  readonly resolved: readonly AlertLine[];
  /** Lines that were too many. */
  readonly leftOut: number;
}

export interface AlertTarget {
  /** For the tag `karin:alert`, the log and `karin alert test`. */
  readonly name: string;
  /**
   * Resolves when the message was taken over. Errors: `AlertRefusedError` (the same would be refused again), any other
   * `Error` (it may be taken later). None holds an address or a secret.
   */
  send(message: AlertMessage, signal: AbortSignal): Promise<void>;
}

/** The target will never take this message. */
export class AlertRefusedError extends Error {
  override readonly name = 'AlertRefusedError';
}

/** From the first byte to the last of one delivery, ms. */
const TIMEOUT_MS = 10_000;
/** Lines of a message; the rest is counted. */
const MOST_LINES = 20;
/** Discord takes 2,000 characters, SNS 100 of a subject. */
const DISCORD_CHARACTERS = 2_000;
const SUBJECT_CHARACTERS = 100;
/** Answers that a later attempt may change, beside those from 500 on. */
const TRY_AGAIN: ReadonlySet<number> = new Set([408, 425, 429]);

const FORM =
  'write [name=]https://... (a web hook), [name=]slack+https://..., [name=]discord+https://..., ' +
  '[name=]smtps://user:password@host?from=a@b&to=c@d or [name=]arn:aws:sns:<region>:<account>:<topic>';

/**
 * Reads `KARIN_ALERTS`. Problems name the number of a target, never its address.
 *
 * @param texts `[name=]address` each; the default name is the kind: `webhook`, `slack`, `discord`, `mail`, `sns`.
 */
export function readAlertTargets(
  texts: readonly string[],
  time: Time,
): { readonly targets: readonly AlertTarget[]; readonly problems: readonly string[] } {
  const targets: AlertTarget[] = [];
  const problems: string[] = [];
  for (const [at, text] of texts.entries()) {
    const [, name, address = ''] = /^(?:([A-Za-z][\w-]{0,31})=)?(.+)$/.exec(text) ?? [];
    const made = targetOf(address, time);
    const problem = (what: string) => problems.push(`KARIN_ALERTS: target ${at + 1} ${what}`);
    if (typeof made === 'string') {
      problem(made);
      continue;
    }
    const target = { name: name ?? made.kind, send: made.send };
    if (target.name === 'off') problem('is named off, which as a tag means no alerts; give it another name');
    else if (targets.some((other) => other.name === target.name)) problem(`is named ${target.name}, as another one is`);
    else targets.push(target);
  }
  return { targets, problems };
}

type Made = { readonly kind: string; readonly send: AlertTarget['send'] };

/** A text: what is wrong with the address. */
function targetOf(address: string, time: Time): Made | string {
  if (address.startsWith('arn:')) {
    const region = /^arn:aws[\w-]*:sns:([a-z0-9-]+):\d{12}:[\w-]{1,256}$/.exec(address)?.[1];
    if (region === undefined) return `is no ARN of a standard topic of SNS; ${FORM}`;
    return { kind: 'sns', send: snsSender(address, region) };
  }
  const [, form, rest = ''] = /^(?:(slack|discord|webhook)\+)?(.*)$/.exec(address) ?? [];
  const url = URL.canParse(rest) ? new URL(rest) : undefined;
  const [user, password] = [decoded(url?.username ?? ''), decoded(url?.password ?? '')];
  if (url === undefined || user === undefined || password === undefined) return `is no address; ${FORM}`;
  const login = user === '' ? undefined : { user, pass: password };
  const isLoopback = /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol === 'smtp:' || url.protocol === 'smtps:') return mailTarget(url, login, isLoopback);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) {
    return `must be https (http only on this machine); ${FORM}`;
  }
  const kind = formOf(form) ?? kindOfHost(url);
  return { kind, send: httpSender(url, login, BODIES[kind], time) };
}

interface Login {
  readonly user: string;
  readonly pass: string;
}

/** `undefined`: a percent sign in it stands for itself. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

function formOf(text: string | undefined): keyof typeof BODIES | undefined {
  return text === 'slack' || text === 'discord' || text === 'webhook' ? text : undefined;
}

function kindOfHost({ hostname, pathname }: URL): keyof typeof BODIES {
  if (hostname === 'hooks.slack.com') return 'slack';
  return /(^|\.)discord(app)?\.com$/.test(hostname) && pathname.startsWith('/api/webhooks/') ? 'discord' : 'webhook';
}

const BODIES = {
  webhook: (message: AlertMessage): unknown => message,
  // Slack's three characters; without them a text could make links and mentions.
  slack: (message: AlertMessage): unknown => ({
    text: textOf(message).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
  }),
  discord: (message: AlertMessage): unknown => ({
    content: textOf(message).slice(0, DISCORD_CHARACTERS),
    allowed_mentions: { parse: [] },
  }),
};

function httpSender(
  url: URL,
  login: Login | undefined,
  body: (message: AlertMessage) => unknown,
  time: Time,
): AlertTarget['send'] {
  const secret = login === undefined ? '' : Buffer.from(`${login.user}:${login.pass}`).toString('base64');
  const authorization = secret === '' ? {} : { authorization: `Basic ${secret}` };
  // fetch refuses an address with a password in it.
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return async (message, signal) => {
    const timeout = new AbortController();
    const cancel = time.after(TIMEOUT_MS, () => timeout.abort());
    try {
      const response = await fetch(bare, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: JSON.stringify(body(message)),
        // Whoever answers with another address may mean one inside this network.
        redirect: 'manual',
        signal: AbortSignal.any([signal, timeout.signal]),
      });
      await response.body?.cancel();
      if (response.ok) return;
      const later = response.status >= 500 || TRY_AGAIN.has(response.status);
      throw new (later ? Error : AlertRefusedError)(`it answered HTTP ${response.status}`);
    } catch (error) {
      if (timeout.signal.aborted) throw new Error(`it did not answer within ${TIMEOUT_MS / 1000} s`);
      throw error instanceof TypeError ? new Error(`it cannot be reached (${causeOf(error)})`) : error;
    } finally {
      cancel();
    }
  };
}

function causeOf({ cause }: Error): string {
  if (typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string') {
    return cause.code;
  }
  return 'the connection failed';
}

function mailTarget(url: URL, auth: Login | undefined, isLoopback: boolean): Made | string {
  const from = url.searchParams.get('from');
  const to = url.searchParams.getAll('to');
  if (
    from === null ||
    to.length === 0 ||
    ![from, ...to].every((address) => /^[^\s@,;<>]+@[^\s@,;<>]+$/.test(address))
  ) {
    return `needs ?from= and one &to= for each receiver, with addresses of mail; ${FORM}`;
  }
  const secure = url.protocol === 'smtps:';
  const options = {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    // Neither the password nor what alerts say goes over a network in the clear.
    requireTLS: !secure && !isLoopback,
    ...(isLoopback && !secure ? { ignoreTLS: true } : {}),
    ...(auth === undefined ? {} : { auth }),
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  return {
    kind: 'mail',
    send: async (message, signal) => {
      const { createTransport } = await import('nodemailer');
      const transport = createTransport(options);
      const end = (): void => transport.close();
      signal.addEventListener('abort', end, { once: true });
      try {
        await transport.sendMail({ from, to, subject: headingOf(message), text: textOf(message) });
      } catch (error) {
        const code = responseCodeOf(error);
        if (code === undefined) throw new Error('the mail server cannot be reached');
        throw new (code >= 500 ? AlertRefusedError : Error)(`the mail server answered ${code}`);
      } finally {
        signal.removeEventListener('abort', end);
        transport.close();
      }
    },
  };
}

/** The code of SMTP that a failure of nodemailer carries. */
function responseCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('responseCode' in error)) return undefined;
  return typeof error.responseCode === 'number' ? error.responseCode : undefined;
}

function snsSender(topic: string, region: string): AlertTarget['send'] {
  return async (message, signal) => {
    const { PublishCommand, SNSClient } = await import('@aws-sdk/client-sns');
    const client = new SNSClient({ region });
    try {
      // A subject of SNS is ASCII without line ends.
      const subject = headingOf(message)
        .replace(/[^ -~]/g, '?')
        .slice(0, SUBJECT_CHARACTERS);
      const input = { TopicArn: topic, Subject: subject, Message: textOf(message) };
      await client.send(new PublishCommand(input), { abortSignal: signal, requestTimeout: TIMEOUT_MS });
    } catch (error) {
      throw new (awsFailure(error) === 'transient' ? Error : AlertRefusedError)(describeAwsError(error));
    } finally {
      client.destroy();
    }
  };
}

/** One line: what it is about. */
function headingOf({ kind, server, began, resolved }: AlertMessage): string {
  if (kind === 'test') return `Karin (${server}): this is a test alert`;
  const parts = [
    ...(began.length === 0 ? [] : [began.length === 1 ? '1 thing needs you' : `${began.length} things need you`]),
    ...(resolved.length === 0 ? [] : [`${resolved.length} resolved`]),
  ];
  return `Karin (${server}): ${parts.join(', ')}`;
}

function textOf(message: AlertMessage): string {
  const { began, resolved, leftOut, kind } = message;
  if (kind === 'test') return `${headingOf(message)}. If you read this, alerts of this server reach you.`;
  const say = (mark: string) => (line: AlertLine) =>
    `${mark} ${line.text}${line.link === undefined ? '' : `\n   ${line.link}`}`;
  const lines = [...began.map(say('-')), ...resolved.map(say('- resolved:'))];
  const over = leftOut + Math.max(0, lines.length - MOST_LINES);
  return [
    headingOf(message),
    ...lines.slice(0, MOST_LINES),
    ...(over === 0 ? [] : [`and ${over} more; the page of the server shows all`]),
  ].join('\n');
}
