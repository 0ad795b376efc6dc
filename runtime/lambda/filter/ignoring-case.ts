/**
 * The operators that ignore case, as EventBridge's own engine does: each character of the pattern stands for its lower-case and its upper-case form, which may be longer
 * (`ß` is met by `ß` and by `SS`). The engine goes by UTF-16 units, and each half of a pair becomes a question mark: an emoji in such a pattern is met by `??` alone. To fold both sides instead would drop messages that AWS delivers, and a dropped message is deleted.
 *
 * @module
 */
import type { StringTest } from './wildcard.ts';

/** Where the text must stand in the value. */
export type Place = 'whole' | 'prefix' | 'suffix';

export function compileIgnoringCase(text: string, place: Place): StringTest {
  const source = text.split('').map(anyCase).join('');
  // A suffix is matched backwards from the end: looked for from the front, it would be tried at every character of the value.
  if (place === 'suffix') {
    const ending = new RegExp(`(?<=${source})$`, 'y');
    return (value) => {
      ending.lastIndex = value.length;
      return ending.test(value);
    };
  }
  const expression = new RegExp(`^(?:${source})${place === 'prefix' ? '' : '$'}`);
  return (value) => expression.test(value);
}

/** A regular expression for one character in any case. */
function anyCase(character: string): string {
  if (/[\ud800-\udfff]/.test(character)) return '\\?';
  const forms = new Set([character, character.toLowerCase(), character.toUpperCase()]);
  const [only, ...others] = [...forms].map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return others.length === 0 ? (only ?? '') : `(?:${[only, ...others].join('|')})`;
}
