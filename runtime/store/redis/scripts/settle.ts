import { CLOCK, HEAD, HISTORY, MEMBERS, OUTCOMES, script } from './script.ts';

/**
 * Ends or moves leases of a standard queue: the three scripts of this file.
 *
 * The fence: a lease holds as long as the message has not been leased again and the lease was not given back; given as
 * a negative number, in other cases as well (`HISTORY`). It may have run out; on a standard queue that alone
 * does not end it.
 *
 * KEYS[1] -> due   KEYS[2] -> messages   KEYS[3] -> receives
 */

/**
 * Deletes messages.
 *
 * KEYS[4] -> failures
 * ARGV: for each lease: id, lease number; channel; queue; time
 * Returns: -1 (the head is never lowered); ms until the new head is due or -1 if there is none; then the outcome of
 *     each.
 * Commands: 7 (EVALSHA, TIME, HMGET, ZREM, HDEL, HDEL, ZRANGE); 4 if no lease holds; +1 HDEL if a message was
 *     received more than once, and so may have failed; +1 for each id without a receive history.
 */
export const DELETE = script(
  'allow-oom',
  CLOCK,
  HEAD,
  MEMBERS,
  OUTCOMES,
  HISTORY,
  `
local ids = {}
for i = 1, #ARGV - 3, 2 do table.insert(ids, ARGV[i]) end
local histories, gone = redis.call('HMGET', KEYS[3], unpack(ids)), {}
local reply, members, deleted, again = {-1, -1}, {}, {}, {}
for i, id in ipairs(ids) do
  local outcome, count, group = MISSING, 0, ''
  if not gone[id] then outcome, count, group = fence(id, histories[i], tonumber(ARGV[2 * i])) end
  reply[i + 2] = outcome
  if outcome == DONE then
    if count > 1 then table.insert(again, id) end
    gone[id] = true
    table.insert(members, memberOf(id, group))
    table.insert(deleted, id)
  end
end
if #deleted > 0 then
  redis.call('ZREM', KEYS[1], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(deleted))
  redis.call('HDEL', KEYS[3], unpack(deleted))
  if #again > 0 then redis.call('HDEL', KEYS[4], unpack(again)) end
end
reply[2] = nextDue()
return reply`,
);

/**
 * Makes messages due at another time.
 *
 * ARGV: for each lease: id, lease number, ms from now; channel; queue; time
 * Returns: ms until the new head is due or -1 if the head was not lowered; ms until the new head is due or -1 if there
 *     is none; then the outcome of each.
 * Commands: 6 (EVALSHA, TIME, HMGET, ZRANGE, ZADD, ZRANGE); 4 if no lease holds; +1 PUBLISH if the head was lowered; +1
 *     for each id without a receive history.
 */
export const CHANGE_VISIBILITY = script(
  'allow-oom',
  CLOCK,
  HEAD,
  MEMBERS,
  OUTCOMES,
  HISTORY,
  `
local ids = {}
for i = 1, #ARGV - 3, 3 do table.insert(ids, ARGV[i]) end
local histories = redis.call('HMGET', KEYS[3], unpack(ids))
local reply, due, earliest = {-1, -1}, {}, nil
for i, id in ipairs(ids) do
  local outcome, _, group = fence(id, histories[i], tonumber(ARGV[3 * i - 1]))
  reply[i + 2] = outcome
  if outcome == DONE then
    local dueAt = now + ARGV[3 * i]
    if not earliest or dueAt < earliest then earliest = dueAt end
    table.insert(due, dueAt + (i - 1) / 1024)
    table.insert(due, memberOf(id, group))
  end
end
if #due > 0 then
  local before = head()
  redis.call('ZADD', KEYS[1], 'XX', unpack(due))
  reply[1] = lowered(before, earliest)
end
reply[2] = nextDue()
return reply`,
);

/**
 * Undoes receives: due at once, and counted one time less. Of a lease that was given back already it says `DONE`, and
 * leaves the message as it is.
 *
 * ARGV: for each lease: id, lease number; channel; queue; time
 * Returns: as CHANGE_VISIBILITY.
 * Commands: 7 (EVALSHA, TIME, HMGET, HSET, ZRANGE, ZADD, ZRANGE); 4 if no lease holds; +1 PUBLISH if the head was
 *     lowered; +1 for each id without a receive history.
 */
export const RELEASE = script(
  'allow-oom',
  CLOCK,
  HEAD,
  MEMBERS,
  OUTCOMES,
  HISTORY,
  `
local ids, histories = {}, {}
for i = 1, #ARGV - 3, 2 do table.insert(ids, ARGV[i]) end
for i, history in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do histories[ids[i]] = history end
local reply, due, receives = {-1, -1}, {}, {}
for i, id in ipairs(ids) do
  local outcome, history, group = givenBack(id, histories[id], tonumber(ARGV[2 * i]))
  reply[i + 2] = outcome
  if history then
    histories[id] = history
    table.insert(due, now + (i - 1) / 1024)
    table.insert(due, memberOf(id, group))
    table.insert(receives, id)
    table.insert(receives, history)
  end
end
if #due > 0 then
  redis.call('HSET', KEYS[3], unpack(receives))
  local before = head()
  redis.call('ZADD', KEYS[1], 'XX', unpack(due))
  reply[1] = lowered(before, now)
end
reply[2] = nextDue()
return reply`,
);
