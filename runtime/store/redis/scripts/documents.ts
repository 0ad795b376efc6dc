import { script } from './script.ts';

/**
 * Documents: one hash, so that they can be listed by name without a search through the key space, and written and compared in one step on a cluster too.
 *
 * KEYS[1] -> documents   hash: name -> value
 */

const EXPECTATION = `
local present = redis.call('HGET', KEYS[1], ARGV[1])
local function asExpected(kind, expected)
  if kind == 'absent' then return not present end
  return kind == 'any' or present == expected
end`;

/**
 * Writes a document if the present one is as expected.
 *
 * ARGV: name, value, 'any' or 'absent' or 'is', the value expected with 'is', channel, time (unused)
 * Returns: 1 if it wrote.
 * Commands: 4 (EVALSHA, HGET, HSET, PUBLISH); 2 if it did not write.
 */
export const PUT_DOCUMENT = script(
  'allow-oom',
  EXPECTATION,
  `
if not asExpected(ARGV[3], ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PUBLISH', ARGV[5], 'd' .. ARGV[1])
return 1`,
);

/**
 * Removes a document if there is one and it is as expected.
 *
 * ARGV: name, 'any' or 'is', the value expected with 'is', channel, time (unused)
 * Returns: 1 if it removed one.
 * Commands: 4 (EVALSHA, HGET, HDEL, PUBLISH); 2 if it removed none.
 */
export const REMOVE_DOCUMENT = script(
  'allow-oom',
  EXPECTATION,
  `
if not present or not asExpected(ARGV[2], ARGV[3]) then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[4], 'd' .. ARGV[1])
return 1`,
);
