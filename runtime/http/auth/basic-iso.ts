/**
 * Moments as Signature Version 4 writes them: `YYYYMMDDTHHMMSSZ`.
 *
 * @module
 */

const BASIC_ISO = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;

/** A date header as `YYYYMMDDTHHMMSSZ`; `Date` may also be in the form of RFC 9110. */
export function basicIso(text: string): string | undefined {
  if (BASIC_ISO.test(text)) return Number.isNaN(parseBasicIso(text)) ? undefined : text;
  const time = Date.parse(text);
  return Number.isNaN(time) || !text.endsWith('GMT') ? undefined : formatBasicIso(time);
}

/** Milliseconds since the epoch; NaN for anything else. */
export function parseBasicIso(text: string): number {
  return Date.parse(text.replace(BASIC_ISO, '$1-$2-$3T$4:$5:$6Z'));
}

/** `time`: milliseconds since the epoch. */
export function formatBasicIso(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '');
}
