/**
 * Lambda authorizers: a function that is asked, before the one behind a route, whether the caller may pass, and what
 * the other should know of him. Its answers are not kept: each request asks anew, so that an edit counts at once.
 *
 * Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html,
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html and
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
 *
 * @module
 */
import { matchesGlob, partitionOf } from '../../queue/names.ts';
import type { InvocationResult } from '../runtime-api.ts';
import { isObject, type JsonObject, type LambdaAuthorizer, objectOr, scalarText, textOr } from '../template/model.ts';
import { eventOf, type HttpCall, type Landing } from './event.ts';
import { gatewayAnswer, type HttpAnswer } from './response.ts';

/** The caller may pass, with what `requestContext.authorizer` has of him; or he may not. */
export type Verdict =
  | { readonly kind: 'pass'; readonly context: JsonObject }
  /** `why`: as the end of a sentence. */
  | { readonly kind: 'stop'; readonly answer: HttpAnswer; readonly why: string };

const UNAUTHORIZED = gatewayAnswer(401, 'Unauthorized');

/** What the authorizer is asked; a verdict, if the request does not bring what it goes by. */
export function questionOf(
  authorizer: LambdaAuthorizer,
  call: HttpCall,
  landing: Landing,
  region: string,
): { readonly event: JsonObject } | Verdict {
  const values = authorizer.sources.map((source) => brought(source, call));
  const missing = authorizer.sources.find((_, index) => values[index] === undefined);
  if (missing !== undefined) {
    return { kind: 'stop', answer: UNAUTHORIZED, why: `the request has no ${missing.place} ${missing.name}` };
  }
  const { account, apiId, stage } = landing;
  const arn = `arn:${partitionOf(region)}:execute-api:${region}:${account}:${apiId}/${stage}/${call.method}${call.path}`;
  if (authorizer.form === 'token') {
    return { event: { type: 'TOKEN', authorizationToken: values[0], methodArn: arn } };
  }
  const payload = authorizer.form === '2.0' ? '2.0' : '1.0';
  const { body: _, isBase64Encoded: __, ...event } = eventOf(call, { ...landing, payload });
  if (authorizer.form === '2.0') {
    const identitySource = values.length === 0 ? null : values;
    return { event: { ...event, type: 'REQUEST', routeArn: arn, identitySource } };
  }
  const identity = { identitySource: values.join(','), authorizationToken: values.join(',') };
  return { event: { ...event, type: 'REQUEST', methodArn: arn, ...(authorizer.form === '1.0' ? identity : {}) } };
}

function brought({ place, name }: LambdaAuthorizer['sources'][number], call: HttpCall): string | undefined {
  const value =
    place === 'header'
      ? call.headers.find(([header]) => header.toLowerCase() === name.toLowerCase())?.[1]
      : new URLSearchParams(call.query).get(name);
  return value === null || value === '' ? undefined : value;
}

/** What the authorizer's answer means. `event`: what it was asked. */
export function verdictOf(
  authorizer: LambdaAuthorizer,
  event: JsonObject,
  result: InvocationResult,
  kind: Landing['kind'],
): Verdict {
  const failed = (why: string): Verdict => {
    const answer = kind === 'rest' ? gatewayAnswer(500, null) : gatewayAnswer(500, 'Internal Server Error');
    return { kind: 'stop', answer, why };
  };
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(result.payload).toString('utf8'));
  } catch {
    return failed('its authorizer did not return JSON');
  }
  if (result.kind === 'function-error') {
    // What AWS's own examples throw to say it.
    const refused = objectOr(value)['errorMessage'] === 'Unauthorized';
    return refused
      ? { kind: 'stop', answer: UNAUTHORIZED, why: 'its authorizer says Unauthorized' }
      : failed('its authorizer failed');
  }
  if (!isObject(value)) return failed('its authorizer must return an object');
  if (authorizer.simple) {
    if (typeof value['isAuthorized'] !== 'boolean') return failed('its authorizer returned no isAuthorized');
    return value['isAuthorized']
      ? { kind: 'pass', context: { lambda: value['context'] ?? null } }
      : { kind: 'stop', answer: gatewayAnswer(403, 'Forbidden'), why: 'its authorizer refuses' };
  }
  const arn = textOr(event['methodArn'], textOr(event['routeArn'], ''));
  const statements = [objectOr(value['policyDocument'])['Statement'] ?? []].flat().filter(isObject);
  if (statements.length === 0) return failed('its authorizer returned no policyDocument with a Statement');
  const effects = new Set(statements.filter((one) => covers(one, arn)).map((one) => one['Effect']));
  if (effects.has('Deny') || !effects.has('Allow')) {
    const explicit = effects.has('Deny') ? ' with an explicit deny' : '';
    const Message = `User is not authorized to access this resource${explicit}`;
    const ofRest = { ...gatewayAnswer(403, ''), body: JSON.stringify({ Message }) };
    const answer = kind === 'rest' ? ofRest : gatewayAnswer(403, 'Forbidden');
    return { kind: 'stop', answer, why: `the policy of its authorizer does not allow ${arn}` };
  }
  return passed(authorizer, value, failed);
}

function passed(authorizer: LambdaAuthorizer, value: JsonObject, failed: (why: string) => Verdict): Verdict {
  const context = objectOr(value['context']);
  if (authorizer.form === '2.0') return { kind: 'pass', context: { lambda: value['context'] ?? null } };
  const odd = Object.entries(context).find(([, one]) => one !== null && scalarText(one) === undefined);
  if (odd !== undefined) return failed(`context.${odd[0]} of its authorizer must be a text, a number or a truth`);
  const texts = Object.fromEntries(Object.entries(context).map(([name, one]) => [name, scalarText(one) ?? null]));
  return { kind: 'pass', context: { ...texts, principalId: value['principalId'] ?? null, integrationLatency: 0 } };
}

/** Whether a statement speaks of calling this resource. */
function covers(statement: JsonObject, arn: string): boolean {
  const matches = (patterns: unknown, text: string): boolean =>
    [patterns ?? []].flat().some((pattern) => matchesGlob(String(pattern), text));
  return matches(statement['Action'], 'execute-api:Invoke') && matches(statement['Resource'], arn);
}
