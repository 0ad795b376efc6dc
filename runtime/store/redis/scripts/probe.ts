import { script } from './script.ts';

/**
 * Does what only Redis 7.0 and newer can (SET with NX and GET), and what else the scripts rely on, on a key of its own that it removes.
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
