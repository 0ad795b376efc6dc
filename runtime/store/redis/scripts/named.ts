import { READ, STATES } from './browse.ts';
import { CLOCK, HEAD, HISTORY, MEMBERS, script } from './script.ts';

/**
 * Messages of a standard queue by their names.
 *
 * The member of a message in `due` has its group. It is told by the caller, or known from the receive history; where it
 * is neither, the place of the message cannot be found, and nothing is done.
 *
 * KEYS[1..4] as in `send.ts`; KEYS[5] -> failures
 * ARGV, of every script here and in `fifo-named.ts`: number of names, a number that the script explains; for each name:
 *     id, group or '', sequence number or -1 (FIFO), receive given up or -1; channel; queue; time
 *
 * @module
 */

/** The names in the arguments, and what is answered for each, as numbers; `named-commands.ts` has their words. */
export const NAMES = `
local DONE, HELD, MISSING, BEHIND, BEYOND = 0, 1, 2, 3, 4
local UNKNOWN = 3
local function nameAt(i)
  local at = 4 * i - 1
  return ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
end`;

/** `stateOf`: state and due time of a member; nothing: it is not in `due`. */
const STATE_OF = `
local function stateOf(id, member)
  local score = redis.call('ZSCORE', KEYS[1], member)
  if not score then return nil end
  local dueAt = math.floor(score)
  if dueAt <= now then return VISIBLE, dueAt end
  local delayedUntil = tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
  return delayedUntil > now and DELAYED or IN_FLIGHT, dueAt
end`;

/** `free`: DONE and the message of the i-th name if nobody has it, else why it may not be touched. */
const FREE = `
local function free(i)
  local id, group, _, givenUp = nameAt(i)
  if redis.call('HEXISTS', KEYS[2], id) == 0 then return MISSING end
  local history = redis.call('HGET', KEYS[3], id)
  local number, uncounted, _, known = 0, 0, now, ''
  if history then number, uncounted, _, known = readHistory(history) end
  if group == '' then group = known end
  local member = memberOf(id, group)
  local state, dueAt = stateOf(id, member)
  if not state then return BEYOND end
  if state == IN_FLIGHT and number - uncounted ~= givenUp then return HELD end
  return DONE, {id = id, group = group, member = member, state = state, dueAt = dueAt, history = history}
end`;

/** What all begin with that act on messages nobody holds. */
const ACTING = [CLOCK, HEAD, MEMBERS, HISTORY, STATES, NAMES, STATE_OF, FREE];

/**
 * Looks at messages.
 *
 * ARGV[2]: most bytes of records
 * Returns: names looked at; then for each message that is there: id, value (sent time and record), receive count, first
 *     received ms or 0, state (3: unknown), ms until it may be handed out, group or '', -1.
 * Commands: 2 (EVALSHA, TIME); for each message 3 (HGET, HGET, ZSCORE), and 1 (ZSCORE) if it may not be handed out yet;
 *     1 (HGET) for one that is not there.
 */
export const LOOK_UP = script(
  'no-writes',
  CLOCK,
  MEMBERS,
  HISTORY,
  STATES,
  READ,
  NAMES,
  STATE_OF,
  `
local reply = {0}
for i = 1, tonumber(ARGV[1]) do
  local id, group = nameAt(i)
  local message = read(id)
  if message == nil then break end
  reply[1] = i
  if message then
    if group == '' then group = message[4] end
    local state, dueAt = stateOf(id, memberOf(id, group))
    for _, part in ipairs({id, message[1], message[2], message[3], state or UNKNOWN, math.max(0, (dueAt or 0) - now), group, -1}) do
      table.insert(reply, part)
    end
  end
end
return reply`,
);

/**
 * Deletes messages.
 *
 * ARGV[2]: unused
 * Returns: -1 (the head is never lowered); ms until the new head is due or -1 if there is none; then the outcome of
 *     each.
 * Commands: 3 (EVALSHA, TIME, ZRANGE); for each name 3 (HEXISTS, HGET, ZSCORE), and 1 (ZSCORE) if it is not visible; +5
 *     if any is deleted (ZREM, HDEL, HDEL, ZREM, HDEL).
 */
export const DELETE_NAMED = script(
  'allow-oom',
  ...ACTING,
  `
local reply, members, ids = {-1, -1}, {}, {}
for i = 1, tonumber(ARGV[1]) do
  local outcome, message = free(i)
  if outcome == DONE then
    table.insert(members, message.member)
    table.insert(ids, message.id)
  end
  reply[i + 2] = outcome
end
if #ids > 0 then
  redis.call('ZREM', KEYS[1], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('HDEL', KEYS[3], unpack(ids))
  redis.call('ZREM', KEYS[4], unpack(ids))
  redis.call('HDEL', KEYS[5], unpack(ids))
end
reply[2] = nextDue()
return reply`,
);

/**
 * Makes messages due now.
 *
 * ARGV[2]: unused
 * Returns: ms until the new head is due or -1 if the head was not lowered; ms until the new head is due or -1 if there
 *     is none; then the outcome of each.
 * Commands: as DELETE_NAMED, +3 if any was not due (ZRANGE, ZADD, ZREM), +1 PUBLISH if the head was lowered.
 */
export const MAKE_DUE = script(
  'allow-oom',
  ...ACTING,
  `
local reply, due, ids = {-1, -1}, {}, {}
for i = 1, tonumber(ARGV[1]) do
  local outcome, message = free(i)
  reply[i + 2] = outcome
  if outcome == DONE and message.state ~= VISIBLE then
    table.insert(due, now + (i - 1) / 1024)
    table.insert(due, message.member)
    table.insert(ids, message.id)
  end
end
if #ids > 0 then
  local before = head()
  redis.call('ZADD', KEYS[1], 'XX', unpack(due))
  redis.call('ZREM', KEYS[4], unpack(ids))
  reply[1] = lowered(before, now)
end
reply[2] = nextDue()
return reply`,
);

/**
 * Leases messages. No lease ends before the message would have been due by itself, so the head is never lowered.
 *
 * ARGV[2]: ms from now
 * Returns: -1; ms until the new head is due or -1 if there is none; then for each name: outcome, lease number, -1.
 * Commands: as DELETE_NAMED, but +3 if any is leased (ZADD, HSET, ZREM).
 */
export const TAKE = script(
  'allow-oom',
  ...ACTING,
  `
local reply, due, receives, ids = {-1, -1}, {}, {}, {}
for i = 1, tonumber(ARGV[1]) do
  local outcome, message = free(i)
  local history, number = nil, -1
  if outcome == DONE then
    history, number = leasedOnceMore(message.history, message.group)
    table.insert(due, math.max(now + ARGV[2], message.dueAt) + (i - 1) / 1024)
    table.insert(due, message.member)
    table.insert(receives, message.id)
    table.insert(receives, history)
    table.insert(ids, message.id)
  end
  for _, part in ipairs({outcome, number, -1}) do table.insert(reply, part) end
end
if #ids > 0 then
  redis.call('ZADD', KEYS[1], 'XX', unpack(due))
  redis.call('HSET', KEYS[3], unpack(receives))
  redis.call('ZREM', KEYS[4], unpack(ids))
end
reply[2] = nextDue()
return reply`,
);

/**
 * Reads records, for both kinds of queue; 16 at a time, so that a call never copies much more than it gives.
 *
 * KEYS[1] -> messages
 * ARGV: most bytes of records; ids; time (unused)
 * Returns: ids looked at; then for each message that is there: its place among the ids, value (sent time and record).
 * Commands: 1 (EVALSHA), and 1 (HMGET) for each 16 ids.
 */
export const RECORDS = script(
  'no-writes',
  `
local reply, bytes, most = {0}, 0, tonumber(ARGV[1])
for from = 2, #ARGV - 1, 16 do
  local chunk = {}
  for i = from, math.min(from + 15, #ARGV - 1) do table.insert(chunk, ARGV[i]) end
  for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(chunk))) do
    if value then
      bytes = bytes + #value - 6
      if bytes > most and #reply > 1 then return reply end
      table.insert(reply, from + i - 2)
      table.insert(reply, value)
    end
    reply[1] = from + i - 2
  end
end
return reply`,
);

/**
 * Which messages have a delay that still runs, for both kinds of queue.
 *
 * KEYS[1] -> delayed
 * ARGV: messages to pass over, most messages; time
 * Returns: how many there are; then for each: id, ms until its delay ends.
 * Commands: 4 (EVALSHA, TIME, ZCOUNT, ZRANGE).
 */
export const SCHEDULED = script(
  'no-writes',
  CLOCK,
  `
local reply = {redis.call('ZCOUNT', KEYS[1], now + 1, '+inf')}
local found = redis.call('ZRANGE', KEYS[1], now + 1, '+inf', 'BYSCORE', 'LIMIT', ARGV[1], ARGV[2], 'WITHSCORES')
for i = 1, #found, 2 do
  table.insert(reply, found[i])
  table.insert(reply, tonumber(found[i + 1]) - now)
end
return reply`,
);

/**
 * Which of up to 100 queues have a message.
 *
 * KEYS: the messages of each queue
 * ARGV: for each queue: id as its kind writes it; time (unused)
 * Returns: for each queue 1 if it has the message, else 0.
 * Commands: 1 (EVALSHA), and 1 for each queue (HEXISTS).
 */
export const HOLDERS = script(
  'no-writes',
  `
local reply = {}
for i, key in ipairs(KEYS) do reply[i] = redis.call('HEXISTS', key, ARGV[i]) end
return reply`,
);
