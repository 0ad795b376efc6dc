import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ScratchLambda } from './scratch-lambda.ts';

describe('function URLs', () => {
  let scratch: ScratchLambda;
  let url: string;

  beforeEach(async () => {
    scratch = new ScratchLambda();
    const lambda = await scratch.start();
    url = lambda.functionUrl('fn');
    scratch.write(
      'index.js',
      'exports.handler = async (event) => (event.rawPath === "/event" ? event : eval(event.body));',
    );
    scratch.apply([
      scratch.define({ url: { cors: { AllowOrigins: ['https://app.example.com'], AllowMethods: ['*'] } } }),
    ]);
  });
  afterEach(() => scratch.stop());

  it('are http://<local Lambda>/functions/<name>/', () => {
    expect(url).toBe(`${scratch.lambda.origin}/functions/fn/`);
  });

  it('make an event of payload format 2.0', async () => {
    const answer = await fetch(`${url}event?a=1&a=2&b=x%20y`, {
      method: 'POST',
      body: '{"some":"json"}',
      headers: { 'content-type': 'application/json', cookie: 'one=1; two=2', 'X-Custom': 'Value' },
    });
    expect(await answer.json()).toMatchObject({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/event',
      rawQueryString: 'a=1&a=2&b=x%20y',
      cookies: ['one=1', 'two=2'],
      headers: { 'content-type': 'application/json', 'x-custom': 'Value' },
      queryStringParameters: { a: '1,2', b: 'x y' },
      requestContext: {
        http: { method: 'POST', path: '/event', sourceIp: '127.0.0.1' },
        time: expect.stringMatching(/^\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      body: '{"some":"json"}',
      isBase64Encoded: false,
    });
  });

  it('encode what is no text', async () => {
    const answer = await fetch(`${url}event`, {
      method: 'PUT',
      body: new Uint8Array([0, 255, 1]),
      headers: { 'content-type': 'application/octet-stream' },
    });
    expect(await answer.json()).toMatchObject({ body: 'AP8B', isBase64Encoded: true });
  });

  const returning = (value: unknown): Promise<Response> =>
    fetch(url, { method: 'POST', body: `(${JSON.stringify(value)})`, headers: { 'content-type': 'text/plain' } });

  it('answer what the function returns', async () => {
    const structured = await returning({
      statusCode: 201,
      headers: { 'X-One': '1', 'Content-Type': 'text/html' },
      cookies: ['a=1', 'b=2'],
      body: '<p>',
    });
    expect(structured.status).toBe(201);
    expect(structured.headers.get('x-one')).toBe('1');
    expect(structured.headers.get('content-type')).toBe('text/html');
    expect(structured.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
    expect(await structured.text()).toBe('<p>');
    const binary = await returning({ statusCode: 200, body: 'AP8B', isBase64Encoded: true });
    expect(new Uint8Array(await binary.arrayBuffer())).toEqual(new Uint8Array([0, 255, 1]));
    const plain = await returning({ any: 'object' });
    expect(plain.headers.get('content-type')).toBe('application/json');
    expect(await plain.json()).toEqual({ any: 'object' });
    expect(await (await returning('just a text')).text()).toBe('just a text');
    expect((await returning({ statusCode: 204 })).status).toBe(204);
    expect((await returning({ statusCode: 'odd' })).status).toBe(502);
  });

  it('answer 502 when the function fails, and 404 when there is none', async () => {
    const failed = await fetch(url, { method: 'POST', body: 'null.x', headers: { 'content-type': 'text/plain' } });
    expect(failed.status).toBe(502);
    expect(await failed.text()).toBe('Internal Server Error');
    expect((await fetch(scratch.lambda.functionUrl('other'))).status).toBe(404);
  });

  it('answer browsers as the settings of the URL say', async () => {
    const preflight = await fetch(url, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example.com', 'access-control-request-method': 'PUT' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    expect(preflight.headers.get('access-control-allow-methods')).toContain('PUT');
    const foreign = await fetch(`${url}event`, { headers: { origin: 'https://elsewhere.example.com' } });
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('run nothing for a page that the settings do not let in, and follow links from anywhere', async () => {
    scratch.write('index.js', 'exports.handler = async () => { console.log("it ran"); return "done"; };');
    const wide = scratch.define({ name: 'wide', url: { cors: { AllowOrigins: ['*'] } } });
    scratch.apply([scratch.define({ name: 'none', url: { cors: {} } }), wide]);
    const none = scratch.lambda.functionUrl('none');
    const page = { origin: 'https://evil.example', 'content-type': 'text/plain' };
    const form = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', ...page };
    for (const headers of [page, form, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }]) {
      expect(await status(none, { method: 'POST', headers })).toBe(403);
    }
    const image = { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' };
    expect(await status(none, { headers: image })).toBe(403);
    expect(await status(none, { headers: { host: 'evil.example' } })).toBe(403);
    expect(await status(none, { path: '/functions/wide/../none/', method: 'POST', headers: page })).toBe(403);
    expect(scratch.lines.join()).not.toContain('it ran');

    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect(await status(none, { headers: link })).toBe(200);
    expect(await status(none, { method: 'POST' })).toBe(200);
    expect(await status(scratch.lambda.functionUrl('wide'), { method: 'POST', headers: page })).toBe(200);
  });

  it('are there for functions that have one, and for no other', async () => {
    scratch.apply([scratch.define()]);
    const answer = await fetch(url, { method: 'POST', body: '1', headers: { 'content-type': 'text/plain' } });
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain('there is no function fn with a function URL');
  });
});

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of that of the URL, without being tidied up. */
  readonly path?: string;
}

/** `fetch` does not let a program set Host and what browsers add; a socket does. */
function status(url: string, { method = 'GET', headers = {}, path = new URL(url).pathname }: Asked): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method, headers, path }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.once('error', reject).end();
  });
}
