/**
 * What a function returns becomes the response of an HTTP API, a REST API or a function URL.
 *
 * Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html and
 * https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 *
 * @module
 */
import { type IncomingHttpHeaders, validateHeaderName, validateHeaderValue } from 'node:http';
import { type ApiCors, isObject, type JsonObject, objectOr, scalarText } from '../template/model.ts';
import { isAmong, type Landing, mediaType } from './event.ts';

export interface HttpAnswer {
  readonly status: number;
  /** One pair for each line. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array | string;
}

/** The response, or why AWS would not take it, as the end of a sentence. */
export type Reading = { readonly answer: HttpAnswer } | { readonly wrong: string };

/** How it is read. */
export type ResponseForm = Pick<Landing, 'kind' | 'payload' | 'binaryTypes'> & {
  /** `Accept` of the request: REST APIs decode base64 only for who accepts a binary type first. */
  readonly accept?: string | undefined;
};

const MEMBERS = ['statusCode', 'headers', 'multiValueHeaders', 'body', 'isBase64Encoded'];
/** What a response without a type has. */
const DEFAULT_TYPE = { http: 'text/plain; charset=utf-8', rest: 'application/json', url: 'application/json' } as const;
/** These the gateway writes itself. */
const OF_THE_CONNECTION = new Set([
  'connection',
  'keep-alive',
  'upgrade',
  'trailer',
  'transfer-encoding',
  'content-length',
]);

/** Reads the payload of a successful invocation. */
export function readResponse(payload: Uint8Array, form: ResponseForm): Reading {
  const text = Buffer.from(payload).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return form.payload === '2.0' ? inferred(text) : { wrong: 'it is no JSON' };
  }
  if (form.payload === '2.0') {
    // A function that returns nothing returns null, too, and no AWS service can tell.
    if (!isObject(value) || !('statusCode' in value)) return inferred(typeof value === 'string' ? value : text);
    return structured(value, form);
  }
  if (!isObject(value)) return { wrong: `it must be an object with a statusCode, but is ${excerpt(text)}` };
  if (!('statusCode' in value)) return { wrong: `it has no statusCode: ${excerpt(text)}` };
  const unknown = Object.keys(value).filter((key) => !MEMBERS.includes(key));
  if (form.kind === 'rest' && unknown.length > 0) {
    return { wrong: `it has ${unknown.join(', ')}, but a REST API takes only ${MEMBERS.join(', ')}` };
  }
  return structured(value, form);
}

/** Format 2.0 takes anything else as the body of a response. */
function inferred(body: string): Reading {
  return { answer: { status: 200, headers: [['content-type', 'application/json']], body } };
}

function structured(value: JsonObject, form: ResponseForm): Reading {
  const status = Number(scalarText(value['statusCode']) ?? Number.NaN);
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    return { wrong: `its statusCode must be a number from 200 to 599, but is ${excerpt(value['statusCode'])}` };
  }
  const headers = headersOf(value, form);
  if (typeof headers === 'string') return { wrong: headers };
  const body = value['body'] ?? '';
  if (typeof body !== 'string' && form.kind !== 'url') {
    return { wrong: `its body must be a text (JSON.stringify makes one), but is ${excerpt(body)}` };
  }
  const encoded = typeof body === 'string' ? body : JSON.stringify(body);
  const decode = value['isBase64Encoded'] === true && decodes(form);
  // These statuses may not have a body at all.
  const none = status === 204 || status === 205 || status === 304;
  return { answer: { status, headers, body: none ? '' : decode ? Buffer.from(encoded, 'base64') : encoded } };
}

/** Whether a body in base64 is decoded for the client; a REST API hands it out as it is to who accepts only text. */
function decodes({ kind, accept, binaryTypes = [] }: ResponseForm): boolean {
  return kind !== 'rest' || isAmong(mediaType(accept), binaryTypes);
}

/** The lines of the response, or what is wrong with them. */
function headersOf(value: JsonObject, { kind, payload }: ResponseForm): HttpAnswer['headers'] | string {
  const lines: [string, string][] = [];
  const add = (name: string, header: unknown): string | undefined => {
    const text = scalarText(header);
    if (text === undefined) return header === null ? undefined : `its header ${name} must be a text`;
    if (!canBeSent(name, text)) return `its header ${name} cannot be sent`;
    const known = lines.some(([other, one]) => other.toLowerCase() === name.toLowerCase() && one === text);
    if (!known && !OF_THE_CONNECTION.has(name.toLowerCase())) lines.push([name, text]);
    return undefined;
  };
  const problems: (string | undefined)[] = [];
  const multiple = payload === '1.0' ? objectOr(value['multiValueHeaders']) : {};
  for (const [name, values] of Object.entries(multiple)) {
    if (!Array.isArray(values)) problems.push(`its multiValueHeaders.${name} must be a list`);
    for (const one of Array.isArray(values) ? values : []) problems.push(add(name, one));
  }
  for (const [name, header] of Object.entries(objectOr(value['headers']))) problems.push(add(name, header));
  const cookies: readonly unknown[] = payload === '2.0' && Array.isArray(value['cookies']) ? value['cookies'] : [];
  for (const cookie of cookies) problems.push(add('set-cookie', cookie));
  const problem = problems.find((one) => one !== undefined);
  if (problem !== undefined) return problem;
  const typed = lines.some(([name]) => name.toLowerCase() === 'content-type');
  return typed ? lines : [...lines, ['content-type', DEFAULT_TYPE[kind]]];
}

function canBeSent(name: string, value: string): boolean {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

/** Enough of a value to find it again. */
function excerpt(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'absent');
  return text.length > 100 ? `${text.slice(0, 100)} ...` : text;
}

/** An answer of the gateway itself. */
export function gatewayAnswer(status: number, message: string | null): HttpAnswer {
  return { status, headers: [['content-type', 'application/json']], body: JSON.stringify({ message }) };
}

/*
 * `CorsConfiguration` of an HTTP API: preflight requests are answered without a function, and the CORS headers of all
 * other responses are those of the configuration, not of the function.
 *
 * Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html
 */

/** `*`, an origin, or a scheme with `*` behind it. */
export function allowsOrigin({ origins }: ApiCors, origin: string): boolean {
  return origins.some(
    (one) => one === '*' || one === origin || (one.endsWith('://*') && origin.startsWith(one.slice(0, -1))),
  );
}

export function preflightAnswer(cors: ApiCors, headers: IncomingHttpHeaders): HttpAnswer {
  const { origin = '' } = headers;
  const lines: [string, string][] = allowsOrigin(cors, origin) ? [...originLines(cors, origin)] : [];
  if (lines.length > 0) {
    if (cors.methods.length > 0) lines.push(['access-control-allow-methods', cors.methods.join(',')]);
    if (cors.headers.length > 0) lines.push(['access-control-allow-headers', cors.headers.join(',')]);
    if (cors.maxAge !== undefined) lines.push(['access-control-max-age', String(cors.maxAge)]);
  }
  return { status: 204, headers: lines, body: '' };
}

/** `origin`: that of the request; without one the response says nothing of origins. */
export function withCors(answer: HttpAnswer, cors: ApiCors, origin: string | undefined): HttpAnswer {
  const others = answer.headers.filter(([name]) => !name.toLowerCase().startsWith('access-control-'));
  if (origin === undefined || !allowsOrigin(cors, origin)) return { ...answer, headers: others };
  const exposed: [string, string][] =
    cors.exposed.length === 0 ? [] : [['access-control-expose-headers', cors.exposed.join(',')]];
  return { ...answer, headers: [...others, ...originLines(cors, origin), ...exposed] };
}

function originLines({ origins, credentials }: ApiCors, origin: string): readonly [string, string][] {
  const anybody = origins.includes('*') && !credentials;
  return [
    ['access-control-allow-origin', anybody ? '*' : origin],
    ...(anybody ? [] : [['vary', 'Origin'] satisfies [string, string]]),
    ...(credentials ? [['access-control-allow-credentials', 'true'] satisfies [string, string]] : []),
  ];
}
