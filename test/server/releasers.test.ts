import { expect, it } from 'vitest';
import { createReleasers } from '../../runtime/server/releasers.js';

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
