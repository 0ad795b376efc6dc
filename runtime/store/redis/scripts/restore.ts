import { DEDUPLICATION_WINDOW_MS, RESTORED_MS } from '../../store.ts';
import { PLACING } from './fifo-groups.ts';
import { CLOCK, HEAD, HISTORY, MEMBERS, OUTCOMES, script } from './script.ts';

/**
 * Puts messages back that another store kept, with the times that it gave them.
 *
 * Nothing is done twice. A source names where the messages come from, and gives each a position that grows. The queue
 * remembers the last position that it has had of each source, in the same script that stores the messages: so a message
 * that was put back, handed out and deleted does not come a second time when the source is read again. A message of
 * another source whose id is stored is left as it is.
 *
 * @module
 */

/**
 * Tells what becomes of each message. `width`: arguments of a message, of which the first is its position and the
 * second its id; `first`: index of the first of them.
 *
 * ARGV[1] is the number of messages, ARGV[2] the source.
 */
const PLACES = (first: number, width: number, restored: number): string => `
local RESTORED, PRESENT, EARLIER = 0, 1, 2
local count, source = tonumber(ARGV[1]), ARGV[2]
local reached = tonumber(redis.call('HGET', KEYS[${restored}], source) or 0)
local last, ids, stored = reached, {}, {}
for i = 1, count do ids[i] = ARGV[${first} + (i - 1) * ${width} + 1] end
if count > 0 then
  for i, value in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do stored[ids[i]] = value end
end
local function outcomeOf(i)
  local position = tonumber(ARGV[${first} + (i - 1) * ${width}])
  if position <= reached then return EARLIER end
  last = math.max(last, position)
  if stored[ids[i]] then return PRESENT end
  stored[ids[i]] = true
  return RESTORED
end
local function remember()
  if last == reached then return end
  redis.call('HSET', KEYS[${restored}], source, string.format('%.0f', last))
  redis.call('PEXPIRE', KEYS[${restored}], ${RESTORED_MS})
end`;

/**
 * For a standard queue.
 *
 * KEYS[1..4] as in `send.ts`; KEYS[5] -> restored hash: source -> the last position
 * ARGV: number of messages, source; for each: position, id, value (sent time and record), ms when it is due, 1 if it is
 *     delayed until then, group or '', receive count, first received ms; channel; queue; time
 * Returns: ms until the new head is due or -1 if the head was not lowered; then what became of each.
 * Commands: 10 (EVALSHA, TIME, ZRANGE, HGET, HMGET, HSET, ZADD, HSET, PEXPIRE, ZRANGE), whatever the number of
 *     messages; +1 each if some are delayed (ZADD), were received (HSET), or lowered the head (PUBLISH).
 */
export const RESTORE = script(
  '',
  CLOCK,
  HEAD,
  MEMBERS,
  OUTCOMES,
  HISTORY,
  PLACES(3, 8, 5),
  `
local before, reply = head(), {-1}
local values, due, delayed, receives = {}, {}, {}, {}
for i = 1, count do
  local outcome, at = outcomeOf(i), 3 + (i - 1) * 8
  reply[i + 1] = outcome
  if outcome == RESTORED then
    local id, dueAt, group, receiveCount = ids[i], tonumber(ARGV[at + 3]), ARGV[at + 5], tonumber(ARGV[at + 6])
    table.insert(values, id)
    table.insert(values, ARGV[at + 2])
    table.insert(due, dueAt + (i - 1) / 1024)
    table.insert(due, memberOf(id, group))
    if ARGV[at + 4] == '1' and dueAt > now then
      table.insert(delayed, dueAt)
      table.insert(delayed, id)
    end
    if receiveCount > 0 then
      table.insert(receives, id)
      table.insert(receives, writeHistory(receiveCount, 0, ARGV[at + 7], group))
    end
  end
end
if #values > 0 then
  redis.call('HSET', KEYS[2], unpack(values))
  redis.call('ZADD', KEYS[1], 'NX', unpack(due))
  if #delayed > 0 then redis.call('ZADD', KEYS[4], unpack(delayed)) end
  if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end
  reply[1] = lowered(before, head())
end
remember()
return reply`,
);

/**
 * For a FIFO queue. What was in flight or delayed counts as delayed until that ends; so its group waits for it.
 *
 * A group that is not there gets the due time of its first message. One that is there keeps its place, unless a message
 * came before all that it had: then it is placed anew, as after a delete.
 *
 * KEYS[1..6] as in `fifo-groups.ts`; KEYS[7] -> sequence string: the last number given; KEYS[8] -> restored hash:
 *     source -> the last position, empty -> the last number that was not given by a send; KEYS[9...] -> deduplication
 *     strings, as in `send.ts`
 * ARGV: number of messages, source, the least that the last number given must be, ms until a deduplication key expires;
 *     for each: position, id, value (sent time and record), ms when it is due, group, sequence number, receive count,
 *     first received ms, sent ms, index into KEYS of its deduplication key or 0; channel; queue; time
 * Returns: ms until the new head is due or -1 if the head was not lowered; 1 if messages were sent to the queue before;
 *     then what became of each.
 * Commands: 11 (EVALSHA, TIME, ZRANGE, HGET, HMGET, GET, HSET, ZADD, HSET, PEXPIRE, ZRANGE), whatever the number of
 *     messages; +3 (HGET, SET, HSET) if the last number given was less, +1 EXISTS if a send gave it; +1 each if some
 *     are delayed (ZADD) or were received (HSET); +1 SET for each deduplication key of the last minutes; for each group
 *     2 (ZRANGE, ZSCORE), +1 ZADD if it is new, else, if it is placed anew, those of FLIGHTS; +1 PUBLISH if the head
 *     was lowered.
 */
export const FIFO_RESTORE = script(
  '',
  PLACING,
  PLACES(5, 10, 8),
  `
local before, reply = head(), {-1, 0}
local given, least = tonumber(redis.call('GET', KEYS[7]) or 0), tonumber(ARGV[3])
if given < least and given > tonumber(redis.call('HGET', KEYS[8], '') or 0) then
  reply[2] = redis.call('EXISTS', KEYS[5])
end
local records, order, delayed, receives, groups, dueOf = {}, {}, {}, {}, {}, {}
for i = 1, count do
  local outcome, at = outcomeOf(i), 5 + (i - 1) * 10
  reply[i + 2] = outcome
  if outcome == RESTORED then
    local id, dueAt, group, sequence = ids[i], tonumber(ARGV[at + 3]), ARGV[at + 4], tonumber(ARGV[at + 5])
    local member, receiveCount, sent = group .. '\\0' .. sixBytes(sequence) .. id, tonumber(ARGV[at + 6]), tonumber(ARGV[at + 8])
    least = math.max(least, sequence)
    table.insert(records, id)
    table.insert(records, ARGV[at + 2])
    table.insert(order, 0)
    table.insert(order, member)
    if not dueOf[group] then
      dueOf[group] = {}
      table.insert(groups, group)
    end
    dueOf[group][member] = dueAt
    if dueAt > now then
      table.insert(delayed, dueAt)
      table.insert(delayed, id)
    end
    if receiveCount > 0 then
      table.insert(receives, id)
      table.insert(receives, writeHistory(receiveCount, 0, ARGV[at + 7], ''))
    end
    local key, age = KEYS[tonumber(ARGV[at + 9])], now - sent
    if key and age < ${DEDUPLICATION_WINDOW_MS} then
      redis.call('SET', key, sixBytes(sent) .. sixBytes(sequence) .. id, 'NX', 'PX', math.max(1, ARGV[4] - math.max(0, age)))
    end
  end
end
if least > given then
  redis.call('SET', KEYS[7], string.format('%.0f', least))
  redis.call('HSET', KEYS[8], '', string.format('%.0f', least))
end
if #records > 0 then
  redis.call('HSET', KEYS[2], unpack(records))
  redis.call('ZADD', KEYS[5], unpack(order))
  if #delayed > 0 then redis.call('ZADD', KEYS[4], unpack(delayed)) end
  if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end
  local anew, placed = {}, {}
  for _, group in ipairs(groups) do
    local dueAt = dueOf[group][membersOf(group, 1)[1]]
    if not redis.call('ZSCORE', KEYS[1], group) then
      table.insert(placed, (dueAt or now) + #placed / 2048)
      table.insert(placed, group)
    elseif dueAt then
      table.insert(anew, group)
    end
  end
  if #placed > 0 then redis.call('ZADD', KEYS[1], unpack(placed)) end
  if #anew > 0 then storeFlights(anew, loadFlights(anew)) end
  reply[1] = lowered(before, head())
end
remember()
return reply`,
);
