/**
 * Template texts, JSON or YAML with CloudFormation's short tags, turned into plain values with the long form of each intrinsic function.
 *
 * @module
 */
import { type Document, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';

/** The text is no template; the message names the file, the place and what is wrong. */
export class TemplateSyntaxError extends Error {
  override readonly name = 'TemplateSyntaxError';
}

/** A date such as a policy's version stays the text it is. */
const YAML_OPTIONS = {
  merge: true,
  logLevel: 'silent',
  customTags: (tags: readonly unknown[]) => tags.filter((tag) => tag !== 'timestamp'),
} as const;

/** What a bare `yes`, `no`, `on` or `off` is: a truth in YAML 1.1, as CloudFormation reads it, and a text in 1.2, as the Serverless Framework does. */
export type YamlVersion = '1.1' | '1.2';

/** Parses `text`; `name` is its path, for the message of a `TemplateSyntaxError`. */
export function parseTemplateText(text: string, name: string, version: YamlVersion = '1.1'): unknown {
  // The option's own type admits only tag objects and their names; what is filtered out of a list of those stays one.
  const document = parseDocument(text, { ...YAML_OPTIONS, version } as Parameters<typeof parseDocument>[1]);
  const [error] = document.errors;
  if (error !== undefined) throw new TemplateSyntaxError(`${name} cannot be read: ${error.message}`, { cause: error });
  return plain(document.contents, document);
}

function plain(node: unknown, document: Document.Parsed): unknown {
  if (isAlias(node)) return plain(node.resolve(document), document);
  const value = untagged(node, document);
  const tag = isMap(node) || isSeq(node) || isScalar(node) ? node.tag : undefined;
  // Tags of YAML itself begin with `tag:yaml.org` or `!!`; CloudFormation's with one `!`.
  if (tag === undefined || !/^![A-Za-z]/.test(tag)) return value;
  const name = tag.slice(1);
  return { [name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`]: value };
}

function untagged(node: unknown, document: Document.Parsed): unknown {
  if (isSeq(node)) return node.items.map((item) => plain(item, document));
  // A lone dot, which SAM templates write for their own folder (`CodeUri: .`), is taken for a number without digits by the parser, and for text by everybody else.
  if (isScalar(node)) return Number.isNaN(node.value) ? node.source : node.value;
  if (!isMap(node)) return node;
  const result: Record<string, unknown> = {};
  for (const { key, value } of node.items) {
    const name = String(isScalar(key) ? key.value : key);
    if (name === '<<') {
      const merged = plain(value, document);
      for (const one of Array.isArray(merged) ? merged : [merged]) Object.assign(result, { ...one, ...result });
    } else {
      result[name] = plain(value, document);
    }
  }
  return result;
}
