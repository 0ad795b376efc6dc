/**
 * The log: one JSON line per event on standard output, and a last line of defence that keeps secrets out of it.
 *
 * Nothing logs a secret on purpose. A secret can still arrive inside a text that somebody else wrote, an error message
 * with a URL for example, so every finished line is searched once more before it leaves the process.
 *
 * @module
 */
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';

export type Log = pino.Logger;

export interface LogOptions {
  /** pino's levels, or `silent`. */
  readonly level: string;
  /** Where finished lines go; default: standard output. `readable` of `log.ts` makes them fit for a terminal. */
  readonly write?: (line: string) => void;
}

/** Members that are never written, wherever a log call puts them. */
const SECRET_MEMBERS = [
  'password',
  'secret',
  'secretAccessKey',
  'token',
  'authorization',
  'cookie',
  'body',
  'messageBody',
];

// Others write the texts that these are applied to, so each must cost no more than the length of the text: no part of
// one can match in two ways, and none looks for something behind a run of characters that may begin anywhere.
/** The token of a capability URL, plain, percent-encoded or JSON-escaped. */
const CAPABILITY = /((?:\/|%2F|\\\/)k(?:\/|%2F|\\\/))[A-Za-z0-9_-]+/gi;
/** `user:password@` of a URL, from its `://` on. */
const URL_PASSWORD = /(:\/\/[^\s:/@"]*:)[^\s/@"]+@/g;
/** Signatures: whoever reads one inside five minutes may repeat the request. */
const SIGNATURE = /((?:X-Amz-)?Signature=)[0-9a-f]+/gi;

/** Longer lines are cut, characters: a message that somebody sent may stand in an error as a whole. */
const LONGEST_LINE = 32_768;
/** What each text of such a line keeps. */
const LONGEST_TEXT = 2_048;

/** The line without what must not be read by others. */
export function withoutSecrets(line: string): string {
  const bounded = line.length <= LONGEST_LINE ? line : shortened(line);
  return bounded.replace(CAPABILITY, '$1***').replace(URL_PASSWORD, '$1***@').replace(SIGNATURE, '$1***');
}

/** The line with each of its texts cut; if it has too many even so, the level, the time and the message alone. */
function shortened(line: string): string {
  const parsed: unknown = JSON.parse(line, (_name, value: unknown) => (typeof value === 'string' ? cut(value) : value));
  const whole = JSON.stringify(parsed);
  if (whole.length < LONGEST_LINE || typeof parsed !== 'object' || parsed === null)
    return `${whole.slice(0, LONGEST_LINE)}\n`;
  const kept = Object.entries(parsed).filter(([name]) => name === 'level' || name === 'time' || name === 'msg');
  return `${JSON.stringify({ ...Object.fromEntries(kept), cut: line.length })}\n`;
}

function cut(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}... (${text.length} characters)`;
}

/** Creates the log of a process; hand it down, there is no global one. */
export function createLog(options: LogOptions): Log {
  const write = options.write ?? writeTogether((lines) => void process.stdout.write(lines));
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_MEMBERS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '***' },
    },
    { write: (line: string) => write(withoutSecrets(line)) },
  );
}

/** Lines are kept no longer than this, characters. */
const MOST_KEPT = 65_536;

/**
 * Hands on the lines of one turn of the event loop in one piece: a server that starts with a thousand mappings says a
 * thousand things, and each write is a call into the kernel. What is left when the process exits is written then; only
 * a kill can lose the lines of its last turn.
 */
export function writeTogether(write: (lines: string) => void): (line: string) => void {
  let kept = '';
  const flush = (): void => {
    const lines = kept;
    kept = '';
    if (lines === '') return;
    process.off('exit', flush);
    write(lines);
  };
  return (line) => {
    if (kept === '') {
      setImmediate(flush);
      // Only while a line is kept: a log that nobody holds any more is not held by the process.
      process.on('exit', flush);
    }
    kept += line;
    if (kept.length > MOST_KEPT) flush();
  };
}

/*
 * Log lines for people at a terminal.
 */

/** Turns JSON log lines into readable ones on their way to `write`. */
export function readable(write: (line: string) => void): (line: string) => void {
  const format = prettyFactory({
    colorize: process.stdout.isTTY === true,
    ignore: 'pid,hostname',
    translateTime: 'HH:MM:ss',
  });
  return (line) => write(format(line) ?? '');
}
