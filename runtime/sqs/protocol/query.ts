/**
 * Answers of the Query protocol: XML, or on request (`Accept: application/json`) the JSON that SQS gives for the same.
 *
 * XML is built by fast-xml-parser, loaded at the first such answer: current SDKs speak JSON, and the library would cost
 * every process its memory. Text is escaped here, because a carriage return must travel as a character reference: an
 * XML parser turns a bare one into a line feed, and then the digest of the body does not match. The reference is
 * `&#xD;`: the AWS SDK for JavaScript v3 of the Query era reads that one, and leaves `&#13;` as it is.
 *
 * @module
 */
import type { SqsError } from '../errors.ts';
import type { QueryFormat, SqsResponse } from '../request.ts';
import { type Decoded, presentMembers, type Shape, type StructureShape, wireName } from './shape.ts';

const NAMESPACE = 'http://queue.amazonaws.com/doc/2012-11-05/';

/** A result to render; `undefined` for actions without one. */
interface QueryResult {
  readonly shape: StructureShape;
  readonly value: Decoded;
}

export interface QueryAnswers {
  success(
    requestId: string,
    action: string,
    result: QueryResult | undefined,
    format: QueryFormat,
  ): Promise<SqsResponse>;
  error(requestId: string, error: SqsError, format: QueryFormat): Promise<SqsResponse>;
  /** What SQS answers to a request without an action. */
  noAction(requestId: string): SqsResponse;
}

type XmlNode = string | { readonly [name: string]: XmlNode | readonly XmlNode[] | undefined };

export function createQueryAnswers(): QueryAnswers {
  const builder = lazily(async () => {
    const { XMLBuilder } = await import('fast-xml-parser');
    return new XMLBuilder({
      ignoreAttributes: false,
      attributeNamePrefix: '@',
      processEntities: false,
      suppressEmptyNode: true,
    });
  });

  const xml = async (requestId: string, status: number, root: string, content: XmlNode): Promise<SqsResponse> => {
    const writer = await builder();
    return {
      status,
      headers: { 'content-type': 'text/xml', 'x-amzn-RequestId': requestId },
      body: `<?xml version="1.0"?>${writer.build({ [root]: content })}`,
    };
  };
  const json = (requestId: string, status: number, content: unknown): SqsResponse => ({
    status,
    headers: { 'content-type': 'application/json', 'x-amzn-RequestId': requestId },
    body: JSON.stringify(content),
  });

  return {
    async success(requestId, action, result, format) {
      const metadata = { RequestId: requestId };
      if (format === 'json') {
        const members = result === undefined ? {} : { [`${action}Result`]: toPlain(result.shape, result.value) };
        return json(requestId, 200, { [`${action}Response`]: { ...members, ResponseMetadata: metadata } });
      }
      const members = result === undefined ? {} : { [`${action}Result`]: toXml(result.shape, result.value) };
      return xml(requestId, 200, `${action}Response`, {
        '@xmlns': NAMESPACE,
        ...members,
        ResponseMetadata: metadata,
      });
    },
    async error(requestId, error, format) {
      const { fault, queryCode, queryMessage, status } = error;
      if (format === 'json') {
        const content = { Code: queryCode, Message: queryMessage, Type: fault };
        return json(requestId, status, { Error: content, RequestId: requestId });
      }
      const content = { Type: fault, Code: queryCode, Message: escapeXml(queryMessage), Detail: '' };
      return xml(requestId, status, 'ErrorResponse', { '@xmlns': NAMESPACE, Error: content, RequestId: requestId });
    },
    noAction: (requestId) => ({
      status: 404,
      headers: { 'content-type': 'text/xml', 'x-amzn-RequestId': requestId },
      body: '<UnknownOperationException/>',
    }),
  };
}

/** Calls `make` at the first use, and keeps what it made. */
function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function toXml(shape: Shape, value: Decoded): XmlNode {
  if (shape.kind !== 'structure') return escapeXml(scalar(value));
  const members: Record<string, XmlNode | XmlNode[]> = {};
  for (const [name, member, given] of presentMembers(shape, value)) {
    members[wireName(name, member)] = flattened(member, given);
  }
  return members;
}

function flattened(shape: Shape, value: Decoded): XmlNode | XmlNode[] {
  if (shape.kind === 'list' && Array.isArray(value)) return value.map((item) => toXml(shape.of, item));
  if (shape.kind === 'map' && value instanceof Map) {
    return [...value].map(([name, item]) => ({ [shape.key]: escapeXml(name), [shape.value]: toXml(shape.of, item) }));
  }
  return toXml(shape, value);
}

/** The JSON rendering: every member stands, absent and empty ones as `null`; maps are lists of their halves. */
function toPlain(shape: Shape, value: Decoded | undefined): unknown {
  if (value === undefined) return null;
  if (shape.kind === 'list' && Array.isArray(value)) return value.map((item) => toPlain(shape.of, item));
  if (shape.kind === 'map' && value instanceof Map) {
    return [...value].map(([name, item]) => ({ [shape.key]: name, [shape.value]: toPlain(shape.of, item) }));
  }
  if (shape.kind === 'structure') {
    const given = new Map(presentMembers(shape, value).map(([name, , present]) => [name, present]));
    const members = Object.entries(shape.members);
    return Object.fromEntries(
      members.map(([name, member]) => [member.plain ?? name, toPlain(member, given.get(name))]),
    );
  }
  return shape.kind === 'blob' ? scalar(value) : value;
}

function scalar(value: Decoded): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : String(value);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#xD;',
};

/** Escapes text for XML; a character that XML cannot hold (an error may repeat one) becomes U+FFFD. */
function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replace(/[&<>"'\r]/g, (character) => ESCAPES[character] ?? character);
}
