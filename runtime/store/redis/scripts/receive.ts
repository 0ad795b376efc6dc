/**
 * Leasing due messages: of a standard queue, and of a FIFO queue.
 *
 * @module
 */
import { GROUPS, LEASES } from './fifo-groups.ts';
import { CLOCK, HISTORY, MEMBERS, OUTCOMES, SIX_BYTES, script } from './script.ts';

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

/**
 * Leases due messages of a FIFO queue: from the group that waits longest as many as wanted and in order, then from the
 * next group. Messages behind one in flight are locked. A message whose own delay still runs stops its group.
 *
 * Records are read 32 at a time and reading stops at the byte bound. An entry without a record, or a group without
 * entries (an eviction took them), is dropped.
 *
 * KEYS[1..6] as in `fifo-groups.ts`
 * ARGV: most messages (up to 500), most bytes, lease ms, 1 to take the first record whatever its size, time
 *
 * Returns: all messages of the queue; ms until the next group other than those leased from may be served, or -1;
 * then for each leased message: id, value (sent time and record), lease number, receive count, first received ms, ms
 * that it was due before, group, sequence number.
 *
 * Commands: 3 on an empty queue (EVALSHA, TIME, ZRANGE); 4 if no group may be served (ZCARD); 11 with messages of one
 *     group (EXISTS, ZRANGE, HMGET, HMGET, ZADD, HSET, HSET);
 * +1 ZRANGE for each further group; +1 ZMSCORE for each group while the queue has delays; +1 HGET for each group of
 * which a later message may be in flight; +1 HMGET for each 32 records after the first 32.
 */
export const FIFO_RECEIVE = script(
  'allow-oom',
  CLOCK,
  SIX_BYTES,
  OUTCOMES,
  HISTORY,
  GROUPS,
  LEASES,
  `
local most, mostBytes, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local takeFirst = ARGV[4] == '1'

local found = redis.call('ZRANGE', KEYS[1], 0, most, 'WITHSCORES')
if #found == 0 then return {0, -1} end
local reply = {redis.call('ZCARD', KEYS[5]), -1}
local candidates, dropped, kept = {}, {}, {}
if math.floor(found[2]) <= now then
  local hasDelays = redis.call('EXISTS', KEYS[4]) == 1
  for i = 1, #found, 2 do
    if math.floor(found[i + 1]) > now or #candidates == most then break end
    local group = found[i]
    local members = membersOf(group, most - #candidates)
    if found[i + 1] % 1 >= 0.5 then kept[group] = readLeases(redis.call('HGET', KEYS[6], group)) end
    if #members == 0 then
      redis.call('ZREM', KEYS[1], group)
      dropped[group] = true
    else
      local ids, delays = {}, {}
      for k, member in ipairs(members) do ids[k] = idOf(member) end
      if hasDelays then delays = redis.call('ZMSCORE', KEYS[4], unpack(ids)) end
      for k, member in ipairs(members) do
        local lease = kept[group] and kept[group][ids[k]]
        local inFlight = lease and lease.ends > now and lease.sequence == sequenceOf(member)
        -- An eviction took what stood before it.
        if inFlight and k == 1 then redis.call('ZADD', KEYS[1], 'XX', lease.ends + 0.5, group) end
        if inFlight or (delays[k] and tonumber(delays[k]) > now) then break end
        table.insert(candidates, {group = group, member = member, id = ids[k], due = math.floor(found[i + 1])})
      end
    end
  end
end

local leased, bytes, full = {}, 0, false
for from = 1, #candidates, 32 do
  if full then break end
  local chunk = {}
  for i = from, math.min(from + 31, #candidates) do table.insert(chunk, candidates[i].id) end
  for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(chunk))) do
    local candidate = candidates[from + i - 1]
    if not value then
      redis.call('ZREM', KEYS[5], candidate.member)
      if kept[candidate.group] then kept[candidate.group][candidate.id] = nil end
    else
      bytes = bytes + #value - 6
      if bytes > mostBytes and not (takeFirst and #leased == 0) then
        full = true
        break
      end
      candidate.value = value
      table.insert(leased, candidate)
    end
  end
end

local flights, due, flight = {}, {}, {}
for _, message in ipairs(leased) do
  local group = message.group
  flights[group] = (flights[group] or '') .. message.id .. sequenceOf(message.member) .. now + lease
  if kept[group] then kept[group][message.id] = nil end
end
local placed = {}
for _, message in ipairs(leased) do
  local group = message.group
  if not placed[group] then
    placed[group] = true
    local half = 0
    for id, other in pairs(kept[group] or {}) do
      flights[group] = flights[group] .. id .. other.sequence .. other.ends
      if other.ends > now + lease then half = 0.5 end
    end
    table.insert(due, now + lease + #due / 2048 + half)
    table.insert(due, group)
  end
end
for group, text in pairs(flights) do
  table.insert(flight, group)
  table.insert(flight, text)
end

for i = 1, #found, 2 do
  if not flights[found[i]] and not dropped[found[i]] then
    reply[2] = math.max(0, math.floor(found[i + 1]) - now)
    break
  end
end
if #leased == 0 then return reply end

local ids, receives = {}, {}
for i, message in ipairs(leased) do ids[i] = message.id end
for i, before in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do
  local message = leased[i]
  local history, number, count, first = leasedOnceMore(before, '')
  table.insert(receives, message.id)
  table.insert(receives, history)
  table.insert(reply, message.id)
  table.insert(reply, message.value)
  table.insert(reply, number)
  table.insert(reply, count)
  table.insert(reply, first)
  table.insert(reply, now - math.max(message.due, fromSixBytes(string.sub(message.value, 1, 6))))
  table.insert(reply, message.group)
  table.insert(reply, fromSixBytes(sequenceOf(message.member)))
end
redis.call('ZADD', KEYS[1], 'XX', unpack(due))
redis.call('HSET', KEYS[6], unpack(flight))
redis.call('HSET', KEYS[3], unpack(receives))
return reply`,
);
