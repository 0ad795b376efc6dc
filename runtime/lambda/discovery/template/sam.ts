/**
 * SAM's short forms, written out as the CloudFormation resources that they stand for: functions with their SQS events, aliases and URLs,
 * layers and nested applications. Other resources and other events are AWS's affair.
 *
 * @module
 */
import { isObject, type JsonObject, objectOr, textOr } from './values.ts';

export interface ExpandedTemplate {
  readonly template: JsonObject;
  /** One sentence for each thing that is not served outside AWS. */
  readonly notes: readonly string[];
}

/** Expands a parsed template; one without SAM resources comes back as it is. */
export function expandSam(parsed: unknown): ExpandedTemplate {
  const template = objectOr(parsed);
  const globals = objectOr(objectOr(template['Globals'])['Function']);
  const notes: string[] = [];
  const resources = Object.entries(objectOr(template['Resources'])).flatMap(([id, body]) =>
    isObject(body) ? expandResource(id, body, globals, notes) : [],
  );
  return { template: { ...template, Resources: Object.fromEntries(resources) }, notes };
}

type Entry = readonly [string, JsonObject];

function expandResource(id: string, body: JsonObject, globals: JsonObject, notes: string[]): readonly Entry[] {
  const properties = objectOr(body['Properties']);
  switch (body['Type']) {
    case 'AWS::Serverless::Function':
      return expandFunction(id, body, merged(globals, properties), notes);
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

function expandFunction(id: string, body: JsonObject, properties: JsonObject, notes: string[]): readonly Entry[] {
  const sibling = (Type: string, Properties: JsonObject): JsonObject => ({
    Type,
    Properties,
    ...('Condition' in body ? { Condition: body['Condition'] } : {}),
  });
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
    } else {
      notes.push(
        `function ${id}: its event ${name} (${textOr(kind, 'of no type')}) is not served here; call the function by its URL instead`,
      );
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

/** `Globals.Function` under the function's own properties: objects merge, lists follow one another, all else is replaced. */
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
