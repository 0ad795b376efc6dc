import { GROUPS } from './fifo-groups.ts';
import { CLOCK, HISTORY, MEMBERS, SIX_BYTES, script } from './script.ts';

/**
 * Looks at messages without receiving them. Records are read one after another and reading stops at the byte bound, the
 * first record always taken, so that a call never copies more than it gives.
 *
 * @module
 */

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
export const LEASE_ENDS = `
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
