import { CLOCK, script } from './script.ts';

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
 * Commands: 6 (EVALSHA, TIME, ZREMRANGEBYSCORE, ZSCORE, ZCARD, and ZADD, or ZRANGE if none was free); 5 if it was held already.
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
