import { describe, expect, it } from 'vitest';
import { queueChooser, readTuning, TuningError, unknownTags } from '../../runtime/consumer/tuning.ts';
import { mappingOf } from '../support/consumer-world.ts';

const DEFAULTS = { startConcurrency: 5, stopLoops: false };
const arn = { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: 'jobs' };

describe('tags of a mapping', () => {
  it('without any the mapping and the defaults hold', () => {
    expect(readTuning(mappingOf({ arn }), DEFAULTS)).toEqual({ consume: true, startConcurrency: 5, stopLoops: false });
    expect(readTuning(mappingOf({ arn }, { maximumConcurrency: 7 }), DEFAULTS)).toMatchObject({
      maximumConcurrency: 7,
    });
  });

  it('each of them is understood', () => {
    const tags = {
      'karin:consume': 'false',
      'karin:maximum-concurrency': '1',
      'karin:start-concurrency': '200',
      'karin:stop-loops': 'true',
      'karin:managed': 'true',
    };
    expect(readTuning(mappingOf({ arn }, { tags, maximumConcurrency: 7 }), DEFAULTS)).toEqual({
      consume: false,
      maximumConcurrency: 1,
      startConcurrency: 200,
      stopLoops: true,
    });
  });

  it('a backlog begins with as many Invokes as the minimum of provisioned pollers makes, unless a tag says otherwise', () => {
    const provisioned = { startConcurrency: 40 };
    const tags = { 'karin:start-concurrency': '3' };
    expect(readTuning(mappingOf({ arn }, provisioned), DEFAULTS).startConcurrency).toBe(40);
    expect(readTuning(mappingOf({ arn }, { ...provisioned, tags }), DEFAULTS).startConcurrency).toBe(3);
  });

  it('an empty value is as good as none', () => {
    expect(readTuning(mappingOf({ arn }, { tags: { 'karin:consume': '' } }), DEFAULTS).consume).toBe(true);
  });

  it('all that are wrong are named at once, with the mend', () => {
    const tags = { 'karin:consume': 'flase', 'karin:maximum-concurrency': '0', 'karin:start-concurrency': '1e3' };
    expect(() => readTuning(mappingOf({ arn }, { tags }), DEFAULTS)).toThrow(
      new TuningError(
        'tag karin:maximum-concurrency is "0", but must be a whole number from 1 to 1000; ' +
          'tag karin:consume is "flase", but must be true or false; ' +
          'tag karin:start-concurrency is "1e3", but must be a whole number from 1 to 1000; ' +
          'correct or remove the tag on the event source mapping, then sync',
      ),
    );
  });
});

describe('names of tags', () => {
  it.each([
    { 'karin:consume': 'true', 'karin:stop-loops': 'true', 'karin:managed': 'true' },
    { team: 'karin', 'karins:consume': 'false', 'aws:cloudformation:stack-name': 'x' },
  ])('that are known, or are not Karin’s, are not warned of: %j', (tags) => {
    expect(unknownTags(mappingOf({ arn }, { tags }))).toBeUndefined();
  });

  it('that mean nothing are named, and so are those that mean something', () => {
    const tags = { 'karin:consum': 'false', 'Karin:consume': 'false' };
    expect(unknownTags(mappingOf({ arn }, { tags }))).toBe(
      'the tags karin:consum, Karin:consume have no effect, perhaps for a misspelling; ' +
        'Karin knows karin:consume, karin:maximum-concurrency, karin:start-concurrency, karin:stop-loops',
    );
  });
});

describe('queue-name globs', () => {
  it.each<[readonly string[], string, boolean]>([
    [[], 'anything', true],
    [['jobs'], 'jobs', true],
    [['jobs'], 'jobs.fifo', false],
    [['jobs*'], 'jobs.fifo', true],
    [['*.fifo'], 'jobsXfifo', false],
    [['app-?', 'jobs'], 'app-1', true],
    [['app-?'], 'app-10', false],
    [['!*-test'], 'jobs', true],
    [['!*-test'], 'jobs-test', false],
    [['app-*', '!*-test'], 'app-1-test', false],
    [['app-*', '!*-test'], 'jobs', false],
  ])('%j chooses %s: %s', (globs, name, chosen) => {
    expect(queueChooser(globs)({ region: 'eu-west-1', account: '111122223333', name })).toBe(chosen);
  });
});
