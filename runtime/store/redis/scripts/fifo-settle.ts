import { FINISH, FLIGHTS, GROUPS, LEASES, TOUCHED } from './fifo-groups.ts';
import { CLOCK, HEAD, HISTORY, OUTCOMES, SIX_BYTES, script } from './script.ts';

/**
 * Ends or moves leases of a FIFO queue: the three scripts of this file.
 *
 * A lease holds while it runs and the lease number (`HISTORY` in `script.ts`) and sequence number are those it was
 * given. One that ran out does nothing: later messages of the group wait for whoever receives this one next.
 *
 * KEYS[1..6] as in `fifo-groups.ts`
 * Returns, all three: ms until the new head is due or -1 if the head was not lowered; ms until the new head is due or
 *     -1 if there is none; then the outcome of each.
 * Commands to give the groups their place: FLIGHTS in `fifo-groups.ts`.
 */

/**
 * Reads the leases given, `width` arguments each: id, lease number, group, sequence number, ...; sets `ids`, `numbers`,
 * `groups` (each once), `histories`, `flights`, `runs` and `outcomeOf` (with the receive count).
 */
const leases = (width: number): string => `
local ids, numbers, groupOf, sequences, groups, histories = {}, {}, {}, {}, {}, {}
for i = 1, #ARGV - 3, ${width} do
  table.insert(ids, ARGV[i])
  table.insert(numbers, tonumber(ARGV[i + 1]))
  table.insert(groupOf, ARGV[i + 2])
  table.insert(sequences, sixBytes(tonumber(ARGV[i + 3])))
  if not groups[ARGV[i + 2]] then
    groups[ARGV[i + 2]] = true
    table.insert(groups, ARGV[i + 2])
  end
end
for i, history in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do histories[ids[i]] = history end
local flights = loadFlights(groups)
local function runs(i)
  local lease = flights[groupOf[i]][ids[i]]
  return lease and lease.ends > now and lease.sequence == sequences[i]
end
local function outcomeOf(i)
  local outcome, count = fence(ids[i], histories[ids[i]], numbers[i])
  if outcome == DONE and not runs(i) then outcome = EXPIRED end
  return outcome, count
end
${TOUCHED}`;

/**
 * Deletes messages.
 *
 * KEYS[7] -> failures
 * ARGV: for each lease: id, lease number, group, sequence number; channel; queue; time
 * Commands: 13 for messages of one group that has others waiting (EVALSHA, TIME, HMGET, HMGET, ZREM, HDEL, HDEL,
 *     ZRANGE; then ZRANGE, ZMSCORE, HDEL, ZADD; then ZRANGE); 12 for the last of a group
 * (ZRANGE, HDEL, ZREM); 5 if no lease holds; +1 PUBLISH if the head was lowered; +1 HDEL if a message was
 * received more than once, and so may have failed; +1 for each id without a receive history.
 */
export const FIFO_DELETE = script(
  'allow-oom',
  CLOCK,
  SIX_BYTES,
  HEAD,
  OUTCOMES,
  HISTORY,
  GROUPS,
  LEASES,
  FLIGHTS,
  leases(4),
  `
local members, deleted, gone, again = {}, {}, {}, {}
for i, id in ipairs(ids) do
  local outcome, count = MISSING, 0
  if not gone[id] then outcome, count = outcomeOf(i) end
  reply[i + 2] = outcome
  if outcome == DONE then
    gone[id] = true
    if count > 1 then table.insert(again, id) end
    flights[groupOf[i]][id] = nil
    touch(groupOf[i])
    table.insert(members, groupOf[i] .. '\\0' .. sequences[i] .. id)
    table.insert(deleted, id)
  end
end
if #deleted > 0 then
  redis.call('ZREM', KEYS[5], unpack(members))
  redis.call('HDEL', KEYS[2], unpack(deleted))
  redis.call('HDEL', KEYS[3], unpack(deleted))
  if #again > 0 then redis.call('HDEL', KEYS[7], unpack(again)) end
end`,
  FINISH,
);

/**
 * Moves the ends of leases. A lease moved to now is over: the message is visible, and may be received if no message
 * before it is in flight.
 *
 * ARGV: for each lease: id, lease number, group, sequence number, ms from now; channel; queue; time
 * Commands: 8 for one group (EVALSHA, TIME, HMGET, HMGET, ZRANGE; then HSET, ZADD; then ZRANGE); 10 if the group became
 *     free (ZRANGE, ZMSCORE, HDEL, ZADD); 5 if no lease holds; +1 as FIFO_DELETE.
 */
export const FIFO_CHANGE_VISIBILITY = script(
  'allow-oom',
  CLOCK,
  SIX_BYTES,
  HEAD,
  OUTCOMES,
  HISTORY,
  GROUPS,
  LEASES,
  FLIGHTS,
  leases(5),
  `
for i, id in ipairs(ids) do
  local outcome = outcomeOf(i)
  reply[i + 2] = outcome
  if outcome == DONE then
    flights[groupOf[i]][id].ends = now + ARGV[5 * i]
    touch(groupOf[i])
  end
end`,
  FINISH,
);

/**
 * Undoes receives: visible at once, and counted one time less. Of a lease that was given back already it says `DONE`,
 * and leaves the message as it is; of one of an earlier message of the same id it does not.
 *
 * ARGV: for each lease: id, lease number, group, sequence number; channel; queue; time
 * Commands: as FIFO_CHANGE_VISIBILITY when the group becomes free, +1 for HSET of the histories; +1 ZSCORE for each
 *     lease that was given back already.
 */
export const FIFO_RELEASE = script(
  'allow-oom',
  CLOCK,
  SIX_BYTES,
  HEAD,
  OUTCOMES,
  HISTORY,
  GROUPS,
  LEASES,
  FLIGHTS,
  leases(4),
  `
local receives = {}
for i, id in ipairs(ids) do
  local outcome, history = givenBack(id, histories[id], numbers[i])
  if history and not runs(i) then outcome, history = EXPIRED, nil end
  if outcome == DONE and not history and not redis.call('ZSCORE', KEYS[5], groupOf[i] .. '\\0' .. sequences[i] .. id) then
    outcome = SUPERSEDED
  end
  reply[i + 2] = outcome
  if history then
    histories[id] = history
    flights[groupOf[i]][id].ends = now
    touch(groupOf[i])
    table.insert(receives, id)
    table.insert(receives, history)
  end
end
if #receives > 0 then redis.call('HSET', KEYS[3], unpack(receives)) end`,
  FINISH,
);
