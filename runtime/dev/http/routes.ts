/**
 * Which route of an API takes a request.
 *
 * An HTTP API looks for the most specific route of the method and the path: a full match first, then one with a greedy
 * variable, then `$default`. A REST API looks for the resource first, a static part before a variable, and then for the
 * method among those of that resource.
 *
 * Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html and
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
 *
 * @module
 */
import type { TemplateApi, TemplateRoute } from '../template/model.ts';
import { decoded } from './event.ts';

export interface FoundRoute {
  readonly route: TemplateRoute;
  /** Decoded. */
  readonly pathParameters: Readonly<Record<string, string>>;
}

/** `path`: percent-encoded, with a slash at its beginning. `undefined`: no route takes it. */
export function findRoute(api: TemplateApi, method: string, path: string): FoundRoute | undefined {
  // A REST API does not mind a slash at the end; to an HTTP API it makes another path.
  const tidy = api.kind === 'rest' && path.length > 1 ? path.replace(/\/$/, '') : path;
  const takes = (route: TemplateRoute): boolean => route.method === method || route.method === 'ANY';
  const candidates = api.routes.flatMap((route): Candidate[] => {
    if (api.kind === 'http' && !takes(route)) return [];
    const pathParameters = route.path === '$default' ? {} : matched(route.path, tidy);
    return pathParameters === undefined ? [] : [{ route, pathParameters, rank: rankOf(route, api.kind) }];
  });
  candidates.sort((one, other) => (one.rank < other.rank ? -1 : one.rank > other.rank ? 1 : 0));
  if (api.kind === 'http') return candidates[0];
  const resource = candidates[0]?.route.path;
  return candidates.find(({ route }) => route.path === resource && takes(route));
}

interface Candidate extends FoundRoute {
  /** The smallest comes first. */
  readonly rank: string;
}

/**
 * By the parts of the path from its beginning, static ones before variables, and those before greedy ones; the route of
 * one method before that of any. To an HTTP API a full match comes before all that are greedy, whatever the parts.
 */
function rankOf({ path, method }: TemplateRoute, kind: TemplateApi['kind']): string {
  const ofMethod = method === 'ANY' ? '~' : '!';
  if (path === '$default') return `2${ofMethod}`;
  const parts = partsOf(path);
  const first = kind === 'http' && parts.some(isGreedy) ? '1' : '0';
  return first + parts.map((part) => (isGreedy(part) ? '2' : isVariable(part) ? '1' : '0')).join('') + ofMethod;
}

function partsOf(path: string): readonly string[] {
  return path.split('/').slice(1);
}

function isVariable(part: string): boolean {
  return part.startsWith('{') && part.endsWith('}');
}

function isGreedy(part: string): boolean {
  return part.endsWith('+}');
}

/** The variables of a path that matches; `undefined`: it does not. */
function matched(pattern: string, path: string): Readonly<Record<string, string>> | undefined {
  const wanted = partsOf(pattern);
  const given = partsOf(path);
  const parameters: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const rest = given.slice(index);
    const [here] = rest;
    if (here === undefined) return undefined;
    if (!isVariable(part)) {
      if (decoded(here) !== part) return undefined;
    } else if (isGreedy(part)) {
      const all = rest.join('/');
      if (all === '') return undefined;
      parameters[part.slice(1, -2)] = decoded(all);
      return parameters;
    } else {
      if (here === '') return undefined;
      parameters[part.slice(1, -1)] = decoded(here);
    }
  }
  return given.length === wanted.length ? parameters : undefined;
}
