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
});
