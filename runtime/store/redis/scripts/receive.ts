import { CLOCK, HISTORY, MEMBERS, script } from './script.ts';

/**
 * Leases due messages of a standard queue, oldest due first. Among messages with groups the groups take turns: first
 * the earliest message of each group, then the second of each, ..., looking at no more than `look-ahead` due messages.
 * A message without a group is a group of its own.
 *
 * Records are read 32 at a time and reading stops at the byte bound, so that a call never copies much more than it
 * hands out. An id without a record (an eviction took it) is dropped.
 *
 * KEYS[1] -> due   KEYS[2] -> messages   KEYS[3] -> receives
 * ARGV: most messages (up to 500), most bytes, lease ms, 1 to take the first record whatever its size, look-ahead, time
 *
 * Returns: all messages of the queue; ms until the next one other than those leased is due, or -1;
 * then for each leased message: id, value (sent time and record), lease number, receive count, first received ms, ms
 * that it was due before, group or ''.
 *
 * Commands: 3 on an empty queue (EVALSHA, TIME, ZRANGE); 7 with messages (HMGET, HMGET, ZADD, HSET).
 * +1 ZCARD if the queue holds more messages than asked for; +1 ZRANGE if more than asked for are due and one of the
 * first has a group; +1 HMGET for each 32 records after the first 32.
 */
export const RECEIVE = script(
  'allow-oom',
  CLOCK,
  MEMBERS,
  HISTORY,
  `
local most, mostBytes, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local takeFirst, lookAhead = ARGV[4] == '1', tonumber(ARGV[5])
local dueAt = {}

local function read(last)
  local found, candidates, grouped = redis.call('ZRANGE', KEYS[1], 0, last, 'WITHSCORES'), {}, false
  for i = 1, #found, 2 do
    if math.floor(found[i + 1]) > now or #candidates == last then break end
    table.insert(candidates, found[i])
    dueAt[found[i]] = math.floor(found[i + 1])
    grouped = grouped or groupOf(found[i]) ~= ''
  end
  return found, candidates, grouped
end

local function inTurn(candidates)
  local seen, rounds, ordered = {}, {}, {}
  for _, member in ipairs(candidates) do
    local group, round = groupOf(member), 1
    if group ~= '' then
      round = (seen[group] or 0) + 1
      seen[group] = round
    end
    rounds[round] = rounds[round] or {}
    table.insert(rounds[round], member)
  end
  for _, round in ipairs(rounds) do
    for _, member in ipairs(round) do table.insert(ordered, member) end
  end
  return ordered
end

local found, candidates, grouped = read(most)
if #found == 0 then return {0, -1} end
local total = #found / 2
if total > most then total = redis.call('ZCARD', KEYS[1]) end
if grouped then
  if total > most and most < lookAhead and math.floor(found[#found]) <= now then
    found, candidates = read(lookAhead)
  end
  candidates = inTurn(candidates)
end

local members, ids, values, bytes, full, settled = {}, {}, {}, 0, false, {}
for from = 1, math.min(most, #candidates), 32 do
  if full then break end
  local chunk = {}
  for i = from, math.min(from + 31, most, #candidates) do table.insert(chunk, idOf(candidates[i])) end
  for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(chunk))) do
    local member = candidates[from + i - 1]
    if not value then
      redis.call('ZREM', KEYS[1], member)
      settled[member] = true
    else
      bytes = bytes + #value - 6
      if bytes > mostBytes and not (takeFirst and #ids == 0) then
        full = true
        break
      end
      settled[member] = true
      table.insert(members, member)
      table.insert(ids, chunk[i])
      table.insert(values, value)
    end
  end
end

local nextDue = -1
for i = 1, #found, 2 do
  if not settled[found[i]] then
    nextDue = math.max(0, math.floor(found[i + 1]) - now)
    break
  end
end

local reply = {total, nextDue}
if #ids == 0 then return reply end
local due, receives = {}, {}
for i, before in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do
  local history, number, count, first = leasedOnceMore(before, groupOf(members[i]))
  table.insert(due, now + lease + (i - 1) / 1024)
  table.insert(due, members[i])
  table.insert(receives, ids[i])
  table.insert(receives, history)
  table.insert(reply, ids[i])
  table.insert(reply, values[i])
  table.insert(reply, number)
  table.insert(reply, count)
  table.insert(reply, first)
  table.insert(reply, now - dueAt[members[i]])
  table.insert(reply, groupOf(members[i]))
end
redis.call('ZADD', KEYS[1], 'XX', unpack(due))
redis.call('HSET', KEYS[3], unpack(receives))
return reply`,
);
