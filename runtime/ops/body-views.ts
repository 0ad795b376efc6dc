/**
 * Other ways to see the body of a message. None of them changes what it says: JSON keeps its numbers and the order of
 * its members as they were sent.
 *
 * @module
 */

/** Deeper levels are not indented further, so that a body of brackets alone stays as small as it is. */
const DEEPEST = 20;

/**
 * JSON with one member on a line, at most about `limit` characters of it; `undefined`: it is not JSON, or has nothing
 * inside that would need lines. The text is walked, not parsed and written anew: numbers beyond the precision of
 * JavaScript must look as they were sent.
 */
export function formattedJson(text: string, limit: number): string | undefined {
  if (!/^\s*[[{]/.test(text) || !isJson(text)) return undefined;
  const lines: string[] = [];
  let length = 0;
  let line = '';
  let depth = 0;
  const end = (): void => {
    lines.push(line);
    length += line.length + 1;
    line = '  '.repeat(Math.min(Math.max(0, depth), DEEPEST));
  };
  // A string as a whole, or one mark, or what stands between them.
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g)) {
    if (length + line.length > limit) return `${[...lines, line].join('\n')}\n...`;
    const isEmpty = /[[{]$/.test(line);
    if (token === '{' || token === '[') {
      if (isEmpty) end();
      line += token;
      depth += 1;
      continue;
    }
    if (token === '}' || token === ']') {
      depth -= 1;
      if (!isEmpty) end();
      line += token;
      continue;
    }
    if (isEmpty) end();
    if (token === ',') {
      line += token;
      end();
    } else line += token === ':' ? ': ' : token;
  }
  return [...lines, line].join('\n');
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Text that looks like base64 of at least so many characters, so that a short word is not taken for one. */
const SHORTEST_BASE64 = 16;

/** The bytes that a text of base64 stands for; `undefined`: it is none. */
export function fromBase64(text: string): Uint8Array | undefined {
  const bare = text.trim();
  if (bare.length < SHORTEST_BASE64 || bare.length % 4 !== 0) return undefined;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(bare)) return undefined;
  return Buffer.from(bare, 'base64');
}

/** The text that bytes are in UTF-8; `undefined`: they are none. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** The first `limit` bytes, 16 on a line: offset, hex, and what of it is ASCII. */
export function hexDump(bytes: Uint8Array, limit: number): string {
  const shown = Buffer.from(bytes.subarray(0, limit));
  const lines: string[] = [];
  for (let at = 0; at < shown.length; at += 16) {
    const row = shown.subarray(at, at + 16);
    const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const ascii = [...row].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hex.padEnd(47)}  ${ascii}`);
  }
  return lines.join('\n');
}
