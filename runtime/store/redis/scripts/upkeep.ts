/**
 * What is asked about a whole queue, or done to it. The purge of a standard queue needs no script: it is one UNLINK.
 *
 * @module
 */
import { FLIGHTS, GROUPS, LEASES } from './fifo-groups.ts';
import { CLOCK, MEMBERS, OUTCOMES, SIX_BYTES, script } from './script.ts';

/**
 * When the head is due; for both kinds of queue. Asked only of a queue that is not empty.
 *
 * KEYS[1] -> due
 * ARGV: time
 * Returns: ms until the head is due, or -1 if there is none.
 * Commands: 3 (EVALSHA, TIME, ZRANGE).
 */
export const PEEK = script(
  'no-writes',
  CLOCK,
  `
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not first[2] then return -1 end
return math.max(0, math.floor(first[2]) - now)`,
);

/**
 * How many messages are in which state, for many queues of both kinds at once. A waiting message of a locked FIFO group
 * counts as visible, as AWS counts it.
 *
 * Most queues are empty most of the time: one EXISTS asks for all those that are likely to be.
 *
 * KEYS: for each standard queue due, delayed; for each FIFO queue order, delayed, flight, due
 * ARGV: a letter for each queue (`s` standard, `f` FIFO; capital: it is likely empty) in one text; time
 * Returns: commands run; then for each queue visible, delayed, in flight, ms that its head has been due (-1: it is
 *     not), ms until the next message becomes due (-1: none will).
 * Commands: 2 if every queue is empty and was likely to be (EVALSHA, EXISTS); else 3 (+TIME), and 5 for each queue that
 *     is not empty (ZCARD, ZCOUNT twice, ZRANGE twice; FIFO: HVALS instead of a ZCOUNT, 35 bytes for each lease). If
 *     one is not empty that was likely to be, a ZCARD for each of those.
 */
export const DEPTHS = script(
  'no-writes',
  `
local queues, likely, at = {}, {}, 1
for i = 1, #ARGV[1] do
  local letter = string.sub(ARGV[1], i, i)
  local fifo = string.lower(letter) == 'f'
  queues[i] = {fifo = fifo, at = at, likely = letter ~= string.lower(letter)}
  if queues[i].likely then table.insert(likely, KEYS[at]) end
  at = at + (fifo and 4 or 2)
end
local commands = 1
local asExpected = false
if #likely > 0 then
  asExpected = redis.call('EXISTS', unpack(likely)) == 0
  commands = 2
end
local reply = {commands}
if asExpected and #likely == #queues then
  for i = 1, #queues * 5 do reply[i + 1] = (i % 5 == 4 or i % 5 == 0) and -1 or 0 end
  return reply
end`,
  CLOCK,
  `
commands = commands + 1
for i, queue in ipairs(queues) do
  local at, total = queue.at, 0
  local visible, delayed, inFlight, waits, next = 0, 0, 0, -1, -1
  if not (queue.likely and asExpected) then
    total = redis.call('ZCARD', KEYS[at])
    commands = commands + 1
  end
  if total > 0 then
    local due = queue.fifo and KEYS[at + 3] or KEYS[at]
    delayed = redis.call('ZCOUNT', KEYS[at + 1], now + 1, '+inf')
    if queue.fifo then
      for _, text in ipairs(redis.call('HVALS', KEYS[at + 2])) do
        for from = 23, #text, 35 do
          if tonumber(string.sub(text, from, from + 12)) > now then inFlight = inFlight + 1 end
        end
      end
      visible = total - delayed - inFlight
    else
      visible = redis.call('ZCOUNT', due, '-inf', '(' .. now + 1)
      inFlight = total - visible - delayed
    end
    local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
    if head and math.floor(head) <= now then waits = now - math.floor(head) end
    local later = redis.call('ZRANGE', due, now + 1, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')[2]
    if later then next = math.floor(later) - now end
    commands = commands + 4
  end
  for _, number in ipairs({visible, delayed, inFlight, waits, next}) do table.insert(reply, number) end
end
reply[1] = commands
return reply`,
);

/**
 * Removes visible messages that were sent too long ago, and what is left in the set of delays when those have ended.
 *
 * A message that was due before the limit was sent before it too, and needs no further look. One that was due later may
 * still have been sent before (delayed, received or moved since): the records of up to 500 such messages, or 8 MiB of
 * them, are looked at. Beyond that a message goes once its due time passes the limit.
 *
 * KEYS[1] -> due   KEYS[2] -> messages   KEYS[3] -> receives   KEYS[4] -> delayed   KEYS[5] -> failures
 * ARGV: age ms, most to remove (up to 500), time
 * Returns: how many were removed; 1 if there may be more to do at once, else 0.
 * Commands: 4 (EVALSHA, TIME, ZRANGE, ZRANGE); +1 HMGET for each 32 records looked at; +5 if messages are removed
 *     (ZREM, HDEL, HDEL, ZREM, HDEL); +1 ZREM if delays ended.
 */
export const TRIM = script(
  'allow-oom',
  CLOCK,
  MEMBERS,
  SIX_BYTES,
  `
local limit, most = now - ARGV[1], tonumber(ARGV[2])
local found = redis.call('ZRANGE', KEYS[1], '-inf', '(' .. now + 1, 'BYSCORE', 'LIMIT', 0, 500, 'WITHSCORES')
local old, unsure = {}, {}
for i = 1, #found, 2 do
  if math.floor(found[i + 1]) < limit then
    table.insert(old, found[i])
  else
    table.insert(unsure, found[i])
  end
end
local bytes = 0
for from = 1, #unsure, 32 do
  if #old >= most or bytes > 8388608 then break end
  local chunk = {}
  for i = from, math.min(from + 31, #unsure) do table.insert(chunk, idOf(unsure[i])) end
  for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(chunk))) do
    if value then bytes = bytes + #value end
    if not value or fromSixBytes(value) < limit then table.insert(old, unsure[from + i - 1]) end
  end
end

local members, ids = {}, {}
for i = 1, math.min(#old, most) do
  members[i] = old[i]
  ids[i] = idOf(old[i])
end
if #ids > 0 then
  redis.call('ZREM', KEYS[1], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('HDEL', KEYS[3], unpack(ids))
  redis.call('ZREM', KEYS[4], unpack(ids))
  redis.call('HDEL', KEYS[5], unpack(ids))
end
local ended = redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE', 'LIMIT', 0, 500)
if #ended > 0 then redis.call('ZREM', KEYS[4], unpack(ended)) end
return {#ids, (#ids == 500 or #ended == 500) and 1 or 0}`,
);

/**
 * Messages of a standard queue whose delay still runs. Nobody can have received one since it was sent, so no lease
 * stands in the way, and the running delay itself is the fence.
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
 * Commands: 2 (EVALSHA, TIME); for each message 2 (ZSCORE, ZRANGE), or 2 (ZSCORE, HEXISTS) if its delay does not run;
 *     +4 if any is deleted (ZREM, HDEL, HDEL, ZREM).
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
