/**
 * Log lines for people at a terminal.
 *
 * @module
 */
import { prettyFactory } from 'pino-pretty';

/** Turns JSON log lines into readable ones on their way to `write`. */
export function readable(write: (line: string) => void): (line: string) => void {
  const format = prettyFactory({
    colorize: process.stdout.isTTY === true,
    ignore: 'pid,hostname',
    translateTime: 'HH:MM:ss',
  });
  return (line) => write(format(line) ?? '');
}
