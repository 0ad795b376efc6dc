import { describe, expect, it } from 'vitest';
import { findQueueUrl, formatQueueUrl, parseQueueUrl, queueArn } from '../../runtime/sqs/queue-url.ts';

const CALLER = { account: '000000000000', region: 'eu-central-1' };

describe('the queue of a QueueUrl', () => {
  it.each([
    ['jobs', '000000000000', 'jobs'],
    ['jobs.fifo', '000000000000', 'jobs.fifo'],
    ['https://host/111122223333/jobs', '111122223333', 'jobs'],
    ['https://host:4000/base/k/token/111122223333/jobs.fifo', '111122223333', 'jobs.fifo'],
    ['/111122223333/jobs', '111122223333', 'jobs'],
    ['111122223333/jobs', '111122223333', 'jobs'],
  ])('%s', (url, account, name) => {
    expect(parseQueueUrl(url, CALLER)).toEqual({ partition: 'aws', region: 'eu-central-1', account, name });
  });

  it.each([
    ['us-east-1', 'aws'],
    ['cn-north-1', 'aws-cn'],
    ['us-gov-west-1', 'aws-us-gov'],
  ])('of region %s is in partition %s', (region, partition) => {
    expect(queueArn('000000000000', 'jobs', region).partition).toBe(partition);
  });

  it('is written with the capability of the caller', () => {
    const arn = parseQueueUrl('jobs', CALLER);
    expect(formatQueueUrl({ endpoint: 'https://host/k/token', caller: CALLER }, arn)).toBe(
      'https://host/k/token/000000000000/jobs',
    );
  });
});

describe('the QueueUrl that may carry a capability', () => {
  const URL = 'http://host/k/token/000000000000/jobs';
  const request = (contentType: string, body: string, query = '') => ({
    headers: (name: string) => (name === 'content-type' ? contentType : undefined),
    body: Buffer.from(body),
    query,
  });
  const json = (body: string) => findQueueUrl(request('application/x-amz-json-1.0', body));
  const form = (body: string, query = '') =>
    findQueueUrl(request('application/x-www-form-urlencoded; charset=utf-8', body, query));

  it('is found in a JSON body, whatever its slashes look like', () => {
    expect(json(JSON.stringify({ MessageBody: 'x', QueueUrl: URL }))).toBe(URL);
    expect(json(`{"QueueUrl":"${URL.replaceAll('/', '\\/')}"}`)).toBe(URL);
  });

  it('is found in a form, in the body or the query string', () => {
    expect(form(new URLSearchParams({ QueueUrl: URL }).toString())).toBe(URL);
    expect(form(`QueueUrl=${URL}`)).toBe(URL);
    expect(form('', `Action=x&QueueUrl=${encodeURIComponent(URL)}`)).toBe(URL);
    expect(form('', `QueueUrl=${encodeURIComponent(URL).toLowerCase()}`)).toBe(URL.toLowerCase());
  });

  it('is not looked for where there is none', () => {
    expect(json('{"QueueUrl":"http://host/000000000000/jobs"}')).toBeUndefined();
    expect(form('QueueUrl=http://host/000000000000/jobs')).toBeUndefined();
  });

  it('is no one that stands in a message, a tag or an attribute', () => {
    const nested = JSON.stringify({ QueueUrl: URL });
    expect(json(JSON.stringify({ MessageBody: nested }))).toBeUndefined();
    expect(json(JSON.stringify({ Tags: { QueueUrl: URL } }))).toBeUndefined();
    expect(form(new URLSearchParams({ MessageBody: nested }).toString())).toBeUndefined();
  });

  it.each(['{"QueueUrl":"/k/', '[1, "/k/"]', 'null /k/', '{"QueueUrl":5,"x":"/k/"}'])(
    'is not found in %s, and that is no error',
    (body) => {
      expect(json(body)).toBeUndefined();
    },
  );

  it('is not found in a form that cannot be read', () => {
    expect(form('QueueUrl=%2Fk%2F%ff')).toBeUndefined();
  });
});
