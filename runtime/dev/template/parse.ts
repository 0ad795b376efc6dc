/**
 * Template texts, JSON or YAML with CloudFormation's short tags, turned into plain values with the long form of each
 * intrinsic function.
 *
 * @module
 */
import { type Document, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Entry } from './api-resources.ts';
import { isObject, type JsonObject, objectOr, textOr } from './model.ts';
import { type ApiKind, expandSamApi, expandSamEvents, type SamApiEvent } from './sam-apis.ts';

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

/**
 * What a bare `yes`, `no`, `on` or `off` is: a truth in YAML 1.1, as CloudFormation reads it, and a text in 1.2, as the
 * Serverless Framework does.
 */
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
  // A lone dot, which SAM templates write for their own folder (`CodeUri: .`), is taken for a number without digits by
  // the parser, and for text by everybody else.
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

/*
 * SAM's short forms, written out as the CloudFormation resources that they stand for: functions with their SQS, HttpApi
 * and Api events, aliases and URLs, APIs, layers and nested applications. Other resources and other events are AWS's
 * affair.
 */

export interface ExpandedTemplate {
  readonly template: JsonObject;
  /** One sentence for each thing that is not served outside AWS. */
  readonly notes: readonly string[];
}

/** Expands a parsed template; one without SAM resources comes back as it is. */
export function expandSam(parsed: unknown): ExpandedTemplate {
  const template = objectOr(parsed);
  const sections = objectOr(template['Globals']);
  const written = objectOr(template['Resources']);
  const found: Found = { globals: (kind) => objectOr(sections[kind]), notes: [], apiEvents: [] };
  const expanded = Object.entries(written).flatMap(([id, body]) =>
    isObject(body) ? expandResource(id, body, found) : [],
  );
  const settings = (id: string, kind: ApiKind): JsonObject | undefined => {
    const api = written[id];
    return isObject(api) ? merged(found.globals(kind), objectOr(api['Properties'])) : undefined;
  };
  const requests = expandSamEvents(found.apiEvents, settings, found.globals, found.notes);
  return {
    template: { ...template, Resources: Object.fromEntries([...expanded, ...requests]) },
    notes: found.notes,
  };
}

/** What the resources have in common, and what is gathered from them. */
interface Found {
  readonly globals: (section: 'Function' | ApiKind) => JsonObject;
  readonly notes: string[];
  readonly apiEvents: SamApiEvent[];
}

function expandResource(id: string, body: JsonObject, found: Found): readonly Entry[] {
  const properties = objectOr(body['Properties']);
  switch (body['Type']) {
    case 'AWS::Serverless::Function':
      return expandFunction(id, body, merged(found.globals('Function'), properties), found);
    case 'AWS::Serverless::HttpApi':
      return expandSamApi(id, 'HttpApi', body, merged(found.globals('HttpApi'), properties));
    case 'AWS::Serverless::Api':
      return expandSamApi(id, 'Api', body, merged(found.globals('Api'), properties));
    case 'AWS::Serverless::LayerVersion':
      return [
        [
          id,
          {
            ...body,
            Type: 'AWS::Lambda::LayerVersion',
            Properties: { ...properties, Content: properties['ContentUri'] },
          },
        ],
      ];
    case 'AWS::Serverless::Application':
      return [
        [
          id,
          {
            ...body,
            Type: 'AWS::CloudFormation::Stack',
            Properties: { ...properties, TemplateURL: properties['Location'] },
          },
        ],
      ];
    case 'AWS::Serverless::SimpleTable':
      return [[id, { ...body, Type: 'AWS::DynamoDB::Table' }]];
    default:
      return [[id, body]];
  }
}

function expandFunction(id: string, body: JsonObject, properties: JsonObject, found: Found): readonly Entry[] {
  const shared = 'Condition' in body ? { Condition: body['Condition'] } : {};
  const sibling = (Type: string, Properties: JsonObject): JsonObject => ({ Type, Properties, ...shared });
  const alias = properties['AutoPublishAlias'];
  const target: unknown = alias === undefined ? { Ref: id } : { Ref: `${id}.Alias` };
  const inline = properties['InlineCode'];
  const entries: Entry[] = [
    [
      id,
      {
        ...body,
        Type: 'AWS::Lambda::Function',
        Properties: { ...properties, Code: inline === undefined ? codeOf(properties) : { ZipFile: inline } },
      },
    ],
  ];
  if (alias !== undefined) {
    // SAM lets `!Ref Function.Alias` and `!Ref Function.Version` name what it makes; no other logical id has a dot.
    entries.push(
      [`${id}.Version`, sibling('AWS::Lambda::Version', { FunctionName: { Ref: id } })],
      [`${id}.Alias`, sibling('AWS::Lambda::Alias', { FunctionName: { Ref: id }, Name: alias, FunctionVersion: '1' })],
    );
  }
  if (isObject(properties['FunctionUrlConfig'])) {
    const url = { ...properties['FunctionUrlConfig'], TargetFunctionArn: { Ref: id } };
    entries.push([`${id}Url`, sibling('AWS::Lambda::Url', url)]);
  }
  for (const [name, event] of Object.entries(objectOr(properties['Events']))) {
    const { Type: kind, Properties: given } = objectOr(event);
    if (kind === 'SQS') {
      const { Queue, ...rest } = objectOr(given);
      const mapping = { ...rest, EventSourceArn: Queue, FunctionName: target };
      entries.push([`${id}${name}`, sibling('AWS::Lambda::EventSourceMapping', mapping)]);
    } else if (kind === 'HttpApi' || kind === 'Api') {
      found.apiEvents.push({ functionId: id, name, kind, properties: objectOr(given), target, shared });
    } else {
      found.notes.push(`function ${id}: its event ${name} (${textOr(kind, 'of no type')}) does not happen here`);
    }
  }
  return entries;
}

/** `CodeUri` is a path, an S3 URL, or an object with bucket and key; `ImageUri` a container image. */
function codeOf(properties: JsonObject): unknown {
  const uri = properties['CodeUri'];
  if (properties['PackageType'] === 'Image' || properties['ImageUri'] !== undefined)
    return { ImageUri: properties['ImageUri'] };
  if (isObject(uri) && 'Key' in uri) return { S3Bucket: uri['Bucket'], S3Key: uri['Key'] };
  return uri ?? '.';
}

/**
 * `Globals.Function` under the function's own properties: objects merge, lists follow one another, all else is
 * replaced.
 */
function merged(globals: JsonObject, own: JsonObject): JsonObject {
  const result: Record<string, unknown> = { ...globals };
  for (const [key, value] of Object.entries(own)) {
    const before = result[key];
    if (isObject(before) && isObject(value) && !isIntrinsic(value)) result[key] = merged(before, value);
    else if (Array.isArray(before) && Array.isArray(value)) result[key] = [...before, ...value];
    else result[key] = value;
  }
  return result;
}

function isIntrinsic(value: JsonObject): boolean {
  const [only, ...others] = Object.keys(value);
  return others.length === 0 && (only === 'Ref' || (only?.startsWith('Fn::') ?? false));
}
