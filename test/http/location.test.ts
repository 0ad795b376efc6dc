import { describe, expect, it } from 'vitest';
import { clientAddress, endpointOf, locate, publicAddress, signerViews } from '../../runtime/http/location.ts';

describe('the target of a request', () => {
  it.each([
    ['/', '', { rawPath: '/', path: '/', query: '' }],
    ['/?a=1?b', '', { rawPath: '/', path: '/', query: 'a=1?b' }],
    ['/000000000000/jobs?x', '', { rawPath: '/000000000000/jobs', path: '/000000000000/jobs', query: 'x' }],
    [
      '/k/tok/000000000000/jobs',
      '',
      { rawPath: '/k/tok/000000000000/jobs', path: '/000000000000/jobs', query: '', token: 'tok' },
    ],
    ['/base/k/tok', '/base', { rawPath: '/base/k/tok', path: '/', query: '', token: 'tok' }],
    ['/base', '/base', { rawPath: '/base', path: '/', query: '' }],
    ['/basement', '/base', { rawPath: '/basement', path: '/basement', query: '' }],
    ['/k/tok/', '/base', { rawPath: '/k/tok/', path: '/', query: '', token: 'tok' }],
    ['http://proxy.example/k/tok/?a', '', { rawPath: '/k/tok/', path: '/', query: 'a', token: 'tok' }],
    ['http://proxy.example', '', { rawPath: '/', path: '/', query: '' }],
    ['/%6f%70s/%7E%2D', '', { rawPath: '/%6f%70s/%7E%2D', path: '/ops/~-', query: '' }],
    [
      '/ops/a%2Fb%3a%C3%A9%2570',
      '',
      { rawPath: '/ops/a%2Fb%3a%C3%A9%2570', path: '/ops/a%2Fb%3a%C3%A9%2570', query: '' },
    ],
    ['/ops/.../..a/a.?/../', '', { rawPath: '/ops/.../..a/a.', path: '/ops/.../..a/a.', query: '/../' }],
    ['/ops/../tokens', '', undefined],
    ['/ops/%2E%2e/tokens', '', undefined],
    ['/ops/.', '', undefined],
    ['/ops\\..\\tokens', '', undefined],
    ['/tokens#x', '', undefined],
    ['*', '', undefined],
    ['.', '', undefined],
    ['example.com:443', '', undefined],
  ])('%s below %j', (target, base, expected) => {
    expect(locate(target, base)).toEqual(expected);
  });
});

describe('the address in answers', () => {
  const none = publicAddress(undefined);

  it.each([
    ['karin.example:4000', undefined, 'http://karin.example:4000'],
    ['[::1]:4000', undefined, 'http://[::1]:4000'],
    ['karin.example', 'https', 'https://karin.example'],
    ['karin.example', 'gopher', 'http://karin.example'],
    ['evil"><script>', undefined, 'http://127.0.0.1:4000'],
    [undefined, undefined, 'http://127.0.0.1:4000'],
  ])('Host %s, protocol %s', (host, protocol, expected) => {
    expect(endpointOf(none, host, protocol, '127.0.0.1:4000')).toBe(expected);
  });

  it('is the public one, if there is one, whatever Host says', () => {
    const address = publicAddress('https://karin.example/base');
    expect(endpointOf(address, 'internal:4000', undefined, 'x')).toBe('https://karin.example/base');
  });
});

describe('what a signer may have seen', () => {
  const views = (publicUrl: string | undefined, target: string) => {
    const address = publicAddress(publicUrl);
    const location = locate(target, address.basePath);
    if (location === undefined) throw new Error('not a path');
    return signerViews(address, location);
  };

  it('is what arrived, or the public address with the base path that a proxy may have taken off', () => {
    expect(views(undefined, '/a')).toEqual([{ path: '/a' }]);
    expect(views('https://k.example', '/a')).toEqual([{ path: '/a', host: 'k.example' }, { path: '/a' }]);
    const full = { path: '/base/k/t/a', host: 'k.example:8443' };
    expect(views('https://k.example:8443/base', '/k/t/a')).toEqual([full, { path: '/k/t/a' }]);
    expect(views('https://k.example:8443/base', '/base/k/t/a')).toEqual([full, { path: '/base/k/t/a' }]);
  });
});

describe('the address of a client', () => {
  it.each([
    [0, '6.6.6.6', '10.0.0.1'],
    [1, '6.6.6.6', '6.6.6.6'],
    [1, '1.1.1.1, 6.6.6.6', '6.6.6.6'],
    [2, '1.1.1.1, 6.6.6.6, 10.0.0.9', '6.6.6.6'],
    [3, '6.6.6.6', '10.0.0.1'],
    [1, undefined, '10.0.0.1'],
    [1, '6.6.6.6:50123', '6.6.6.6'],
    [1, '2001:db8::1', '2001:db8::1'],
    [1, '[2001:db8::1]', '2001:db8::1'],
    [1, '[2001:db8::1]:50123', '2001:db8::1'],
    [1, 'unknown', '10.0.0.1'],
    [1, '6.6.6.6, ', '10.0.0.1'],
    [1, `1.1.1.1, ${'x'.repeat(30_000)}`, '10.0.0.1'],
  ])('behind %i proxies that say %s', (proxies, forwarded, expected) => {
    expect(clientAddress('10.0.0.1', { forwardedFor: forwarded }, proxies)).toBe(expected);
  });

  // Fly as its documentation shows it, Cloudflare as its users report (it appends with a bare comma:
  // cloudflare/cloudflared, issue 1426). The others in the usual form, each proxy appending the address that it sees;
  // they are not recorded. The first entry was written by the client itself, to pass for another.
  it.each([
    ['Fly', 1, '6.6.6.6, 203.0.113.7, 66.241.124.1', { clientIp: '203.0.113.7' }],
    ['Fly, by IPv6', 1, '6.6.6.6, 2001:db8::7, 2a09:8280:1::1', { clientIp: '2001:db8::7' }],
    ['Fly, without its own header', 1, '6.6.6.6, 203.0.113.7, 66.241.124.1', { clientIp: undefined }],
    ['Cloudflare before Fly', 2, '6.6.6.6, 203.0.113.7, 172.64.0.1, 66.241.124.1', { clientIp: '172.64.0.1' }],
    ['Cloudflare', 1, '6.6.6.6,203.0.113.7', undefined],
    ['ALB', 1, '6.6.6.6, 203.0.113.7', undefined],
    ['ALB that keeps the port', 1, '6.6.6.6, 203.0.113.7:50123', undefined],
    ['nginx with $proxy_add_x_forwarded_for', 1, '6.6.6.6, 203.0.113.7', undefined],
    ['Traefik, which believes nobody', 1, '203.0.113.7', undefined],
    ['Render, behind Cloudflare', 2, '6.6.6.6, 203.0.113.7, 104.22.17.40', undefined],
    ['Railway', 1, '203.0.113.7', undefined],
  ])('behind %s is the one that its proxy saw', (_host, proxies, forwardedFor, fly) => {
    const said = { forwardedFor, ...(fly === undefined ? {} : { fly }) };
    const expected = forwardedFor.includes('2001:db8') ? '2001:db8::7' : '203.0.113.7';
    expect(clientAddress('10.0.0.1', said, proxies)).toBe(expected);
  });

  it('on Fly is that of the connection while no proxy is trusted', () => {
    const said = { forwardedFor: '6.6.6.6', fly: { clientIp: '6.6.6.6' } };
    expect(clientAddress('fdaa::3', said, 0)).toBe('fdaa::3');
  });
});
