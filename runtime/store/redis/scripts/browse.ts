/**
 * Looks at messages without receiving them: at the first ones, or at all of them page by page. A page says where the
 * next one begins; nothing is kept between two calls. Records are read one after another and reading stops at the byte
 * bound, the first record always taken, so that a call never copies more than it gives.
 *
 * @module
 */
import { GROUPS } from './fifo-groups.ts';
import { CLOCK, HISTORY, MEMBERS, SIX_BYTES, script } from './script.ts';

/** In replies: what keeps a message from being received. */
export const STATES = `
local VISIBLE, DELAYED, IN_FLIGHT = 0, 1, 2`;

/**
 * Reads a message: value, receive count, first received ms, group if the history has it. False: there is none, nil:
 * there is no more room. `ARGV[2]`: most bytes of records.
 */
export const READ = `
local bytes, taken = 0, 0
local function read(id)
  local value = redis.call('HGET', KEYS[2], id)
  if not value then return false end
  bytes = bytes + #value - 6
  if bytes > tonumber(ARGV[2]) and taken > 0 then return nil end
  taken = taken + 1
  local history, number, uncounted, first, group = redis.call('HGET', KEYS[3], id), 0, 0, 0, ''
  if history then number, uncounted, first, group = readHistory(history) end
  return {value, number - uncounted, number == uncounted and 0 or first, group}
end`;

/**
 * The first messages of a standard queue, by when they may be handed out.
 *
 * KEYS[1..4] as in `send.ts`
 * ARGV: most messages (up to 500), most bytes, time
 * Returns: for each: id, value (sent time and record), receive count, first received ms or 0, state, ms until it may be
 *     handed out, group or ''.
 * Commands: 3 (EVALSHA, TIME, ZRANGE); for each message 2 (HGET, HGET), and 1 (ZSCORE) if it may not be handed out yet.
 */
export const BROWSE = script(
  'no-writes',
  CLOCK,
  MEMBERS,
  HISTORY,
  STATES,
  READ,
  `
local reply = {}
local found = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1, 'WITHSCORES')
for i = 1, #found, 2 do
  local id, dueAt, state = idOf(found[i]), math.floor(found[i + 1]), VISIBLE
  local message = read(id)
  if message == nil then break end
  if message then
    if dueAt > now then
      local delayedUntil = tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
      state = delayedUntil > now and DELAYED or IN_FLIGHT
    end
    for _, part in ipairs({id, message[1], message[2], message[3], state, math.max(0, dueAt - now), groupOf(found[i])}) do
      table.insert(reply, part)
    end
  end
end
return reply`,
);

/** When the leases of a group of a FIFO queue end, by id and sequence number. */
const LEASE_ENDS = `
local function leasesOf(group)
  local text, ends = redis.call('HGET', KEYS[6], group) or '', {}
  for at = 1, #text, 35 do ends[string.sub(text, at, at + 21)] = tonumber(string.sub(text, at + 22, at + 34)) end
  return ends
end`;

/**
 * The first messages of a FIFO queue: by group, that which may be served first coming first, and in their order within
 * it.
 *
 * KEYS[1..6] as in `fifo-groups.ts`
 * ARGV: most messages (up to 500), most bytes, time
 * Returns: for each: id, value (sent time and record), receive count, first received ms or 0, state, ms until its delay
 *     or lease ends, group, sequence number.
 * Commands: 3 (EVALSHA, TIME, ZRANGE); for each group 2 (ZRANGE, HGET); for each message 3 (HGET, HGET, ZSCORE).
 */
export const FIFO_BROWSE = script(
  'no-writes',
  CLOCK,
  SIX_BYTES,
  HISTORY,
  STATES,
  GROUPS,
  READ,
  LEASE_ENDS,
  `
local most, reply = tonumber(ARGV[1]), {}
for _, group in ipairs(redis.call('ZRANGE', KEYS[1], 0, most - 1)) do
  if taken == most then break end
  local leases = leasesOf(group)
  for _, member in ipairs(membersOf(group, most - taken)) do
    local id = idOf(member)
    local message = read(id)
    if message == nil then return reply end
    if message then
      local leased, delayed = leases[id .. sequenceOf(member)] or 0, tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
      local state = leased > now and IN_FLIGHT or delayed > now and DELAYED or VISIBLE
      local ends = state == IN_FLIGHT and leased or delayed
      for _, part in ipairs({id, message[1], message[2], message[3], state, math.max(0, ends - now), group, fromSixBytes(sequenceOf(member))}) do
        table.insert(reply, part)
      end
    end
  end
end
return reply`,
);

/**
 * A page of a standard queue, by when its messages are due. The place after which it begins is the score and the member
 * of the last message; if that message was moved or deleted since, the place is found by comparing, among those of the
 * same score by the bytes of their members, as Redis orders them.
 *
 * KEYS[1..4] as in `send.ts`
 * ARGV: most messages (up to 500), most bytes, score and member after which it begins, or '' and ''; time
 * Returns: score and member after which the next page begins, or '' and ''; then for each message: id, value (sent time
 *     and record), receive count, first received ms or 0, state, ms when it is due, group or ''.
 * Commands: 3 (EVALSHA, TIME, ZRANGE), with a place 5 (+ZSCORE, ZRANK); +1 ZRANGE for each 500 messages of that score
 *     if its message was moved; for each message 2 (HGET, HGET), and 1 (ZSCORE) if it is not due yet.
 */
export const PAGE = script(
  'no-writes',
  CLOCK,
  MEMBERS,
  HISTORY,
  STATES,
  READ,
  `
local most, afterScore, afterMember = tonumber(ARGV[1]), ARGV[3], ARGV[4]

-- Lua compares texts by the locale of the server.
local function isBehind(member)
  for i = 1, math.min(#member, #afterMember) do
    local a, b = string.byte(member, i), string.byte(afterMember, i)
    if a ~= b then return a > b end
  end
  return #member > #afterMember
end

local function membersAfter()
  if afterScore == '' then return redis.call('ZRANGE', KEYS[1], 0, most - 1, 'WITHSCORES') end
  if redis.call('ZSCORE', KEYS[1], afterMember) == afterScore then
    local rank = redis.call('ZRANK', KEYS[1], afterMember)
    return redis.call('ZRANGE', KEYS[1], rank + 1, rank + most, 'WITHSCORES')
  end
  local found, from = {}, 0
  while true do
    local some = redis.call('ZRANGE', KEYS[1], afterScore, '+inf', 'BYSCORE', 'LIMIT', from, 500, 'WITHSCORES')
    for i = 1, #some, 2 do
      if some[i + 1] ~= afterScore or isBehind(some[i]) then
        table.insert(found, some[i])
        table.insert(found, some[i + 1])
        if #found == 2 * most then return found end
      end
    end
    if #some < 1000 then return found end
    from = from + 500
  end
end

local found = membersAfter()
local reply, isFull = {afterScore, afterMember}, false
for i = 1, #found, 2 do
  local id, dueAt, state = idOf(found[i]), math.floor(found[i + 1]), VISIBLE
  local message = read(id)
  if message == nil then
    isFull = true
    break
  end
  if message then
    if dueAt > now then
      local delayedUntil = tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
      state = delayedUntil > now and DELAYED or IN_FLIGHT
    end
    for _, part in ipairs({id, message[1], message[2], message[3], state, dueAt, groupOf(found[i])}) do
      table.insert(reply, part)
    end
  end
  reply[1], reply[2] = found[i + 1], found[i]
end
if #found < 2 * most and not isFull then reply[1], reply[2] = '', '' end
return reply`,
);

/**
 * A page of a FIFO queue, in the order of `order`: by group, and by sequence number within it. Receiving a message does
 * not move it there.
 *
 * KEYS[1..6] as in `fifo-groups.ts`; KEYS[7] -> sequence string: the last number given
 * ARGV: most messages (up to 500), most bytes, member of `order` after which it begins, or ''; time
 * Returns: the last number given; member after which the next page begins, or empty; then for each message: id, value
 *     (sent time and record), receive count, first received ms or 0, state, ms when it is due, group, sequence number.
 * Commands: 4 (EVALSHA, TIME, GET, ZRANGE); for each group 2 (HGET, ZRANGE), and 1 (ZSCORE) if its first message is
 *     visible; for each message 3 (HGET, HGET, ZSCORE).
 */
export const FIFO_PAGE = script(
  'no-writes',
  CLOCK,
  SIX_BYTES,
  HISTORY,
  STATES,
  GROUPS,
  READ,
  LEASE_ENDS,
  `
local most, after = tonumber(ARGV[1]), ARGV[3]
local found = redis.call('ZRANGE', KEYS[5], after == '' and '-' or '(' .. after, '+', 'BYLEX', 'LIMIT', 0, most)
local reply, isFull = {tonumber(redis.call('GET', KEYS[7]) or 0), after}, false
local group, leases, first
for _, member in ipairs(found) do
  local id = idOf(member)
  if string.sub(member, 1, -24) ~= group then
    group = string.sub(member, 1, -24)
    leases, first = leasesOf(group), membersOf(group, 1)[1]
  end
  local message = read(id)
  if message == nil then
    isFull = true
    break
  end
  if message then
    local leased, delayed = leases[string.sub(member, -16) .. sequenceOf(member)] or 0, tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
    local state = leased > now and IN_FLIGHT or delayed > now and DELAYED or VISIBLE
    local dueAt = fromSixBytes(message[1])
    if state == IN_FLIGHT then dueAt = leased
    elseif state == DELAYED then dueAt = delayed
    elseif member == first then dueAt = math.floor(redis.call('ZSCORE', KEYS[1], group) or dueAt) end
    for _, part in ipairs({id, message[1], message[2], message[3], state, dueAt, group, fromSixBytes(sequenceOf(member))}) do
      table.insert(reply, part)
    end
  end
  reply[2] = member
end
if #found < most and not isFull then reply[2] = '' end
return reply`,
);
