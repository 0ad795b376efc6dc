import { MOST_LOOKED_THROUGH } from '../../store.ts';
import { READ, STATES } from './browse.ts';
import { FINISH, FLIGHTS, GROUPS, LEASES, TOUCHED } from './fifo-groups.ts';
import { NAMES } from './named.ts';
import { CLOCK, HEAD, HISTORY, SIX_BYTES, script } from './script.ts';

/**
 * Messages of a FIFO queue by their names.
 *
 * The place of a message in its group is its sequence number. One that is named without it is looked for from the front
 * of its group, which costs a command for 500 messages; all names of a call together look through a bounded number.
 *
 * The rule of a group holds: nothing here makes a later message available while an earlier one is in flight. Taking
 * leads on from the first message of a group without a gap, as a receive does, so the invariants of `fifo-groups.ts`
 * hold. Deleting a message in the middle leaves those around it in their order.
 *
 * KEYS[1..6] as in `fifo-groups.ts`; KEYS[7] -> failures
 * ARGV: as in `named.ts`
 *
 * @module
 */

/** `sequenceFor`: the sequence number (6 bytes) of a message; nothing: it was not found. */
const SEQUENCES = `
local left, known = ${MOST_LOOKED_THROUGH}, {}
local function sequenceFor(id, group, given)
  if group == '' then return nil end
  if given >= 0 then
    local bytes = sixBytes(given)
    if redis.call('ZSCORE', KEYS[5], group .. '\\0' .. bytes .. id) then return bytes end
  end
  known[group] = known[group] or {of = {}}
  local seen = known[group]
  while not seen.of[id] and not seen.ended and left > 0 do
    local most = math.min(500, left)
    local members = membersOf(group, most, seen.after)
    for _, member in ipairs(members) do seen.of[idOf(member)] = sequenceOf(member) end
    left = left - #members
    seen.after = members[#members]
    seen.ended = #members < most
  end
  return seen.of[id]
end`;

/** `stateOf`: state of a message and when its lease or delay ends. `flights` has the leases of the groups read. */
const STATE_OF = `
local flights = {}
local function stateOf(id, group, sequence)
  flights[group] = flights[group] or readLeases(redis.call('HGET', KEYS[6], group))
  local lease = flights[group][id]
  if lease and lease.ends > now and lease.sequence == sequence then return IN_FLIGHT, lease.ends end
  local delayedUntil = tonumber(redis.call('ZSCORE', KEYS[4], id) or 0)
  return delayedUntil > now and DELAYED or VISIBLE, delayedUntil
end`;

/** `free`: DONE and the message of the i-th name if nobody has it, else why it may not be touched. */
const FREE = `
local function free(i)
  local id, group, given, givenUp = nameAt(i)
  if redis.call('HEXISTS', KEYS[2], id) == 0 then return MISSING end
  local history = redis.call('HGET', KEYS[3], id)
  local number, uncounted = 0, 0
  if history then number, uncounted = readHistory(history) end
  local sequence = sequenceFor(id, group, given)
  if not sequence then return BEYOND end
  local state, ends = stateOf(id, group, sequence)
  if state == IN_FLIGHT and number - uncounted ~= givenUp then return HELD end
  return DONE, {id = id, group = group, sequence = sequence, state = state, ends = ends, history = history}
end
${TOUCHED}`;

/**
 * Looks at messages.
 *
 * ARGV[2]: most bytes of records
 * Returns: names looked at; then for each message that is there: id, value (sent time and record), receive count, first
 *     received ms or 0, state (3: unknown), ms until its delay or lease ends, group or '', sequence number or -1.
 * Commands: 2 (EVALSHA, TIME); for each message 3 (HGET, HGET, ZSCORE), and 1 (HGET) for each group; +1 ZSCORE for each
 *     sequence number given; else +1 ZRANGE for each 500 messages looked through; 1 (HGET) for one that is not there.
 */
export const FIFO_LOOK_UP = script(
  'no-writes',
  CLOCK,
  SIX_BYTES,
  HISTORY,
  GROUPS,
  LEASES,
  STATES,
  READ,
  NAMES,
  SEQUENCES,
  STATE_OF,
  `
local reply = {0}
for i = 1, tonumber(ARGV[1]) do
  local id, group, given = nameAt(i)
  local message = read(id)
  if message == nil then break end
  reply[1] = i
  if message then
    local sequence, state, ends = sequenceFor(id, group, given), UNKNOWN, 0
    if sequence then state, ends = stateOf(id, group, sequence) end
    for _, part in ipairs({id, message[1], message[2], message[3], state, math.max(0, ends - now), group, sequence and fromSixBytes(sequence) or -1}) do
      table.insert(reply, part)
    end
  end
end
return reply`,
);

/** What all begin with that act on messages nobody holds. */
const ACTING = [CLOCK, SIX_BYTES, HEAD, HISTORY, GROUPS, LEASES, FLIGHTS, STATES, NAMES, SEQUENCES, STATE_OF, FREE];

/**
 * Deletes messages. A group gets a new place only if its first message went or one that had a lease.
 *
 * ARGV[2]: unused
 * Returns: ms until the new head is due or -1 if the head was not lowered; ms until the new head is due or -1 if there
 *     is none; then the outcome of each.
 * Commands: 3 (EVALSHA, TIME, ZRANGE); for each name 4 (HEXISTS, HGET, ZRANGE or ZSCORE, ZSCORE), and 2 (HGET, ZRANGE)
 *     for each group; +5 if any is deleted (ZREM, HDEL, HDEL, ZREM, HDEL), and what FLIGHTS in `fifo-groups.ts` needs,
 *     with 1 (ZRANGE), for groups whose place changes; +1 PUBLISH if the head was lowered.
 */
export const FIFO_DELETE_NAMED = script(
  'allow-oom',
  ...ACTING,
  `
local members, ids, first = {}, {}, {}
for i = 1, tonumber(ARGV[1]) do
  local outcome, message = free(i)
  if outcome == DONE then
    local id, group, member = message.id, message.group, message.group .. '\\0' .. message.sequence .. message.id
    first[group] = first[group] or membersOf(group, 1)[1]
    if first[group] == member or flights[group][id] then touch(group) end
    flights[group][id] = nil
    table.insert(members, member)
    table.insert(ids, id)
  end
  reply[i + 2] = outcome
end
if #ids > 0 then
  redis.call('ZREM', KEYS[5], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(ids))
  redis.call('HDEL', KEYS[3], unpack(ids))
  redis.call('ZREM', KEYS[4], unpack(ids))
  redis.call('HDEL', KEYS[7], unpack(ids))
end`,
  FINISH,
);

/**
 * Makes messages due now. One waits for those before it in its group: if one of them is in flight, or the first is
 * delayed, it could not be received, and nothing is done.
 *
 * ARGV[2]: unused
 * Returns: as FIFO_DELETE_NAMED.
 * Commands: as FIFO_DELETE_NAMED, but for each message that is not deleted 2 (ZRANGE, and ZSCORE if it is not the
 *     first) and 1 (ZREM) if it was delayed.
 */
export const FIFO_MAKE_DUE = script(
  'allow-oom',
  ...ACTING,
  `
local function isBehind(message, head)
  for _, lease in pairs(flights[message.group]) do
    if lease.ends > now and fromSixBytes(lease.sequence) < fromSixBytes(message.sequence) then return true end
  end
  return idOf(head) ~= message.id and tonumber(redis.call('ZSCORE', KEYS[4], idOf(head)) or 0) > now
end
for i = 1, tonumber(ARGV[1]) do
  local outcome, message = free(i)
  local head = message and membersOf(message.group, 1)[1]
  if outcome == DONE and isBehind(message, head) then outcome = BEHIND end
  if outcome == DONE and message.state == IN_FLIGHT then
    flights[message.group][message.id].ends = now
    touch(message.group)
  elseif outcome == DONE and message.state == DELAYED then
    redis.call('ZREM', KEYS[4], message.id)
    if idOf(head) == message.id then touch(message.group) end
  end
  reply[i + 2] = outcome
end`,
  FINISH,
);

/**
 * Leases messages.
 *
 * ARGV[2]: ms from now
 * Returns: ms until the new head is due or -1 if the head was not lowered; ms until the new head is due or -1 if there
 *     is none; then for each name: outcome, lease number, sequence number or -1.
 * Commands: as FIFO_DELETE_NAMED, but for each message that is leased 2 (ZRANGE, ZREM); +1 HSET for all.
 */
export const FIFO_TAKE = script(
  'allow-oom',
  ...ACTING,
  `
-- Of each group the last one taken: the next that may be stands right behind it.
local last, receives = {}, {}
for i = 1, tonumber(ARGV[1]) do
  local outcome, message = free(i)
  local number, sequence = -1, -1
  if outcome == DONE then
    local id, group = message.id, message.group
    local next = membersOf(group, 1, last[group])[1]
    if not next or idOf(next) ~= id then
      outcome = BEHIND
    else
      last[group] = next
      flights[group][id] = {sequence = message.sequence, ends = math.max(now + ARGV[2], message.ends)}
      touch(group)
      redis.call('ZREM', KEYS[4], id)
      local history
      history, number = leasedOnceMore(message.history, '')
      sequence = fromSixBytes(message.sequence)
      table.insert(receives, id)
      table.insert(receives, history)
    end
  end
  for _, part in ipairs({outcome, number, sequence}) do table.insert(reply, part) end
end
if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end`,
  FINISH,
);
