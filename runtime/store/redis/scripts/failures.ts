import { MOST_FAILURES } from '../../store.ts';
import { CLOCK, HISTORY, SIX_BYTES, script } from './script.ts';

/** How long what was kept of failures outlives the last one, ms: a day longer than any message may live. */
const EXPIRY_MS = 15 * 24 * 3_600_000;
/** So many are left when the bound is passed, so that the whole hash is read once for a hundred failures. */
const LEFT = MOST_FAILURES - 100;

/**
 * Keeps the last failure of each message. One of a message that is not there, or was never received, is not kept, so
 * that a function which deletes its message and then fails leaves nothing behind. Beyond the bound the oldest go.
 *
 * KEYS[1] -> failures hash: id -> time (six bytes) and text   KEYS[2] -> receives
 * ARGV: for each failure: id, time or '', text; time
 * Returns: nothing of use.
 * Commands: 6 (EVALSHA, TIME, HMGET, HSET, PEXPIRE, HLEN); 3 if no message is there; +2 if the bound is passed
 *     (HGETALL, HDEL).
 */
export const KEEP_FAILURES = script(
  '',
  CLOCK,
  SIX_BYTES,
  HISTORY,
  `
local ids, kept = {}, {}
for i = 1, #ARGV - 1, 3 do table.insert(ids, ARGV[i]) end
for i, history in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
  local number, uncounted = 0, 0
  if history then number, uncounted = readHistory(history) end
  if number > uncounted then
    table.insert(kept, ids[i])
    table.insert(kept, sixBytes(tonumber(ARGV[3 * i - 1]) or now) .. ARGV[3 * i])
  end
end
if #kept == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(kept))
redis.call('PEXPIRE', KEYS[1], ${EXPIRY_MS})
if redis.call('HLEN', KEYS[1]) > ${MOST_FAILURES} then
  local all, oldest, gone = redis.call('HGETALL', KEYS[1]), {}, {}
  for i = 1, #all, 2 do table.insert(oldest, {id = all[i], at = fromSixBytes(all[i + 1])}) end
  table.sort(oldest, function(a, b) return a.at < b.at or (a.at == b.at and a.id < b.id) end)
  for i = 1, #oldest - ${LEFT} do gone[i] = oldest[i].id end
  redis.call('HDEL', KEYS[1], unpack(gone))
end
return 0`,
);
