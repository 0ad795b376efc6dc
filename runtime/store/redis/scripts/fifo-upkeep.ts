import { FLIGHTS, GROUPS, LEASES } from './fifo-groups.ts';
import { CLOCK, SIX_BYTES, script } from './script.ts';

/**
 * What is asked about a whole FIFO queue, or done to it.
 */

/**
 * Removes visible messages that were sent too long ago, and what is left in the set of delays when those have ended.
 *
 * Each group is looked at from its first message to the first that is neither in flight nor old enough: those behind it
 * are younger. A call looks at up to 500 records, or 8 MiB of them, of the groups that have waited longest.
 *
 * KEYS[1..6] as in `fifo-groups.ts`; KEYS[7] -> failures
 * ARGV: age ms, most to remove (up to 500), time
 * Returns: how many were removed; 1 if there may be more to do at once, else 0.
 * Commands: 4 on an empty queue (EVALSHA, TIME, ZRANGE, ZRANGE); +1 HMGET for the leases; +3 for each 32 records of a
 *     group (ZRANGE, ZMSCORE, HMGET);
 * +5 if messages are removed (ZREM, HDEL, HDEL, ZREM, HDEL), and what FLIGHTS needs for their groups; +1 ZREM if delays
 * ended.
 */
export const FIFO_TRIM = script(
  'allow-oom',
  CLOCK,
  SIX_BYTES,
  GROUPS,
  LEASES,
  FLIGHTS,
  `
local limit, most = now - ARGV[1], tonumber(ARGV[2])
local groups = redis.call('ZRANGE', KEYS[1], 0, 499)
local flights = #groups > 0 and loadFlights(groups)
local members, ids, thinned, examined, bytes = {}, {}, {}, 0, 0

local function trimGroup(group)
  local after
  repeat
    local page, pageIds = membersOf(group, 32, after), {}
    if #page == 0 then return end
    for i, member in ipairs(page) do pageIds[i] = idOf(member) end
    local delays = redis.call('ZMSCORE', KEYS[4], unpack(pageIds))
    local values = redis.call('HMGET', KEYS[2], unpack(pageIds))
    for i, member in ipairs(page) do
      examined = examined + 1
      bytes = bytes + #(values[i] or '')
      local lease = flights[group][pageIds[i]]
      if not lease or lease.ends <= now then
        local delayed = delays[i] and tonumber(delays[i]) > now
        local young = values[i] and fromSixBytes(values[i]) >= limit
        if delayed or young or #ids == most then return end
        table.insert(members, member)
        table.insert(ids, pageIds[i])
        flights[group][pageIds[i]] = nil
      end
    end
    if #page < 32 then return end
    after = page[#page]
  until examined >= 500 or bytes > 8388608
end

for _, group in ipairs(groups) do
  if #ids >= most or examined >= 500 or bytes > 8388608 then break end
  local before = #ids
  trimGroup(group)
  if #ids > before then table.insert(thinned, group) end
end
if #ids > 0 then
  redis.call('ZREM', KEYS[5], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('HDEL', KEYS[3], unpack(ids))
  redis.call('ZREM', KEYS[4], unpack(ids))
  redis.call('HDEL', KEYS[7], unpack(ids))
  if #thinned > 0 then storeFlights(thinned, flights) end
end
local ended = redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE', 'LIMIT', 0, 500)
if #ended > 0 then redis.call('ZREM', KEYS[4], unpack(ended)) end
return {#ids, (#ids == 500 or #ended == 500) and 1 or 0}`,
);

/**
 * Removes every message, and lets every deduplication key end. Those keys cannot be named here; instead the last
 * sequence number is left, for as long as any of them may be remembered: what was accepted up to it is no duplicate's
 * original any more. Sequence numbers go on.
 *
 * KEYS[1..6] as in `fifo-groups.ts`; KEYS[7] -> sequence; KEYS[8] -> purged string: the last sequence number before the
 *     purge; KEYS[9] -> failures; KEYS[10] -> restored
 * ARGV: ms until a deduplication key expires
 * Returns: nothing of use.
 * Commands: 3 (EVALSHA, UNLINK, GET); +1 SET unless the queue never had a message.
 */
export const FIFO_PURGE = script(
  'allow-oom',
  `
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[9], KEYS[10])
local last = redis.call('GET', KEYS[7])
if last then redis.call('SET', KEYS[8], last, 'PX', ARGV[1]) end
return 0`,
);
