/**
 * The HTTP server: one port for the SQS API and everything beside it, with a limit on every input.
 *
 * @module
 */
import { createServer, IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import type { Log } from '../log.ts';
import type { Readiness } from '../ops/health.ts';
import { ConfigError } from '../settings.ts';
import type { Cancel, Time } from '../time.ts';
import type { Access } from './access.ts';
import { isAppPath } from './app.ts';
import { refusalWithoutCredentials } from './browser-guard.ts';
import { LONGEST_HEAD } from './connections.ts';
import { createCors } from './cors.ts';
import type { Edge } from './edge.ts';
import { type IngestEndpoint, isIngestPath } from './ingest/endpoint.ts';
import { type Location, locate } from './location.ts';
import type { AppEnv } from './management.ts';
import type { SqsEndpoint } from './sqs-endpoint.ts';

/** Bounds of every connection. */
export interface ServerLimits {
  /** A request line with its headers, bytes. */
  readonly headBytes: number;
  readonly headers: number;
  /** For the head of a request, from its first byte, ms. */
  readonly headTimeoutMs: number;
  /** For the whole request, ms. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection stays open, ms. */
  readonly keepAliveMs: number;
  /** How often the timeouts are looked at, ms. */
  readonly checkMs: number;
}

const SERVER_LIMITS: ServerLimits = {
  headBytes: LONGEST_HEAD,
  headers: 100,
  // A head that is not complete by then was not sent by an SDK.
  headTimeoutMs: 10_000,
  // 4 MiB over a slow mobile line.
  requestTimeoutMs: 30_000,
  // Longer than that of common proxies (ALB and nginx 60 s, Traefik 90 s, Google's load balancer 600 s): if the server
  // closed first, the proxy could send a request into the closing connection and answer 502.
  keepAliveMs: 620_000,
  checkMs: 5000,
};
/** Connections before anything is served: enough for health checks and the first callers, who come again. */
const DOOR_CONNECTIONS = 256;
/** Characters. Each segment of a path costs time where it is signed or looked up. */
const LONGEST_PATH = 2_048;
const STARTING: Readiness = {
  ready: false,
  store: { ok: false },
  discovery: { ok: false },
  reasons: ['the server is starting: its store of messages is being opened'],
};
const LOGIN_PATH = '/ops/login';
/** How long responses under way may take once the server stops; long polls are answered at once. */
const CLOSE_MS = 5000;

/** Requests answered, by status. */
export interface Traffic {
  answered(status: number): void;
  byStatus(): ReadonlyMap<number, number>;
}

/** Counted from the start, at 0, so that the first of them is an increase that can be seen. */
const USUAL_STATUSES = [200, 400, 401, 403, 404, 413, 429, 500, 503];

export function createTraffic(): Traffic {
  const counts = new Map(USUAL_STATUSES.map((status): [number, number] => [status, 0]));
  return {
    answered: (status) => {
      counts.set(status, (counts.get(status) ?? 0) + 1);
    },
    byStatus: () => counts,
  };
}

interface HttpServerParts {
  readonly edge: Edge;
  /** What slows guessing down; absent: nothing does. */
  readonly access?: Pick<Access, 'attempts' | 'mayBeGuess'>;
  readonly sqs: SqsEndpoint;
  readonly ingest: IngestEndpoint;
  readonly app: Hono<AppEnv>;
  /** Origins whose pages may use the SQS API from a browser, and `*`; default: none. */
  readonly corsOrigins?: readonly string[];
  /** Told of every answer. */
  readonly answered: (status: number) => void;
  readonly time: Time;
  readonly log: Log;
}

/**
 * A port that listens before there is anything to serve: opening a store or reading a long append-only file takes its
 * time, and whoever watches over the process must see that it lives. Until `serve` is called it answers /healthz, says
 * on /readyz that the server is starting, and refuses all else with 503, which SDKs retry.
 */
export interface Door {
  readonly port: number;
  /** Serves from now on, on the same port. To be called once. */
  serve(parts: HttpServerParts): HttpServer;
  /** Closes a port that never served; afterwards, and once it serves, it does nothing. */
  close(): Promise<void>;
}

export interface HttpServer {
  readonly port: number;
  /**
   * Takes no more connections, ends long polls with empty answers, lets responses under way finish, then closes
   * everything.
   */
  stop(): Promise<void>;
}

/** Where a request goes, by its target alone. */
interface Route {
  readonly location: Location;
  readonly to: 'app' | 'ingest' | 'sqs';
}

const KEPT_ROUTES = 512;
/** A path with a capability and a queue has up to some 250 characters. */
const LONGEST_KEPT_TARGET = 512;

/** Requests that one read may begin. No SDK sends a second request before the answer to the first. */
const MOST_IN_ONE_READ = 16;

/**
 * The class of requests, which stops node:http where a client sends many of them without waiting for answers.
 *
 * Node reads 64 KiB at a time, and its parser goes through all of them, whether the connection was closed meanwhile or
 * not: thousands of short requests would keep the event loop for tens of milliseconds. Some of them Node answers on its
 * own (no Host, an expectation that it does not know), so nobody else can count them. Here every request comes by, and
 * those of one read are known by the bytes that the connection has read. One too many closes the connection.
 *
 * The parser itself stops in one case only: at a request that asks for another protocol, because what follows is not
 * HTTP. So the last request says that it does, whatever it was. Node finds that nobody listens for upgrades, and lets
 * go of the connection.
 */
function requestClass(): typeof IncomingMessage {
  const reads = new WeakMap<Socket, { upTo: number; requests: number }>();
  return class extends IncomingMessage {
    constructor(socket: Socket) {
      super(socket);
      const { bytesRead } = socket;
      const read = reads.get(socket);
      if (read === undefined) {
        reads.set(socket, { upTo: bytesRead, requests: 1 });
      } else if (read.upTo !== bytesRead) {
        read.upTo = bytesRead;
        read.requests = 1;
      } else {
        read.requests += 1;
        if (read.requests <= MOST_IN_ONE_READ) return;
        socket.destroy();
        // Node writes here what it parsed, and then asks.
        Object.defineProperty(this, 'upgrade', { get: () => true, set: () => {} });
      }
    }
  };
}

/** Listens; what is behind the port comes with `serve`. Errors: `ConfigError` if the address cannot be had. */
export async function openDoor(host: string, port: number, changed: Partial<ServerLimits> = {}): Promise<Door> {
  const limits = { ...SERVER_LIMITS, ...changed };
  const server = createServer({
    maxHeaderSize: limits.headBytes,
    headersTimeout: limits.headTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkMs,
    IncomingMessage: requestClass(),
  });
  server.maxHeadersCount = limits.headers;
  server.maxConnections = DOOR_CONNECTIONS;
  const waiting = new Set<Socket>();
  const count = (socket: Socket): void => {
    waiting.add(socket);
    socket.once('close', () => waiting.delete(socket));
  };
  server.on('connection', count);
  server.on('request', answerStarting);
  await new Promise<void>((resolve, reject) => {
    const fail = (error: Error): void => reject(new ConfigError([listenProblem(error, host, port)], { cause: error }));
    server.once('error', fail);
    server.listen(port, host, () => {
      server.off('error', fail);
      resolve();
    });
  });
  // `address()` is an AddressInfo for every server that listens on a port.
  const { port: bound } = server.address() as AddressInfo;
  let served = false;
  let closed: Promise<void> | undefined;

  const serve = (parts: HttpServerParts): HttpServer => {
    served = true;
    const closing = { now: false };
    server.off('request', answerStarting);
    server.off('connection', count);
    // From here on the edge bounds connections, those that came early included.
    server.maxConnections = Number.MAX_SAFE_INTEGER;
    server.on(
      'request',
      createListener(parts, closing, () => {
        // A busy connection becomes idle only after its response; Node looks at idle ones only once, when the server
        // closes.
        setImmediate(() => server.closeIdleConnections());
      }),
    );
    server.on('connection', (socket) => parts.edge.connections.opened(socket));
    for (const socket of waiting) parts.edge.connections.opened(socket);
    waiting.clear();
    return {
      port: bound,
      stop: () => {
        closing.now = true;
        return stop(server, parts);
      },
    };
  };
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    port: bound,
    serve,
    close: async () => {
      if (served) return;
      closed ??= close();
      await closed;
    },
  };
}

/** What a server answers that has nothing to serve yet. */
function answerStarting(request: IncomingMessage, response: ServerResponse): void {
  const path = /^[^?]*/.exec(request.url ?? '')?.[0];
  const answer = (status: number, body: object): void => {
    if (status === 503) response.setHeader('Retry-After', 5);
    response
      .writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', Connection: 'close' })
      .end(JSON.stringify(body));
  };
  if (path === '/healthz') answer(200, { status: 'ok' });
  else if (path === '/readyz') answer(503, STARTING);
  else answer(503, { error: 'the server is starting; try again' });
}

/** What keeps the server from listening, in the words of its settings. */
function listenProblem(error: Error, host: string, port: number): string {
  switch ('code' in error ? error.code : undefined) {
    case 'EADDRINUSE':
      return `PORT=${port}: another program listens there; choose another port, or stop that program`;
    case 'EACCES':
      return `PORT=${port}: this user may not listen there; choose a port from 1024 on`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST=${host}: this machine has no such address; 127.0.0.1 is itself, 0.0.0.0 is all of its addresses`;
    default:
      return `HOST=${host}, PORT=${port}: cannot be listened on (${error.message})`;
  }
}

function createListener(
  parts: HttpServerParts,
  closing: { readonly now: boolean },
  ended: () => void,
): (request: IncomingMessage, response: ServerResponse) => void {
  const { edge, access, sqs, ingest, app, answered, time, log } = parts;
  const locations = new WeakMap<IncomingMessage, Location>();
  const origins = parts.corsOrigins ?? [];
  const cors = origins.length === 0 ? undefined : createCors(origins);
  const routes = new Map<string, Route>();
  const appListener = getRequestListener(
    (request, env) => {
      // HTTP/2 is not served, so these are the bindings of node:http.
      const bindings = env as Omit<AppEnv['Bindings'], 'location'>;
      const location = locations.get(bindings.incoming);
      return app.fetch(request, { ...bindings, location });
    },
    // A request of HTTP/1.0 need not say to which host it goes.
    { overrideGlobalObjects: false, hostname: 'localhost' },
  );

  /** Callers of the API use few paths, again and again; a longer one or one with a query is taken apart each time. */
  function routeOf(target: string): Route | undefined {
    const location = locate(target, edge.address.basePath);
    if (location === undefined) return undefined;
    const { path } = location;
    const route: Route = { location, to: isAppPath(path) ? 'app' : isIngestPath(path) ? 'ingest' : 'sqs' };
    if (location.query === '' && target.length <= LONGEST_KEPT_TARGET) {
      if (routes.size >= KEPT_ROUTES) routes.clear();
      routes.set(target, route);
    }
    return route;
  }

  // Both are methods of a response, so that no request needs functions of its own.
  function onPrefinish(this: ServerResponse): void {
    edge.connections.answered(this);
  }

  function onClose(this: ServerResponse): void {
    edge.connections.ended(this.req);
    answered(this.statusCode);
    if (closing.now) ended();
  }

  return (request, response) => {
    if (!edge.connections.began(request, response)) return;
    const target = request.url ?? '/';
    const route = routes.get(target) ?? routeOf(target);
    response.on('prefinish', onPrefinish);
    response.on('close', onClose);
    if (log.isLevelEnabled('debug')) logWhenClosed(request, response, route?.location);
    if (route === undefined) return refuse(response, 400, NO_PATH);
    const { location } = route;
    if (location.rawPath.length > LONGEST_PATH) return refuse(response, 414, 'no path of this server is so long');
    if (edge.authenticator.open) {
      const pageIsNamed = route.to !== 'app' && cors?.names(request.headers) === true;
      const refusal = refusalWithoutCredentials(request, location.path, edge.address.host, pageIsNamed);
      if (refusal !== undefined) return refuse(response, 403, refusal);
    }
    const pause =
      request.headers.authorization !== undefined || location.path === LOGIN_PATH
        ? pauseBeforeGuess(request, response, location)
        : undefined;
    if (pause === undefined) {
      serve(request, response, route);
      return;
    }
    void pause.then((isOver) => {
      if (response.destroyed) return;
      if (isOver) serve(request, response, route);
      else refuse(response, 503, 'the server has no time left for this attempt; try again');
    });
  };

  function logWhenClosed(request: IncomingMessage, response: ServerResponse, location: Location | undefined): void {
    const startedAt = time.monotonic();
    response.on('close', () => {
      const durationMs = Math.round(time.monotonic() - startedAt);
      log.debug({ method: request.method, path: location?.path, status: response.statusCode, durationMs }, 'request');
    });
  }

  /** What may be an attempt at the admin password has to wait where many failed, before anything of it is looked at. */
  function pauseBeforeGuess(
    request: IncomingMessage,
    response: ServerResponse,
    location: Location,
  ): Promise<boolean> | undefined {
    const isLogin = request.method === 'POST' && location.path === LOGIN_PATH;
    if (access === undefined || !(isLogin || access.mayBeGuess(request.headers.authorization))) return undefined;
    return edge.pause(response, (gone) => access.attempts.wait(edge.clientAddress(request), gone));
  }

  function serve(request: IncomingMessage, response: ServerResponse, { location, to }: Route): void {
    if (to === 'app') {
      // Hono makes a URL of it later.
      const { host } = request.headers;
      if (host !== undefined && !URL.canParse(`http://${host}`)) {
        refuse(response, 400, 'the Host header is no host');
        return;
      }
      locations.set(request, location);
      request.url = location.query === '' ? location.path : `${location.path}?${location.query}`;
      void appListener(request, response);
    } else if (request.method === 'GET' && wantsPage(request, location)) {
      response.writeHead(302, { Location: `${edge.address.basePath}/ops` }).end();
    } else if (cors?.apply(request, response) !== true) {
      void (to === 'ingest' ? ingest : sqs)(request, response, location);
    }
  }
}

const NO_PATH = 'the request target must be a path, without the segments . and .., backslashes and fragments';

/** A person who opened the address in a browser. */
function wantsPage(request: IncomingMessage, location: Location): boolean {
  const asksForPage = location.path === '/' && location.query === '';
  return asksForPage && (request.headers.accept ?? '').includes('text/html');
}

function refuse(response: ServerResponse, status: number, error: string): void {
  response
    .writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' })
    .end(JSON.stringify({ error }));
}

async function stop(server: Server, { edge, time }: HttpServerParts): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  edge.endAll();
  let cancel: Cancel = () => {};
  const late = new Promise<void>((resolve) => {
    cancel = time.after(CLOSE_MS, resolve);
  });
  await Promise.race([closed, late]);
  cancel();
  server.closeAllConnections();
  await closed;
}
