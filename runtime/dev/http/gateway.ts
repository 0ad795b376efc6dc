/**
 * The HTTP APIs and REST APIs of a project on this machine, each at the root of a port of its own, so that paths are
 * those of the API and a page or a command needs to know one origin only.
 *
 * A request becomes an event, the event an invocation, and its result the response, with the bounds and the errors of
 * API Gateway. Where AWS would answer an error because of what a function returned, a line says what is wrong with it.
 *
 * Sources: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html,
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html and
 * https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { comesFromForeignPage, isLink, isOwnHost } from '../../http/browser-guard.ts';
import type { Randomness, Time } from '../../time.ts';
import { ConcurrencyError } from '../function-host.ts';
import type { Output } from '../guide.ts';
import { type Invocation, LARGEST_PAYLOAD, type LoggedResult, listen } from '../runtime-api.ts';
import type { LambdaAuthorizer, RouteFunction, TemplateApi, TemplateRoute } from '../template/model.ts';
import { questionOf, type Verdict, verdictOf } from './authorizer.ts';
import { claimsOf, eventOf, type HttpCall, type Landing } from './event.ts';
import { allowsOrigin, gatewayAnswer, type HttpAnswer, preflightAnswer, readResponse, withCors } from './response.ts';
import { findRoute } from './routes.ts';

export interface GatewayOptions {
  readonly account: string;
  readonly region: string;
  /** APIs have this port and those that follow; one that is taken is replaced by a free one. 0: any free port. */
  readonly firstPort: number;
  /** Runs a function. Rejects with `ConcurrencyError`. */
  readonly invoke: (name: string, invocation: Invocation) => Promise<LoggedResult>;
  readonly output: Output;
  readonly time: Time;
  readonly randomness: Randomness;
}

/** The largest body of both kinds, bytes. */
const LARGEST_BODY = 10 * 1024 * 1024;
/** How long an authorizer may take. */
const AUTHORIZER_MS = 10_000;

/** With the first part of the path, which is the stage. */
const AWS_ADDRESS = /https:\/\/([\w-]+)\.execute-api(?:\.[a-z0-9-]+)+(\/[^/?#\s]+)?/g;

interface Served {
  api: TemplateApi;
  readonly server: Server;
  readonly port: number;
  /** How far it is from the first port. */
  readonly place: number;
}

export class LocalGateway {
  readonly #options: GatewayOptions;
  readonly #served = new Map<string, Served>();

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** `http://127.0.0.1:<port>`; `undefined`: there is no such API. */
  origin(apiId: string): string | undefined {
    const served = this.#served.get(apiId);
    return served === undefined ? undefined : `http://127.0.0.1:${served.port}`;
  }

  /** The text with the origins of APIs here, in place of the addresses, with the stage, that they have at AWS. */
  withLocalApis(text: string): string {
    return text.replace(AWS_ADDRESS, (whole, id: string, stage: string | undefined) => {
      const served = this.#served.get(id);
      if (served === undefined) return whole;
      const isStage = stage === undefined || stage === `/${served.api.stage}`;
      return `http://127.0.0.1:${served.port}${isStage ? '' : stage}`;
    });
  }

  /**
   * Takes over what a template says now; APIs that stay keep their ports. One call at a time. True: a port was opened,
   * so that origins are known which were not before.
   */
  async apply(apis: readonly TemplateApi[]): Promise<boolean> {
    const wanted = new Map(apis.map((api) => [api.id, api]));
    const gone = [...this.#served].filter(([id]) => !wanted.has(id));
    for (const [id] of gone) this.#served.delete(id);
    await Promise.all(gone.map(([, { server }]) => closed(server)));
    let opened = false;
    for (const [id, api] of wanted) {
      const known = this.#served.get(id);
      if (known !== undefined) known.api = api;
      else this.#served.set(id, await this.#open(api));
      opened ||= known === undefined;
    }
    return opened;
  }

  async close(): Promise<void> {
    const all = [...this.#served.values()];
    this.#served.clear();
    await Promise.all(all.map(({ server }) => closed(server)));
  }

  async #open(api: TemplateApi): Promise<Served> {
    const { firstPort } = this.#options;
    const taken = new Set([...this.#served.values()].map(({ place }) => place));
    let place = 0;
    while (taken.has(place)) place += 1;
    const server = createServer((request, response) => {
      // It is there as long as its server is.
      const served = this.#served.get(api.id);
      if (served === undefined) return void response.destroy();
      this.#handle(served.api, request, response).catch((error: unknown) => {
        this.#broke(served.api, request, response, error);
      });
    });
    const port = await listen(server, firstPort === 0 ? 0 : firstPort + place).catch((error: unknown) => {
      if (firstPort === 0) throw error;
      return listen(server);
    });
    return { api, server, port, place };
  }

  async #handle(api: TemplateApi, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refusal = refusalOf(api, request);
    if (refusal !== undefined) return send(response, { status: 403, headers: [], body: refusal });
    const { method = 'GET', headers } = request;
    const origin = api.cors === undefined ? undefined : headers.origin;
    if (api.cors !== undefined && isPreflight(request)) {
      return send(response, preflightAnswer(api.cors, headers));
    }
    const answer = await this.#answer(api, method, request);
    send(response, api.cors === undefined ? answer : withCors(answer, api.cors, origin));
  }

  async #answer(api: TemplateApi, method: string, request: IncomingMessage): Promise<HttpAnswer> {
    const { path, query } = targetOf(request.url ?? '/');
    const found = findRoute(api, method, path);
    if (found === undefined) return this.#noRoute(api, method, path);
    const { route, pathParameters } = found;
    const { target } = route;
    if (target.kind === 'answer') {
      return { status: target.status, headers: Object.entries(target.headers), body: '' };
    }
    const body = await readBody(request);
    if (body === undefined) return tooLarge(api);
    const { account, randomness, time } = this.#options;
    const requestId = randomness.uuid();
    const call: HttpCall = {
      ...{ method, path, query, body, requestId },
      headers: pairs(request.rawHeaders),
      host: request.headers.host ?? 'localhost',
      sourceIp: request.socket.remoteAddress?.replace('::ffff:', '') ?? '127.0.0.1',
      now: time.now(),
    };
    const claims = claimsOf(route.authorizer?.kind, target.payload, request.headers.authorization);
    const landing: Landing = {
      ...{ kind: api.kind, apiId: api.id, account, stage: api.stage, stageVariables: api.stageVariables },
      ...{ method: route.method, route: route.path, pathParameters, payload: target.payload },
      binaryTypes: api.binaryTypes,
      ...(claims === undefined ? {} : { authorizer: claims }),
    };
    if (route.authorizer?.kind !== 'lambda') return this.#run(api, route, target, call, landing);
    const verdict = await this.#ask(route.authorizer, call, landing);
    if (verdict.kind === 'pass')
      return this.#run(api, route, target, call, { ...landing, authorizer: verdict.context });
    const what = `${method} ${path} is answered with ${verdict.answer.status}`;
    this.#options.output.line(route.authorizer.name, `! ${what}: ${verdict.why}`);
    return verdict.answer;
  }

  async #ask(authorizer: LambdaAuthorizer, call: HttpCall, landing: Landing): Promise<Verdict> {
    const question = questionOf(authorizer, call, landing, this.#options.region);
    if ('kind' in question) return question;
    const { event } = question;
    const payload = new TextEncoder().encode(JSON.stringify(event));
    const invocation = { requestId: this.#options.randomness.uuid(), functionArn: authorizer.arn, payload };
    const outcome = await this.#outcome(authorizer.name, AUTHORIZER_MS, invocation);
    if (outcome.kind === 'response' || outcome.kind === 'function-error') {
      return verdictOf(authorizer, event, outcome, landing.kind);
    }
    const why = outcome.kind === 'late' ? 'its authorizer took more than 10 s' : outcome.reason;
    return { kind: 'stop', answer: gatewayAnswer(500, 'Internal Server Error'), why };
  }

  /** The client went away in the middle of its request; or there is no way to answer it, which is said. */
  #broke(api: TemplateApi, request: IncomingMessage, response: ServerResponse, error: unknown): void {
    if (request.socket.destroyed || response.headersSent) return void response.destroy();
    const why = error instanceof Error ? error.message : String(error);
    this.#options.output.line(api.id, `! ${request.method} ${request.url} cannot be answered: ${why}`);
    send(response, gatewayAnswer(500, 'Internal Server Error'));
  }

  #noRoute(api: TemplateApi, method: string, path: string): HttpAnswer {
    const inStage = path === `/${api.stage}` || path.startsWith(`/${api.stage}/`);
    const hint = inStage ? `; the stage ${api.stage} is served at the root, so leave it out of the path` : '';
    this.#options.output.line(api.id, `! no route takes ${method} ${path}${hint}`);
    // The words of API Gateway.
    return api.kind === 'http' ? gatewayAnswer(404, 'Not Found') : gatewayAnswer(403, 'Missing Authentication Token');
  }

  async #run(
    api: TemplateApi,
    route: TemplateRoute,
    target: RouteFunction,
    call: HttpCall,
    landing: Landing,
  ): Promise<HttpAnswer> {
    const { time, output } = this.#options;
    const startedAt = time.monotonic();
    const payload = new TextEncoder().encode(JSON.stringify(eventOf(call, landing)));
    const what = `${call.method} ${call.path}`;
    const failed = (answer: HttpAnswer, why: string): HttpAnswer => {
      output.line(target.name, `! ${what} is answered with ${answer.status}: ${why}`);
      return answer;
    };
    if (payload.length > LARGEST_PAYLOAD) {
      return failed(tooLarge(api), `its event has ${payload.length} bytes, and a function takes ${LARGEST_PAYLOAD}`);
    }
    const invocation: Invocation = { requestId: call.requestId, functionArn: target.arn, payload };
    const outcome = await this.#outcome(target.name, target.timeoutMs, invocation);
    switch (outcome.kind) {
      case 'late':
        return failed(timeOut(api), `the function took more than ${target.timeoutMs / 1000} s`);
      case 'refused':
        return failed(refused(api), outcome.reason);
      case 'function-error':
        return failed(badResponse(api), 'the function failed');
      case 'response':
        break;
    }
    const accept = call.headers.find(([name]) => name.toLowerCase() === 'accept')?.[1];
    const reading = readResponse(outcome.payload, { ...landing, accept });
    if ('wrong' in reading) {
      return failed(badResponse(api), `what the function returned is no response of ${route.path}: ${reading.wrong}`);
    }
    const milliseconds = Math.round(time.monotonic() - startedAt);
    output.line(target.name, `${what} ${reading.answer.status} ${milliseconds} ms`);
    return reading.answer;
  }

  /** The result, unless the gateway stops waiting before it comes; the function goes on, as in AWS. */
  #outcome(name: string, timeoutMs: number, invocation: Invocation): Promise<Outcome> {
    const { invoke, time } = this.#options;
    return new Promise((resolve) => {
      const cancel = time.after(timeoutMs, () => resolve({ kind: 'late' }));
      invoke(name, invocation)
        .then(resolve, (error: unknown) => {
          const reason = error instanceof ConcurrencyError ? error.reason : String(error);
          resolve({ kind: 'refused', reason });
        })
        .finally(cancel);
    });
  }
}

type Outcome = LoggedResult | { readonly kind: 'late' } | { readonly kind: 'refused'; readonly reason: string };

function badResponse({ kind }: TemplateApi): HttpAnswer {
  return kind === 'http' ? gatewayAnswer(500, 'Internal Server Error') : gatewayAnswer(502, 'Internal server error');
}

/** Lambda would not take the invocation. */
function refused({ kind }: TemplateApi): HttpAnswer {
  return kind === 'http' ? gatewayAnswer(503, 'Service Unavailable') : gatewayAnswer(500, 'Internal server error');
}

function timeOut({ kind }: TemplateApi): HttpAnswer {
  return kind === 'http' ? gatewayAnswer(503, 'Service Unavailable') : gatewayAnswer(504, 'Endpoint request timed out');
}

function tooLarge({ kind }: TemplateApi): HttpAnswer {
  return gatewayAnswer(413, kind === 'http' ? 'Request Entity Too Large' : 'Request Too Long');
}

/**
 * Why a request must not be served: nobody is asked for a credential here, so pages of other sites must stay out,
 * unless the API lets them in. Pages of this machine, such as the one that is being written for the API, are no
 * strangers.
 */
function refusalOf(api: TemplateApi, request: IncomingMessage): string | undefined {
  const { headers } = request;
  if (!isOwnHost(headers.host)) return 'only localhost and loopback addresses are answered';
  if (!comesFromForeignPage(headers) || isLink(request)) return undefined;
  const { origin } = headers;
  // A page of the same site as a loopback address is one of this machine, on another port.
  if (origin === undefined && headers['sec-fetch-site'] === 'same-site') return undefined;
  if (origin !== undefined && URL.canParse(origin) && isOwnHost(new URL(origin).host)) return undefined;
  if (origin !== undefined && letsIn(api, origin)) return undefined;
  return `the CORS settings of ${api.id} do not let this web site in\n`;
}

/** By its `CorsConfiguration`, or by what the answers to its preflight requests allow. */
function letsIn(api: TemplateApi, origin: string): boolean {
  if (api.cors !== undefined) return allowsOrigin(api.cors, origin);
  return api.routes.some(({ method, target }) => {
    if (method !== 'OPTIONS' || target.kind !== 'answer') return false;
    return Object.entries(target.headers).some(
      ([name, value]) => name.toLowerCase() === 'access-control-allow-origin' && (value === '*' || value === origin),
    );
  });
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === 'OPTIONS' && headers.origin !== undefined && 'access-control-request-method' in headers;
}

/** The path and the query of a request line, which may name a whole URL. */
function targetOf(url: string): { readonly path: string; readonly query: string } {
  const local = url.replace(/^https?:\/\/[^/?#]*/i, '');
  const [, path = '', query = ''] = /^([^?#]*)(?:\?([^#]*))?/.exec(local) ?? [];
  return { path: path.startsWith('/') ? path : `/${path}`, query };
}

function pairs(rawHeaders: readonly string[]): readonly (readonly [string, string])[] {
  return rawHeaders.flatMap((name, index): [string, string][] =>
    index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? '']] : [],
  );
}

/** The body; `undefined`: it is larger than the gateway takes. The rest of such a one is read and forgotten. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes <= LARGEST_BODY) chunks.push(piece);
    else chunks.length = 0;
  }
  return bytes > LARGEST_BODY ? undefined : Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, headers, body }: HttpAnswer): void {
  const bytes = Buffer.from(body);
  const hasBody = status !== 204 && status !== 304;
  const length: readonly [string, string][] = hasBody ? [['content-length', String(bytes.length)]] : [];
  response.writeHead(status, [...headers, ...length].flat());
  response.end(hasBody ? bytes : undefined);
}

async function closed(server: Server): Promise<void> {
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
}
