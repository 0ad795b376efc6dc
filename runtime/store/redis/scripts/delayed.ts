import { CLOCK, MEMBERS, OUTCOMES, script } from './script.ts';

/**
 * Messages of a standard queue whose delay still runs. Nobody can have received one since it was sent, so no lease stands in the way, and the running delay itself is the fence.
 *
 * KEYS[1] -> due   KEYS[2] -> messages   KEYS[3] -> receives   KEYS[4] -> delayed
 */

/**
 * Looks at messages whose delay ends within a span of time, earliest first.
 *
 * ARGV: ms from now, ms from now, most messages; time
 * Returns: for each: id, stored value, ms until the delay ends.
 * Commands: 4 (EVALSHA, TIME, ZRANGE, HMGET); 3 if there is none.
 */
export const DELAYED = script(
  'no-writes',
  CLOCK,
  `
local found = redis.call('ZRANGE', KEYS[4], now + math.max(1, ARGV[1]), now + ARGV[2], 'BYSCORE', 'LIMIT', 0, ARGV[3], 'WITHSCORES')
if #found == 0 then return {} end
local ids, reply = {}, {}
for i = 1, #found, 2 do table.insert(ids, found[i]) end
for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
  if value then
    table.insert(reply, ids[i])
    table.insert(reply, value)
    table.insert(reply, tonumber(found[2 * i]) - now)
  end
end
return reply`,
);

/**
 * Deletes messages whose delay still runs.
 *
 * ARGV: ids; time
 * Returns: the outcome of each; SUPERSEDED: its delay has ended.
 * Commands: 2 (EVALSHA, TIME); for each message 2 (ZSCORE, ZRANGE), or 2 (ZSCORE, HEXISTS) if its delay does not run; +4 if any is deleted (ZREM, HDEL, HDEL, ZREM).
 * +1 ZRANGE for each further 500 messages that are due in the same millisecond.
 */
export const DELETE_DELAYED = script(
  'allow-oom',
  CLOCK,
  MEMBERS,
  OUTCOMES,
  `
-- The group is known only in the member of \`due\`.
local function memberDueAt(id, dueAt)
  local from = 0
  while true do
    local found = redis.call('ZRANGE', KEYS[1], dueAt, '(' .. dueAt + 1, 'BYSCORE', 'LIMIT', from, 500)
    for _, member in ipairs(found) do
      if idOf(member) == id then return member end
    end
    if #found < 500 then return nil end
    from = from + 500
  end
end

local outcomes, members, ids = {}, {}, {}
for i = 1, #ARGV - 1 do
  local id = ARGV[i]
  local dueAt = tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
  local member = dueAt > now and memberDueAt(id, dueAt)
  if member then
    outcomes[i] = DONE
    table.insert(members, member)
    table.insert(ids, id)
  else
    outcomes[i] = redis.call('HEXISTS', KEYS[2], id) == 1 and SUPERSEDED or MISSING
  end
end
if #ids > 0 then
  redis.call('ZREM', KEYS[1], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('HDEL', KEYS[3], unpack(ids))
  redis.call('ZREM', KEYS[4], unpack(ids))
end
return outcomes`,
);
