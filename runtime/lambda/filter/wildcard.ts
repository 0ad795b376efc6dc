/**
 * The `wildcard` operator: `*` stands for any number of characters, none included; `\*` and `\\` stand for themselves.
 *
 * The pattern is cut at its stars. The first and the last piece are anchored; each piece between them is looked for from where the one before it ended,
 * and the leftmost find is always the best one, so there is nothing to go back to. Each search is Knuth-Morris-Pratt, so that a match costs time
 * linear in the length of the value, whatever the pattern.
 *
 * @module
 */
import { FilterError } from './filter-error.ts';

/** A test of one string. */
export type StringTest = (value: string) => boolean;

/** Errors: `FilterError` for two stars in a row, or a backslash before anything but a star or a backslash, which AWS refuses too. */
export function compileWildcard(pattern: string): StringTest {
  const pieces = piecesOf(pattern);
  const first = pieces[0] ?? '';
  if (pieces.length === 1) return (value) => value === first;
  const last = pieces[pieces.length - 1] ?? '';
  const finders = pieces.slice(1, -1).map(compileFinder);

  return (value) => {
    if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last)) return false;
    const end = value.length - last.length;
    let from = first.length;
    for (const find of finders) {
      const found = find(value, from, end);
      if (found === undefined) return false;
      from = found;
    }
    return true;
  };
}

function piecesOf(pattern: string): readonly string[] {
  const pieces: string[] = [];
  let piece = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    const next = pattern.charAt(at + 1);
    if (character === '\\') {
      if (next !== '*' && next !== '\\') {
        throw new FilterError(
          `wildcard ${JSON.stringify(pattern)}: the backslash at position ${at} must be followed by * or by another backslash`,
        );
      }
      piece += next;
      at++;
    } else if (character === '*') {
      if (next === '*') {
        throw new FilterError(
          `wildcard ${JSON.stringify(pattern)}: two stars in a row at position ${at}; one star already stands for any number of characters`,
        );
      }
      pieces.push(piece);
      piece = '';
    } else {
      piece += character;
    }
  }
  pieces.push(piece);
  return pieces;
}

/** Finds the piece within [from, end) of a value; answers where it ends. */
type Finder = (value: string, from: number, end: number) => number | undefined;

function compileFinder(piece: string): Finder {
  const borders = bordersOf(piece);
  return (value, from, end) => {
    let matched = 0;
    for (let at = from; at < end; at++) {
      const code = value.charCodeAt(at);
      while (matched > 0 && piece.charCodeAt(matched) !== code) matched = borders[matched - 1] ?? 0;
      if (piece.charCodeAt(matched) === code) matched++;
      if (matched === piece.length) return at + 1;
    }
    return undefined;
  };
}

/** For each prefix of the piece, the length of its longest proper prefix that is also its suffix. */
function bordersOf(piece: string): Uint32Array {
  const borders = new Uint32Array(piece.length);
  let matched = 0;
  for (let at = 1; at < piece.length; at++) {
    while (matched > 0 && piece.charCodeAt(matched) !== piece.charCodeAt(at)) matched = borders[matched - 1] ?? 0;
    if (piece.charCodeAt(matched) === piece.charCodeAt(at)) matched++;
    borders[at] = matched;
  }
  return borders;
}
