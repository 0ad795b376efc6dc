/**
 * Objects in the sources of a Terraform module, as far as they are plain: `KEY = "text"`, numbers, truths, and
 * references to other resources. Expressions beyond that are left to Terraform, and are not read.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A value as it stands in the sources. */
export type SourceValue = { readonly literal: string | number | boolean } | { readonly reference: string };

/**
 * The object that the argument `key` of a resource is given, or the arguments of the function (`jsonencode`) that makes
 * it; `undefined`: it is not there, or is made in another way. A member that is no plain value refers to its own text.
 */
export function sourceObject(
  folder: string,
  type: string,
  name: string,
  key: string,
): Readonly<Record<string, SourceValue>> | undefined {
  const head = new RegExp(`^\\s*resource\\s+"?${type}"?\\s+"?${name}"?\\s*\\{`, 'm');
  const argument = new RegExp(`^\\s*${key}\\s*=\\s*(?:jsonencode\\(\\s*)?\\{`, 'm');
  for (const text of sourcesIn(folder)) {
    const block = blockAfter(text, head);
    const object = block === undefined ? undefined : blockAfter(block, argument);
    if (object !== undefined) return membersOf(object);
  }
  return undefined;
}

function sourcesIn(folder: string): readonly string[] {
  if (folder === '' || !existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.tf'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** What stands between the brace with which `head` ends and the one that closes it. */
function blockAfter(text: string, head: RegExp): string | undefined {
  const match = head.exec(text);
  if (match === null) return undefined;
  const from = match.index + match[0].length;
  let depth = 1;
  for (const { 0: piece, index } of text.slice(from).matchAll(/"(?:[^"\\]|\\.)*"|#[^\n]*|\/\/[^\n]*|[{}]/g)) {
    if (piece === '{') depth += 1;
    if (piece === '}') depth -= 1;
    if (depth === 0) return text.slice(from, from + index);
  }
  return undefined;
}

/** One member a line, or several with commas between them. */
function membersOf(object: string): Readonly<Record<string, SourceValue>> {
  const lines = object.replace(/,(?=(?:[^"]*"[^"]*")*[^"]*$)/g, '\n');
  const members = lines.matchAll(/^\s*"?([A-Za-z_]\w*)"?\s*[=:]\s*("(?:[^"\\]|\\.)*"|[^\n#]+)/gm);
  return Object.fromEntries([...members].map(([, key = '', value = '']) => [key, plainValue(value.trim())]));
}

function plainValue(text: string): SourceValue {
  if (/^"[^$%]*"$/.test(text)) return { literal: String(JSON.parse(text)) };
  if (/^(true|false|-?\d+(\.\d+)?)$/.test(text)) return { literal: JSON.parse(text) };
  return { reference: text };
}
