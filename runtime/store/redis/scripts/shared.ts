import { CLOCK, script } from './script.ts';

/**
 * Documents: one hash, so that they can be listed by name without a search through the key space, and written and
 * compared in one step on a cluster too.
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

/**
 * Bounded sets of holders.
 *
 * KEYS[1] -> slots   sorted set: holder; score: ms when the slot frees itself
 */

/**
 * Takes a slot, or prolongs it for a holder that has one, so that a repeated call takes no second one.
 *
 * ARGV: holder, most holders, ms to hold it, time
 * Returns: 0 if the holder has a slot now, else the ms until the first slot frees itself.
 * Commands: 6 (EVALSHA, TIME, ZREMRANGEBYSCORE, ZSCORE, ZCARD, and ZADD, or ZRANGE if none was free); 5 if it was held
 *     already.
 */
export const TAKE_SLOT = script(
  'allow-oom',
  CLOCK,
  `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local held = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not held and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  return tonumber(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]) - now
end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
return 0`,
);

/**
 * Gives a slot back. Those who found the set full wait for the signal; if it was not full nobody does.
 *
 * ARGV: holder, most holders, name of the set, channel, time
 * Returns: nothing.
 * Commands: 5 (EVALSHA, TIME, ZREMRANGEBYSCORE, ZCARD, ZREM); +1 PUBLISH if the set was full.
 */
export const FREE_SLOT = script(
  'allow-oom',
  CLOCK,
  `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local taken = redis.call('ZCARD', KEYS[1])
local freed = redis.call('ZREM', KEYS[1], ARGV[1])
if freed == 1 and taken >= tonumber(ARGV[2]) then redis.call('PUBLISH', ARGV[4], 's' .. ARGV[3]) end
return 0`,
);

/**
 * Does what only Redis 7.0 and newer can (SET with NX and GET), and what else the scripts rely on, on a key of its own
 * that it removes.
 *
 * KEYS[1] -> probe
 * Returns: 1.
 * Commands: 8 (EVAL, SET, DEL, ZADD, ZMSCORE, ZRANGE, ZRANGE, DEL).
 */
export const PROBE = script(
  'allow-oom',
  `
redis.call('SET', KEYS[1], '1', 'NX', 'GET', 'PX', 1000)
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[1], 'NX', 0, 'a')
redis.call('ZMSCORE', KEYS[1], 'a', 'b')
redis.call('ZRANGE', KEYS[1], '[a', '(b', 'BYLEX', 'LIMIT', 0, 1)
redis.call('ZRANGE', KEYS[1], '-inf', '(1', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
redis.call('DEL', KEYS[1])
return 1`,
);
