import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ownScope } from '../../runtime/aws/scope.ts';
import { createLog } from '../../runtime/log.ts';
import { createAwsFunctionUrls, functionRows } from '../../runtime/ops/functions.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, mappingOf } from '../sync/discoveries.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const ARN = 'arn:aws:lambda:eu-west-1:111122223333:function';

/**
 * The two calls of Lambda that are made, over HTTP, in two pages; `names` of functions, each with a URL if it begins
 * with `web`.
 */
async function lambda(names: readonly string[], refuse = false) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    asked.push(url.pathname);
    response.setHeader('content-type', 'application/json');
    if (refuse) {
      response.statusCode = 403;
      response.setHeader('x-amzn-errortype', 'AccessDeniedException');
      return response.end('{"message":"not authorized"}');
    }
    const name = /functions\/([^/]+)\/urls/.exec(url.pathname)?.[1];
    if (name !== undefined) {
      const config = { FunctionArn: `${ARN}:${name}`, FunctionUrl: `https://${name}.example/` };
      return response.end(JSON.stringify({ FunctionUrlConfigs: name.startsWith('web') ? [config] : [] }));
    }
    const half = Math.ceil(names.length / 2);
    const page = url.searchParams.has('Marker') ? names.slice(half) : names.slice(0, half);
    const Functions = page.map((FunctionName) => ({ FunctionName, FunctionArn: `${ARN}:${FunctionName}` }));
    return response.end(
      JSON.stringify({ Functions, ...(url.searchParams.has('Marker') ? {} : { NextMarker: 'half' }) }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  const time = new ManualTime();
  const urls = createAwsFunctionUrls({
    scopes: [ownScope('eu-west-1')],
    time,
    log: createLog({ level: 'silent' }),
    lambda: {
      // An AddressInfo, because it listens on a port.
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
      maxAttempts: 1,
    },
  });
  return { urls, asked, time };
}

describe('function URLs of AWS', () => {
  it('are those of all functions, on all pages, remembered for five minutes', async () => {
    const { urls, asked, time } = await lambda(['web-a', 'worker', 'web-b']);
    const { urls: found, hint } = await urls.list();
    expect(found.map(({ url }) => url).sort()).toEqual(['https://web-a.example/', 'https://web-b.example/']);
    expect(hint).toBeUndefined();
    expect(asked).toHaveLength(5);
    await urls.list();
    expect(asked).toHaveLength(5);
    time.advance(300_001);
    await urls.list();
    expect(asked).toHaveLength(10);
  });

  it('are left out where they may not be listed, with what it takes', async () => {
    const { urls } = await lambda(['web-a'], true);
    const { urls: found, hint } = await urls.list();
    expect(found).toEqual([]);
    expect(hint).toContain('lambda:ListFunctions and lambda:ListFunctionUrlConfigs');
  });
});

describe('the directory of functions', () => {
  it('joins those of queues and those with a URL', () => {
    const discovery = discoveryOf(['a', 'b'], {
      mappings: [mappingOf('a'), mappingOf('b', { functionArn: mappingOf('a').functionArn })],
    });
    const rows = functionRows(discovery, [{ functionArn: `${ARN}:web:live`, url: 'https://web.example/' }]);
    expect(rows.map(({ name, queues, urls }) => [name, queues.map((queue) => queue.name), urls])).toEqual([
      ['on-a', ['a', 'b'], []],
      ['web:live', [], ['https://web.example/']],
    ]);
  });
});
