/**
 * Makes the text of strangers fit for a page. Markup is escaped elsewhere; this is about characters that cannot be seen, or that make a text look like another one.
 *
 * @module
 */

/** Control characters, marks that change the direction of text, the invisible, and halves of surrogate pairs; but not the joiners, without which some scripts cannot be written. */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** The text with unseen characters but tab and line feed written as `\u{hex}`, cut after `limit` characters. */
export function printable(text: string, limit: number): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}...` : text;
  return cut.replaceAll(UNSEEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
