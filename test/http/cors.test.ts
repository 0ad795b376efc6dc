import { describe, expect, it } from 'vitest';
import { runKarin, sqsCall } from './running-karin.ts';

const PAGE = 'https://app.example.com';
const TOKEN = 'a-capability-of-the-page-0123456789';
const KEYS = { KARIN_TOKENS: `${TOKEN}:send+consume+manage`, KARIN_CORS_ORIGINS: `${PAGE},http://localhost:5173` };
const PREFLIGHT = {
  'access-control-request-method': 'POST',
  'access-control-request-headers':
    'amz-sdk-invocation-id,amz-sdk-request,authorization,content-type,x-amz-content-sha256,x-amz-date,x-amz-security-token,x-amz-target,x-amz-user-agent,x-amzn-query-mode',
};

/** The headers of an answer by which a browser decides what a page may do and read. */
function corsHeaders(answer: Response): Readonly<Record<string, string>> {
  const named = [...answer.headers]
    .filter(([name]) => name.startsWith('access-control-') || name === 'vary')
    // Pages are compressed; that has nothing to do with who may read them.
    .filter(([, value]) => value !== 'Accept-Encoding');
  return Object.fromEntries(named);
}

function preflight(url: string, origin: string): Promise<Response> {
  return fetch(url, { method: 'OPTIONS', headers: { ...PREFLIGHT, origin } });
}

/**
 * Whether a browser would go on after this answer to a preflight: each header that the page wants to send is admitted.
 */
function admitsEveryHeader(answer: Response): boolean {
  const admitted = (answer.headers.get('access-control-allow-headers') ?? '').split(', ');
  return PREFLIGHT['access-control-request-headers'].split(',').every((name) => admitted.includes(name));
}

describe('a page in a browser', () => {
  it.each(['/', '/000000000000/jobs', `/k/${TOKEN}/`, `/k/${TOKEN}/000000000000/jobs`])(
    'gets an answer to its preflight at %s if its origin is named, before any credential',
    async (path) => {
      const { url } = await runKarin(KEYS);
      const answer = await preflight(`${url}${path}`, PAGE);
      expect(answer.status).toBe(204);
      expect(corsHeaders(answer)).toEqual({
        'access-control-allow-origin': PAGE,
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': expect.any(String),
        'access-control-max-age': '7200',
        vary: 'Origin',
      });
      expect(admitsEveryHeader(answer)).toBe(true);
    },
  );

  it('may read answers, and errors with their codes', async () => {
    const { url } = await runKarin(KEYS);
    const read = {
      'access-control-allow-origin': PAGE,
      'access-control-expose-headers': 'x-amzn-requestid, x-amzn-query-error, x-amzn-query-mode, date',
      vary: 'Origin',
    };
    const made = await sqsCall(`${url}/k/${TOKEN}`, 'CreateQueue', { QueueName: 'jobs' }, { origin: PAGE });
    expect(made.status).toBe(200);
    expect(corsHeaders(made)).toEqual(read);
    const unknown = await sqsCall(`${url}/k/${TOKEN}`, 'GetQueueUrl', { QueueName: 'nope' }, { origin: PAGE });
    expect(unknown.status).toBe(400);
    expect(corsHeaders(unknown)).toEqual(read);
    const stranger = await sqsCall(url, 'ListQueues', {}, { origin: PAGE });
    expect(stranger.status).toBe(403);
    expect(corsHeaders(stranger)).toEqual(read);
  });

  it('of an origin that is not named gets nothing to read, and neither does a program without one', async () => {
    const { url } = await runKarin(KEYS);
    const foreign = await preflight(`${url}/k/${TOKEN}/`, 'https://app.example.com.evil.example');
    expect(foreign.status).not.toBe(204);
    expect(corsHeaders(foreign)).toEqual({ vary: 'Origin' });
    const program = await sqsCall(`${url}/k/${TOKEN}`, 'ListQueues', {});
    expect(program.status).toBe(200);
    expect(corsHeaders(program)).toEqual({ vary: 'Origin' });
  });

  it('of any origin is answered where * is named', async () => {
    const { url } = await runKarin({ ...KEYS, KARIN_CORS_ORIGINS: '*' });
    expect(corsHeaders(await preflight(`${url}/`, 'null'))).toMatchObject({ 'access-control-allow-origin': '*' });
    const answer = await sqsCall(`${url}/k/${TOKEN}`, 'ListQueues', {}, { origin: 'https://any.example' });
    expect(corsHeaders(answer)).toMatchObject({ 'access-control-allow-origin': '*' });
  });

  it('gets nothing to read where the setting is not made', async () => {
    const { url } = await runKarin({ KARIN_TOKENS: KEYS.KARIN_TOKENS });
    expect(corsHeaders(await preflight(`${url}/k/${TOKEN}/`, PAGE))).toEqual({});
    expect(corsHeaders(await sqsCall(`${url}/k/${TOKEN}`, 'ListQueues', {}, { origin: PAGE }))).toEqual({});
  });

  it.each(['/healthz', '/readyz', '/metrics', '/ops', '/functions'])('gets nothing to read at %s', async (path) => {
    const { url } = await runKarin(KEYS);
    expect(corsHeaders(await fetch(`${url}${path}`, { headers: { origin: PAGE }, redirect: 'manual' }))).toEqual({});
    expect(corsHeaders(await preflight(`${url}${path}`, PAGE))).toEqual({});
  });

  it('is let in by a server without credentials only if its very origin is named, and only to the API', async () => {
    const page = (origin: string) => ({ origin, 'sec-fetch-site': 'cross-site' });
    const named = await runKarin({ KARIN_CORS_ORIGINS: 'http://localhost:5173' });
    expect((await sqsCall(named.url, 'ListQueues', {}, page('http://localhost:5173'))).status).toBe(200);
    expect((await sqsCall(named.url, 'ListQueues', {}, page('http://localhost:9999'))).status).toBe(403);
    expect((await fetch(`${named.url}/metrics`, { headers: page('http://localhost:5173') })).status).toBe(403);
    const every = await runKarin({ KARIN_CORS_ORIGINS: '*' });
    expect((await sqsCall(every.url, 'ListQueues', {}, page('https://any.example'))).status).toBe(403);
  });
});
