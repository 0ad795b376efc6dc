/**
 * Storing new messages: of a standard queue, and of a FIFO queue.
 *
 * @module
 */
import { GROUPS } from './fifo-groups.ts';
import { CLOCK, HEAD, HISTORY, MEMBERS, OUTCOMES, SIX_BYTES, script } from './script.ts';

/**
 * Stores messages of a standard queue. An id that is still stored is left as it is, so that a repeated call changes
 * nothing. The answer to the first call may have been lost, and with it the news that the head was lowered; so the
 * answer to the second says where the head is as if it had been lowered now.
 *
 * KEYS[1] -> due        sorted set: id and group, if any (`MEMBERS`); score: ms when it may be handed out
 * KEYS[2] -> messages   hash: id -> sent time (6 bytes) and record
 * KEYS[3] -> receives   hash: id -> receive history
 * KEYS[4] -> delayed    sorted set: id; score: ms when the delay ends
 * ARGV: number of messages; for each: id, record, delay ms, group or '', history or ''; channel; queue; time
 *       history: of a message that was moved here: `<receive count>:<first received ms>:<sent ms>`
 *
 * Returns: ms until the new head is due or -1 if the head was not lowered; then the sent time of each message.
 *
 * Commands: 5 (EVALSHA, TIME, ZRANGE, HSETNX, ZADD); several messages: 6 (HMGET and HSET for the HSETNX), whatever
 *     their number.
 * +1 PUBLISH if the head was lowered or is long past due; +2 (3 if delays have ended) with a delay; +1 with a history.
 * An id already stored, alone: 6 (HGET and ZRANGE for the ZADD); among others: +1 ZRANGE.
 */
export const SEND = script(
  '',
  CLOCK,
  SIX_BYTES,
  HEAD,
  MEMBERS,
  OUTCOMES,
  HISTORY,
  `
local count = tonumber(ARGV[1])
local before = head()
local stored = {}
if count > 1 then
  local ids = {}
  for i = 1, count do ids[i] = ARGV[(i - 1) * 5 + 2] end
  for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
    if value then stored[ids[i]] = fromSixBytes(value) end
  end
end

local reply, earliest, repeated = {}, nil, false
local values, due, delayed, receives = {}, {}, {}, {}
for i = 1, count do
  local at = (i - 1) * 5 + 1
  local id, record, delay, group = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local receiveCount, firstReceived, sent = 0, '0', now
  if ARGV[at + 5] ~= '' then
    local count, first, sentAt = string.match(ARGV[at + 5], '^(%d+):(%d+):(%d+)$')
    receiveCount, firstReceived, sent = tonumber(count), first, tonumber(sentAt)
  end
  local value = sixBytes(sent) .. record
  if count == 1 and redis.call('HSETNX', KEYS[2], id, value) == 0 then
    stored[id] = fromSixBytes(redis.call('HGET', KEYS[2], id))
  end
  if stored[id] then
    repeated = true
  else
    stored[id] = sent
    local dueAt = now + delay
    if not earliest or dueAt < earliest then earliest = dueAt end
    table.insert(values, id)
    table.insert(values, value)
    table.insert(due, dueAt + (i - 1) / 1024)
    table.insert(due, memberOf(id, group))
    if delay > 0 then
      table.insert(delayed, dueAt)
      table.insert(delayed, id)
    end
    if receiveCount > 0 then
      table.insert(receives, id)
      table.insert(receives, writeHistory(receiveCount, 0, firstReceived, group))
    end
  end
  reply[i + 1] = stored[id]
end

if count > 1 and #values > 0 then redis.call('HSET', KEYS[2], unpack(values)) end
if #due > 0 then redis.call('ZADD', KEYS[1], 'NX', unpack(due)) end
if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end
if #delayed > 0 then
  local ended = redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE', 'LIMIT', 0, 2 * count)
  if #ended > 0 then redis.call('ZREM', KEYS[4], unpack(ended)) end
  redis.call('ZADD', KEYS[4], unpack(delayed))
end
if earliest then reply[1] = loweredBySend(before, earliest) else reply[1] = -1 end
if repeated and reply[1] == -1 then reply[1] = nextDue() end
return reply`,
);

/**
 * Stores messages of a FIFO queue. An id that is still stored is left as it is, so that a repeated call changes
 * nothing; what such a call answers about the head stands above.
 *
 * A deduplication key is remembered with the time it was accepted, the sequence number and the id of its message.
 * Whether that is recent enough is decided by comparing times; that Redis lets the key expire somewhat later is only to
 * keep the memory clean. A purge ends all of them: it leaves the last sequence number that was given before it, and a
 * key of an earlier message counts for nothing but a repeated call for that very message.
 *
 * KEYS[1..6] as in `fifo-groups.ts`; KEYS[7] -> sequence string: the last number given; KEYS[8] -> purged string: see
 *     `upkeep.ts`; KEYS[9...] -> deduplication strings: time, sequence number, id (6, 6 and 16 bytes)
 * ARGV: number of messages, deduplication window ms, ms until a deduplication key expires;
 *       for each: id, record, delay ms, group, receive count, first received ms, sent ms or '' for now, index into KEYS
 *       of its deduplication key or 0; channel; queue; time
 *
 * Returns: ms until the new head is due or -1 if the head was not lowered; then for each message: id, sent ms, sequence
 *     number, 1 if it is a duplicate of another message.
 *
 * Commands: 8 (EVALSHA, TIME, ZRANGE, HMGET, INCRBY, HSET, ZADD, ZADD), whatever the number of messages; +1 SET for
 *     each deduplication key, +1 SET where it was remembered for longer than
 * the window, +1 GET for all that were remembered; +1 ZRANGE and +1 PUBLISH if the head was lowered or is long past
 * due; +2 (3 if delays have ended) with a delay; +1 with a history; for an id already stored +1 ZRANGE, and +1 for each
 * 500 messages of its group.
 */
export const FIFO_SEND = script(
  '',
  CLOCK,
  SIX_BYTES,
  HEAD,
  OUTCOMES,
  HISTORY,
  GROUPS,
  `
local count, window, expiry = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local before = head()
local ids, stored = {}, {}
for i = 1, count do ids[i] = ARGV[(i - 1) * 8 + 4] end
local values = redis.call('HMGET', KEYS[2], unpack(ids))
local lastSequence = redis.call('INCRBY', KEYS[7], count)

-- The sequence number of a stored message stands in its order alone.
local function sequenceOfStored(id, group)
  local after
  repeat
    local members = membersOf(group, 500, after)
    for _, member in ipairs(members) do
      if idOf(member) == id then return fromSixBytes(sequenceOf(member)) end
    end
    after = members[#members]
  until not after
  return 0
end

local purgedUpTo
local function isPurged(sequence)
  if not purgedUpTo then purgedUpTo = tonumber(redis.call('GET', KEYS[8]) or 0) end
  return sequence <= purgedUpTo
end

-- Answers the time, sequence number and id under which the key was accepted, if that is no longer ago than the window; else remembers it for this message.
local function accepted(key, sequence, id)
  local value = sixBytes(now) .. sixBytes(sequence) .. id
  local earlier = redis.call('SET', key, value, 'NX', 'GET', 'PX', expiry)
  if not earlier then return nil end
  local earlierSequence, earlierId = fromSixBytes(string.sub(earlier, 7, 12)), string.sub(earlier, 13)
  if now - fromSixBytes(earlier) < window and (earlierId == id or not isPurged(earlierSequence)) then
    return fromSixBytes(earlier), earlierSequence, earlierId
  end
  redis.call('SET', key, value, 'PX', expiry)
  return nil
end

local reply, earliest, repeated = {-1}, nil, false
local records, order, due, delayed, receives = {}, {}, {}, {}, {}
for i = 1, count do
  local at = (i - 1) * 8 + 3
  local id, record, delay, group = ids[i], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local receiveCount, firstReceived, sent = tonumber(ARGV[at + 5]), ARGV[at + 6], tonumber(ARGV[at + 7]) or now
  local key = KEYS[tonumber(ARGV[at + 8])]
  local sequence, duplicate = lastSequence - count + i, 0
  if stored[id] then
    sent, sequence = unpack(stored[id])
    repeated = true
  elseif values[i] then
    sent, sequence = fromSixBytes(values[i]), sequenceOfStored(id, group)
    repeated = true
  else
    local acceptedAt, acceptedSequence, acceptedId
    if key then acceptedAt, acceptedSequence, acceptedId = accepted(key, sequence, id) end
    if acceptedAt then
      duplicate = acceptedId == id and 0 or 1
      repeated = repeated or duplicate == 0
      sent, sequence, id = acceptedAt, acceptedSequence, acceptedId
    else
      local dueAt = now + delay
      if not earliest or dueAt < earliest then earliest = dueAt end
      stored[id] = {sent, sequence}
      table.insert(records, id)
      table.insert(records, sixBytes(sent) .. record)
      table.insert(order, 0)
      table.insert(order, group .. '\\0' .. sixBytes(sequence) .. id)
      table.insert(due, dueAt + (i - 1) / 1024)
      table.insert(due, group)
      if delay > 0 then
        table.insert(delayed, dueAt)
        table.insert(delayed, id)
      end
      if receiveCount > 0 then
        table.insert(receives, id)
        table.insert(receives, writeHistory(receiveCount, 0, firstReceived, ''))
      end
    end
  end
  table.insert(reply, id)
  table.insert(reply, sent)
  table.insert(reply, sequence)
  table.insert(reply, duplicate)
end
if #records > 0 then
  redis.call('HSET', KEYS[2], unpack(records))
  redis.call('ZADD', KEYS[5], unpack(order))
  if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end
  if #delayed > 0 then
    local ended = redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE', 'LIMIT', 0, 2 * count)
    if #ended > 0 then redis.call('ZREM', KEYS[4], unpack(ended)) end
    redis.call('ZADD', KEYS[4], unpack(delayed))
  end
  -- A group that is already there keeps its place: what decides it stands before these messages.
  local newGroups = redis.call('ZADD', KEYS[1], 'NX', unpack(due))
  local after = before
  if newGroups > 0 and (not before or earliest < before) then after = head() end
  reply[1] = loweredBySend(before, after)
end
if repeated and reply[1] == -1 then reply[1] = nextDue() end
return reply`,
);
