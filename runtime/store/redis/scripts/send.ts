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
