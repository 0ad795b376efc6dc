import { expect, it } from 'vitest';
import { createReleasers, unlessGivenUp } from '../../runtime/server/releasers.js';

it('runs every release, last built first, and names the one that failed, when a release rejects', async () => {
  const releasers = createReleasers();
  const released: string[] = [];
  releasers.add('the store', () => {
    released.push('the store');
  });
  releasers.add('the consumer', async () => {
    released.push('the consumer');
    throw new Error('the consumer does not stop');
  });

  await expect(releasers.release()).rejects.toThrow('stopping the consumer failed');
  expect(released).toEqual(['the consumer', 'the store']);
});

it('undoes what comes too late, and a failure of that ends nothing', async () => {
  const given = new AbortController();
  const undone: string[] = [];
  let arrive = (_what: string): void => {};
  const late = new Promise<string>((resolve) => {
    arrive = resolve;
  });
  const result = unlessGivenUp(late, given.signal, async (what) => {
    undone.push(what);
    throw new Error('it does not close');
  });
  given.abort(new Error('given up'));
  await expect(result).rejects.toThrow('given up');
  arrive('the store');
  await late;
  expect(undone).toEqual(['the store']);
});
